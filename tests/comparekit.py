"""What tests of comparisons share: variants that answer without a service, and comparisons that are over."""

from __future__ import annotations

import numpy as np

from sm_magics.compare.comparison import concluded
from sm_magics.compare.exchange import Outcome
from sm_magics.compare.experiment import Design, Run, run
from sm_magics.compare.measures import measure_of
from sm_magics.errors import ServiceError


def design(**options):
    """Return a design of two variants by rmse."""
    told = {"weights": {"A": 1.0, "B": 1.0}, "measure": measure_of("rmse")} | options
    return Design("boston", **told)


class Variants:
    """A load client without a service: each variant is a function from a row's first value to a prediction.

    A variant that returns None refuses the row; `sent` are the requests that it was asked.
    """

    def __init__(self, **answers):
        self.answers = answers
        self.sent = []

    def __call__(self, _connection, _target, requests, **_options):
        for number, request in enumerate(requests):
            self.sent.append(request)
            name = request.variant or list(self.answers)[number % len(self.answers)]
            value = self.answers[name](float(request.body.split(b",")[0]))
            if value is None:
                error = ServiceError("InvokeEndpoint", "ModelError", "no", {})
                yield Outcome(request, "", 424, b"", "", 0.01, 0.01, 2, error)
            else:
                yield Outcome(request, name, 200, str(value).encode(), "text/csv", 0.01 + number / 1e6, 0.01, 1)


def compared(rows=60, *, answers=None, truths=None, order=None, data=None, by=None, prices=None, **options):
    """Return a comparison that is over, and the variants that were asked."""
    values = np.arange(float(rows))[:, None] if data is None else data
    answering = answers or {"A": lambda x: x + np.sin(7 * x), "B": lambda x: x + 3 * np.cos(5 * x)}
    variants = Variants(**answering)
    told = design(**options)
    truths = np.arange(float(rows)) if truths is None and told.measure else truths
    made = Run(told, truths=truths if order is None or truths is None else truths[order], order=order)
    seen = list(run(None, made, values, count=rows, sending=variants))
    return concluded(made, by=by, prices=prices), variants, seen
