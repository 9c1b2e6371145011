"""The process around an engine: one for a state directory, its port, its credentials, and its end.

The state directory holds `engine.lock` (held while an engine runs), `engine.json` (how to reach it),
`credentials.json` (the key pair, made once), `state.sqlite`, `metrics.jsonl`, and folders for artifacts, unpacked
models and logs. All are for the user alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TextIO
from urllib.parse import urlsplit

import uvloop

from sm_magics import __version__
from sm_magics.errors import EngineError
from sm_magics.local.engine import Engine, Settings
from sm_magics.local.memory import settle

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Ready", "last_region", "run"]

LOCK_TRIES, LOCK_PAUSE = 50, 0.01


@dataclass(frozen=True, slots=True)
class Ready:
    """What an engine says once it listens: how to reach it."""

    url: str
    region: str
    account: str
    access_key_id: str
    secret_access_key: str
    pid: int
    version: str


def run(settings: Settings, say: TextIO) -> None:
    """Run an engine until it is told to stop by SIGTERM or SIGINT; tell `say` in one JSON line that it is ready.

    Raises
    ------
    EngineError
        When the state directory or the port cannot be used.
    """
    os.umask(0o077)
    with _lock(settings.state), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_main(settings, say))


def _lock(state: Path) -> TextIO:
    """Return the lock of the state directory, held until it is closed."""
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        lock = (state / "engine.lock").open("w")
    except OSError as error:
        raise EngineError(
            f"the state directory {state} cannot be used: {error.strerror}", hint="choose another: --state DIR"
        ) from None
    for _ in range(LOCK_TRIES):
        with contextlib.suppress(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            break  # held by an engine: to wait for its end would be to start when it is stopped
        fcntl.flock(lock, fcntl.LOCK_UN)
        time.sleep(LOCK_PAUSE)  # who only looks whether an engine runs holds it for a moment
    lock.close()
    raise EngineError(f"an engine runs on {state} already", hint="use that one, or another state directory")


async def _main(settings: Settings, say: TextIO) -> None:
    key = _key(settings.state / "credentials.json")
    listener = _listen(settings)
    engine = Engine(settings, key)
    loop = asyncio.get_running_loop()
    for each in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(each, engine.stopping.set)
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    about = Ready(url, settings.region, settings.account, *key, os.getpid(), __version__)
    told = settings.state / "engine.json"

    def ready() -> None:
        _write_private(told, json.dumps(asdict(about)))
        say.write(json.dumps(asdict(about)) + "\n")
        say.flush()
        settle()

    await engine.serve(listener, ready)


def _listen(settings: Settings) -> socket.socket:
    """Bind the port that was asked for, or the one that was used before, so that clients find the engine again."""
    wanted = [settings.port] if settings.port else [_last_port(settings.state), 0]
    for port in wanted:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError as error:
            listener.close()
            if port == wanted[-1]:
                raise EngineError(
                    f"port {port} of 127.0.0.1 cannot be used: {error.strerror}",
                    hint="choose another, or --port 0 for a free one",
                ) from None
        else:
            return listener
    raise AssertionError  # the loop returns or raises


def _last_port(state: Path) -> int:
    try:
        return urlsplit(_last(state).get("url", "")).port or 0
    except (ValueError, TypeError, AttributeError):
        return 0  # whoever wrote it, it is no address


def last_region(state: Path) -> str | None:
    """Return the region that the engine of this state directory played last."""
    return _last(state).get("region")


def _last(state: Path) -> Mapping[str, str]:
    """Return what the engine of this state directory told when it was ready last."""
    try:
        told = json.loads((state / "engine.json").read_text())
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _key(path: Path) -> tuple[str, str]:
    """Return the key pair of this state directory, made at random once."""
    try:
        known = json.loads(path.read_text())
        return known["access_key_id"], known["secret_access_key"]
    except (OSError, ValueError, KeyError, TypeError):
        key = "AKIA" + secrets.token_hex(8).upper(), secrets.token_urlsafe(30)
        _write_private(path, json.dumps({"access_key_id": key[0], "secret_access_key": key[1]}))
        return key


def _write_private(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
    scratch.replace(path)
