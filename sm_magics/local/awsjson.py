"""The awsJson protocol, once for every control plane: from a request's bytes to a checked dict and back.

Requests are checked by the service model and refused in the service's own words. An operation is an async function from
the request to the answer; what it raises as `Refused` becomes the error on the wire.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from sm_magics.errors import EngineError
from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sm_magics.service_model import ServiceModel, Shape, Violation

    Operations = Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]]

__all__ = ["Codec", "Json", "JsonService", "Reply", "query_error"]

_LOG = logging.getLogger(__name__)


class Reply(NamedTuple):
    """An answer on the wire, without what every answer has."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Codec(Protocol):
    """How requests and answers are written: in JSON, or in CBOR."""

    def read(self, body: bytes) -> Any:
        """Return what a request's body says. Raises Refused when it says nothing."""

    def answer(self, value: dict[str, Any] | None, model: ServiceModel, shape: Shape | None) -> Reply:
        """Return what an operation answered, whose output has `shape`."""

    def error(self, status: int, code: str, text: str) -> Reply:
        """Return an error."""


class Json:
    """Reads requests and writes answers in JSON, of protocol version 1.0 or 1.1.

    `was_query` says that the service had the query protocol before, and its codes of errors still have to be told.
    """

    def __init__(self, version: str = "1.1", *, was_query: bool = False) -> None:
        self._headers = {"Content-Type": f"application/x-amz-json-{version}"}
        self._was_query = was_query

    def read(self, body: bytes) -> Any:
        try:
            return json.loads(body or b"{}", parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise Refused("The request's body is not JSON.", "SerializationException") from None

    def answer(self, value: dict[str, Any] | None, _model: ServiceModel, _shape: Shape | None) -> Reply:
        return Reply(200, self._headers, b"" if value is None else json.dumps(_plain(value)).encode())

    def error(self, status: int, code: str, text: str) -> Reply:
        headers: Mapping[str, str] = {}
        if self._was_query:
            status, code, headers = query_error(status, code)
        body = json.dumps({"__type": code, "message": text}).encode()
        return Reply(status, {**self._headers, **headers}, body)


# CloudWatch's errors by the codes of the query protocol: the shape that is one now, and its HTTP status.
_SHAPES = {
    "ResourceNotFound": ("ResourceNotFound", 404),
    "ResourceNotFoundException": ("ResourceNotFoundException", 404),
    "InvalidFormat": ("InvalidFormatFault", 400),
    "InvalidParameterCombination": ("InvalidParameterCombinationException", 400),
    "InvalidParameterValue": ("InvalidParameterValueException", 400),
    "MissingParameter": ("MissingRequiredParameterException", 400),
    "ValidationError": ("ValidationException", 400),
    "InternalFailure": ("InternalServiceFault", 500),
}


def query_error(status: int, code: str) -> tuple[int, str, Mapping[str, str]]:
    """Return an error's status, its shape, and the header that tells its code in the query protocol."""
    code = "ValidationError" if code == "ValidationException" else code
    shape, status = _SHAPES.get(code, (code, status))
    return status, shape, {"x-amzn-query-error": f"{code};{'Sender' if status < 500 else 'Receiver'}"}  # noqa: PLR2004 - the class of a server's errors


class JsonService:
    """One service: its model, and the operations that the engine carries out.

    Parameters
    ----------
    model
        The service's operations and shapes.
    operations
        By name, what carries an operation out.
    codec
        How requests and answers are written unless a call says otherwise.
    """

    def __init__(self, model: ServiceModel, operations: Operations, codec: Codec | None = None) -> None:
        self._model = model
        self._operations = operations
        self._codec = codec or Json()

    @property
    def target_prefix(self) -> str:
        """What stands before the dot in the X-Amz-Target of this service."""
        return self._model.target_prefix

    async def call(self, name: str, body: bytes, codec: Codec | None = None) -> Reply:
        """Carry out the operation called `name`; return what is to be answered."""
        codec = codec or self._codec
        try:
            operation = self._operations.get(name)
            if operation is None:
                raise Refused(f"The embedded engine does not offer {name}.", "UnknownOperationException")
            answer = await operation(self._checked(name, codec.read(body)))
            return codec.answer(answer, self._model, self._model.output(name))
        except Refused as refused:
            return codec.error(400, refused.code, refused.message)
        except EngineError as error:
            return codec.error(500, "InternalFailure", error.message)
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happens
            _LOG.exception("%s failed", name)
            return codec.error(500, "InternalFailure", f"The embedded engine failed in {name}; its log says how.")

    def _checked(self, name: str, request: Any) -> dict[str, Any]:
        shape = self._model.input(name)
        broken = [each for each in self._model.check(shape, request) if not _allowed(each)]
        for each in broken:
            if each.rule == "type":
                raise Refused(_type_message(each), "SerializationException")
        if broken:
            raise Refused(_validation_message(broken))
        return {key: value for key, value in request.items() if value is not None}


def _allowed(violation: Violation) -> bool:
    """Whether the engine takes what the service model does not: unknown members, as the service does, and file URLs."""
    if violation.rule == "pattern" and violation.shape.name in {"Url", "DestinationS3Uri"}:
        return str(violation.value).startswith("file://")  # an extension: data on this machine
    return violation.rule == "unknown"


def _no_number(constant: str) -> None:
    raise ValueError(constant)  # NaN and Infinity are Python's, not JSON's


def _plain(value: Any) -> Any:
    """Return `value` as the wire wants it: no nulls, times as epoch seconds."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items() if each is not None}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.timestamp() if isinstance(value, datetime) else value


def _type_message(violation: Violation) -> str:
    return f"{_json_type(violation.value)} can not be converted to {violation.shape.type} at '{_path(violation)}'"


def _json_type(value: Any) -> str:
    names = {bool: "BOOLEAN_VALUE", str: "STRING_VALUE", list: "START_ARRAY", dict: "START_OBJECT"}
    return names.get(type(value), "NUMBER_VALUE")


def _validation_message(broken: list[Violation]) -> str:
    count = f"{len(broken)} validation error{'s' if len(broken) > 1 else ''} detected"
    return f"{count}: " + "; ".join(_constraint(each) for each in broken)


def _constraint(violation: Violation) -> str:
    shape = violation.shape
    value = "null" if violation.value is None else f"'{_shown(violation)}'"
    measure = "value" if shape.type in {"integer", "long", "float", "double"} else "length"
    rule = {
        "required": "not be null",
        "enum": f"satisfy enum value set: [{', '.join(shape.enum)}]",
        "pattern": f"satisfy regular expression pattern: {shape.pattern}",
        "min": f"have {measure} greater than or equal to {_number(shape.min)}",
        "max": f"have {measure} less than or equal to {_number(shape.max)}",
    }[violation.rule]
    return f"Value {value} at '{_path(violation)}' failed to satisfy constraint: Member must {rule}"


def _shown(violation: Violation) -> str:
    if violation.shape.sensitive:
        return "***"
    value = violation.value
    return value if isinstance(value, str) else json.dumps(value)


def _number(bound: float | None) -> str:
    return "" if bound is None else f"{bound:g}" if isinstance(bound, float) else str(bound)


def _path(violation: Violation) -> str:
    """Return the path as the service writes it: `productionVariants.1.member.instanceType`."""
    steps = [f"{step + 1}.member" if isinstance(step, int) else step[:1].lower() + step[1:] for step in violation.path]
    return ".".join(steps)
