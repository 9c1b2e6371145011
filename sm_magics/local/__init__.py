"""The embedded engine: SageMaker's endpoints on this machine, for any client of SageMaker.

`start()` finds or starts the engine that notebooks use; `python -m sm_magics.local --state DIR` runs one on its own.
"""

from __future__ import annotations

from sm_magics.local.start import RunningEngine, start

__all__ = ["RunningEngine", "start"]
