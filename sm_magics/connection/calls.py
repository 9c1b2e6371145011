"""One call of a boto3 client, and what its errors say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics.advice import advice
from sm_magics.errors import ServiceError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["call", "is_forbidden", "is_missing", "refused", "unreached"]


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
        raise refused(operation, error.response) from error
    except BotoCoreError as error:
        raise unreached(operation, error) from error


def refused(operation: str, response: Mapping[str, Any]) -> ServiceError:
    """Return the error of a call that the service refused, by its answer as boto3 gives it."""
    told = response.get("Error", {})
    code, text = told.get("Code", ""), told.get("Message", "")
    return ServiceError(operation, code, text, response, hint=advice(text))


def unreached(operation: str, error: Exception) -> ServiceError:
    """Return the error of a call that had no answer, by botocore's exception."""
    return ServiceError(operation, type(error).__name__, str(error), {}, hint=advice(str(error)))


def is_missing(error: ServiceError) -> bool:
    """Whether an error says that there is no such thing."""
    return error.code in {"ValidationException", "ResourceNotFound"} and "Could not find" in error.message


def is_forbidden(error: ServiceError) -> bool:
    """Whether an error says that we may not make the call."""
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    return status == 403 or error.code.startswith("AccessDenied")  # noqa: PLR2004 - HTTP's Forbidden
