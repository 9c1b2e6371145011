"""`mlflow models serve` in its own environment, rows as JSON inputs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

if __name__ == "__main__":
    import mlflow.xgboost
    import xgboost

    port, folder = sys.argv[1], Path(sys.argv[2])
    booster = xgboost.Booster(model_file=os.environ["MODEL"])
    booster.set_param({"nthread": 1})
    mlflow.xgboost.save_model(booster, str(folder / "saved"), pip_requirements=[])
    os.environ["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    serve = ["models", "serve", "-m", str(folder / "saved"), "--env-manager", "local", "-h", "127.0.0.1", "-p", port]
    os.execv(sys.executable, [sys.executable, "-m", "mlflow", *serve])
