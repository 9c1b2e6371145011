"""The difference between what is asked for and what the service says, as calls to make: pure, no I/O.

`plan(target, live)` is total: every pair gives a plan or a `PlanError`, and applying a plan reaches the target. It
compares with the live endpoint, not only with its config, because weights and counts drift from the config by design.
"""

from __future__ import annotations

from sm_magics.plan.actions import Action, Plan
from sm_magics.plan.cell import plan
from sm_magics.plan.differences import difference
from sm_magics.plan.versions import at_once, config_of, promoted, switch
from sm_magics.plan.weights import reweigh

__all__ = ["Action", "Plan", "at_once", "config_of", "difference", "plan", "promoted", "reweigh", "switch"]
