"""Ray Serve: one deployment behind its HTTP proxy, a CSV row a request."""

from __future__ import annotations

import os
import signal
import sys
import threading

import numpy as np
import ray
import xgboost
from ray import serve


@serve.deployment(num_replicas=1)
class Predict:
    """Answers CSV with CSV."""

    def __init__(self, path: str) -> None:
        self.booster = xgboost.Booster(model_file=path)
        self.booster.set_param({"nthread": 1})

    async def __call__(self, request):
        text = (await request.body()).decode()
        rows = np.array([[float(cell) for cell in line.split(",")] for line in text.splitlines()])
        return "\n".join(map(str, self.booster.inplace_predict(rows, validate_features=False).tolist()))


if __name__ == "__main__":
    ray.init(num_cpus=2, include_dashboard=False, logging_level="error", log_to_driver=False)
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Predict.bind(os.environ["MODEL"]))
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    ended.wait()
    ray.shutdown()
