"""The awsJson1.1 protocol, once for every control plane: from a request's bytes to a checked dict and back.

Requests are checked by the service model and refused in the service's own words. An operation is an async function from
the request to the answer; what it raises as `Refused` becomes the error on the wire.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sm_magics.errors import EngineError
from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from sm_magics.service_model import ServiceModel, Violation

    Operations = Mapping[str, Callable[[dict[str, Any]], Awaitable[dict[str, Any] | None]]]

__all__ = ["JsonService"]

_LOG = logging.getLogger(__name__)


class JsonService:
    """One service: its model, and the operations that the engine carries out.

    Parameters
    ----------
    model
        The service's operations and shapes.
    operations
        By name, what carries an operation out.
    """

    def __init__(self, model: ServiceModel, operations: Operations) -> None:
        self._model = model
        self._operations = operations

    @property
    def target_prefix(self) -> str:
        """What stands before the dot in the X-Amz-Target of this service."""
        return self._model.target_prefix

    async def call(self, name: str, body: bytes) -> tuple[int, bytes]:
        """Carry out the operation called `name`; return the HTTP status and the body of the answer."""
        try:
            operation = self._operations.get(name)
            if operation is None:
                raise Refused(f"The embedded engine does not offer {name}.", "UnknownOperationException")
            answer = await operation(self._read(name, body))
        except Refused as refused:
            return 400, _error(refused.code, refused.message)
        except EngineError as error:
            return 500, _error("InternalFailure", error.message)
        except Exception:  # noqa: BLE001 - the client gets an answer whatever happens
            _LOG.exception("%s failed", name)
            return 500, _error("InternalFailure", f"The embedded engine failed in {name}; its log says how.")
        return 200, b"" if answer is None else json.dumps(_plain(answer)).encode()

    def _read(self, name: str, body: bytes) -> dict[str, Any]:
        try:
            request = json.loads(body or b"{}", parse_constant=_no_number)
        except (ValueError, RecursionError):
            raise Refused("The request's body is not JSON.", "SerializationException") from None
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


def _error(code: str, text: str) -> bytes:
    return json.dumps({"__type": code, "message": text}).encode()


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
