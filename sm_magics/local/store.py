"""What survives a crash: models, endpoint configs, endpoints and alarms, in one SQLite file.

Everything is read from memory. A change is written to disk first, on a thread of its own so that serving never waits
for the disk, and shows in memory only once it is safe: what a client was told happened, has happened.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from sm_magics.errors import EngineError
from sm_magics.local.alarm import Alarm
from sm_magics.local.lifecycle import Endpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["EndpointConfig", "Model", "Store"]

VERSION = 3  # 1 had no alarms, 2 told of no image what it is; a file of theirs is one of 3 as it is


@dataclass(frozen=True, slots=True)
class _Immutable:
    """A resource that is made once and never changed: the request that made it, and when."""

    name: str
    arn: str
    created: float
    request: Mapping[str, Any]
    tags: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        return cls(**document)


class Model(_Immutable):
    """A SageMaker model."""


class EndpointConfig(_Immutable):
    """A SageMaker endpoint config."""


Resource = Model | EndpointConfig | Endpoint | Alarm
_KINDS: Mapping[str, type[Resource]] = {
    "model": Model,
    "endpoint-config": EndpointConfig,
    "endpoint": Endpoint,
    "alarm": Alarm,
}


class Store:
    """The engine's resources by kind and name; SageMaker's names are compared without case, as it does.

    Parameters
    ----------
    path
        The SQLite file; made when it is not there.

    Raises
    ------
    EngineError
        When the file cannot be used: not writable, not a database, or from a newer version.
    """

    def __init__(self, path: Path) -> None:
        self.lock = asyncio.Lock()  # held by whoever looks, decides and writes
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="store")
        self._resources: dict[str, dict[str, Resource]] = {kind: {} for kind in _KINDS}  # as they are shown
        self._kept: dict[str, dict[str, Resource]] = {kind: {} for kind in _KINDS}  # as they are on disk
        try:
            self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._prepare(path)
        except (sqlite3.Error, ValueError, TypeError, KeyError) as error:
            raise EngineError(
                f"the engine's state in {path} cannot be used: {error}",
                hint="make the directory writable, repair or move the file away, or use another state directory",
            ) from error

    def _prepare(self, path: Path) -> None:
        (version,) = self._database.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise EngineError(
                f"the engine's state in {path} was written by a newer sm_magics",
                hint="upgrade sm_magics, or use another state directory",
            )
        self._read(written=version > 0)
        self._database.execute("PRAGMA journal_mode=WAL")
        self._database.execute("PRAGMA synchronous=FULL")
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS resources (kind TEXT, key TEXT, document TEXT, PRIMARY KEY (kind, key))"
        )
        self._database.execute(f"PRAGMA user_version={VERSION}")

    def _read(self, *, written: bool) -> None:
        """Read what was `written`, before anything is changed: a file that is broken stays as it is."""
        (found,) = self._database.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise ValueError(found)
        if not written:
            return
        for kind, key, document in self._database.execute("SELECT kind, key, document FROM resources"):
            self._resources[kind][key] = self._kept[kind][key] = _KINDS[kind].from_json(json.loads(document))

    def model(self, name: str) -> Model | None:
        """Return the model called `name`."""
        found = self._resources["model"].get(name.lower())
        return found if isinstance(found, Model) else None

    def config(self, name: str) -> EndpointConfig | None:
        """Return the endpoint config called `name`."""
        found = self._resources["endpoint-config"].get(name.lower())
        return found if isinstance(found, EndpointConfig) else None

    def endpoint(self, name: str) -> Endpoint | None:
        """Return the endpoint called `name`."""
        found = self._resources["endpoint"].get(name.lower())
        return found if isinstance(found, Endpoint) else None

    def alarm(self, name: str) -> Alarm | None:
        """Return the alarm called `name`."""
        found = self._resources["alarm"].get(name)
        return found if isinstance(found, Alarm) else None

    def alarms(self) -> list[Alarm]:
        """Return every alarm."""
        return [each for each in self._resources["alarm"].values() if isinstance(each, Alarm)]

    def all(self, kind: str) -> list[Resource]:
        """Return every resource of a kind: `model`, `endpoint-config`, `endpoint` or `alarm`."""
        return list(self._resources[kind].values())

    async def put(self, resource: Resource) -> None:
        """Keep `resource`; returns when it is on disk."""
        await self._keep(resource)
        self._resources[_kind(resource)][_key(resource)] = resource

    async def amend(self, resource: Resource, **members: Any) -> None:
        """Change some members of `resource`, and nothing else of it; returns when that is on disk.

        What is shown of it stays, and is not kept: progress goes on while this is written.
        """
        kind, key = _kind(resource), _key(resource)
        await self._keep(replace(self._kept[kind][key], **members))
        self._resources[kind][key] = replace(self._resources[kind][key], **members)

    def show(self, resource: Resource) -> None:
        """Show `resource` without keeping it: for progress that a crash may forget."""
        self._resources[_kind(resource)][_key(resource)] = resource

    async def drop(self, resource: Resource) -> None:
        """Forget `resource`; returns when that is on disk."""
        kind = _kind(resource)
        key = _key(resource)
        await self._write("DELETE FROM resources WHERE kind = ? AND key = ?", (kind, key))
        self._resources[kind].pop(key, None)
        self._kept[kind].pop(key, None)

    def close(self) -> None:
        """Finish what is being written and close the file."""
        self._thread.shutdown(wait=True)
        self._database.close()

    async def _keep(self, resource: Resource) -> None:
        kind, key = _kind(resource), _key(resource)
        document = json.dumps(resource.to_json())
        await self._write("INSERT OR REPLACE INTO resources VALUES (?, ?, ?)", (kind, key, document))
        self._kept[kind][key] = resource

    async def _write(self, statement: str, values: tuple[str, ...]) -> None:
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._thread, self._database.execute, statement, values)
        except sqlite3.Error as error:
            raise EngineError(f"the engine cannot write its state: {error}") from error


def _kind(resource: Resource) -> str:
    return next(kind for kind, cls in _KINDS.items() if isinstance(resource, cls))


def _key(resource: Resource) -> str:
    return resource.name if isinstance(resource, Alarm) else resource.name.lower()  # CloudWatch's names have a case
