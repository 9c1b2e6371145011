"""libxgboost through its documented C API, without the Python package around it, which would bring numpy and scipy.

The library is the one that the installed xgboost wheel ships. One booster belongs to one thread: its results are read
from memory that the next prediction overwrites.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import sys
import weakref
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from sm_magics.local.containers.contract import LoadError
from sm_magics.local.containers.tables import Dense, Sparse, Table

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterator

__all__ = ["Booster", "LibraryError", "Predictions", "check", "library", "library_version"]

_PREDICT = (
    b'{"type":0,"training":false,"iteration_begin":0,"iteration_end":0,"strict_shape":false,"missing":NaN,"cache_id":0}'
)
_ONE_THREAD = b'{"nthread":1}'
_NEW_MATRIX = b'{"missing":NaN,"nthread":1}'
_LIBRARY_FILE = {"win32": "xgboost.dll", "darwin": "libxgboost.dylib"}.get(sys.platform, "libxgboost.so")


class LibraryError(Exception):
    """What libxgboost complains of, without the stack trace that it appends."""

    shown_as = "<class 'xgboost.core.XGBoostError'>"  # how the container's answers name it


class Predictions(NamedTuple):
    """What a model says of some rows: `width` numbers for each, one after the other; one plain number if it is None."""

    values: list[float]
    width: int | None

    def rows(self) -> list[float] | list[list[float]]:
        """Return one number or list of numbers for each row."""
        if self.width is None:
            return self.values
        return [self.values[start : start + self.width] for start in range(0, len(self.values), self.width)]

    def part(self, first: int, count: int) -> Predictions:
        """Return the predictions of `count` rows from row `first` on."""
        width = self.width or 1
        return Predictions(self.values[first * width : (first + count) * width], self.width)


@cache
def library() -> ctypes.CDLL:
    """Load libxgboost. Starts no threads.

    Raises
    ------
    LoadError
        When no xgboost is installed.
    """
    spec = importlib.util.find_spec("xgboost")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = [path for place in places if (path := Path(place, "lib", _LIBRARY_FILE)).is_file()]
    if not found:
        raise LoadError("xgboost is not installed here; install it with: pip install xgboost-cpu")
    try:
        loaded = ctypes.CDLL(str(found[0]))
    except OSError as error:
        raise LoadError(f"libxgboost cannot be loaded: {error}; reinstall it: pip install xgboost-cpu") from None
    loaded.XGBGetLastError.restype = ctypes.c_char_p
    return loaded


def library_version() -> tuple[int, int]:
    """Return major and minor version of the library."""
    parts = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    library().XGBoostVersion(*map(ctypes.byref, parts))
    return parts[0].value, parts[1].value


class Booster:
    """One trained model, predicting on one thread with all its trees.

    Parameters
    ----------
    model
        The content of a model file: JSON or UBJSON.

    Raises
    ------
    LibraryError
        When libxgboost cannot read it.
    LoadError
        When no xgboost is installed.
    """

    def __init__(self, model: bytes) -> None:
        self._library = library()
        self._library.XGBSetGlobalConfig(_ONE_THREAD)  # a setting of the calling thread; loading heeds no other
        self._shape = ctypes.POINTER(ctypes.c_uint64)()
        self._dimensions = ctypes.c_uint64()
        self._result = ctypes.POINTER(ctypes.c_float)()
        self._predict_dense = self._library.XGBoosterPredictFromDense  # looked up once: it is called the most
        self._outputs = tuple(map(ctypes.byref, (self._shape, self._dimensions, self._result)))
        self._handle = self._new("XGBoosterFree", "XGBoosterCreate", None, ctypes.c_uint64(0))
        self._proxy = self._new("XGDMatrixFree", "XGProxyDMatrixCreate")  # making one anew takes half of a prediction
        self._call("XGBoosterLoadModelFromBuffer", self._handle, model, ctypes.c_uint64(len(model)))
        self._call("XGBoosterSetParam", self._handle, b"nthread", b"1")
        self._describe()

    def _new(self, free: str, create: str, *arguments: object) -> ctypes.c_void_p:
        handle = ctypes.c_void_p()
        self._call(create, *arguments, ctypes.byref(handle))
        weakref.finalize(self, getattr(self._library, free), handle)
        return handle

    def _describe(self) -> None:
        columns = ctypes.c_uint64()
        self._call("XGBoosterGetNumFeature", self._handle, ctypes.byref(columns))
        length, text = ctypes.c_uint64(), ctypes.c_char_p()
        self._call("XGBoosterSaveJsonConfig", self._handle, ctypes.byref(length), ctypes.byref(text))
        learner = json.loads(text.value or b"{}")["learner"]
        self.columns = columns.value
        self.objective = str(learner["objective"]["name"])
        self.classes = int(learner["learner_model_param"]["num_class"])
        self._in_place = learner["gradient_booster"]["name"] != "gblinear"  # which cannot predict without a DMatrix

    def predict(self, table: Dense) -> Predictions:
        """Predict rows of exactly `columns` values, the fast way, which does not look for infinite values."""
        if not self._in_place:
            return self.predict_checked(table)
        if self._predict_dense(self._handle, _dense(table), _PREDICT, self._proxy, *self._outputs):
            raise _last_error()
        return self._predictions()

    def predict_sparse(self, table: Sparse) -> Predictions:
        """Predict sparse rows whose indices are all below `columns`."""
        if not self._in_place:
            return self.predict_checked(table)
        options = (ctypes.c_uint64(self.columns), _PREDICT, self._proxy, *self._outputs)
        self._call("XGBoosterPredictFromCSR", self._handle, *_sparse(table), *options)
        return self._predictions()

    def predict_checked(self, table: Table) -> Predictions:
        """Predict as the Python package does: by way of a DMatrix, with all of libxgboost's checks."""
        with _matrix(table) as matrix:
            self._call("XGBoosterPredictFromDMatrix", self._handle, matrix, _PREDICT, *self._outputs)
        return self._predictions()

    def _predictions(self) -> Predictions:
        rows, *more = self._shape[: self._dimensions.value]
        width = None
        for length in more:
            width = (width or 1) * length
        return Predictions(self._result[: rows * (width or 1)], width)

    def _call(self, name: str, *arguments: object) -> None:
        if getattr(self._library, name)(*arguments):
            raise _last_error()


def check(table: Table) -> None:
    """Raise the LibraryError that libxgboost has for data which it refuses, such as infinite values."""
    with _matrix(table):
        pass


@contextmanager
def _matrix(table: Table) -> Iterator[ctypes.c_void_p]:
    matrix = ctypes.c_void_p()
    new = ctypes.byref(matrix)
    if isinstance(table, Dense):
        failed = library().XGDMatrixCreateFromDense(_dense(table), _NEW_MATRIX, new)
    else:
        failed = library().XGDMatrixCreateFromCSR(*_sparse(table), ctypes.c_uint64(table.columns), _NEW_MATRIX, new)
    if failed:
        raise _last_error()
    try:
        yield matrix
    finally:
        library().XGDMatrixFree(matrix)


def _dense(table: Dense) -> bytes:
    return b'{"data":[%d,true],"shape":[%d,%d],"typestr":"<f4","version":3}' % (
        table.values.buffer_info()[0],
        table.rows,
        table.columns,
    )


def _sparse(table: Sparse) -> tuple[bytes, bytes, bytes]:
    return _vector(table.starts, b"u8"), _vector(table.indices, b"u8"), _vector(table.values, b"f4")


def _vector(values: array[int] | array[float], kind: bytes) -> bytes:
    address, length = values.buffer_info()
    return b'{"data":[%d,true],"shape":[%d],"typestr":"<%b","version":3}' % (address, length, kind)


def _last_error() -> LibraryError:
    said = library().XGBGetLastError().decode(errors="replace")
    return LibraryError(said.partition("\nStack trace")[0].rstrip())
