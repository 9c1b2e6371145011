"""Objects of the notebook that are models: which kind each is, and what it turns into."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from sm_magics.errors import PackagingError
from sm_magics.models import xgboost
from sm_magics.models.images import Known, image_uri, recognise
from sm_magics.models.types import Packed

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["columns", "pack"]

SUPPORTED = (
    "a Booster or an estimator of xgboost, a linear model of scikit-learn, an SDK estimator or model with model_data, "
    "the name of a SageMaker model, or {image, data, env}"
)


def pack(value: object, name: str, image: str | None, region: str) -> Packed:
    """Turn an object into what its container needs.

    Parameters
    ----------
    value
        The object.
    name
        What to call it in messages: the expression in the cell.
    image
        The URI of the image that the cell names, if it names one; it goes before the object's own.
    region
        The region whose registry to take a prebuilt image from.

    Returns
    -------
    Packed
        With the URI of the image, or None where neither the cell nor the object has one.

    Raises
    ------
    PackagingError
        When the object is no model that can be packed, or the image is one that could not serve it.
    """
    known = recognise(image) if image else None
    if xgboost.is_xgboost(value):
        _check_image(value, name, known, "xgboost")
        packed = xgboost.pack(value, name, known.version if known else None)
    elif _is_estimator(value):
        from sm_magics.models import linear  # noqa: PLC0415 - numpy is loaded only for objects that have loaded it

        packed = linear.pack(value, name)
        _check_image(value, name, known, linear.IMAGE)
    elif hasattr(type(value), "model_data") or "model_data" in getattr(value, "__dict__", ()):
        packed = _of_sdk(value, name)
    else:
        raise PackagingError(f"{name} is a {type(value).__name__}, which is no model", hint=f"supported: {SUPPORTED}")
    uri = image or (packed.image and image_uri(packed.image, region))
    return Packed(uri, packed.files, packed.data_url, packed.environment)


def columns(value: object) -> tuple[str, ...]:
    """Return the names of the columns that a model was trained on, in their order; none where it does not know them."""
    for attribute in ("feature_names_in_", "feature_names"):  # of estimators, and of a Booster
        found = _attribute(value, attribute)
        if isinstance(found, Iterable) and not isinstance(found, str) and (names := tuple(map(str, found))):
            return names
    return ()


def _is_estimator(value: object) -> bool:
    """Whether `value` follows the conventions of scikit-learn; SDK estimators have `fit` but no `get_params`."""
    return hasattr(value, "coef_") or (hasattr(value, "fit") and hasattr(value, "get_params"))


def _check_image(value: object, name: str, known: Known | None, needed: str) -> None:
    if known is not None and known.name != needed:
        raise PackagingError(
            f"{name} is a {type(value).__name__}, which the image {known} cannot serve from here",
            hint=f"leave the image out, or use one of {needed}",
        )


def _of_sdk(value: Any, name: str) -> Packed:
    data = _attribute(value, "model_data")
    if not isinstance(data, str) or not data.startswith("s3://"):
        raise PackagingError(
            f"{name} is a {type(value).__name__} without model_data on S3",
            hint="train it first, or write {image, data} with the URI of its model.tar.gz",
        )
    image = _attribute(value, "image_uri") or _attribute(value, "training_image_uri")
    return Packed(image if isinstance(image, str) else None, data_url=data, environment=_environment(value))


def _environment(value: Any) -> Mapping[str, str]:
    for name in ("env", "environment"):
        environment = _attribute(value, name)
        if isinstance(environment, dict):
            return environment
    return {}


def _attribute(value: Any, name: str) -> Any:
    """Return an attribute, called if it is a method; None where it is missing or cannot be told yet."""
    with contextlib.suppress(Exception):  # an estimator that has not been trained raises all sorts of things
        found = getattr(value, name)
        return found() if callable(found) else found
    return None
