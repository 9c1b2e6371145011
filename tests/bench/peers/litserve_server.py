"""LitServe, one worker, rows as JSON."""

from __future__ import annotations

import os
import sys

import litserve
import numpy as np
import xgboost


class Predict(litserve.LitAPI):
    """Answers {"rows": [[…]]} with the predictions."""

    def setup(self, device):
        self.booster = xgboost.Booster(model_file=os.environ["MODEL"])
        self.booster.set_param({"nthread": 1})

    def decode_request(self, request):
        return np.array(request["rows"])

    def predict(self, rows):
        return self.booster.inplace_predict(rows, validate_features=False)

    def encode_response(self, answers):
        return {"predictions": answers.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Predict(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False, log_level="warning")
