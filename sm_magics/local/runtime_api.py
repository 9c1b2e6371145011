"""The data plane: InvokeEndpoint, from the client's request to the container and back.

This is the hot path: one object per request, no coroutine, no copy of the body.
"""

from __future__ import annotations

import json
import random
import time
from functools import lru_cache
from typing import TYPE_CHECKING

from sm_magics.local.http import message
from sm_magics.local.logs import GROUP_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from sm_magics.local.api import Account
    from sm_magics.local.http import Exchange
    from sm_magics.local.instance import Answer
    from sm_magics.local.router import Lane, Route

__all__ = ["Runtime", "container_request"]

ANSWER_SECONDS = 60.0  # in which a model must answer
_ERROR_TYPE = ":http://internal.amazon.com/coral/com.amazon.sagemaker/"
_PREFIX, _SUFFIX = b"/endpoints/", b"/invocations"
_MAX_CUSTOM_ATTRIBUTES = 1024
_MAX_INFERENCE_ID = 64
_OK = 200
# What InvokeEndpoint passes on to a container; all other headers stay outside.
_PASSED = (
    b"content-type",
    b"accept",
    b"x-amzn-sagemaker-custom-attributes",
    b"x-amzn-sagemaker-target-variant",
    b"x-amzn-sagemaker-inference-id",
)
_NOT_OFFERED = (
    b"x-amzn-sagemaker-target-model",
    b"x-amzn-sagemaker-target-container-hostname",
    b"x-amzn-sagemaker-inference-component",
    b"x-amzn-sagemaker-enable-explanations",
    b"x-amzn-sagemaker-session-id",
)
_LIMITED_OR_NOT_OFFERED = frozenset(
    {b"x-amzn-sagemaker-custom-attributes", b"x-amzn-sagemaker-inference-id", *_NOT_OFFERED}
)


class Runtime:
    """Answers InvokeEndpoint by the routes of the endpoints in service.

    Parameters
    ----------
    account
        Whose endpoints these are.
    status
        Returns the status of an endpoint by its name, None when there is none.
    clock
        Measures in seconds, as `Exchange.came` does.
    """

    def __init__(
        self, account: Account, status: Callable[[str], str | None], clock: Callable[[], float] = time.perf_counter
    ) -> None:
        self._account = account
        self._status = status
        self._clock = clock
        self._under_way: dict[_Invocation, float] = {}
        self.routes: dict[str, Route] = {}

    def handle(self, exchange: Exchange) -> None:
        """Answer a request whose signature is in order."""
        name = _endpoint(exchange.target)
        if name is None or exchange.method != b"POST":
            exchange.answer(_error("UnknownOperationException", 404, "The embedded engine offers InvokeEndpoint only."))
            return
        route = self.routes.get(name)
        if route is None:
            exchange.answer(self._no_route(name))
            return
        headers = exchange.headers
        refusal = _refusal(headers)
        if refusal is not None:
            exchange.answer(_error("ValidationError", 400, refusal))
            return
        target = headers.get(b"x-amzn-sagemaker-target-variant")
        lane = route.lane(None if target is None else target.decode("latin-1"))
        if lane is None:
            # The service's text for this is not known.
            text = f'Could not find variant "{(target or b"").decode("latin-1")}" for endpoint "{name}".'
            exchange.answer(_error("ValidationError", 400, text))
            return
        invocation = _Invocation(self, exchange, name, lane)
        self._under_way[invocation] = self._clock()
        invocation.send()
        if lane.tap is not None and not invocation.over:  # one that was turned away has no copy
            invocation.taken = lane.tap.request(headers, exchange.body)

    def expire(self) -> None:
        """Answer for the models that have not done so in time; they are not interrupted."""
        late = []
        oldest = self._clock() - ANSWER_SECONDS
        for invocation, began in self._under_way.items():
            if began > oldest:
                break  # in the order in which they came, so all others have time
            late.append(invocation)
        for invocation in late:
            invocation.timed_out()

    def _no_route(self, name: str) -> bytes:
        if self._status(name) in {None, "Creating", "Failed", "Deleting"}:
            text = f"Endpoint {name} of account {self._account.account} not found."
            return _error("ValidationError", 400, text, ErrorCode="NO_SUCH_ENDPOINT")
        return _unavailable(name)

    def waits(self, invocation: _Invocation) -> bool:
        """Whether an invocation still wants its answer."""
        return invocation in self._under_way

    def finish(self, invocation: _Invocation, status: int, response: bytes) -> bool:
        """Send the one answer of an invocation and count it by its container's status; False when it had one."""
        sent = self._under_way.pop(invocation, None)
        if sent is None:
            return False
        answered = self._clock()
        exchange, lane = invocation.exchange, invocation.lane
        exchange.answer(response)
        apart = sent - exchange.came + self._clock() - answered
        lane.meter.count(status, int(1e6 * (answered - sent)), int(1e6 * apart), len(lane.instances))
        return True

    def turn_away(self, invocation: _Invocation, response: bytes) -> None:
        """Send the service's own refusal; no model had a part in it, so it is not counted."""
        if self._under_way.pop(invocation, None) is not None:
            invocation.exchange.answer(response)

    def model_error(self, invocation: _Invocation, status: int, text: str) -> bytes:
        """Return the answer that tells of a container's error."""
        side = "client" if 400 <= status < 500 else "server"  # noqa: PLR2004 - the classes of HTTP statuses
        region, account = self._account.region, self._account.account
        group = GROUP_PREFIX + invocation.endpoint
        told = (
            f'Received {side} error ({status}) from primary with message "{text}". '
            f"See https://{region}.console.aws.amazon.com/cloudwatch/home?region={region}"
            f"#logEventViewer:group={group} in account {account} for more information."
        )
        return _error(
            "ModelError",
            424,
            told,
            ErrorCode="CLIENT_ERROR_FROM_MODEL" if side == "client" else "INTERNAL_FAILURE_FROM_MODEL",
            LogStreamArn=f"arn:aws:logs:{region}:{account}:log-group:{group}",
            OriginalMessage=text,
            OriginalStatusCode=status,
        )


class _Invocation:
    """One InvokeEndpoint that waits for its container."""

    __slots__ = ("_again", "_runtime", "endpoint", "exchange", "lane", "taken")

    def __init__(self, runtime: Runtime, exchange: Exchange, endpoint: str, lane: Lane) -> None:
        self._runtime = runtime
        self.lane = lane
        self._again = False
        self.exchange = exchange
        self.endpoint = endpoint
        self.taken: Callable[[Answer], None] | None = None  # told the answer, when it is captured

    @property
    def over(self) -> bool:
        return not self._runtime.waits(self)

    def send(self) -> None:
        """Send the request to its lane."""
        if not self.lane.send(container_request(self.exchange.headers, self.exchange.body), self):
            self._not_taken()

    def answered(self, answer: Answer) -> None:
        if 200 <= answer.status < 300:  # noqa: PLR2004 - the class of successes
            told = self._runtime.finish(self, answer.status, _success(answer, self.lane.header))
            if told and self.taken is not None:
                self.taken(answer)
        else:
            text = answer.body.decode(errors="replace")
            self._runtime.finish(self, answer.status, self._runtime.model_error(self, answer.status, text))

    def lost(self, *, started: bool) -> None:
        if started or self._again:
            self._fail()
        else:
            self._again = True  # once: nobody had begun with it
            self.send()

    def _not_taken(self) -> None:
        fault = self.lane.fault
        if fault is not None and fault.throttling:
            self._runtime.turn_away(self, _error("ThrottlingException", 400, "Rate exceeded"))
        else:
            why = f": no instance of variant {self.lane.variant} is healthy" if self.lane.down else ""
            self._runtime.finish(self, 503, _unavailable(self.endpoint, why))  # else too many wait

    def _fail(self) -> None:
        text = "The container ended before it answered."  # ours: the service's text is not known
        self._runtime.finish(self, 500, self._runtime.model_error(self, 500, text))

    def timed_out(self) -> None:
        text = (
            "Your invocation timed out while waiting for a response from container primary. Review the latency "
            "metrics for each container in Amazon CloudWatch, resolve the issue, and try again."
        )
        self._runtime.finish(self, 0, self._runtime.model_error(self, 0, text))


@lru_cache(maxsize=256)
def _endpoint(target: bytes) -> str | None:
    """Return the name of the endpoint that a request line invokes, if it does."""
    path = target.partition(b"?")[0]
    if not (path.startswith(_PREFIX) and path.endswith(_SUFFIX)):
        return None
    return path[len(_PREFIX) : -len(_SUFFIX)].decode("latin-1")


def _refusal(headers: dict[bytes, bytes]) -> str | None:
    if _LIMITED_OR_NOT_OFFERED.isdisjoint(headers):
        return None
    for name in _NOT_OFFERED:
        if name in headers:
            return f"The embedded engine does not offer the header {name.decode()}."
    if len(headers.get(b"x-amzn-sagemaker-custom-attributes", b"")) > _MAX_CUSTOM_ATTRIBUTES:
        return _too_long("customAttributes", _MAX_CUSTOM_ATTRIBUTES)
    if len(headers.get(b"x-amzn-sagemaker-inference-id", b"")) > _MAX_INFERENCE_ID:
        return _too_long("inferenceId", _MAX_INFERENCE_ID)
    return None


def _too_long(member: str, limit: int) -> str:
    return (
        f"1 validation error detected: Value at '{member}' failed to satisfy constraint: "
        f"Member must have length less than or equal to {limit}"
    )


def container_request(headers: Mapping[bytes, bytes], body: bytes) -> bytes:
    """Return what a container gets for a client's request."""
    lines = [b"%s: %s\r\n" % (name, headers[name]) for name in _PASSED if name in headers]
    return b"POST /invocations HTTP/1.1\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), b"".join(lines), body)


def _success(answer: Answer, variant: bytes) -> bytes:
    custom = answer.custom_attributes
    return (
        b"HTTP/1.1 200 OK\r\nx-amzn-RequestId: %s\r\nx-Amzn-Invoked-Production-Variant: %s\r\n"
        b"%sContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s"
    ) % (
        request_id(),
        variant,
        b"" if custom is None else b"X-Amzn-SageMaker-Custom-Attributes: %s\r\n" % custom,
        answer.content_type,
        len(answer.body),
        answer.body,
    )


def _unavailable(endpoint: str, why: str = "") -> bytes:
    return _error("ServiceUnavailable", 503, f"Endpoint {endpoint} cannot answer right now{why}.")


def request_id() -> bytes:
    """Return a random id in the form of a UUID."""
    text = b"%032x" % random.getrandbits(128)
    return b"-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))


def _error(kind: str, status: int, text: str, **fields: str | int) -> bytes:
    body = json.dumps({**fields, "Message": text}).encode()
    headers = {
        "x-amzn-RequestId": request_id().decode(),
        "x-amzn-ErrorType": kind + _ERROR_TYPE,
        "Content-Type": "application/json",
    }
    return message(status, headers, body)
