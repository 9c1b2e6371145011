"""SageMaker's own way: nginx in front of gunicorn with gevent, flask and a DMatrix per request."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from nginx import written

LOCATION = "proxy_pass http://gunicorn; proxy_set_header Host $http_host; proxy_redirect off;"


def application():
    """Return the flask application; gunicorn calls this."""
    import csv

    import flask
    import numpy as np
    import xgboost

    booster = xgboost.Booster(model_file=os.environ["MODEL"])
    booster.set_param({"nthread": 1})
    app = flask.Flask(__name__)

    @app.get("/ping")
    def ping():
        return flask.Response(status=200)

    @app.post("/invocations")
    def invocations():
        text = flask.request.data.decode().strip()
        # The container finds the delimiter anew in every request, fills gaps, and leaves the conversion to numpy.
        delimiter = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
        rows = np.array([[cell or "nan" for cell in line.split(delimiter)] for line in text.split("\n")]).astype(float)
        answers = booster.predict(xgboost.DMatrix(rows), validate_features=False)
        return flask.Response("\n".join(map(str, answers.tolist())), mimetype="text/csv")

    return app


def main() -> None:
    port, folder = sys.argv[1], Path(sys.argv[2])
    user = "user root;\n" if os.geteuid() == 0 else ""  # nginx would become nobody, who may not reach the socket
    upstream = f"upstream gunicorn {{ server unix:{folder}/gunicorn.sock; }}"
    nginx = written(folder, port, LOCATION, upstream=upstream, user=user)
    gunicorn = ["-m", "gunicorn", "-k", "gevent", "-w", "2", "-b", f"unix:{folder}/gunicorn.sock", "--chdir"]
    here = str(Path(__file__).parent)
    running = [
        subprocess.Popen([sys.executable, *gunicorn, here, "sagemaker_stack:application()"]),
        subprocess.Popen(nginx),
    ]
    signal.signal(signal.SIGTERM, lambda *_: [each.terminate() for each in running])
    for each in running:
        each.wait()


if __name__ == "__main__":
    main()
