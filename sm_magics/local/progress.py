"""What DescribeEndpoint tells of a deployment that is under way, as it goes on: pure, as `lifecycle` is.

Nothing of it decides anything, and a crash may forget it: the deployment begins anew.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sm_magics.local.lifecycle import marked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from fractions import Fraction

    from sm_magics.local.lifecycle import Endpoint, Variant

__all__ = ["launched", "left", "retiring", "shift"]


def launched(endpoint: Endpoint, counts: Mapping[str, int]) -> Endpoint:
    """Tell how many instances of each variant of the fleet under way answer by now."""
    if endpoint.pending is None:
        return endpoint
    variants = tuple(replace(each, current_count=counts.get(each.name, 0)) for each in endpoint.pending.variants)
    return replace(endpoint, pending=replace(endpoint.pending, variants=variants))


def left(endpoint: Endpoint, counts: Mapping[str, int]) -> Endpoint:
    """Tell how many instances of each variant the old fleet of a deployment has by now."""
    variants = tuple(replace(each, current_count=counts.get(each.name, 0)) for each in endpoint.variants)
    return replace(endpoint, variants=variants)


def shift(endpoint: Endpoint, share: Fraction, status: str, told: Callable[[Variant], str], now: float) -> Endpoint:
    """Tell of a deployment under way: the new fleet has `share` of the traffic, and `status` is what happens to it.

    `told` returns the message for a variant of the new fleet.
    """
    if endpoint.pending is None:
        return endpoint

    def new(each: Variant) -> Variant:
        text = None if each.shadow else told(each)
        since = each.status_since if (each.status, each.status_message) == (status, text) else now
        weight = float(each.desired_weight * share)
        return replace(each, current_weight=weight, status=status, status_message=text, status_since=since)

    pending = replace(endpoint.pending, variants=tuple(map(new, endpoint.pending.variants)))
    left = tuple(replace(each, current_weight=float(each.desired_weight * (1 - share))) for each in endpoint.variants)
    return replace(endpoint, pending=pending, variants=left)


def retiring(endpoint: Endpoint, now: float) -> Endpoint:
    """Tell that the old fleet of a deployment is being stopped."""
    left = tuple(
        replace(marked(each, "Deleting", now), status_message=f"Terminating {each.current_count} instance(s).")
        for each in endpoint.variants
    )
    return replace(endpoint, variants=left)
