"""What a cell need not say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

__all__ = ["CAPTURE_DEFAULTS", "variant_defaults"]

CAPTURE_DEFAULTS: Mapping[str, Any] = {
    "EnableCapture": True,
    "InitialSamplingPercentage": 100,
    "CaptureOptions": [{"CaptureMode": "Input"}, {"CaptureMode": "Output"}],
    "CaptureContentTypeHeader": {"CsvContentTypes": ["text/csv"], "JsonContentTypes": ["application/json"]},
}


def variant_defaults(members: Container[str]) -> dict[str, Any]:
    """Return the fields that a variant with `members` has unless it says otherwise."""
    if "ServerlessConfig" in members:
        return {"InitialVariantWeight": 1}
    instance = {} if "InstancePools" in members else {"InstanceType": "ml.m5.large"}
    return {**instance, "InitialInstanceCount": 1, "InitialVariantWeight": 1}
