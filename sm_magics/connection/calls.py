"""One call of a boto3 client, and what its errors say."""

from __future__ import annotations

from typing import Any

from sm_magics.advice import advice
from sm_magics.errors import ServiceError

__all__ = ["call", "is_forbidden", "is_missing"]


def call(client: Any, operation: str, **request: Any) -> Any:
    """Make one call of a boto3 client, by the operation's own name.

    Raises
    ------
    ServiceError
        When the service refuses it or cannot be reached; `code` is the service's own.
    """
    from botocore import xform_name
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        return getattr(client, xform_name(operation))(**request)
    except ClientError as error:
        told = error.response.get("Error", {})
        code, text = told.get("Code", ""), told.get("Message", "")
        raise ServiceError(operation, code, text, error.response, hint=advice(text)) from error
    except BotoCoreError as error:
        raise ServiceError(operation, type(error).__name__, str(error), {}, hint=advice(str(error))) from error


def is_missing(error: ServiceError) -> bool:
    """Whether an error says that there is no such thing."""
    return error.code in {"ValidationException", "ResourceNotFound"} and "Could not find" in error.message


def is_forbidden(error: ServiceError) -> bool:
    """Whether an error says that we may not make the call."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 403 or error.code.startswith("AccessDenied")  # noqa: PLR2004 - HTTP's Forbidden
