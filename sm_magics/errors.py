"""What goes wrong, said so that the reader knows what, where and what to do about it.

Every error of this project derives from `SmError`. In a notebook it shows as its own few lines, without a traceback
through our code; a bug of ours is no `SmError` and keeps its full traceback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "CellError",
    "ConnectError",
    "DeployError",
    "Detached",
    "EngineError",
    "InvokeError",
    "PackagingError",
    "PlanError",
    "ServiceError",
    "SmError",
    "in_words",
]


class _Short:
    """Shows an exception as its own text; IPython and ipykernel call `_render_traceback_`."""

    def _render_traceback_(self) -> list[str]:
        return [f"{type(self).__name__}: {self}"]


class SmError(_Short, Exception):
    """An error that the user can do something about.

    Parameters
    ----------
    message
        What is wrong and where, in a sentence.
    hint
        What to do about it; shown indented on a line of its own.
    """

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint}"


def in_words(error: Exception) -> str:
    """Return an error that a thread met as a card tells it: what is no error of the user's by its name, too."""
    return str(error) if isinstance(error, SmError) else f"{type(error).__name__}: {error}"


class CellError(SmError):
    """The text of a cell or of a magic's line cannot be understood, or asks for what cannot be."""


class PackagingError(SmError):
    """A model cannot be turned into an artifact that its container would load."""


class ConnectError(SmError):
    """There is no usable connection: no credentials, no region, no role, no engine."""


class EngineError(SmError):
    """The embedded engine cannot start or keep its state."""


class PlanError(SmError):
    """What is asked for cannot be reached from what is there; nothing was done."""


class ServiceError(SmError):
    """The service refused a call that was in order on our side, or could not be reached.

    Parameters
    ----------
    operation
        The call, by the service's own name.
    code, message
        What the service said.
    response
        Its whole answer, as boto3 gives it.
    hint
        As for `SmError`.
    """

    def __init__(
        self, operation: str, code: str, message: str, response: Mapping[str, Any], *, hint: str | None = None
    ) -> None:
        super().__init__(f"{operation}: {message or code or 'refused without a reason'}", hint=hint)
        self.operation = operation
        self.code = code
        self.response = response


class DeployError(SmError):
    """An endpoint settled in a state that is not the one asked for, or did not settle in time.

    Parameters
    ----------
    message, hint
        As for `SmError`.
    snapshot
        The endpoint as it was seen last (a `sm_magics.watch.Snapshot`).
    log
        The last lines of the failing variant's log, what is alike as one.
    over
        Whether the service has finished with it; False when only our waiting ended.
    """

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        snapshot: object = None,
        log: tuple[str, ...] | None = None,
        over: bool = False,
    ) -> None:
        super().__init__(message, hint=hint)
        self.snapshot = snapshot
        self.log = log
        self.over = over


class InvokeError(SmError):
    """An endpoint answered an invocation with an error; `variant` is who did, where one alone is meant."""

    def __init__(self, message: str, *, hint: str | None = None, variant: str = "") -> None:
        super().__init__(message, hint=hint)
        self.variant = variant


class Detached(_Short, KeyboardInterrupt):
    """The user interrupted; the service goes on with what it was asked, and the text says what that is.

    A KeyboardInterrupt, so that Run All stops.
    """
