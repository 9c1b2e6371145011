"""InvokeEndpoint as botocore makes it: asked of botocore once, repeated many times.

The URL, the headers, what an answer means and whether an attempt is made again all come from the boto3 client of the
connection, so that whatever is configured for it holds here too.
"""

from __future__ import annotations

import io
import threading
from typing import TYPE_CHECKING, Any

from sm_magics.compare.signer import Signer, host_of
from sm_magics.connection import call, refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.compare.exchange import Request, Target
    from sm_magics.connection import Connection
    from sm_magics.errors import ServiceError

__all__ = ["OPERATION", "Invocation", "Unanswered"]

OPERATION = "InvokeEndpoint"
# What changes with each attempt, and what only says how botocore itself is doing.
_NOT_KEPT = frozenset({
    "authorization", "content-length", "x-amz-date", "x-amz-security-token", "amz-sdk-invocation-id", "amz-sdk-request",
})  # fmt: skip


class Unanswered(Exception):  # noqa: N818 - named for what happened
    """A request had no answer; `error` is botocore's exception for it."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Invocation:
    """The requests to one target.

    Parameters
    ----------
    connection, target
        Where to.
    attempts
        How often a request is sent at most, no more often than the client of the connection does; None for as often.

    Raises
    ------
    ServiceError
        When botocore would not send it: there are no credentials, or a name is none.
    """

    def __init__(self, connection: Connection, target: Target, attempts: int | None = None) -> None:
        from botocore.parsers import create_parser

        self.client = connection.client("sagemaker-runtime")
        service = self.client.meta.service_model
        self._model = service.operation_model(OPERATION)
        self._parser = create_parser(service.metadata["protocol"])
        self._attempts = attempts
        self._event = f"{service.service_id.hyphenize()}.{OPERATION}"
        self._told: dict[str, str] = {
            name: shape.serialization["name"]
            for of in (self._model.input_shape, self._model.output_shape)
            for name, shape in of.members.items()
            if "name" in shape.serialization
        }
        self._variant, self._type = self._told["InvokedProductionVariant"].lower(), self._told["ContentType"].lower()
        self._failed = False  # whether any attempt has
        prepared = self._prepared(target)
        self.url = prepared.url
        sent = {name: _text(value) for name, value in prepared.headers.items() if name.lower() not in _NOT_KEPT}
        agent = sent.pop("User-Agent", "")
        self.constant = {"Host": host_of(self.url), "User-Agent": agent, **sent}
        credentials, name = connection.session.get_credentials(), self.client.meta.service_model.signing_name
        self.signer = Signer(credentials, self.client.meta.region_name, name, self.url, sent)

    def headers(self, request: Request) -> dict[str, str]:
        """Return the headers of a request that is sent now, beside the constant ones."""
        own = {}
        if request.variant is not None:
            own[self._told["TargetVariant"]] = request.variant
        if request.inference_id is not None:
            own[self._told["InferenceId"]] = request.inference_id
        return {**own, **self.signer.headers(request.body, own)}

    def about(self, headers: Mapping[str, str]) -> tuple[str, str]:
        """Return who answered, and the type of the answer; `headers` has lower-case names."""
        return headers.get(self._variant, ""), headers.get(self._type, "")

    def refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> ServiceError:
        """Return the error that an answer tells of, as a boto3 call would have led to it."""
        return refused(OPERATION, self._parsed(status, headers, body))

    def again(
        self,
        attempt: int,
        context: dict[str, Any],
        response: tuple[int, Mapping[str, str], bytes] | None,
        error: Exception | None,
    ) -> float | None:
        """Return in how many seconds an attempt that failed is to be made again, None when it is not to be.

        Parameters
        ----------
        attempt
            Which one it was, from 1.
        context
            What is kept from one attempt of a request to the next.
        response, error
            What it led to: status, headers and body, or botocore's exception.
        """
        if self._attempts is not None and attempt >= self._attempts:
            return None
        self._failed = True
        answers = self.client.meta.events.emit(
            f"needs-retry.{self._event}",
            response=response and (self._answer(*response), self._parsed(*response)),
            endpoint=None,
            operation=self._model,
            attempts=attempt,
            caught_exception=error,
            request_dict={"context": context},
        )
        delay = next((each for _, each in answers if each is not None), None)
        if delay is None or delay is False:
            return None
        return float(delay)

    def succeeded(self, context: dict[str, Any], status: int, headers: Mapping[str, str]) -> None:
        """Give back what retries have used of the client's allowance for them."""
        if self._failed:
            self.client.meta.events.emit(
                f"after-call.{self._event}",
                http_response=self._answer(status, headers, b""),
                parsed={},
                model=self._model,
                context=context,
            )

    def _prepared(self, target: Target) -> Any:
        """Return the request that botocore is about to send, which is then not sent."""
        from botocore.awsrequest import AWSResponse

        kept: list[Any] = []
        own = threading.get_ident()  # others may use the client at this moment

        def keep(request: Any, **_: Any) -> Any:
            if threading.get_ident() != own:
                return None
            kept.append(request)
            return AWSResponse(request.url, 200, {}, io.BytesIO())

        options = {"TargetVariant": target.variant, "Accept": target.accept, "ContentType": target.content_type}
        given = {name: value for name, value in options.items() if value}
        events, event = self.client.meta.events, f"before-send.{self._event}"
        events.register_first(event, keep)
        try:
            call(self.client, OPERATION, EndpointName=target.endpoint, Body=b"", **given)
        finally:
            events.unregister(event, keep)
        return kept[0]

    def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Any:
        from botocore.awsrequest import AWSResponse, HeadersDict

        return AWSResponse(self.url, status, HeadersDict(headers), io.BytesIO(body))

    def _parsed(self, status: int, headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        """Return an answer that is an error as botocore reads it, the fields that the service's model has among it."""
        from botocore.awsrequest import HeadersDict
        from botocore.parsers import ResponseParserError

        told = {"status_code": status, "headers": HeadersDict(headers), "body": body, "context": {}}
        try:
            parsed: dict[str, Any] = self._parser.parse(told, self._model.output_shape)
        except (AttributeError, ResponseParserError):  # of something on the way: JSON, but no object
            told["body"] = b""
            parsed = self._parser.parse(told, self._model.output_shape)
        code = parsed.get("Error", {}).get("Code")
        shape = self.client.meta.service_model.shape_for_error_code(code) if code else None
        return {**parsed, **self._parser.parse(told, shape)} if shape is not None else parsed


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
