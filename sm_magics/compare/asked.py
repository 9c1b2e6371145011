"""What a line or a cell asks to have compared, checked against the endpoint, and made into a comparison."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from sm_magics.compare.captured import from_capture, truths_by_id
from sm_magics.compare.comparison import concluded, unjudged
from sm_magics.compare.exchange import prediction_of
from sm_magics.compare.experiment import Design, Run, run
from sm_magics.compare.known import by_of, count_of, flows, truths_of
from sm_magics.compare.measures import measure_of
from sm_magics.errors import CellError
from sm_magics.nearest import did_you_mean
from sm_magics.rows import SERIALIZERS, csv_line
from sm_magics.spec import resolve
from sm_magics.traffic import check_variant

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from sm_magics.compare.comparison import Comparison
    from sm_magics.compare.exchange import Answer, Prediction
    from sm_magics.connection import Connection
    from sm_magics.events import Progress

__all__ = ["Asked", "asked", "asked_by", "compare"]

MOST_CONCURRENT = 256
_OPTIONS: Mapping[str, Any] = {  # and what they are where nobody says
    **dict.fromkeys(("data", "target", "metric", "better", "until", "rows", "by", "variants", "price")),
    **dict.fromkeys(("serialize", "parse", "accept")),
    **dict.fromkeys(("paired", "split", "from_capture"), False),
    "content_type": "text/csv",
    "concurrency": 8,
    "seed": 0,
}


@dataclass(frozen=True, eq=False)
class Asked:
    """A comparison that can begin: following `progress` makes it, and `compare` says what it found.

    `data` has the rows that it sends value by value; None where it sends none, or a function makes their bodies.
    """

    run: Run
    progress: Generator[Progress]
    by: tuple[str, NDArray[Any]] | None
    prices: Mapping[str, float] | None
    captured: bool
    data: Any = None


def compare(wanted: Asked, *, calm: bool = False) -> Comparison:
    """Return what a comparison found so far; where it was interrupted, nothing more is sent.

    Parameters
    ----------
    calm
        Whether an interrupt only ends the statistics: then all answers are there, without a verdict.
    """
    try:
        wanted.progress.close()
        return concluded(wanted.run, by=wanted.by, prices=wanted.prices, captured=wanted.captured)
    except KeyboardInterrupt:
        if not calm:
            raise
        return unjudged(wanted.run, captured=wanted.captured)


def asked_by(connection: Connection, endpoint: str, options: Mapping[str, Any]) -> Asked:
    """Return the comparison that code outside of cells asks for; `options` are those of `asked`, as many as it gives.

    Raises
    ------
    CellError
        As `asked`, and when there is no such option.
    """
    if unknown := sorted(options.keys() - _OPTIONS.keys()):
        hint = did_you_mean(unknown[0], _OPTIONS) or f"there are {', '.join(_OPTIONS)}"
        raise CellError(f"a comparison has no option '{unknown[0]}'", hint=hint)
    return asked(connection, {**_OPTIONS, **options, "name": endpoint}, {})


def asked(connection: Connection, told: Mapping[str, Any], variables: Mapping[str, Any]) -> Asked:
    """Return the comparison that options ask for.

    Parameters
    ----------
    told
        The options of `%sm_compare` by their names; texts that begin with `$` are looked up in `variables`.

    Raises
    ------
    CellError
        When the options contradict each other, or do not fit the endpoint or the data.
    """
    _check_tools()
    told = {key: resolve(each, variables) if _is_name(each) else each for key, each in told.items()}
    _check(told)
    described, weights = _variants(connection, told["name"], told.get("variants"))
    truth = told.get("target") is not None
    pairs = bool(not told["from_capture"] and (told["paired"] or (truth and not told["split"])))
    if not pairs and not told["from_capture"]:
        weights = _weighted(described, weights)
    measure = measure_of(told["metric"], told.get("better")) if truth else None
    design = Design(
        described["EndpointName"],
        weights,
        pairs=pairs,
        measure=measure,
        until=told.get("until") is not None,
        seed=told["seed"],
        concurrency=told["concurrency"],
        content_type=told["content_type"],
        accept=told.get("accept"),
        serialize=_serializer(told),
        parse=_parser(told.get("parse")),
    )
    _check_design(design)
    prices = _prices(connection, described, told.get("price"))
    if told["from_capture"]:
        made = from_capture(design, _captured(connection, described), truths_by_id(told["target"]))
        return Asked(made, _nothing_sent(), None, prices, captured=True)
    data = told["data"]
    count = count_of(data, told.get("rows"))
    if count == 0:
        raise CellError("--data has no rows", hint="nothing was sent")
    truths = truths_of(told["target"], count, data, numbers=measure.numbers) if measure is not None else None
    count = len(truths) if truths is not None else count
    by = by_of(told.get("by"), data, count)
    order = (
        np.random.default_rng(design.seed).permutation(count) if design.until and count and not flows(data) else None
    )
    made = Run(design, truths=truths if order is None or truths is None else truths[order], order=order)
    plain = None if told.get("serialize") is not None else data
    sent = None if flows(data) and told.get("rows") is None else count  # a row too many is seen, and told
    return Asked(made, run(connection, made, data, count=sent), by, prices, captured=False, data=plain)


def _nothing_sent() -> Generator[Progress]:
    yield from ()


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("$")


def _check_tools() -> None:
    from importlib.util import find_spec

    missing = [each for each in ("scipy", "sklearn", "statsmodels", "pandas") if find_spec(each) is None]
    if missing:
        told = f"comparing needs {', '.join(missing)}"
        raise CellError(told, hint="install what it needs: pip install 'sm-magics[compare]'")


def _check(told: Mapping[str, Any]) -> None:
    """Raise when options contradict each other."""
    _check_source(told)
    _check_truth(told)
    for key in ("rows", "concurrency"):
        if told.get(key) is not None and told[key] < 1:
            raise CellError(f"--{key} {told[key]}: it takes at least 1")
    if told["concurrency"] > MOST_CONCURRENT:
        raise CellError(f"--concurrency {told['concurrency']}: it takes at most {MOST_CONCURRENT}")


def _check_source(told: Mapping[str, Any]) -> None:
    if told["paired"] and told["split"]:
        raise CellError("--paired and --split say the opposite of each other", hint="keep one of the two")
    if told["from_capture"]:
        for key in ("data", "paired", "split", "until", "rows", "by"):
            if told.get(key) is not None and told[key] is not False:
                raise CellError(f"--{key} does not go with --from-capture, which sends nothing", hint="leave it out")
        if told.get("target") is None:
            raise CellError("--from-capture needs --target: the truths by InferenceId")
    elif told.get("data") is None:
        raise CellError("nothing to send", hint="add --data $rows, or --from-capture")


def _check_truth(told: Mapping[str, Any]) -> None:
    if told.get("target") is not None and told.get("metric") is None:
        raise CellError(
            "by which metric?", hint="add --metric rmse, mae, mape, r2, accuracy, f1, auc, logloss or $yours"
        )
    if told.get("target") is None and told.get("metric") is not None:
        raise CellError("--metric needs true values", hint="add --target $values")
    if told.get("by") is not None and told.get("target") is None:
        raise CellError("--by shows quality, which needs true values", hint="add --target $values")


def _check_design(design: Design) -> None:
    if not design.until:
        return
    if not design.pairs or design.measure is None:
        raise CellError("--until significant needs rows that go to every variant", hint="add --target, without --split")
    if design.measure.losses is None:
        told = f"--until significant needs a metric that is a mean over rows, which {design.measure.name} is not"
        raise CellError(told, hint="take rmse, mae, mape, r2, accuracy or logloss; or leave --until out")


def _variants(connection: Connection, endpoint: str, wanted: Any) -> tuple[Mapping[str, Any], dict[str, float]]:
    described = connection.describe("Endpoint", endpoint)
    if described is None:
        raise CellError(f"there is no endpoint '{endpoint}'", hint="%sm_status shows all endpoints")
    found = {
        each["VariantName"]: float(each.get("DesiredWeight", 0.0)) for each in described.get("ProductionVariants", ())
    }
    names = list(found)
    if wanted is not None:
        names = [str(each).strip() for each in (wanted.split(",") if isinstance(wanted, str) else wanted)]
        for each in names:
            check_variant(endpoint, each, found)
    names = list(dict.fromkeys(names))
    if len(names) < 2:  # noqa: PLR2004 - a comparison has two sides
        told = f"a comparison needs two variants: endpoint '{endpoint}' has {', '.join(found) or 'none'}"
        raise CellError(
            told, hint="add the other model as a second variant, with a weight of 0 if no user is to get it"
        )
    return described, {each: found[each] for each in names}


def _weighted(described: Mapping[str, Any], weights: Mapping[str, float]) -> dict[str, float]:
    """Return the variants that rows go to by the weights: where they decide, those without one get none."""
    found = {name: weight for name, weight in weights.items() if weight > 0}
    hint = "--paired sends each row to every variant, whatever the weights"
    if len(found) < 2:  # noqa: PLR2004 - a comparison has two sides
        told = f"a split needs two variants with a weight: endpoint '{described['EndpointName']}' sends all rows to"
        raise CellError(f"{told} {', '.join(found) or 'none of these'}", hint=hint)
    others = [
        each["VariantName"]
        for each in described["ProductionVariants"]
        if each.get("DesiredWeight", 0.0) > 0 and each["VariantName"] not in found
    ]
    if others:
        told = f"by the weights, rows go to {', '.join(others)}, too: a split cannot leave a variant out"
        raise CellError(told, hint=f"leave --variants out; or {hint}")
    return found


def _serializer(told: Mapping[str, Any]) -> Callable[[Sequence[Any]], bytes]:
    own = told.get("serialize")
    if own is None:
        if told["content_type"] not in SERIALIZERS:
            hint = "say how a row is written: --serialize $function"
            raise CellError(f"--data is sent as {' or '.join(SERIALIZERS)}", hint=hint)
        return SERIALIZERS.get(told["content_type"], csv_line)
    if not callable(own):
        raise CellError(f"--serialize takes a function, not a {type(own).__name__}")
    return partial(_bytes_of, own)


def _bytes_of(function: Callable[[Sequence[Any]], Any], row: Sequence[Any]) -> bytes:
    made = function(row)
    if isinstance(made, bytes | bytearray):
        return bytes(made)
    if isinstance(made, str):
        return made.encode()
    raise CellError(f"--serialize returned a {type(made).__name__}", hint="let it return text or bytes")


def _parser(own: Any) -> Callable[[Answer], Prediction]:
    if own is None:
        return prediction_of
    if not callable(own):
        raise CellError(f"--parse takes a function, not a {type(own).__name__}")
    return partial(_prediction, own)


def _prediction(function: Callable[[str], Any], answer: Answer) -> Prediction:
    made = function(answer.body)
    if isinstance(made, bool | int | np.number):
        return float(made)
    return tuple(float(each) for each in made) if isinstance(made, list | np.ndarray) else made


def _prices(connection: Connection, described: Mapping[str, Any], price: Any) -> Mapping[str, float] | None:
    """Return what the instances of each variant cost an hour."""
    if price is None:
        return None
    if not isinstance(price, dict) or not all(isinstance(each, int | float) for each in price.values()):
        raise CellError("price takes what an instance costs an hour, by its type", hint="price: {ml.m5.large: 0.115}")
    config = connection.describe("EndpointConfig", described["EndpointConfigName"]) or {}
    counts = {each["VariantName"]: each.get("CurrentInstanceCount") or 1 for each in described["ProductionVariants"]}
    types = {each["VariantName"]: each.get("InstanceType", "") for each in config.get("ProductionVariants", ())}
    return {name: price[types[name]] * counts[name] for name in counts if types.get(name) in price}


def _captured(connection: Connection, described: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    told = described.get("DataCaptureConfig")
    if not told:
        hint = "add capture: {to: s3://bucket/prefix, sample: 100%} to its cell"
        raise CellError(f"endpoint '{described['EndpointName']}' captures nothing", hint=hint)
    for each in connection.artifacts.below(f"{told['DestinationS3Uri'].rstrip('/')}/{described['EndpointName']}"):
        yield each, connection.artifacts.read(each)
