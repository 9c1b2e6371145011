"""BentoML, as `bentoml serve` runs it, rows as JSON."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import bentoml
import xgboost


@bentoml.service(workers=1)
class Predict:
    """Answers {"rows": [[…]]} with the predictions."""

    def __init__(self) -> None:
        self.booster = xgboost.Booster(model_file=os.environ["MODEL"])
        self.booster.set_param({"nthread": 1})

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[float]:
        """Predict one number a row."""
        import numpy as np

        return self.booster.inplace_predict(np.array(rows), validate_features=False).tolist()


if __name__ == "__main__":
    os.chdir(Path(__file__).parent)
    command = ["serve", "bentoml_server:Predict", "--host", "127.0.0.1", "--port", sys.argv[1]]
    os.execv(sys.executable, [sys.executable, "-m", "bentoml", *command])
