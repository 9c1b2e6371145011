from __future__ import annotations

import pytest

from sm_magics.logs import Entry
from sm_magics.metrics import MEASURES, Span, Used
from sm_magics.render import html, text
from sm_magics.render.observed import LONGEST_LINE, MOST_SPARKS, followed, following, logs, metrics
from sm_magics.render.view import sparks

ENTRIES = (
    Entry("A", "i-1", "INFO  two  spaces", 1_700_000_000_123),
    Entry("B", "i-2", "<b>not bold</b>", 1_700_000_001_000),
    Entry("A", "i-3", "ERROR", 1_700_000_002_000),
)


def lines(view):
    return text.render(view).split("\n")


def test_each_line_is_told_with_its_variant_and_the_instance_s_number():
    assert lines(logs("boston", None, ENTRIES, lines=50, times=False)) == [
        "Logs of boston",
        "",
        "  variant  instance  printed",
        "  ────────────────────────────────────",
        "  A        1         INFO  two  spaces",
        "  B        1         <b>not bold</b>",
        "  A        2         ERROR",
    ]


def test_without_times_nothing_on_the_card_differs_from_run_to_run():
    card = html.render(logs("boston", None, ENTRIES, lines=50, times=False))
    assert "i-1" not in card
    assert "2023" not in card


def test_times_and_ids_are_told_when_asked_for():
    told = lines(logs("boston", "A", ENTRIES[:1], lines=50, times=True))
    assert told[0] == "Logs of boston, variant A"
    assert told[-1] == "  2023-11-14 22:13:20.123  A        i-1       INFO  two  spaces"


def test_the_last_lines_are_shown_and_all_are_counted():
    told = text.render(logs("boston", None, ENTRIES, lines=2, times=False))
    assert "The last 2 of 3 lines; the object's `entries` has them all." in told
    assert "spaces" not in told


def test_nothing_printed_is_said():
    assert (
        lines(logs("boston", None, (), lines=2, times=False))[-1]
        == "  Nothing was printed yet, answered health checks aside."
    )
    assert "Nothing was printed yet, answered health checks aside." in text.render(following(()))


def test_what_is_printed_is_text_and_keeps_its_spaces():
    card = html.render(logs("boston", None, ENTRIES, lines=50, times=False))
    assert "&lt;b&gt;not bold" in card
    assert '<td class="sm-text">INFO  two  spaces</td>' in card


@pytest.mark.parametrize(
    ("printed", "shown"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("one\ttwo", "one     two"),
        ("bell\x07\x00", "bell"),
        ("100 %\r", "100 %"),
        ("\x1b]0;a title\x07\x1b]8;;https://example.com\x1b\\a link\x1b]8;;\x1b\\", "a link"),
        ("\x9b2Jcleared", "2Jcleared"),
        ("right \u202eleft\u2066", "right left"),
        ("x" * 3000, "x" * (LONGEST_LINE - 1) + "…"),
    ],
)
def test_what_only_a_terminal_understands_is_left_out(printed, shown):
    view = logs("boston", None, (Entry("A", "i-1", printed, 0),), lines=50, times=False)
    assert lines(view)[-1] == f"  A        1         {shown}"


def test_a_long_line_does_not_make_a_long_rule():
    told = lines(logs("boston", None, (Entry("A", "i-1", "x" * 500, 0),), lines=50, times=False))
    assert len(told[3]) < 100


def test_while_it_is_followed_the_card_says_how_to_end_it():
    told = text.render(following(ENTRIES))
    assert told.startswith("Logs · following\n")
    assert "Interrupt the cell to end it" in told
    assert "22:13:20.123" in told


def test_what_was_printed_while_it_was_followed_is_only_counted():
    assert lines(followed("boston", "A", ENTRIES)) == [
        "Logs of boston, variant A",
        "",
        "  3 lines while it was followed; the object's `entries` has them.",
    ]
    assert lines(followed("boston", None, ENTRIES[:1]))[-1].startswith("  1 line while")
    assert lines(followed("boston", None, ()))[-1] == "  Nothing was printed yet, answered health checks aside."


WHEN = Span(1_800_000_000, 60, 60)


UTILISATION = ("cpu", "cpu_most", "memory", "memory_most")


def used(variant="A", invocations=(0.0,) * 60, errors=0.0, latency=None, percent=None):
    values = {each.key: percent if each.key in UTILISATION else latency for each in MEASURES}
    total = {**values, "invocations": sum(invocations), "errors_4xx": errors, "errors_5xx": 0.0}
    return Used(variant, total, {**{key: (each,) * 60 for key, each in values.items()}, "invocations": invocations})


def told(*variants, when=WHEN, draw=None):
    return lines(metrics("boston", variants, when, draw=draw))


BUSY = tuple([0.0, 0.0] * 15 + [10.0, 10.0] * 14 + [20.0, 20.0])


class TestMetrics:
    def test_each_variant_is_told_with_its_counts_and_latencies(self):
        card = told(used("A", BUSY, 3.0, 0.25), used("B", (1.0,) * 60, 0.0, 1234.5))
        assert card[:6] == [
            "Metrics of boston · last 1h",
            "",
            "  variant  invocations  per 2m                          4XX errors  5XX errors  model errors  error share",
            "  ───────────────────────────────────────────────────────────────────────────────────────────────────────",
            "  A                320  ···············▄▄▄▄▄▄▄▄▄▄▄▄▄▄█           3           0             0      0.938 %",
            "  B                 60  ██████████████████████████████           0           0         1,234          0 %",
        ]
        assert card[9].split()[:9] == ["A", "the", "model", "0.25", "ms", "0.25", "ms", "0.25", "ms"]
        assert card[12].split()[:6] == ["B", "SageMaker's", "overhead", "1234.5", "ms", "1234.5"]

    def test_a_variant_that_was_not_used_has_no_latencies(self):
        card = told(used("A", BUSY, 0.0, 1.0), used("B"))
        assert card[5].split() == ["B", "0", "·" * 30, "0", "0", "0", "–"]
        assert [line.split()[0] for line in card[9:]] == ["A", "A"]

    def test_a_latency_that_was_not_measured_is_a_dash(self):
        assert told(used("A", BUSY))[9].split()[3:6] == ["–", "–", "–"]

    def test_utilisation_is_told_of_those_of_which_it_was_measured(self):
        card = told(used("A", BUSY, 0.0, 1.0, 12.34), used("B"))
        assert card[-4:] == [
            "  variant  utilisation of   average      most  average per 2m",
            "  ───────────────────────────────────────────────────────────────────────────",
            f"  A        CPU               12.3 %    12.3 %  {'█' * 30}",
            f"  A        memory            12.3 %    12.3 %  {'█' * 30}",
        ]

    def test_it_is_told_without_traffic_too(self):
        card = told(used("A", percent=150.0))
        assert card[2].startswith("  No invocations were counted in this time.")
        assert card[-2].split()[:6] == ["A", "CPU", "150.0", "%", "150.0", "%"]

    def test_no_traffic_is_said_and_drawn_nowhere(self):
        card = told(used("A"), draw=lambda: pytest.fail("nothing to draw"))
        assert card[2].startswith("  No invocations were counted in this time.")

    def test_a_picture_is_drawn_for_html_only_and_says_what_it_is(self):
        drawn = []
        view = metrics("boston", [used("A", BUSY)], WHEN, draw=lambda: drawn.append(1) or b"png")
        assert text.render(view)
        assert drawn == []
        card = html.render(view)
        assert 'src="data:image/png;base64,cG5n"' in card
        assert 'alt="Invocations, errors and latencies of boston over the last 1h"' in card

    @pytest.mark.parametrize(("count", "step"), [(10, "1m"), (30, "1m"), (31, "2m"), (95, "4m")])
    def test_little_bars_join_as_many_periods_as_they_need(self, count, step):
        card = told(used("A", (1.0,) * count), when=Span(0, 60, count))
        assert f"per {step} " in card[2]
        assert len(card[4].split()[2]) <= MOST_SPARKS


@pytest.mark.parametrize(
    ("values", "shown"), [((), ""), ((None, 0.0), "··"), ((1.0, 4.0, 8.0), "▁▄█"), ((0.001, 100.0), "▁█")]
)
def test_little_bars_are_as_high_as_their_values(values, shown):
    assert sparks(values) == shown
