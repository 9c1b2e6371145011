"""The plan of a change of weights alone: from what is there, without a cell."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sm_magics.errors import PlanError
from sm_magics.plan.actions import Plan, reshare
from sm_magics.target import Share

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sm_magics.target import Live

__all__ = ["reweigh"]


def reweigh(endpoint: str, live: Live, weights: Mapping[str, float], counts: Mapping[str, int] | None = None) -> Plan:
    """Return the call that gives each variant of a live endpoint its weight, in place; none where they have them.

    A variant gets as many instances as `counts` says, and keeps what it has where that says nothing.

    Raises
    ------
    PlanError
        When the service would refuse it, or the variants are no longer those of `weights`.
    """
    if live.in_progress:
        return Plan(endpoint, live.config_name, live.shares, settle_first=True)
    if live.status != "InService":
        told = f"endpoint '{endpoint}' is {live.status or 'gone'}, and weights are changed in service only"
        raise PlanError(told, hint=f"%sm_status {endpoint} says more")
    if weights.keys() != live.shares.keys():
        told = f"the variants of endpoint '{endpoint}' are {' and '.join(live.shares)}, not {' and '.join(weights)}"
        raise PlanError(told, hint="they were changed meanwhile: look at it, and run the cell again")
    if not any(weights.values()):
        raise PlanError("all weights are 0: no variant would get any traffic")
    wanted = {name: Share(weights[name], (counts or {}).get(name, share.count)) for name, share in live.shares.items()}
    return Plan(endpoint, live.config_name, wanted, tuple(reshare(endpoint, wanted, live)))
