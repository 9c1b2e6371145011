"""Finds the engine of a state directory, or starts it: what a notebook does on first use.

The engine is a process of its own that outlives the kernel; every notebook of one state directory shares it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sm_magics import __version__
from sm_magics.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["RunningEngine", "default_state", "find", "start"]

IDLE_STOP_SECONDS = 900.0
START_SECONDS = 30.0
STOP_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class RunningEngine:
    """An engine that runs, and how to reach it."""

    url: str
    region: str
    account: str
    access_key_id: str
    secret_access_key: str
    pid: int
    version: str
    state: Path

    @property
    def client_options(self) -> Mapping[str, str]:
        """What `boto3.client("sagemaker", **options)` needs to speak to this engine."""
        return {
            "endpoint_url": self.url,
            "region_name": self.region,
            "aws_access_key_id": self.access_key_id,
            "aws_secret_access_key": self.secret_access_key,
        }

    def client(self, service: str) -> Any:
        """Return a boto3 client of this engine, made by nothing but boto3."""
        import boto3  # noqa: PLC0415 - costs a fifth of a second

        return boto3.client(service, **self.client_options)

    @property
    def bucket(self) -> str:
        """The bucket of the engine's own artifact store, by SageMaker's naming of default buckets."""
        return f"sagemaker-{self.region}-{self.account}"

    def artifact_path(self, bucket: str, key: str) -> Path:
        """Return the file behind `s3://bucket/key` of the engine's own artifact store."""
        return self.state / "artifacts" / bucket / key

    def stop(self) -> None:
        """Stop the engine; it answers what is under way first, and keeps what it knows for the next start."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS
        while _is_locked(self.state) and time.monotonic() < deadline:
            time.sleep(0.02)


def default_state() -> Path:
    """Return the state directory of notebooks: `SM_MAGICS_STATE`, or `.sm_magics` in the home directory."""
    return Path(os.environ.get("SM_MAGICS_STATE") or Path.home() / ".sm_magics").absolute()


def find(state: Path) -> RunningEngine | None:
    """Return the engine that runs on `state`, None when none does."""
    if not _is_locked(state):
        return None
    try:
        engine = RunningEngine(**json.loads((state / "engine.json").read_text()), state=state)
        os.kill(engine.pid, 0)  # one that starts on the same port has not yet told of itself
        parts = urlsplit(engine.url)
        with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=1):
            return engine
    except (OSError, ValueError, TypeError):
        return None  # it is starting or stopping


def start(state: Path | None = None, *, region: str | None = None) -> RunningEngine:
    """Return the engine of `state`, started when it does not run.

    Parameters
    ----------
    state
        The state directory; by default that of `default_state`.
    region
        The AWS region that a new engine plays; us-east-1 by default.

    Raises
    ------
    EngineError
        When it cannot be started, with the reason that it gave.
    """
    state = default_state() if state is None else state.absolute()
    running = find(state)
    if running is not None and running.version != __version__:
        running.stop()  # an upgrade: what it knows is kept
        running = None
    deadline = time.monotonic() + START_SECONDS
    process: subprocess.Popen[bytes] | None = None
    while running is None:
        if process is None and not _is_locked(state):
            process = _spawn(state, region)
        time.sleep(0.01)
        running = find(state)
        if process is not None and process.poll() is not None:
            if _is_locked(state):
                process = None  # another notebook was faster
            elif running is None:
                raise EngineError(_why(state))
        if time.monotonic() > deadline:
            raise EngineError(f"the engine on {state} did not start in {START_SECONDS:g} s", hint=f"see {_log(state)}")
    return running


def _spawn(state: Path, region: str | None) -> subprocess.Popen[bytes]:
    try:
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = os.fdopen(os.open(_log(state), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb")
    except OSError as error:
        raise EngineError(
            f"the state directory {state} cannot be used: {error.strerror}",
            hint="make it writable, or set SM_MAGICS_STATE to another directory",
        ) from None
    command = [
        sys.executable,
        "-P",
        "-m",
        "sm_magics.local",
        "--state",
        str(state),
        "--idle-stop",
        f"{IDLE_STOP_SECONDS:g}",
    ]
    with log:
        return subprocess.Popen(
            [*command, *(["--region", region] if region else [])],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            cwd=state,
        )


def _log(state: Path) -> Path:
    return state / "engine.log"


def _why(state: Path) -> str:
    """Return what a process that ended at once had to say."""
    lines = _log(state).read_text(errors="replace").strip().splitlines()
    return "\n".join(lines[-2:]) or f"the engine on {state} ended at once"


def _is_locked(state: Path) -> bool:
    try:
        with (state / "engine.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False  # there is no such file, or it cannot be read: whoever starts an engine learns why
    return False
