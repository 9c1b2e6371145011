from __future__ import annotations

import asyncio
import sqlite3
from dataclasses import replace

import pytest

from sm_magics.errors import EngineError
from sm_magics.local import lifecycle, progress
from sm_magics.local.alarm import Alarm
from sm_magics.local.store import VERSION, EndpointConfig, Model, Store

MODEL = Model("Linear", "arn:m", 1.0, {"ModelName": "Linear"}, {"team": "x"})
CONFIG = EndpointConfig("C1", "arn:c", 2.0, {"ProductionVariants": []})
ENDPOINT = lifecycle.create(
    "boston", "arn:e", config_name="C1", variants=(lifecycle.Variant("A", "m", "i", "t"),), tags={}, now=3.0
)


def run(path, *resources):
    async def main():
        store = Store(path)
        for each in resources:
            await store.put(each)
        return store

    return asyncio.run(main())


def test_what_was_put_is_there_after_a_restart_without_a_close(tmp_path):
    run(tmp_path / "s.sqlite", MODEL, CONFIG, ENDPOINT)
    again = Store(tmp_path / "s.sqlite")
    assert (again.model("Linear"), again.config("C1"), again.endpoint("boston")) == (MODEL, CONFIG, ENDPOINT)


def test_names_are_compared_without_case_and_kinds_apart(tmp_path):
    store = run(tmp_path / "s.sqlite", MODEL)
    assert store.model("LINEAR") == MODEL
    assert store.config("Linear") is None
    assert store.all("model") == [MODEL]


def test_a_drop_is_kept_too(tmp_path):
    store = run(tmp_path / "s.sqlite", MODEL, CONFIG)
    asyncio.run(store.drop(MODEL))
    store.close()
    again = Store(tmp_path / "s.sqlite")
    assert (again.model("Linear"), again.config("C1")) == (None, CONFIG)


def test_progress_is_shown_and_not_kept(tmp_path):
    store = run(tmp_path / "s.sqlite", ENDPOINT)
    shown = progress.launched(ENDPOINT, {"A": 1})
    store.show(shown)
    assert store.endpoint("boston") == shown
    assert Store(tmp_path / "s.sqlite").endpoint("boston") == ENDPOINT


def test_a_change_shows_only_once_it_is_written(tmp_path):
    store = run(tmp_path / "s.sqlite", MODEL)
    store._database.execute("DROP TABLE resources")
    with pytest.raises(EngineError, match="cannot write its state"):
        asyncio.run(store.put(CONFIG))
    assert store.config("C1") is None


def test_a_state_from_a_newer_version_is_refused_and_left_alone(tmp_path):
    run(tmp_path / "s.sqlite", MODEL).close()
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        database.execute("PRAGMA user_version=99")
    with pytest.raises(EngineError, match="newer sm_magics"):
        Store(tmp_path / "s.sqlite")
    (version,) = sqlite3.connect(tmp_path / "s.sqlite").execute("PRAGMA user_version").fetchone()
    assert version == 99


def test_a_file_that_is_no_database_is_refused_and_left_alone(tmp_path):
    (tmp_path / "s.sqlite").write_bytes(b"not a database, by any means" * 100)
    with pytest.raises(EngineError, match="cannot be used"):
        Store(tmp_path / "s.sqlite")
    assert (tmp_path / "s.sqlite").read_bytes().startswith(b"not a database")


def test_a_place_that_is_not_writable_is_an_error(tmp_path):
    with pytest.raises(EngineError, match="cannot be used"):
        Store(tmp_path / "missing" / "s.sqlite")


def test_alarms_are_kept_and_their_names_have_a_case(tmp_path):
    high, low = (Alarm(name, f"arn:{name}", 1.0, {"Threshold": 1.0}, {"team": "x"}) for name in ("High", "high"))
    run(tmp_path / "s.sqlite", high, low.turn("ALARM", "why", 2.0))
    again = Store(tmp_path / "s.sqlite")
    assert again.alarm("High") == high
    assert again.alarm("high").state == "ALARM"
    assert again.alarm("HIGH") is None
    assert again.alarms() == again.all("alarm")


@pytest.mark.parametrize("version", [1, 2])
def test_a_state_of_an_older_version_is_opened_and_is_of_the_newest_then(tmp_path, version):
    run(tmp_path / "s.sqlite", MODEL, ENDPOINT).close()
    with sqlite3.connect(tmp_path / "s.sqlite") as database:
        database.execute(f"PRAGMA user_version={version}")
        changed = database.execute("UPDATE resources SET document = replace(document, ', \"deployed\": {}', '')")
        assert changed.rowcount == 2
    store = Store(tmp_path / "s.sqlite")
    assert (store.model("Linear"), store.endpoint("boston"), store.alarms()) == (MODEL, ENDPOINT, [])
    store.close()
    (now,) = sqlite3.connect(tmp_path / "s.sqlite").execute("PRAGMA user_version").fetchone()
    assert now == VERSION == 3


def test_tags_that_come_while_an_endpoint_is_updated_change_nothing_of_what_is_shown_and_keep_nothing_of_it(tmp_path):
    async def main():
        store = Store(tmp_path / "s.sqlite")
        await store.put(ENDPOINT)
        store.show(progress.launched(ENDPOINT, {"A": 1}))
        async with store.lock:
            writing = asyncio.ensure_future(store.amend(store.endpoint("boston"), tags={"team": "y"}))
            await asyncio.sleep(0)
            store.show(progress.launched(ENDPOINT, {"A": 2}))  # it goes on while the tags are written
            await writing
        shown = store.endpoint("boston")
        store.close()
        return shown

    shown = asyncio.run(main())
    assert shown == replace(progress.launched(ENDPOINT, {"A": 2}), tags={"team": "y"})
    assert Store(tmp_path / "s.sqlite").endpoint("boston") == replace(ENDPOINT, tags={"team": "y"})
