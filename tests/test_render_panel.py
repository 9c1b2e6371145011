from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from sm_magics.metrics import Span, Used
from sm_magics.render import html, text
from sm_magics.render.panel import Lately, declared, events, happened, panel, printed, record
from sm_magics.watch import Snapshot, VariantState

A, B = VariantState("A", 4.0, 4.0, 1, 1), VariantState("B", 1.0, 1.0, 2, 2)
SETTLED = Snapshot("boston", "arn", "InService", "c1", (A, B), elapsed=12.0)
WHEN = Span(0, 10, 6)


def used(name, counts, errors, latencies):
    series = {"invocations": counts, "errors_4xx": (0.0,) * 6, "errors_5xx": errors, "model_p50": latencies}
    return Used(name, dict.fromkeys(series), series)


LATELY = Lately(
    (
        used("A", (0.0, 0.0, 30.0, 30.0, 30.0, 7.0), (0.0,) * 6, (None, None, 1.0, 2.0, 4.0, 3.0)),
        used("B", (0.0, 0.0, 10.0, 10.0, 10.0, 9.0), (0.0, 0.0, 3.0, 0.0, 0.0, 9.0), (None,) * 6),
    ),
    WHEN,
)


def rows(view):
    return {
        line.split()[0]: line.split() for line in text.render(view).splitlines() if line.split()[:1] in (["A"], ["B"])
    }


def test_each_variant_has_its_line_with_what_it_is_to_have_and_what_it_gets():
    shown = rows(panel("boston", SETTLED, "local engine", LATELY))
    assert shown["A"] == [
        "A",
        "serves",
        "4",
        "1",
        "████████░░",
        "80",
        "%",
        "75",
        "%",
        "3.0",
        "0",
        "%",
        "3.00",
        "ms",
        "··▂▄█▆",
    ]
    assert shown["B"] == ["B", "serves", "1", "2", "██░░░░░░░░", "20", "%", "25", "%", "1.0", "10", "%", "–", "······"]


def test_without_metrics_there_are_no_columns_of_them():
    shown = text.render(panel("boston", SETTLED, "local engine"))
    assert "requests/s" not in shown
    assert "–" not in shown


def test_metrics_that_cannot_be_read_are_told():
    shown = text.render(panel("boston", SETTLED, "x", Lately((), WHEN, "GetMetricData: no")))
    assert "How it is used is not known: GetMetricData: no" in shown
    assert "requests/s" not in shown


def test_what_is_not_yet_as_wanted_is_told_with_both():
    moving = (VariantState("A", 4.0, 1.0, 0, 1), VariantState("B", 1.0, 1.0, 1, 3))
    view = panel("boston", Snapshot("boston", "arn", "Updating", "c1", moving, elapsed=63.0), "x")
    assert rows(view)["A"][:8] == ["A", "not", "ready", "4", "→", "1", "0", "of"]
    assert "serves in part" in text.render(view)
    assert "changing for  1 min 3 s" in text.render(view)
    assert "changing for" not in text.render(panel("boston", SETTLED, "x"))


def test_an_update_is_told_by_its_phase_and_both_fleets():
    new = (VariantState("A", 2.0, 4.0, 1, 1, "Baking", since=datetime(2026, 1, 1, tzinfo=UTC)),)
    moving = Snapshot("boston", "arn", "Updating", "c1", (A,), "c2", new)
    shown = text.render(panel("boston", moving, "x"))
    assert "new 50 %" in shown
    assert "phase" in shown


def test_a_shadow_and_a_serverless_variant_have_their_lines():
    shadowed = Snapshot("b", "arn", "InService", "c", (VariantState("A", 1.0, 1.0, 0, None),), shadows=(B,))
    shown = text.render(panel("b", shadowed, "x", LATELY))
    assert "B (shadow)" in shown
    assert "serverless" in shown


def test_one_that_is_gone_or_has_failed_says_so():
    assert text.render(panel("boston", None, "x")).startswith("Endpoint boston · gone")
    failed = Snapshot("boston", "arn", "Failed", "c", (), failure_reason="why")
    assert "Reason: why" in text.render(panel("boston", failed, "x"))


def test_the_record_is_the_same_card_and_says_how_to_see_it_live():
    shown = html.render(record("boston", SETTLED, "local engine"))
    assert "run that cell to see it live" in shown
    assert html.render(panel("boston", SETTLED, "local engine")).split("</table>")[1] in shown


def test_in_a_terminal_it_is_the_same_card_and_says_what_changes_it_there():
    shown = text.render(printed("boston", SETTLED, "local engine"))
    assert shown.startswith(text.render(panel("boston", SETTLED, "local engine")))
    assert "To change it here: %sm_traffic, %sm_promote, %sm_rollback, %sm_delete." in shown
    assert shown.endswith("As it is now. A notebook, in JupyterLab for one, keeps it up to date.")


def test_what_is_declared_has_nothing_that_another_run_may_find_changed():
    one = declared("boston", SETTLED)
    other = Snapshot("boston", "arn2", "Updating", "c9", (VariantState("A", 0.0, 4.0, 0, 1), B), elapsed=3.0)
    assert text.render(one) == text.render(declared("boston", other))
    assert "80 %" in text.render(one)


def test_the_log_has_the_newest_line_first():
    assert text.render(events(["12:00:00 one", "12:00:01 two"])).split() == [
        "Events",
        "12:00:01",
        "two",
        "12:00:00",
        "one",
    ]
    assert "Nothing happened yet" in text.render(events([]))


def test_a_line_of_the_log_is_the_same_while_nothing_happens():
    assert happened(SETTLED) == "InService"
    assert happened(None) == "gone"
    assert happened(replace(SETTLED, failure_reason="It was rolled back.")) == "InService: It was rolled back."
    going = Snapshot("boston", "arn", "Creating", "c", (), "c", (VariantState("A", 0.0, 1.0, 0, 2, "Creating"),))
    assert happened(going) == "Creating: A 0 of 2 ready"
