"""The protocol that boto3 speaks with CloudWatch: Smithy RPC v2 in CBOR, as awsjson.py has its own in JSON.

Source: the Smithy specification, "Smithy RPC v2 CBOR protocol". An operation is named by the path; timestamps carry
CBOR's tag 1; an error that the query protocol knew by another code tells that one in a header.
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from sm_magics.local.awsjson import Reply, query_error
from sm_magics.local.lifecycle import Refused

if TYPE_CHECKING:
    from sm_magics.service_model import ServiceModel, Shape

__all__ = ["Cbor", "operation"]

_HEADERS = {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"}


def operation(target: bytes) -> str:
    """Return the operation that a path names, `/service/SERVICE/operation/NAME`; empty when it names none."""
    match target.decode("latin-1").split("/"):
        case ["", "service", _, "operation", name]:
            return name
    return ""


class Cbor:
    """Reads requests and writes answers in CBOR. The library is imported when the first request comes."""

    def read(self, body: bytes) -> Any:
        import cbor2  # noqa: PLC0415 - most engines never get such a request

        try:
            return cbor2.loads(body) if body else {}
        except (cbor2.CBORDecodeError, ValueError, RecursionError, OverflowError, TypeError):
            raise Refused("The request's body is not CBOR.", "SerializationException") from None

    def answer(self, value: dict[str, Any] | None, model: ServiceModel, shape: Shape | None) -> Reply:
        if value is None or shape is None:
            return Reply(200, {"smithy-protocol": "rpc-v2-cbor"}, b"")
        return Reply(200, _HEADERS, _written(_tagged(value, model, shape)))

    def error(self, status: int, code: str, text: str) -> Reply:
        status, kind, headers = query_error(status, code)
        return Reply(status, {**_HEADERS, **headers}, _written({"__type": kind, "message": text}))


def _written(value: Any) -> bytes:
    import cbor2  # noqa: PLC0415

    return cbor2.dumps(value)


def _tagged(value: Any, model: ServiceModel, shape: Shape) -> Any:
    """Return `value` as its shape wants it on the wire: without nulls, times tagged, doubles as floats."""
    match shape.type:
        case "structure":
            given = {name: each for name, each in value.items() if each is not None}
            return {name: _tagged(each, model, model.shape(shape.members[name].shape)) for name, each in given.items()}
        case "list":
            element = model.shape(shape.element or "")
            return [_tagged(each, model, element) for each in value]
        case "map":
            element = model.shape(shape.element or "")
            return {name: _tagged(each, model, element) for name, each in value.items()}
        case "timestamp":
            import cbor2  # noqa: PLC0415

            return cbor2.CBORTag(1, value.timestamp() if isinstance(value, datetime) else float(value))
        case "double" | "float":
            return float(value)
    return value
