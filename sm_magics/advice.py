"""What to do about what the service says: one line for each reason that is known, found by a part of its text."""

from __future__ import annotations

import re

__all__ = ["ALARMED", "advice"]

ALARMED = "the new fleet set the alarm off and the old one serves again: mend what it answers, or how fast"

_ENDPOINT = re.compile(r":endpoint/([\w-]+)")  # in an ARN
_COLUMNS = "send as many columns as the model was trained on, in the same order, as numbers"
_ENDED = "nothing answers on this machine: if it was the embedded engine, run the cell again, which starts it"
_ADVICE = (
    # why a fleet did not start
    ("did not pass the ping health check", "the container started but cannot serve the model; its log says why"),
    ("Failed to download model data", "check that the artifact exists and that the role may read it"),
    ("Failed to extract model data", "make the artifact a gzip-compressed tar of plain files, without links"),
    ("InsufficientInstanceCapacity", "AWS has none of these instances free: try another instance type, or later"),
    ("account-level service limit", "ask for more in Service Quotas, or use fewer or other instances"),
    ("CannotStartContainerError", "the container ended as it was started with 'serve'; its log says why"),
    ("images included in the model", "check the image and that the role may pull it"),
    ("AutoRollbackConfiguration", ALARMED),
    # why a call was refused
    ("Cannot update in-progress endpoint", "it is being changed right now: wait with %sm_status NAME --wait"),
    ("Could not access model data", "check that the artifact exists and that the role may read it"),
    ("security token included in the request is expired", "renew your AWS credentials, then run the cell again"),
    ("token has expired", "renew your AWS credentials, then run the cell again"),
    ("is not authorized", "the role or your credentials lack a permission that the message names"),
    ("Rate exceeded", "AWS is asked too often: wait a moment, then run the cell again"),
    ('Could not connect to the endpoint URL: "http://127.0.0.1', _ENDED),
    ('valid response from endpoint URL: "http://127.0.0.1', _ENDED),
    ("Could not connect to the endpoint URL", "nothing answers there: check the network, then run the cell again"),
    ("timeout on endpoint URL", "no answer in time: check the network, then run the cell again"),
    # why an invocation failed
    ("Could not find variant", "%sm_status NAME shows the endpoint's variants"),
    ("of account", "%sm_status shows which endpoints there are, and whether they serve yet"),
    ("Feature size", _COLUMNS),
    ("Number of columns", _COLUMNS),
    ("unable to evaluate payload", _COLUMNS),
    ("could not convert string to float", "send numbers only: encode text columns as the training did"),
    ("is not an accepted ContentType", "choose a type that the container takes: --content-type text/csv"),
    ("invocation timed out", "none in 60 s: %sm_status NAME shows whether an instance is ready, %sm_logs NAME why not"),
    ("content length exceeded", "an invocation may carry 6 MiB: send fewer rows at a time"),
)


def advice(text: str) -> str | None:
    """Return what to do about an error, None when its text says nothing that is known."""
    what = next((what for part, what in _ADVICE if part in text), None)
    name = _ENDPOINT.search(text)
    return what.replace("NAME", name[1]) if what and name else what
