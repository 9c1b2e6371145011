"""Going from one endpoint config to another on the engine, and which there were."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from sm_magics.deploy import observe
from sm_magics.errors import CellError, DeployError, PlanError
from sm_magics.events import Reached
from sm_magics.inventory import delete, inventory, unused
from sm_magics.plan import plan, promoted, switch
from sm_magics.settle import settle
from sm_magics.shifting import shift
from sm_magics.target import AFTER_TAG, ENDPOINT_TAG, Live, Share
from sm_magics.versions import CONFIGS, LISTS, Version, before, chosen, history, promote, promotion, rollback
from sm_magics.watch import Snapshot, look

ONE = "variants: {A: $linear}"
TWO = "variants: {A: {model: $linear, weight: 3}, B: {model: $xgb, weight: 1}}"
ANSWER = {"ProductionVariants": [{"VariantName": "A", "ModelName": "m", "InitialVariantWeight": 1.0}]}
CORRUPT = "variants: {A: {model: {image: xgboost@3.0-5, data: $corrupt}}}"


@pytest.fixture
def writes(connection, noting_writes):
    with noting_writes(connection) as made:
        yield made


def versions_of(connection, name):
    return history(connection, look(connection, name))


def version(number, after="", state="not in use"):
    return Version(number, f"c{number}", datetime(2026, 1, number, tzinfo=UTC), "", after, "", state, ANSWER)


def version_named(connection, name, config):
    return chosen(name, versions_of(connection, name), config)


class TestPromotion:
    def test_the_variant_serves_alone_on_a_config_of_its_own(self, deployer, connection, name, writes):
        deployer.run(name, TWO + "\ntags: {team: pricing}")
        writes.clear()
        *_, end = promote(connection, name, "B", deployer.clock)
        assert end == Reached(end.snapshot, verified=True)
        assert writes == ["CreateEndpointConfig", "UpdateEndpoint"]
        assert end.snapshot.shares == {"B": Share(1.0, 1)}
        tags = connection.call("ListTags", ResourceArn=end.snapshot.arn)["Tags"]
        assert {"Key": "team", "Value": "pricing"} in tags

    def test_again_it_changes_nothing_and_a_cell_of_the_same_neither(self, deployer, connection, name, writes):
        deployer.run(name, TWO)
        list(promote(connection, name, "B", deployer.clock))
        writes.clear()
        list(promote(connection, name, "B", deployer.clock))
        assert writes == []
        target = deployer.target(name, "variants: {B: $xgb}")
        assert plan(target, observe(connection, target)).actions == ()

    def test_instances_are_as_now_or_as_many_as_told(self, deployer, connection, name):
        deployer.run(name, "variants: {A: $linear, B: {model: $xgb, instances: 2}}")
        assert promotion(connection, name, "B", None).expected == {"B": Share(1.0, 2)}
        end = list(promote(connection, name, "B", deployer.clock, instances=1))[-1]
        assert end.snapshot.shares == {"B": Share(1.0, 1)}

    def test_it_says_that_all_traffic_moves_at_once(self, deployer, connection, name):
        deployer.run(name, TWO)
        assert promotion(connection, name, "A", None).actions[-1].caution.startswith("All traffic moves at once")

    def test_a_change_that_is_under_way_is_waited_for(self, deployer, connection, name):
        deployer.run(name, ONE)
        deployer.run(name, TWO, wait=False)
        end = list(promote(connection, name, "B", deployer.clock))[-1]
        assert end.snapshot.shares.keys() == {"B"}

    def test_what_lost_is_deleted_when_that_is_wanted(self, deployer, connection, name):
        deployer.run(name, TWO)
        list(promote(connection, name, "B", deployer.clock))
        going = unused(connection, name)
        assert [each.operation for each in going.actions] == ["DeleteEndpointConfig", "DeleteModel"]
        list(delete(connection, going, deployer.clock))
        assert len(deployer.names("EndpointConfig", name)) == len(deployer.names("Model", name)) == 1
        assert unused(connection, name).actions == ()

    def test_a_gone_endpoint_and_a_deleted_config_are_said(self, deployer, connection, name):
        with pytest.raises(PlanError, match="is gone: it serves no variant"):
            list(promote(connection, name, "A", deployer.clock))
        deployer.run(name, ONE)
        connection.call("DeleteEndpointConfig", EndpointConfigName=look(connection, name).config_name)
        with pytest.raises(PlanError, match="was deleted, so the service refuses"):
            list(promote(connection, name, "A", deployer.clock))

    def test_a_serverless_variant_has_no_number_of_instances(self):
        live = Live("InService", config=ANSWER, shares={"A": Share(1.0, None)})
        assert "InitialInstanceCount" not in promoted("e", live, "A").config["ProductionVariants"][0]
        with pytest.raises(PlanError, match="is serverless"):
            promoted("e", live, "A", 2)
        with pytest.raises(PlanError, match="has no variant 'B'; it has A"):
            promoted("e", live, "B")


class TestBefore:
    """It is what `chosen` takes out of the history, for fewer calls."""

    def agreed(self, connection, name):
        snapshot = look(connection, name)
        found = before(connection, snapshot)
        try:
            assert chosen(name, history(connection, snapshot), None).config == found
        except CellError:
            assert found == ""
        return found

    def test_it_is_the_config_that_served_when_this_one_was_made(self, deployer, connection, name):
        first = deployer.run(name, ONE)[-1].snapshot.config_name
        assert self.agreed(connection, name) == ""
        second = deployer.run(name, TWO)[-1].snapshot.config_name
        assert self.agreed(connection, name) == first
        third = list(promote(connection, name, "B", deployer.clock))[-1].snapshot.config_name
        assert self.agreed(connection, name) == second
        connection.call("DeleteEndpointConfig", EndpointConfigName=second)
        assert self.agreed(connection, name) == ""
        connection.call("DeleteEndpointConfig", EndpointConfigName=third)
        assert self.agreed(connection, name) == ""

    def test_where_that_is_not_known_it_is_the_next_older_one(self, deployer, connection, name):
        first = deployer.run(name, ONE)[-1].snapshot.config_name
        second = deployer.run(name, TWO)[-1].snapshot
        arn = connection.describe("EndpointConfig", second.config_name)["EndpointConfigArn"]
        connection.call("DeleteTags", ResourceArn=arn, TagKeys=[AFTER_TAG])
        assert self.agreed(connection, name) == first
        list(rollback(connection, name, version_named(connection, name, first), deployer.clock))
        assert self.agreed(connection, name) == ""  # the other one is newer

    def test_of_one_that_failed_it_is_none(self, deployer, connection, name):
        deployer.run(name, CORRUPT, wait=False)
        *_, end = settle(connection, name, deployer.clock, 60)
        assert end.snapshot.status == "Failed"
        assert self.agreed(connection, name) == ""


class Configs:
    """Endpoint configs of a fake service, the newest first: names, and the endpoints that they were made for."""

    def __init__(self, **owners):
        names = [name.replace("_", "-") for name in owners]
        self.owners = dict(zip(names, owners.values(), strict=True))
        self.script = {
            "describe_endpoint_config": [self.describe],
            "list_endpoint_configs": [self.list],
            "list_tags": [self.tags],
        }

    def row(self, name):
        made = datetime(2026, 1, 1, tzinfo=UTC) - timedelta(minutes=list(self.owners).index(name))
        return {"EndpointConfigName": name, "CreationTime": made}

    def describe(self, EndpointConfigName):  # noqa: N803 - boto3's
        return {**self.row(EndpointConfigName), "EndpointConfigArn": EndpointConfigName}

    def list(self, NameContains, NextToken="0", **_):  # noqa: N803
        start = int(NextToken)
        rows = [self.row(each) for each in self.owners if NameContains in each]
        more = {"NextToken": str(start + 100)} if len(rows) > start + 100 else {}
        return {"EndpointConfigs": rows[start : start + 100], **more}

    def tags(self, ResourceArn):  # noqa: N803
        return {"Tags": [{"Key": ENDPOINT_TAG, "Value": self.owners[ResourceArn]}]}


class TestCallsOfBefore:
    """What is looked for behind all the panels of a connection takes few calls, whatever else there is."""

    @pytest.fixture
    def asked(self, fake_connection):
        def run(**owners):
            connection = fake_connection(**Configs(**owners).script)
            found = before(connection, Snapshot("ml", "arn", "InService", "ml-now", ()))
            return found, connection.session.operations

        return run

    def test_configs_whose_names_only_have_the_endpoints_within_are_not_asked_for(self, asked):
        others = {f"html_{number}": "html" for number in range(250)}
        found, calls = asked(ml_newer="ml", ml_now="ml", **others, ml_old="ml")
        assert found == "ml-old"
        assert Counter(calls) == {"list_endpoint_configs": 3, "describe_endpoint_config": 2, "list_tags": 2}
        found, calls = asked(ml_now="ml", **others)
        assert found == ""
        assert Counter(calls) == {"list_endpoint_configs": 3, "describe_endpoint_config": 1, "list_tags": 1}

    def test_after_so_many_it_is_not_known(self, asked):
        others = {f"ml_other_{number}": "ml-other" for number in range(CONFIGS)}
        assert asked(ml_now="ml", **others)[0] == ""
        assert asked(ml_now="ml", **others, ml_old="ml")[0] is None
        found, calls = asked(ml_now="ml", **{f"html_{number}": "html" for number in range(100 * LISTS)})
        assert (found, calls.count("list_endpoint_configs")) == (None, LISTS)


class TestRollback:
    def test_it_goes_back_to_the_config_before_and_further(self, deployer, connection, name, writes):
        first = deployer.run(name, ONE)[-1].snapshot.config_name
        second = deployer.run(name, TWO)[-1].snapshot.config_name
        list(promote(connection, name, "B", deployer.clock))
        writes.clear()
        for wanted in (second, first):
            to = chosen(name, versions_of(connection, name), None)
            end = list(rollback(connection, name, to, deployer.clock))[-1]
            assert end.verified
            assert end.snapshot.config_name == to.config == wanted
        assert writes == ["UpdateEndpoint"] * 2
        with pytest.raises(CellError, match="there is no config before the one"):
            chosen(name, versions_of(connection, name), None)

    def test_weights_are_those_of_the_config(self, deployer, connection, name):
        deployer.run(name, TWO)
        deployer.run(name, TWO.replace("weight: 3", "weight: 9"))
        deployer.run(name, ONE)
        end = list(rollback(connection, name, versions_of(connection, name)[0], deployer.clock))[-1]
        assert end.snapshot.shares["A"].weight == 3.0

    def test_to_the_one_it_is_on_its_weights_come_back_in_place(self, deployer, connection, name, writes):
        deployer.run(name, TWO)
        made = versions_of(connection, name)[0]
        list(shift(connection, name, {"A": 0.0, "B": 1.0}, deployer.clock))
        writes.clear()
        end = list(rollback(connection, name, made, deployer.clock))[-1]
        assert (writes, end.verified) == (["UpdateEndpointWeightsAndCapacities"], True)
        assert {each: share.weight for each, share in end.snapshot.shares.items()} == {"A": 3.0, "B": 1.0}

    def test_to_the_one_it_is_on_there_is_nothing_to_do(self, deployer, connection, name, writes):
        deployer.run(name, ONE)
        writes.clear()
        list(rollback(connection, name, versions_of(connection, name)[0], deployer.clock))
        assert writes == []

    def test_a_failed_endpoint_cannot_be_rolled_back(self):
        with pytest.raises(PlanError, match="is Failed, and only one in service"):
            switch("e", Live("Failed", config_name="c"), "d", ANSWER)
        assert switch("e", Live("Updating"), "d", ANSWER).settle_first


class TestChoice:
    def test_it_is_the_one_that_served_before_not_the_one_that_was_made_before(self):
        versions = [version(1), version(2, "c1"), version(3, "c1", "serves")]
        assert chosen("e", versions, None).number == 1

    def test_where_that_is_not_known_it_is_the_next_older(self):
        assert chosen("e", [version(1), version(2), version(3, state="serves")], None).number == 2

    def test_one_that_was_deleted_is_not_guessed(self):
        with pytest.raises(CellError, match="no config before") as caught:
            chosen("e", [version(1), version(3, "c2", "serves")], None)
        assert caught.value.hint == "name another one by its number: %sm_history e"

    def test_by_number_or_name_also_forward(self):
        versions = [version(1, state="serves"), version(2)]
        assert chosen("e", versions, "2") == chosen("e", versions, "c2") == versions[1]
        with pytest.raises(CellError, match="has no config '3' to go back to"):
            chosen("e", versions, "3")


class TestHistory:
    def test_it_tells_what_was_new_by_whom_and_what_became_of_it(self, deployer, connection, name):
        mine = replace(connection, user="ada")
        deployer.connection = mine
        deployer.run(name, ONE)
        deployer.run(name, TWO)
        deployer.run(name, TWO.replace("A: {model: $linear", "A: {model: $xgb"))
        found = versions_of(connection, name)
        assert [each.number for each in found] == [1, 2, 3]
        assert [each.what for each in found] == ["A 100 %", "with B", "A: another model"]
        assert [each.state for each in found] == ["replaced by 2", "replaced by 3", "serves"]
        assert [each.by for each in found] == ["ada"] * 3
        assert [each.after for each in found] == ["", found[0].config, found[1].config]
        assert found[0].made <= found[1].made <= found[2].made

    def test_configs_that_differ_in_amounts_only_tell_them(self, fake_connection):
        def variant(weight, count):
            amounts = {"InitialVariantWeight": weight, "InitialInstanceCount": count}
            return {"VariantName": "A", "ModelName": "m", "InstanceType": "t", **amounts}

        def answer(day, variants):
            made = datetime(2026, 1, day, tzinfo=UTC)
            return {"EndpointConfigArn": "arn", "CreationTime": made, "ProductionVariants": variants}

        other = {**variant(1.0, 1), "VariantName": "B"}
        rows = [{"EndpointConfigName": each} for each in ("e-one", "e-two")]
        connection = fake_connection(
            list_endpoint_configs=[{"EndpointConfigs": rows}],
            describe_endpoint_config=[
                answer(1, [variant(1.0, 1), other]),
                answer(2, [variant(3.0, 2), other]),
            ],
            list_tags=[{"Tags": [{"Key": "sm_magics:endpoint", "Value": "e"}]}],
        )
        found = history(connection, Snapshot("e", "arn", "Updating", "e-one", (), pending_config="e-two"))
        assert [each.what for each in found] == ["A 50 %, B 50 %", "A 75 %, B 25 %, A × 2"]
        assert [each.state for each in found] == ["serves", "is coming"]

    def test_one_that_is_deleted_while_it_is_listed_is_left_out(self, fake_connection, refusal):
        only = [{"VariantName": "A", "ModelName": "m", "InitialVariantWeight": 1.0}]
        when = datetime(2026, 1, 1, tzinfo=UTC)
        made = {"EndpointConfigArn": "arn", "CreationTime": when, "ProductionVariants": only}
        connection = fake_connection(
            list_endpoint_configs=[{"EndpointConfigs": [{"EndpointConfigName": each} for each in ("e-one", "e-two")]}],
            describe_endpoint_config=[made, made],
            list_tags=[refusal("Could not find resource"), {"Tags": []}],
        )
        found = history(connection, Snapshot("e", "arn", "InService", "e-two", ()))
        assert [each.config for each in found] == ["e-two"]

    def test_one_that_failed_is_no_config_to_go_back_to(self, deployer, connection, name):
        deployer.run(name, ONE)
        with pytest.raises(DeployError):
            deployer.run(name, CORRUPT)
        (only,) = versions_of(connection, name)
        assert only.serves
        assert "did not pass the ping health check" in look(connection, name).failure_reason

    def test_configs_of_another_endpoint_with_a_longer_name_are_not_its_own(self, deployer, connection, name):
        longer = f"{name}-more"
        deployer.run(name, ONE)
        try:
            deployer.run(longer, TWO)
            assert len(versions_of(connection, name)) == 1
        finally:
            deployer.remove(longer)


def test_old_configs_are_listed_as_kept_for_rollback(deployer, connection, name):
    deployer.run(name, ONE)
    deployer.run(name, TWO)
    owned = inventory(connection)
    states = sorted(each.status for each in owned.configs if each.owner == name)
    assert states == ["in use", "kept for rollback"]
    assert not [each for each in owned.leftovers if each.owner == name]
