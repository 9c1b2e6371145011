"""What `capture:` says: where requests and answers are written to, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sm_magics.spec.defaults import CAPTURE_DEFAULTS
from sm_magics.spec.problems import clipped

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.spec.fields import Form

__all__ = ["CAPTURE", "TYPES", "filled_capture", "is_path"]

CAPTURE, DESTINATION, TYPES = "DataCaptureConfig", "DestinationS3Uri", "CaptureContentTypeHeader"


def is_path(text: str) -> bool:
    """Whether a text is a path of this machine, or a `file:` URI."""
    return text.startswith(("./", "../", "/", "~", "file:"))


def filled_capture(value: Any, form: Form) -> Any:
    """Return a DataCaptureConfig with what the cell need not say; a text is where to, anything else stays as it is.

    A directory of this machine is kept as it was written: whether it can be used depends on where the endpoint is.
    """
    if isinstance(value, str):
        form.locate((CAPTURE, DESTINATION), form.site((CAPTURE,)))
        value = {DESTINATION: value}
    if not isinstance(value, dict):
        return value
    to = value.get(DESTINATION)
    if isinstance(to, str) and to and (is_path(to) or ":" not in to):
        form.settle((CAPTURE, DESTINATION))
        if not is_path(to):
            site = form.site((CAPTURE, DESTINATION))
            hint = f"for a directory of this machine write ./{clipped(to)}"
            form.say(
                f"{site.label} must be an address such as s3://bucket/prefix, not '{clipped(to)}'", hint, site.value
            )
    return _without_no_types({**CAPTURE_DEFAULTS, **value})


def _without_no_types(config: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out content types that are none, `{}`: the one way to say that nothing is kept as text."""
    return {member: value for member, value in config.items() if member != TYPES or value != {}}
