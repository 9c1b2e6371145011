"""The engine: puts the parts together, listens on 127.0.0.1, and stops when asked or when idle and empty."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sm_magics import service_model
from sm_magics.errors import EngineError
from sm_magics.local import cbor
from sm_magics.local.alarms import Alarms
from sm_magics.local.api import Account, Resources
from sm_magics.local.artifacts import Artifacts
from sm_magics.local.awsjson import Json, JsonService
from sm_magics.local.capture import Captures
from sm_magics.local.cloudwatch import CloudWatch
from sm_magics.local.deployment import Deployments
from sm_magics.local.endpoints import Endpoints
from sm_magics.local.faults import FaultApi, Faults
from sm_magics.local.host import Host
from sm_magics.local.housekeeping import Housekeeping
from sm_magics.local.http import Connection, Exchange, message
from sm_magics.local.logs import Logs
from sm_magics.local.metrics import Metrics
from sm_magics.local.metrics_file import MetricsFile
from sm_magics.local.processes import Processes
from sm_magics.local.runtime_api import Runtime, request_id
from sm_magics.local.signature import Unsigned, Verifier
from sm_magics.local.store import Store
from sm_magics.local.utilisation import Utilisation

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from pathlib import Path

    from sm_magics.local.awsjson import Codec, Operations

__all__ = ["Engine", "Settings"]

_LOG = logging.getLogger(__name__)
SWEEP_SECONDS = 1.0
_LOOPBACK = frozenset({"127.0.0.1", "localhost"})
STOP_SECONDS = 70.0  # a model may take 60 s to answer
QUIET_SECONDS = 0.2  # in which what a client had sent when the engine was told to stop arrives


@dataclass(frozen=True, slots=True)
class Settings:
    """How an engine is run. `idle_seconds` of 0 never stops; a port of 0 takes a free one."""

    state: Path
    port: int = 0
    region: str = "us-east-1"
    account: str = "123456789012"
    idle_seconds: float = 0.0
    seed: int = 0


class Engine:
    """One engine, from its parts to its listening socket.

    Parameters
    ----------
    settings
        How it is run.
    key
        The access key id and secret that clients sign with.
    now
        Returns the time in seconds since the epoch.
    """

    def __init__(self, settings: Settings, key: tuple[str, str], now: Callable[[], float] = time.time) -> None:
        account = Account(settings.region, settings.account)
        self._settings = settings
        _check_not_emptied(settings.state)
        self._store = Store(settings.state / "state.sqlite")
        _check_place(self._store, account, settings.state)
        self._processes = Processes()
        logs = Logs(settings.state / "logs", lambda name: _group_arn(account, name), now)
        artifacts = Artifacts(settings.state, dict(os.environ))
        self._metrics = Metrics(now)
        self._metrics_file = MetricsFile(settings.state / "metrics.jsonl", self._metrics)
        faults = Faults(self._processes.kill, settings.seed)
        fault_api = FaultApi(faults, self._store, account)
        host = Host(self._processes, artifacts, logs, faults, _new_id, self._metrics.meter)
        self._housekeeping = Housekeeping(self._store, host, artifacts, logs)
        self._runtime = Runtime(account, self._status)
        self._captures = Captures(artifacts.place, now)
        self._alarms = Alarms(self._store, self._metrics, lambda name: _alarm_arn(account, name), now)
        self._deployments = Deployments(
            self._store,
            host,
            self._captures,
            self._runtime.routes,
            self._alarms.alarmed,
            seed=settings.seed,
            now=now,
        )
        self._utilisation = Utilisation(self._deployments.processes, self._metrics.gauges.take, now)
        resources = Resources(self._store, artifacts, account, now)
        endpoints = Endpoints(
            self._store,
            resources,
            account,
            follow=self._deployments.follow,
            is_alarm=self._alarms.exists,
            captures=self._captures.works,
            missing=self._deployments.missing,
            check_quota=fault_api.check_quota,
            now=now,
        )
        self._services = {
            "sagemaker": _service("sagemaker", {**resources.operations(), **endpoints.operations()}),
            "logs": _service("logs", logs.operations()),
            "monitoring": _service(
                "cloudwatch",
                {**self._alarms.operations(), **CloudWatch(self._metrics, now).operations()},
                Json("1.0", was_query=True),
            ),
            "sm-magics-engine": _service("sm-magics-engine", fault_api.operations()),
            "application-autoscaling": _service(
                "application-autoscaling", {"DescribeScalableTargets": _nothing_scales}
            ),
        }
        self._cbor = cbor.Cbor()
        self._verifier = Verifier(*key, settings.region, now)
        self._connections: set[Connection] = set()
        self._calls: set[asyncio.Task[None]] = set()
        self._hosts: frozenset[bytes] = frozenset()
        self._used = True
        self._last_used = 0.0
        self.stopping = asyncio.Event()

    async def serve(self, listener: socket.socket, ready: Callable[[], None]) -> None:
        """Listen until `stopping` is set, then answer what is under way and end; `ready` is called once it listens."""
        loop = asyncio.get_running_loop()
        port = listener.getsockname()[1]
        self._hosts = frozenset(f"{each}{tail}".encode() for each in _LOOPBACK for tail in ("", f":{port}"))
        self._processes.start()
        self._deployments.resume()
        server = await loop.create_server(lambda: Connection(self.handle, self._connections), sock=listener)
        ready()
        while not self.stopping.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SWEEP_SECONDS):
                    await self.stopping.wait()
            self._sweep(loop.time())
        server.close()
        await self._answer_what_is_under_way()
        await self._deployments.stop()
        await self._housekeeping.stop()
        await self._captures.close()
        await self._metrics_file.close()
        self._processes.stop()
        self._store.close()

    def handle(self, exchange: Exchange) -> None:
        """Take one request from a client."""
        if exchange.headers.get(b"host") not in self._hosts or b"origin" in exchange.headers:
            # No web page may reach the engine, neither across origins nor by a name that resolves to this machine.
            exchange.answer(_refusal("AccessDeniedException", "This server answers local clients of AWS only."))
            return
        target = exchange.headers.get(b"x-amz-target")
        codec: Codec | None = None
        try:
            if target is not None:
                prefix, _, operation = target.decode("latin-1").rpartition(".")
                known = (name for name, each in self._services.items() if each.target_prefix == prefix)
                name = next(known, "sagemaker")
            elif b"smithy-protocol" in exchange.headers:
                name, operation, codec = "monitoring", cbor.operation(exchange.target), self._cbor
            else:
                self._verifier.verify(exchange, "sagemaker")
                self._used = True
                self._runtime.handle(exchange)
                return
            self._verifier.verify(exchange, name)
        except Unsigned as error:
            exchange.answer(_query_refusal() if _is_query(exchange) else _refusal(error.code, error.message, codec))
            return
        self._used = True
        call = asyncio.get_running_loop().create_task(self._call(self._services[name], operation, exchange, codec))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _call(self, service: JsonService, operation: str, exchange: Exchange, codec: Codec | None) -> None:
        status, headers, body = await service.call(operation, exchange.body, codec)
        exchange.answer(message(status, {"x-amzn-RequestId": request_id().decode(), **headers}, body))

    def _status(self, name: str) -> str | None:
        endpoint = self._store.endpoint(name)
        return None if endpoint is None or endpoint.name != name else endpoint.status

    def _sweep(self, now: float) -> None:
        self._runtime.expire()
        self._metrics.tick()
        self._metrics_file.tick()
        self._utilisation.tick()
        self._alarms.tick()
        self._housekeeping.tick(now)
        for connection in list(self._connections):
            connection.expire(now)
        if self._used:
            self._used, self._last_used = False, now
        idle = self._settings.idle_seconds
        if idle and not self._store.all("endpoint") and now - self._last_used > idle:
            _LOG.info("idle and empty: stopping")
            self.stopping.set()

    async def _answer_what_is_under_way(self) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        for connection in self._connections:
            connection.finish()
        while self._connections and loop.time() - began < STOP_SECONDS:
            for connection in list(self._connections):
                if connection.idle and loop.time() - began > QUIET_SECONDS:
                    connection.close()
            self._runtime.expire()
            await asyncio.sleep(0.01)


def _check_not_emptied(state: Path) -> None:
    """Refuse to begin anew on a file that held a state once; SQLite takes an empty one for a new one."""
    path = state / "state.sqlite"
    if (state / "engine.json").exists() and path.exists() and not path.stat().st_size:
        raise EngineError(
            f"the engine's state in {path} is empty, which it was not before",
            hint="put a copy of it back, move the file away to begin anew, or use another state directory",
        )


def _check_place(store: Store, account: Account, state: Path) -> None:
    """Refuse to play another account or region than that of the resources that are there."""
    for kind in ("model", "endpoint-config", "endpoint", "alarm"):
        for each in store.all(kind):
            _, _, _, region, number, _ = each.arn.split(":", 5)
            if (region, number) != (account.region, account.account):
                raise EngineError(
                    f"the state in {state} is that of account {number} in {region}, "
                    f"not of {account.account} in {account.region}",
                    hint=f"start the engine with --region {region}, or on another state directory",
                )


def _service(name: str, operations: Operations, codec: Codec | None = None) -> JsonService:
    return JsonService(service_model.load(name, tuple(operations)), operations, codec)


async def _nothing_scales(_request: dict[str, Any]) -> dict[str, Any]:
    """Answer DescribeScalableTargets: none can be registered here, so there is none."""
    return {"ScalableTargets": []}


def _new_id() -> str:
    return f"i-{secrets.token_hex(8)}"


def _group_arn(account: Account, group: str) -> str:
    return f"arn:aws:logs:{account.region}:{account.account}:log-group:{group}"


def _alarm_arn(account: Account, name: str) -> str:
    return f"arn:aws:cloudwatch:{account.region}:{account.account}:alarm:{name}"


def _is_query(exchange: Exchange) -> bool:
    """Whether a request is of the query protocol, in which boto3 before 1.40 spoke with CloudWatch."""
    return exchange.headers.get(b"content-type", b"").startswith(b"application/x-www-form-urlencoded")


def _query_refusal() -> bytes:
    text = "The embedded engine does not speak the query protocol: use boto3 1.40 or later, or AWS CLI 2."
    body = f"<ErrorResponse><Error><Type>Sender</Type><Code>UnsupportedProtocol</Code><Message>{text}</Message></Error>"
    return message(400, {"Content-Type": "text/xml"}, f"{body}</ErrorResponse>".encode())


def _refusal(code: str, text: str, codec: Codec | None = None) -> bytes:
    _, headers, body = (codec or Json()).error(403, code, text)
    return message(403, {"x-amzn-RequestId": request_id().decode(), "x-amzn-ErrorType": code, **headers}, body)
