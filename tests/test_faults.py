from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.amounts import duration
from sm_magics.errors import CellError, ServiceError
from sm_magics.faults import CLEAR, KINDS, SERVICE, SPELLINGS, Asked, Fault, carry_out, check, listed, parse
from sm_magics.service_model import load


def refused(act, *given, **more):
    with pytest.raises(CellError) as caught:
        act(*given, **more)
    return str(caught.value)


def test_the_kinds_are_those_of_the_service():
    assert tuple(KINDS) == load(SERVICE).shape("FaultKind").enum
    assert [each.partition("=")[0] for each in SPELLINGS] == list(KINDS)


class TestParse:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("slow=2s", Fault("slow", seconds=2.0)),
            ("slow=10m", Fault("slow", seconds=600.0)),
            ("crash", Fault("crash")),
            ("crash=10%", Fault("crash", percentage=10.0)),
            ("5xx=20%", Fault("5xx", percentage=20.0)),
            ("5xx=0.5%", Fault("5xx", percentage=0.5)),
            ("ping=fail", Fault("ping")),
            ("ping", Fault("ping")),
            ("throttle", Fault("throttle")),
            ("throttle=100%", Fault("throttle", percentage=100.0)),
            ("stuck-creating", Fault("stuck-creating")),
            ("quota", Fault("quota")),
        ],
    )
    def test_one_fault(self, text, fault):
        assert parse([text]) == Asked(None, (fault,))

    def test_several_on_a_variant_of_the_next_fleet(self):
        assert parse(["A", "slow=200ms", "crash"], next_only=True) == Asked(
            "A", (Fault("slow", "A", 0.2, next_only=True), Fault("crash", "A", next_only=True))
        )

    def test_no_word_asks_for_nothing_and_clear_for_the_end(self):
        assert parse([]) == Asked()
        assert parse(["clear"]) == Asked(clears=True)
        assert parse(["A", "clear"]) == Asked("A", clears=True)

    @pytest.mark.parametrize(
        ("text", "told"),
        [
            ("slow", "'slow' is no fault\n  write slow=2s: above 0s, at most 10m"),
            ("slow=2", "write slow=2s"),
            ("slow=0s", "above 0s"),
            ("slow=11m", "at most 10m"),
            ("slow=fail", "write slow=2s"),
            ("5xx", "write 5xx=20%: above 0%, at most 100%"),
            ("5xx=20", "write 5xx=20%"),
            ("5xx=0%", "above 0%"),
            ("5xx=101%", "at most 100%"),
            ("crash=", "write crash, which happens once, or crash=10%"),
            ("throttle=2s", "write throttle, which hits all, or throttle=10%"),
            ("ping=ok", "'ping=ok' is no fault\n  write ping=fail"),
            ("quota=5", "'quota=5' is no fault\n  it takes no value"),
            ("5x=20%", "'5x' is no kind of fault\n  did you mean 5xx?"),
            ("explode=1", "kinds are slow=2s, crash, 5xx=20%"),
            ("A crash B", "'B' is no kind of fault\n  kinds are"),
            ("crash A", "a variant comes before them"),
            ("crash crash=5%", "crash is there twice"),
            ("clear crash", "clear stands alone"),
        ],
    )
    def test_what_is_none(self, text, told):
        assert told in refused(parse, text.split())

    def test_next_goes_with_a_fault(self):
        assert "--next says nothing here" in refused(parse, [], next_only=True)
        assert "clear stands alone" in refused(parse, ["clear"], next_only=True)

    @given(st.integers(1, 600_000))
    def test_any_delay_is_read_as_it_is_written(self, milliseconds):
        (fault,) = parse([f"slow={duration(milliseconds / 1000)}"]).faults
        assert fault.seconds == milliseconds / 1000


class TestCheck:
    def test_a_word_that_is_neither_is_told_with_the_nearest_of_both(self):
        told = refused(check, parse(["crsh"]), "boston", ["Linear-Model"])
        assert "'crsh' is neither a kind of fault nor a variant of endpoint 'boston'\n  did you mean crash?" in told
        assert "did you mean Linear-Model?" in refused(check, parse(["Linear", "crash"]), "boston", ["Linear-Model"])
        assert "did you mean clear?" in refused(check, parse(["claer"]), "boston", ["Linear-Model"])
        assert "; it has Linear-Model" in refused(check, parse(["ZZZ"]), "boston", ["Linear-Model"])
        assert refused(check, parse(["ZZZ", "clear"]), "boston", []).endswith("quota")

    def test_a_shadow_is_told_as_one_and_so_is_a_clearing_that_would_clear_nothing(self):
        told = refused(check, parse(["Next", "crash"]), "boston", ["A"], ["Next"])
        assert told.startswith("'Next' is a shadow of endpoint 'boston'")
        told = refused(check, parse(["A", "clear"]), "boston", ["A", "B"], (), (Fault("crash"), Fault("quota", "B")))
        assert told == (
            "variant 'A' has no faults of its own\n  %sm_fault boston clear ends those of all variants, too"
        )
        check(parse(["A", "clear"]), "boston", ["A"], (), (Fault("crash"), Fault("quota", "A")))
        check(parse(["A", "clear"]), "boston", ["A"])

    def test_what_only_looks_like_a_kind_is_not_taken_for_the_one_beside_it(self):
        assert "kinds are slow" in refused(parse, ["4xx=20%"])

    def test_a_variant_alone_says_nothing(self):
        assert "nothing is said of variant 'A'" in refused(check, parse(["A"]), "boston", ["A"])

    def test_a_fault_for_the_next_fleet_may_be_on_a_variant_that_is_to_come(self):
        check(parse(["New", "crash"], next_only=True), "boston", ["A"])
        assert "did you mean crash?" in refused(check, parse(["crsh"], next_only=True), "boston", ["A"])

    @pytest.mark.parametrize(
        ("word", "meant"), [("crsh", "crash"), ("pign", "ping"), ("5x", "5xx"), ("stuck-creation", "stuck-creating")]
    )
    def test_a_mistyped_kind_is_no_variant_that_is_to_come_unless_there_is_one(self, word, meant):
        asked = parse([word, "slow=2s"], next_only=True)
        told = refused(check, asked, "boston", ["A"])
        assert f"'{word}' is neither a kind of fault nor a variant" in told
        assert f"did you mean {meant}?" in told
        assert f"did you mean {meant}?" in refused(check, asked, "boston", [])
        check(asked, "boston", ["A", word])


class TestCalls:
    def test_what_is_put_is_listed_and_cleared_by_variant_or_all_together(self, connection, deployer, name):
        config = deployer.run(name, "variants: {A: $linear, B: $xgb}")[-1].snapshot.config_name
        carry_out(connection, name, parse(["A", "slow=200ms", "5xx=20%"]))
        carry_out(connection, name, parse(["crash"], next_only=True))
        on_all = Fault("crash", next_only=True, spared=config)
        assert listed(connection, name) == (Fault("slow", "A", 0.2), Fault("5xx", "A", percentage=20.0), on_all)
        carry_out(connection, name, parse(["A", CLEAR]))
        assert listed(connection, name) == (on_all,)
        carry_out(connection, name, parse([CLEAR]))
        assert listed(connection, name) == ()

    def test_what_the_service_refuses_is_its_error(self, connection):
        with pytest.raises(ServiceError, match="Could not find endpoint"):
            carry_out(connection, "nobody", parse(["crash"]))

    def test_aws_has_no_faults(self, fake_connection):
        told = refused(listed, fake_connection(get_available_services=[["sagemaker"]]), "boston")
        assert told.startswith("faults are rehearsed on the embedded engine only, not on fake\n")
