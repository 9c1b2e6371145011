"""Which files of a model directory xgboost's container takes for models, and how it loads them.

Every regular file at the top level is a model, whatever its name: a pickled Booster, or a file that Booster.load_model
reads. More than one file is an ensemble; a file that is no model breaks the loading.
"""

from __future__ import annotations

import io
import logging
import pickle
import pickletools
import re
from array import array
from typing import TYPE_CHECKING

from sm_magics.local.containers import ubjson
from sm_magics.local.containers.contract import LoadError
from sm_magics.local.containers.tables import Dense, Sparse
from sm_magics.local.containers.xgboost_library import Booster, LibraryError, library_version
from sm_magics.local.containers.xgboost_model import Model

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from sm_magics.local.containers.tables import Table
    from sm_magics.local.containers.xgboost_dialect import Dialect

__all__ = ["load_model"]

_log = logging.getLogger(__name__)
_MOST_TRIED = 2**16  # columns
_JSON = re.compile(rb'\{\s*"')


def load_model(model_dir: Path, dialect: Dialect, environment: Mapping[str, str]) -> Model:
    """Load the model files of a directory.

    Raises
    ------
    LoadError
        When a file is no model that the container and the installed xgboost can load, or when there is none.
    """
    try:
        paths = _model_files(model_dir, dialect)
        if not paths:
            raise LoadError("Unable to load model: list index out of range")
        if not dialect.ensembles or environment.get("SAGEMAKER_INFERENCE_ENSEMBLE", "true") != "true":
            paths = paths[:1]  # the container takes the first of an arbitrary order
        loaded = [_load(path, dialect) for path in paths]
    except OSError as error:
        raise LoadError(f"Unable to load model: {error}") from None
    boosters = [booster for booster, _ in loaded]
    model = Model(boosters, pickled=loaded[0][1], ignores_extra_columns=dialect.ignores_extra_columns)
    _try(model)
    return model


def _try(model: Model) -> None:
    """Predict a row of zeros, and one without values.

    libxgboost crashes on trees that point nowhere when it walks them: here that fails the instance's start, later it
    would end instance after instance. What it only complains of, it will tell whoever asks.
    """
    tables: list[Table] = [Sparse(array("Q", [0, 0]), array("Q"), array("f"), model.columns)]
    if model.columns <= _MOST_TRIED:
        tables.append(Dense(array("f", bytes(4 * model.columns)), 1, model.columns))
    for table in tables:
        model.predict([table])


def _model_files(model_dir: Path, dialect: Dialect) -> list[Path]:
    files = sorted(path for path in model_dir.iterdir() if path.is_file())
    return [path for path in files if not (dialect.skips_dotfiles and path.name.startswith("."))]


def _load(path: Path, dialect: Dialect) -> tuple[Booster, bool]:
    """Return the booster in a file and whether it was pickled."""
    data = path.read_bytes()
    try:
        model, pickled = _unpickle(data), True
    except Exception as error:  # noqa: BLE001 - a pickle may raise anything
        booster, pickled = _load_native(path, data, error), False
    else:
        booster = _booster_of(model, path)
    _warn(path, data, dialect)
    return booster, pickled


def _load_native(path: Path, data: bytes, pickle_error: Exception) -> Booster:
    try:
        _check_whole(data)
        return Booster(data)
    except (LibraryError, ValueError) as error:
        if _is_outdated(data):
            version = "{}.{}".format(*library_version())
            raise LoadError(
                f"Unable to load model: {_place(path)} holds an old format of xgboost, which the installed "
                f"{version} cannot read; load it with the version that wrote it, or with any before 3.1, and save it "
                "as JSON: booster.save_model('xgboost-model.json')"
            ) from None
        raise LoadError(
            f"Unable to load model: Model {_place(path)} cannot be loaded:\n"
            f"Pickle load error={pickle_error}\nXGB load model error={error}"
        ) from None


def _place(path: Path) -> str:
    """Return where the container has the file, as its messages say it."""
    return f"/opt/ml/model/{path.name}"


def _check_whole(data: bytes) -> None:
    """Raise a ValueError for a cut file that libxgboost would not survive."""
    if not data:
        raise ValueError("the file is empty")
    if data.startswith(b"{") and not _JSON.match(data):
        ubjson.check(data)


def _unpickle(data: bytes) -> object:
    """Load a pickle, as the container does before anything else; this imports what the pickle names."""
    _check_memo(data)
    return pickle.loads(data)  # noqa: S301 - the container's contract; a worker is a process of its own


def _check_memo(data: bytes) -> None:
    """Refuse a pickle that would make the unpickler reserve memory for more entries than the file has bytes."""
    try:
        for opcode, argument, _ in pickletools.genops(io.BytesIO(data)):
            if opcode.name in {"PUT", "LONG_BINPUT"} and isinstance(argument, int) and argument > len(data):
                raise pickle.UnpicklingError("memo index out of range")
    except ValueError:
        return  # the unpickler will stop there too, with its own words


def _booster_of(model: object, path: Path) -> Booster:
    """Turn an unpickled Booster of the Python package into ours."""
    if not hasattr(model, "set_param"):  # as XGBClassifier, which only the Python package's own predict understands
        raise LoadError(f"Unable to load model: '{type(model).__name__}' object has no attribute 'set_param'")
    try:
        return Booster(bytes(model.save_raw(raw_format="ubj")))  # type: ignore[attr-defined]
    except Exception as error:
        raise LoadError(f"Unable to load model: Model {_place(path)} cannot be loaded:\n{error}") from error


def _is_outdated(data: bytes) -> bool:
    """Whether a file is, or a pickle embeds, what xgboost 3.1 dropped.

    That is the binary format, known by the name of a booster after its length as a little-endian 64-bit number, and the
    JSON that pickles of 1.3 to 1.5 hold.
    """
    names = (b"gbtree", b"gblinear", b"dart")
    return b'{"Config":' in data or any(len(name).to_bytes(8, "little") + name in data for name in names)


_JSON_MODELS, _UBJSON_MODELS = (1, 0), (1, 6)  # the first versions of xgboost that read them
_VECTOR_INTERCEPTS = (3, 1)
# base_score as text that starts with a bracket, in JSON or in UBJSON, where its length stands in between
_VECTOR_INTERCEPT = re.compile(rb'base_score(?:"\s*:\s*"|SL.{8})\[', re.DOTALL)


def _warn(path: Path, data: bytes, dialect: Dialect) -> None:
    """Log what the real image would do differently with this file, whose xgboost is not the one installed here."""
    image = "{}.{}".format(*dialect.xgboost)
    if dialect.xgboost < _VECTOR_INTERCEPTS and _VECTOR_INTERCEPT.search(data):
        _log.warning(
            "%s was saved by xgboost 3.1 or later: the real image, with xgboost %s, would load it without an error and "
            "misread its intercept (base_score), so that predictions differ; use the image 3.2-0, or let sm_magics "
            "package the model",
            path,
            image,
        )
    first = _JSON_MODELS if _JSON.match(data) else _UBJSON_MODELS
    if data.startswith(b"{") and dialect.xgboost < first:
        _log.warning("%s is in a format that the real image, with xgboost %s, could not load", path, image)
