"""What the variants of an endpoint must be together: what the service would refuse only after things were created."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from sm_magics.spec.problems import clipped

if TYPE_CHECKING:
    from sm_magics.spec.fields import Form

__all__ = ["SHADOW", "VARIANTS", "check_together"]

VARIANTS, SHADOW = "variants", "shadow"  # the keys of a cell, and where the fields of its variants lie in a form
MAX_VARIANTS = 10

Variants = Mapping[str, Mapping[str, Any]]


def check_together(variants: Variants, shadow: Variants, config: Mapping[str, Any], form: Form) -> None:
    """Add to `form` what is wrong with the fields of all variants, by name, and the endpoint config that holds them."""
    count = len(variants) + len(shadow)
    if count > MAX_VARIANTS:
        message = f"{count} variants; an endpoint takes at most {MAX_VARIANTS}"
        form.say(message, None, form.site((VARIANTS,)).key)
    weights = [fields.get("InitialVariantWeight") for fields in variants.values()]
    if weights and all(isinstance(weight, int | float) and weight == 0 for weight in weights):
        place = form.site((VARIANTS,)).key
        form.say("all weights are zero", "give at least one variant a weight above 0", place)
    _check_shadow(variants, shadow, form)
    _check_serverless(variants, shadow, config, form)


def _check_shadow(variants: Variants, shadow: Variants, form: Form) -> None:
    for name in variants.keys() & shadow.keys():  # case matters: nothing says that the service ignores it here
        place = form.site((SHADOW, name)).key
        form.say(f"variant name '{clipped(name)}' is used twice", "give the shadow another name", place)
    place = form.site((SHADOW,)).key
    if len(shadow) > 1:
        form.say(f"{len(shadow)} shadow variants; an endpoint takes at most 1", None, place)
    elif shadow and len(variants) > 1:
        form.say(f"a shadow needs exactly one variant to follow, not {len(variants)}", None, place)


def _check_serverless(variants: Variants, shadow: Variants, config: Mapping[str, Any], form: Form) -> None:
    found = [
        (section, name)
        for section, members in ((VARIANTS, variants), (SHADOW, shadow))
        for name, fields in members.items()
        if "ServerlessConfig" in fields
    ]
    if not found:
        return
    if len(variants) + len(shadow) > 1:
        place = form.site((*found[0], "ServerlessConfig")).key
        form.say(f"'{clipped(found[0][1])}' is serverless and must be the only variant", None, place)
    capture = config.get("DataCaptureConfig")
    if isinstance(capture, dict) and capture.get("EnableCapture"):
        place = form.site(("DataCaptureConfig",)).key
        form.say("a serverless variant cannot be captured", "remove one of the two", place)
