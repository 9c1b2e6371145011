"""`%sm_compare` in a notebook, on a real engine."""

from __future__ import annotations

import json
import time
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from conftest import TWO_VARIANTS, Deployer
from sklearn.linear_model import LinearRegression

from sm_magics.errors import CellError, InvokeError
from sm_magics.results import Compared


@pytest.fixture(scope="module")
def served(connection, linear, xgb):
    """Return an endpoint of these tests' own: what they send moves its shares out of step for who counts exactly."""
    Deployer(connection, {"linear": linear, "xgb": xgb}).run("sides", TWO_VARIANTS)
    return "sides"


@pytest.fixture
def book(notebook):
    notebook.variables["frame"] = pd.DataFrame(notebook.variables["X"]).add_prefix("c")
    return notebook


def test_each_row_goes_to_both_variants_and_the_better_one_is_named(book, served):
    found = book.run(f"%sm_compare {served} --data $X --target $y --metric rmse").result
    assert isinstance(found, Compared)
    assert found.verdict.best == "Linear-Model"
    assert [len(each) for each in found.comparison.samples] == [200, 200]
    frame = found.to_frame()
    linear = frame[frame.variant == "Linear-Model"]
    expected = book.variables["linear"].predict(book.variables["X"])
    assert linear.prediction.to_numpy(float) == pytest.approx(expected, rel=1e-3)


def test_a_split_follows_the_weights(book, served):
    found = book.run(f"%sm_compare {served} --data $X --target $y --metric mae --split").result
    counts = {each.variant: len(each) for each in found.comparison.samples}
    assert counts == pytest.approx({"Linear-Model": 160, "XGB-Model": 40}, abs=4)
    assert found.verdict.cautions == ()


def test_without_truths_a_split_compares_speed(book, served):
    found = book.run(f"%sm_compare {served} --data $X --rows 30").result
    assert found.verdict.outcome == "unknown"
    assert found.comparison.rows == 30


def test_a_cell_says_the_same_as_a_line(book, served):
    line = book.run(f"%sm_compare {served} --data $frame --target $y --metric rmse --by c0 --rows 150").result
    cell = book.run(
        f"%%sm_compare {served} -o kept\ndata: $frame\ntarget: $y\nmetric: rmse\nby: c0\nrows: 150\n"
        "price: {ml.m5.large: 0.115}"
    ).result
    assert book.variables["kept"] is cell or book.variables["kept"].verdict == cell.verdict
    assert cell.verdict == line.verdict
    assert [each.label for each in cell.comparison.slices] == [each.label for each in line.comparison.slices]
    assert set(cell.comparison.costs) == {"Linear-Model", "XGB-Model"}


def test_it_ends_when_the_rows_are_enough(book, served):
    found = book.run(f"%sm_compare {served} --data $X --target $y --metric mae --until significant --seed 5").result
    assert found.comparison.enough == 100
    again = book.run(f"%sm_compare {served} --data $X --target $y --metric mae --until significant --seed 5").result
    assert again.verdict == found.verdict


def test_the_same_model_twice_is_no_difference(book, deployer, name):
    deployer.run(name, "variants: {A: $xgb, B: $xgb}")
    found = book.run(f"%sm_compare {name} --data $X --target $y --metric r2").result
    assert found.verdict.outcome == "same"
    assert found.verdict.sentence == "No difference: both gave the same predictions for all 200 rows."


def first_number(told):
    """Return the one prediction in what either container answers as JSON."""
    while not isinstance(told, float | int):
        told = next(iter(told.values())) if isinstance(told, dict) else told[0]
    return told


def test_functions_of_the_notebook_measure_write_and_read(book, served):
    book.variables["worst"] = lambda truths, predictions: float(np.abs(truths - predictions).max())
    book.variables["write"] = lambda row: ",".join(map(str, row))
    book.variables["read"] = lambda body: first_number(json.loads(body))
    how = "--serialize $write --parse $read --content-type text/csv --accept application/json"
    what = "--data $X --target $y --metric $worst --better lower --rows 40 --variants Linear-Model,XGB-Model"
    found = book.run(f"%sm_compare {served} {what} {how}")
    assert found.result.comparison.design.measure.name == "<lambda>"
    assert found.result.verdict.best == "Linear-Model"


def test_captured_requests_are_compared_without_sending_any(book, deployer, name):
    deployer.run(name, "variants: {A: $linear, B: $xgb}\ncapture: {to: s3://bucket/cap, sample: 100%}")
    book.run(f"%sm_invoke {name} --data $X --rows 200 --inference-id row")
    book.variables["truths"] = pd.Series(book.variables["y"], index=[f"row-{n}" for n in range(200)])
    deadline = time.monotonic() + 30
    while True:
        ran = book.cell(f"%sm_compare {name} --from-capture --target $truths --metric rmse")
        if ran.error is None and ran.result.comparison.rows == 200:
            break
        assert time.monotonic() < deadline, ran.shown
        time.sleep(0.5)
    assert "from captured requests" in ran.shown
    assert ran.result.verdict.best == "A"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("", "nothing to send"),
        ("--data $X --target $y", "by which metric?"),
        ("--data $X --metric rmse", "--metric needs true values"),
        ("--data $X --target $y --metric rmsee", "unknown metric 'rmsee'"),
        ("--data $X --target $y --metric rmse --paired --split", "--paired and --split say the opposite"),
        ("--data $X --target $short --metric rmse", "--target has 5 values for 200 rows"),
        ("--data $X --target $holes --metric rmse", "--target has no value for row 3"),
        ("--data $X --target $unlabelled --metric accuracy", "--target has no value for row 3"),
        ("--data $X --target $undefined --metric accuracy", "--target has no value for row 3"),
        ("--data $X --target $infinite --metric rmse", "--target has no finite value for row 3: inf"),
        ("--data $X --target $infinite --metric $raises --better lower", "--target has no finite value for row 3: inf"),
        ("--data $X --target $odd --metric rmse", "--target has no number for row 1: 'x'"),
        ("--data $X --target $short --rows 6 --metric rmse", "--target has 5 values for 6 rows"),
        (
            "--data $X --target $y --metric $raises --better lower --rows 30",
            "--metric <lambda> raised ZeroDivisionError",
        ),
        ("--data $X[:0]", "items by a number or a text, are read here: give the result a name in a cell above"),
        ("--data $X --rows 0", "--rows 0: it takes at least 1"),
        ("--data $X --concurrency 0", "--concurrency 0: it takes at least 1"),
        ("--data $X --concurrency 9000", "--concurrency 9000: it takes at most 256"),
        ("--data $X --by c0", "--by shows quality, which needs true values"),
        ("--data $X --target $y --metric rmse --by c0", "--by names a column of a data frame"),
        ("--data $frame --target $y --metric rmse --by c99", "--data has no column 'c99'"),
        ("--data $X --until significant", "--until significant needs rows that go to every variant"),
        ("--data $X --target $y --metric auc --until significant", "needs a metric that is a mean over rows"),
        ("--data $X --variants Linear-Model", "a comparison needs two variants"),
        ("--data $none --target $none --metric rmse", "--data has no rows"),
        ("--data $X --target $y --metric rmse --by $long", "--by has 201 values for 200 rows"),
        ("--data $X --variants Linear-Model,XGB-Modell", "has no variant 'XGB-Modell'\n  did you mean 'XGB-Model'"),
        ("--data $X --content-type image/png", "--data is sent as text/csv or application/jsonlines"),
        ("--data $X --serialize $y", "--serialize takes a function, not a ndarray"),
        ("--data $X --parse $y", "--parse takes a function, not a ndarray"),
        ("--from-capture --target $y --metric rmse --data $X", "--data does not go with --from-capture"),
        ("--from-capture", "--from-capture needs --target"),
        ("--from-capture --target $by_id --metric rmse", "endpoint 'sides' captures nothing"),
    ],
)
def test_what_cannot_be_compared_is_told(book, served, options, told):
    holes = np.array(book.variables["y"])
    holes[3] = np.nan
    infinite, odd = np.array(book.variables["y"]), pd.Series(book.variables["y"], dtype=object)
    infinite[3], odd.iloc[1] = np.inf, "x"
    book.variables.update(infinite=infinite, odd=odd, raises=lambda *_: 1 / 0)
    labels = [["yes", "no"][at % 2] for at in range(200)]
    book.variables["unlabelled"] = [*labels[:3], float("nan"), *labels[4:]]
    book.variables["undefined"] = [*labels[:3], pd.NA, *labels[4:]]
    book.variables.update(short=[1.0] * 5, holes=holes, by_id={"a": 1.0}, none=[], long=[1] * 201)
    assert told in book.fails(f"%sm_compare {served} {options}", CellError)


def test_truths_of_the_rows_that_are_sent_are_enough(book, served):
    how = "--metric rmse --rows 50 --seed 3"
    whole = book.run(f"%sm_compare {served} --data $X --target $y {how}").result
    book.variables["part"] = book.variables["y"][:100]
    part = book.run(f"%sm_compare {served} --data $X --target $part {how}").result
    assert (part.verdict, part.comparison.rows) == (whole.verdict, 50)
    book.variables["part"] = pd.Series(book.variables["y"])[:100][::-1]
    assert book.run(f"%sm_compare {served} --data $frame --target $part {how}").result.verdict == whole.verdict


def test_a_split_is_between_the_variants_with_a_weight(book, deployer, name):
    models = "B: {model: $xgb, weight: 1}, C: {model: $xgb, weight: "
    deployer.run(name, f"variants: {{A: {{model: $linear, weight: 1}}, {models}0}}}}")
    found = book.run(f"%sm_compare {name} --data $X --target $y --metric rmse --split").result
    assert [each.variant for each in found.comparison.samples] == ["A", "B"]
    told = book.fails(f"%sm_compare {name} --data $X --split --variants A,C", CellError)
    assert f"a split needs two variants with a weight: endpoint '{name}' sends all rows to A" in told
    assert "--paired sends each row to every variant" in told
    deployer.run(name, f"variants: {{A: {{model: $linear, weight: 1}}, {models}2}}}}")
    told = book.fails(f"%sm_compare {name} --data $X --split --variants A,B", CellError)
    assert "by the weights, rows go to C, too: a split cannot leave a variant out" in told


def test_an_endpoint_that_is_none_is_told(book):
    assert "there is no endpoint 'nowhere'" in book.fails("%sm_compare nowhere --data $X", CellError)


def test_a_variant_that_takes_no_row_is_told_early(book, served):
    book.variables["wide"] = np.ones((500, 40))
    told = book.fails(f"%sm_compare {served} --data $wide --paired", InvokeError)
    assert "answered none of the first 20 rows" in told


def test_a_cell_with_wrong_keys_tells_them_all(book, served):
    told = book.fails(f"%%sm_compare {served}\ndata: $X\nmetrik: rmse\n", CellError)
    assert "line 3: unknown key 'metrik'" in told
    assert "did you mean 'metric'?" in told
    assert "rows takes a whole number" in book.fails(f"%%sm_compare {served}\ndata: $X\nrows: many", CellError)
    assert "split is true or false" in book.fails(f"%%sm_compare {served}\ndata: $X\nsplit: maybe", CellError)
    assert "until takes" in book.fails(f"%%sm_compare {served}\ndata: $X\nuntil: tomorrow", CellError)
    assert "price takes what an instance costs" in book.fails(f"%%sm_compare {served}\ndata: $X\nprice: 3", CellError)


def test_code_outside_of_cells_compares_by_the_object(book, served):
    endpoint = book.run(f"%sm_status {served}").result
    rows, truths = book.variables["X"], book.variables["y"]
    found = endpoint.compare(rows, truths, "rmse")
    assert found.verdict == book.run(f"%sm_compare {served} --data $X --target $y --metric rmse").result.verdict
    assert endpoint.compare(rows, truths, "mae", split=True, seed=3).comparison.design.seed == 3
    with pytest.raises(CellError, match="a comparison has no option 'metrics'\n  did you mean 'metric'"):
        endpoint.compare(rows, metrics="rmse")


HOW = "--target $y --metric rmse"


@pytest.fixture
def mixed(book, name):
    """Return the name of an endpoint whose models were fitted with names, and put rows in another order into $mixed."""
    frame, truths = book.variables["frame"], book.variables["y"]
    book.variables.update(mixed=frame[frame.columns[::-1]], named=LinearRegression().fit(frame, truths))
    book.run(f"%%sm_endpoint {name}\nvariants: {{A: {{model: $named, weight: 1}}, B: {{model: $named, weight: 0}}}}")
    return name


def test_columns_in_another_order_than_a_model_s_are_refused_before_a_row_is_sent(book, mixed):
    told = "--data has its columns in another order than the model of variant 'A' takes them: column 0 is c12"
    assert told in book.fails(f"%sm_compare {mixed} --data $mixed {HOW}", CellError)
    assert told in book.fails(f"%%sm_compare {mixed}\ndata: $mixed\ntarget: $y\nmetric: rmse\n", CellError)
    endpoint = book.run(f"%sm_status {mixed}").result
    with pytest.raises(CellError, match="another order than the model of variant 'A'"):
        endpoint.compare(book.variables["mixed"], book.variables["y"], "rmse")
    assert endpoint.compare(book.variables["frame"], book.variables["y"], "rmse").verdict.best is None
    steps = f"%sm_traffic {mixed} B --steps 10 --every 1s --guard rmse"
    assert "another order" in book.fails(f"{steps} --data $mixed --target $y", CellError)


def test_a_function_that_writes_the_rows_may_put_them_in_order(book, mixed):
    book.variables["write"] = lambda row: ",".join(map(str, reversed(row))).encode()
    found = book.run(f"%sm_compare {mixed} --data $mixed {HOW} --serialize $write").result
    frame = found.to_frame()
    expected = book.variables["named"].predict(book.variables["frame"])
    assert frame[frame.variant == "A"].prediction.to_numpy(float) == pytest.approx(expected, rel=1e-3)


def test_truths_may_be_decimal_numbers(book, served):
    book.variables["exact"] = [Decimal(str(each)) for each in book.variables["y"]]
    found = book.run(f"%sm_compare {served} --data $X --target $exact --metric rmse").result
    assert found.verdict == book.run(f"%sm_compare {served} --data $X --target $y --metric rmse").result.verdict


def test_an_interrupt_of_the_statistics_keeps_all_answers(book, served):
    def interrupted(truths, predictions):
        if len(truths) == len(book.variables["y"]):
            raise KeyboardInterrupt
        return float(abs(truths - predictions).mean())

    book.variables["mine"] = interrupted
    line = f"%sm_compare {served} --data $X --target $y --metric $mine --better lower -o kept"
    ran = book.run(line)
    assert "the statistics were interrupted" in ran.shown
    assert len(book.variables["kept"].to_frame()) == 2 * len(book.variables["X"])
    endpoint = book.run(f"%sm_status {served}").result
    found = endpoint.compare(book.variables["X"], book.variables["y"], interrupted, better="lower")
    assert "the statistics were interrupted" in found.verdict.sentence
    assert len(found.to_frame()) == 2 * len(book.variables["X"])


def test_code_outside_of_cells_keeps_what_was_measured_until_an_interrupt_too(book, served):
    def rows():
        yield from book.variables["X"][:60].tolist()
        raise KeyboardInterrupt

    found = book.run(f"%sm_status {served}").result.compare(rows(), book.variables["y"][:100], "rmse")
    assert found.comparison.interrupted
    assert 0 < found.comparison.rows <= 60
    assert "It was interrupted; this is what was measured until then." in str(found)


def test_an_iterator_of_more_rows_than_truths_is_told(book, served):
    book.variables.update({"stream": iter(book.variables["X"][:30].tolist()), "few": book.variables["y"][:20]})
    ran = book.run(f"%sm_compare {served} --data $stream --target $few --metric rmse")
    found = ran.result
    assert found.comparison.rows == 20
    assert "--data has more rows than --target has values, 20" in " ".join(found.verdict.cautions)
    assert all(each in " ".join(ran.shown.split()) for each in found.verdict.cautions)
    book.variables["stream"] = iter(book.variables["X"][:30].tolist())
    found = book.run(f"%sm_compare {served} --data $stream --target $few --metric rmse --rows 20").result
    assert found.verdict.cautions == ()  # so many were asked for
