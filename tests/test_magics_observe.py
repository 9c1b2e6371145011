from __future__ import annotations

import pytest

from sm_magics.errors import CellError, ServiceError, SmError
from sm_magics.logs import Log
from sm_magics.render import plots
from sm_magics.results import Logs, Metrics

SHADOWED = {
    "EndpointName": "boston",
    "EndpointArn": "arn",
    "EndpointStatus": "InService",
    "EndpointConfigName": "c",
    "ProductionVariants": [{"VariantName": "A"}],
    "ShadowProductionVariants": [{"VariantName": "New"}],
}


class TestLogs:
    def test_the_last_lines_of_all_variants_are_shown_and_returned(self, notebook, served):
        ran = notebook.run(f"%sm_logs {served} -o kept")
        assert isinstance(ran.result, Logs)
        assert notebook.variables["kept"] is ran.result
        assert {each.variant for each in ran.result.entries} == {"Linear-Model", "XGB-Model"}
        assert f"Logs of {served}" in ran.shown
        assert "INFO the model is loaded" in ran.shown
        assert ran.result.entries[0].instance not in ran.shown

    def test_one_variant_s_lines_with_their_times(self, notebook, served):
        ran = notebook.run(f"%sm_logs {served} XGB-Model --times --lines 1")
        (entry,) = ran.result.entries
        assert entry.variant == "XGB-Model"
        assert entry.instance in ran.shown
        assert "time (UTC)" in ran.shown

    def test_an_invocation_that_failed_is_in_the_log(self, notebook, name, deployer):
        deployer.run(name, "variants: {A: $xgb}")
        notebook.variables["wide"] = [[0.0] * 20]
        assert notebook.cell(f"%sm_invoke {name} --data $wide").error is not None
        assert "ERROR an invocation was answered 400: " in notebook.run(f"%sm_logs {name}").shown

    def test_a_frame_of_the_lines(self, notebook, served):
        frame = notebook.run(f"%sm_logs {served} --quiet").result.to_frame()
        assert list(frame) == ["time", "variant", "instance", "text"]
        assert str(frame["time"].dt.tz) == "UTC"

    def test_following_ends_after_its_time_and_returns_what_was_seen(self, notebook, served, fake_clock):
        notebook.session.clock = fake_clock
        ran = notebook.run(f"%sm_logs {served} --follow --timeout 3s")
        assert "INFO the model is loaded" in {each.text for each in ran.result.entries}
        assert sum(fake_clock.slept) == 3.0

    def test_following_prints_lines_where_there_are_no_cards(self, notebook, served, fake_clock):
        notebook.session.clock = fake_clock
        notebook.run("%sm_config display=text")
        ran = notebook.run(f"%sm_logs {served} XGB-Model --follow --timeout 2s")
        assert ran.shown.startswith("XGB-Model/i-")
        assert "entries` has them" in ran.shown
        for each in {each.text for each in ran.result.entries}:
            assert ran.shown.count(each) == [entry.text for entry in ran.result.entries].count(each)

    def test_followed_or_not_the_lines_are_listed_where_none_was_printed(self, notebook, served, fake_clock):
        notebook.session.clock = fake_clock
        for line in (f"%sm_logs {served} --follow --timeout 2s", f"%sm_logs {served}"):
            assert "INFO the model is loaded" in notebook.run(line).shown  # of a notebook with display=static
        notebook.run("%sm_config display=text")
        assert "INFO the model is loaded" in notebook.run(f"%sm_logs {served}").shown
        quiet = notebook.run(f"%sm_logs {served} --follow --timeout 2s --quiet")
        assert "INFO" not in quiet.shown
        assert "INFO the model is loaded" in str(quiet.result)

    def test_an_interrupt_ends_the_following_calmly(self, notebook, served, fake_clock):
        def interrupt(_seconds):
            raise KeyboardInterrupt

        fake_clock.sleep = interrupt
        notebook.session.clock = fake_clock
        ran = notebook.run(f"%sm_logs {served} --follow -o kept")
        assert ran.result.entries
        assert notebook.variables["kept"] is ran.result

    def test_an_interrupt_before_anything_was_read_gives_no_lines(self, notebook, served, monkeypatch):
        def interrupt(*_):
            raise KeyboardInterrupt

        monkeypatch.setattr(Log, "tail", interrupt)
        assert notebook.run(f"%sm_logs {served} --follow").result.entries == ()

    def test_the_log_of_an_endpoint_that_is_gone_can_still_be_read(self, notebook, fake_connection, refusal):
        notebook.session.connect = lambda: fake_connection(
            describe_log_streams=[{"logStreams": [{"logStreamName": "A/i-1"}]}],
            get_log_events=[{"events": [{"message": "the last words", "timestamp": 1}]}],
            describe_endpoint=[refusal("Could not find endpoint")],
        )
        assert "the last words" in notebook.run("%sm_logs gone").shown

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("%sm_logs bostn", "did you mean 'boston'?"),
            ("%sm_logs boston XGB", "endpoint 'boston' has no variant 'XGB'\n  did you mean 'XGB-Model'?"),
            ("%sm_logs boston zz", "it has Linear-Model, XGB-Model"),
            ("%sm_logs boston --lines 0", "--lines 0: it takes 1 to 10000"),
            ("%sm_logs boston --lines 10001", "it takes 1 to 10000"),
            ("%sm_logs boston --timeout 3s", "it goes with --follow"),
            ("%sm_logs boston --folow", "did you mean --follow?"),
            ("%sm_logs", "the following arguments are required: NAME"),
        ],
    )
    def test_a_mistake_is_an_error_that_says_what_to_do(self, notebook, served, line, told):
        assert served == "boston"
        assert told in notebook.fails(line, CellError)

    def test_a_name_in_other_letters_is_the_endpoint_that_the_service_finds(self, notebook, served):
        result = notebook.run(f"%sm_logs {served.upper()} XGB-Model").result
        assert result.endpoint == served
        assert result.entries

    def test_a_shadow_that_printed_nothing_yet_is_a_variant(self, notebook, fake_connection):
        notebook.session.connect = lambda: fake_connection(
            describe_log_streams=[{"logStreams": []}], describe_endpoint=[SHADOWED]
        )
        assert notebook.run("%sm_logs boston New").result.entries == ()

    def test_a_permission_that_is_missing_is_named(self, notebook, fake_connection, refusal):
        told = "User: u is not authorized to perform: logs:DescribeLogStreams"
        notebook.session.connect = lambda: fake_connection(
            describe_log_streams=[refusal(told, "AccessDeniedException")]
        )
        text = notebook.fails("%sm_logs boston", ServiceError)
        assert "logs:DescribeLogStreams" in text
        assert "lack a permission" in text


COUNTED = {
    "Metrics": [{"Dimensions": [{"Name": "EndpointName", "Value": "gone"}, {"Name": "VariantName", "Value": "A"}]}]
}


def values(**request):
    """Answer each query with one value, now."""
    now = [request["EndTime"]]
    rows = [{"Id": each["Id"], "Timestamps": now, "Values": [1000.0]} for each in request["MetricDataQueries"]]
    return {"MetricDataResults": rows}


class TestMetrics:
    def test_the_metrics_of_an_endpoint_that_is_gone_can_still_be_read(self, notebook, fake_connection, refusal):
        notebook.session.connect = lambda: fake_connection(
            list_metrics=[COUNTED], get_metric_data=[values], describe_endpoint=[refusal("Could not find endpoint")]
        )
        ran = notebook.run("%sm_metrics gone -o kept")
        assert isinstance(ran.result, Metrics)
        assert notebook.variables["kept"] is ran.result
        assert ran.result.variants[0].invocations == 1000.0
        assert "Metrics of gone · last 1h" in ran.shown
        frame = ran.result.to_frame()
        assert list(frame)[:3] == ["time", "variant", "invocations"]
        assert len(frame) == 60
        assert ran.result.picture().startswith(b"\x89PNG")
        assert "data:image/png" in ran.result._repr_mimebundle_()["text/html"]

    def test_time_and_period_are_as_asked_for(self, notebook, fake_connection, refusal):
        notebook.session.connect = lambda: fake_connection(
            list_metrics=[COUNTED], get_metric_data=[values], describe_endpoint=[refusal("Could not find endpoint")]
        )
        span = notebook.run("%sm_metrics gone A --for 2d --period 1h").result.span
        assert (span.count, span.period) == (48, 3600)

    def test_a_name_in_other_letters_is_the_endpoint_that_the_service_finds(self, notebook, fake_connection):
        counted = {"Dimensions": [{"Name": "VariantName", "Value": "Gone"}]}
        connection = fake_connection(
            list_metrics=[lambda Dimensions, **_: {"Metrics": [counted] if Dimensions[0]["Value"] == "boston" else []}],  # noqa: N803 - boto3's name
            get_metric_data=[values],
            describe_endpoint=[SHADOWED],
        )
        notebook.session.connect = lambda: connection
        ran = notebook.run("%sm_metrics BOSTON")
        assert "Metrics of boston · last 1h" in ran.shown
        assert [each.variant for each in ran.result.variants] == ["A", "New", "Gone"]
        asked = connection.session.calls[-1][1]["MetricDataQueries"][0]["MetricStat"]["Metric"]["Dimensions"]
        assert asked[0] == {"Name": "EndpointName", "Value": "boston"}

    def test_without_matplotlib_the_card_has_no_picture_and_asking_for_one_says_what_to_install(
        self, notebook, fake_connection, refusal, monkeypatch
    ):
        monkeypatch.setattr(plots, "available", lambda: False)
        notebook.session.connect = lambda: fake_connection(
            list_metrics=[COUNTED], get_metric_data=[values], describe_endpoint=[refusal("Could not find endpoint")]
        )
        result = notebook.run("%sm_metrics gone -o kept").result
        assert "data:image/png" not in result._repr_mimebundle_()["text/html"]
        assert "pip install 'sm-magics[plots]'" in notebook.fails("kept.picture()", SmError)

    def test_a_permission_that_is_missing_is_named(self, notebook, fake_connection, refusal):
        told = "User: u is not authorized to perform: cloudwatch:ListMetrics"
        notebook.session.connect = lambda: fake_connection(list_metrics=[refusal(told, "AccessDenied")])
        assert "cloudwatch:ListMetrics" in notebook.fails("%sm_metrics boston", ServiceError)

    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("%sm_metrics boston --period 10s", "write --period 1m, or a multiple of it"),
            ("%sm_metrics boston --for 1x", "'1x' is no duration"),
            ("%sm_metrics boston --for 30s", "shorter than one period"),
            ("%sm_metrics", "the following arguments are required: NAME"),
        ],
    )
    def test_a_mistake_is_an_error_before_anything_is_asked(self, notebook, line, told):
        assert told in notebook.fails(line, CellError)
        assert notebook.session.connected is None

    def test_what_the_engine_counted_is_told_for_each_variant(self, notebook, name, deployer):
        deployer.run(name, "variants: {A: {model: $linear, weight: 4}, B: {model: $xgb, weight: 1}}")
        assert "No invocations were counted" in notebook.run(f"%sm_metrics {name}").shown
        notebook.run(f"%sm_invoke {name} --data $X --rows 20 --quiet")
        notebook.variables["wide"] = [[0.0] * 20]
        assert notebook.cell(f"%sm_invoke {name} --variant B --data $wide").error is not None
        a, b = notebook.run(f"%sm_metrics {name}").result.variants
        assert (a.variant, a.invocations, a.errors) == ("A", 16.0, 0.0)
        assert (b.variant, b.invocations, b.errors) == ("B", 5.0, 1.0)
        assert sum(b.series["invocations"]) == 5.0
        assert 0 < a.total["model_p50"] <= a.total["model_p90"] <= a.total["model_p99"]
        (alone,) = notebook.run(f"%sm_metrics {name} B").result.variants
        assert alone.variant == "B"
        assert "did you mean 'A'?" in notebook.fails(f"%sm_metrics {name} AA", CellError)
