"""MLServer with its XGBoost runtime, rows by the V2 inference protocol; the model runs in the server's process."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

if __name__ == "__main__":
    port, folder = sys.argv[1], Path(sys.argv[2])
    settings = {
        "host": "127.0.0.1",
        "http_port": int(port),
        "grpc_port": int(port) + 1000,
        "metrics_port": int(port) + 2000,
        "parallel_workers": 0,
        "debug": False,
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "bench",
        "implementation": "mlserver_xgboost.XGBoostModel",
        "parameters": {"uri": os.environ["MODEL"]},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    command = "from mlserver.cli import main; main()"
    os.execv(sys.executable, [sys.executable, "-c", command, "start", str(folder)])
