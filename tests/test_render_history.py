from __future__ import annotations

from datetime import UTC, datetime

from sm_magics.render import html, text
from sm_magics.render.history import history
from sm_magics.versions import Version


def version(number, what, state, by="ada"):
    return Version(number, f"c{number}", datetime(2026, 1, number, 12, tzinfo=UTC), by, "", what, state, {})


VERSIONS = (version(1, "A 100 %", "replaced by 2"), version(2, "with B", "serves", by=""))


def shown(versions=VERSIONS, reason=None, *, times=False):
    return " ".join(text.render(history("boston", versions, reason, times=times)).split())


def test_each_config_has_its_number_what_was_new_and_what_became_of_it():
    told = shown()
    assert told.startswith("History of boston config what is new state")
    assert "1 c1 A 100 % replaced by 2 2 c2 with B serves" in told
    assert "All are kept for a rollback: %sm_rollback boston NUMBER." in told


def test_times_and_names_are_told_on_demand_only():
    assert "2026" not in shown()
    assert "ada" not in shown()
    told = shown(times=True)
    assert "c1 2026-01-01 12:00:00 UTC ada A 100 %" in told
    assert "c2 2026-01-02 12:00:00 UTC unknown with B" in told


def test_why_the_last_update_failed():
    assert "The last update failed: no ping" in shown(reason="no ping")


def test_one_config_alone_is_nothing_to_go_back_to():
    assert "rollback" not in shown(VERSIONS[:1])


def test_without_any_it_says_so():
    assert "Its configs were deleted." in shown(())


def test_it_reads_as_html_too():
    assert "<td>with B</td>" in html.render(history("boston", VERSIONS, None, times=False))
