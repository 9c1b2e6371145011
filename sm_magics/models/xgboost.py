"""xgboost models as artifacts of the xgboost image: one JSON file that the image's own version reads without a change.

Two things go wrong silently or late when the image's xgboost is older than the notebook's, so both are decided here.
From 3.1 on the intercept is saved as a list, which older versions load without an error and misread. And what newer
versions save, older ones cannot load at all: `_requirement` says from which version on. Both were tried with xgboost
1.0.2, 1.2.0, 1.3.3, 1.5.2, 1.7.4 and 3.0.5 on files saved by 3.2.0.

xgboost itself is never imported: the object brings its methods along.
"""

from __future__ import annotations

import json
import re
from typing import Any

from sm_magics.errors import PackagingError
from sm_magics.models import images
from sm_magics.models.types import Packed

__all__ = ["FILE_NAME", "is_xgboost", "pack"]

Release = tuple[int, int]

FILE_NAME = "xgboost-model"
DEFAULT, NEWEST = "xgboost@3.0-5", "xgboost@3.2-0"
_DEFAULT_RELEASE = (3, 0)
_LIST_INTERCEPT: Release = (3, 1)  # the first release that saves, and reads, the intercept as a list

# A text inside JSON cannot hold these quotes unescaped, so no feature's name is taken for it.
_BASE_SCORE = re.compile(rb'("learner_model_param":\{"base_score":)"\[([^"\]]*)\]"')
_VECTOR_LEAF = re.compile(rb'"size_leaf_vector":"(?![01]")')
_OBJECTIVES_OF_2_0 = {"rank:ndcg", "rank:map", "rank:pairwise", "reg:quantileerror", "reg:squaredlogerror"}


def is_xgboost(value: object) -> bool:
    """Whether `value` is an object of xgboost, or of a class derived from one of its classes."""
    return any(base.__module__.partition(".")[0] == "xgboost" for base in type(value).__mro__)


def pack(value: Any, name: str, version: str | None = None) -> Packed:
    """Turn a Booster or a fitted estimator of xgboost into the files of an artifact.

    Parameters
    ----------
    value
        The object; early stopping is honoured: only the rounds up to the best one are packed.
    name
        What to call it in messages.
    version
        The version of the xgboost image that has to serve it; None to choose one.

    Raises
    ------
    PackagingError
        When it is not fitted, is no model, or the image's xgboost could not serve it faithfully.
    """
    booster = _best_rounds(_booster(value, name))
    raw = bytes(booster.save_raw("json"))
    needed, reason = _requirement(raw, _learner(booster)["objective"]["name"])
    image = DEFAULT if needed <= _DEFAULT_RELEASE else NEWEST
    target = _release(version or image.partition("@")[2])
    if target is not None and target < needed:
        raise PackagingError(f"xgboost@{version} cannot serve {name}: {reason}", hint=_way_out(needed))
    if target is None or target < _LIST_INTERCEPT:
        raw = _with_plain_intercept(raw)
    return Packed(image, files={FILE_NAME: raw})


def _booster(value: Any, name: str) -> Any:
    """Return the Booster of a model, which is sure to be fitted."""
    if hasattr(value, "get_booster"):
        fitted = getattr(value, "__sklearn_is_fitted__", None)
        value = None if fitted is not None and not fitted() else value.get_booster()
    elif not hasattr(value, "save_raw"):
        raise PackagingError(
            f"{name} is a {type(value).__name__}, which is no model", hint="give a Booster or a fitted estimator"
        )
    if value is None or not _rounds(value):
        raise PackagingError(f"{name} is not fitted", hint="train it before it is deployed")
    return value


def _rounds(booster: Any) -> int:
    try:
        return int(booster.num_boosted_rounds())
    except ValueError:  # XGBoostError: a Booster without a model
        return 0


def _best_rounds(booster: Any) -> Any:
    """Return the booster up to its best round: newer images would use all, older ones only those."""
    best = booster.attr("best_iteration")
    if best is None or int(best) + 1 >= _rounds(booster) or _learner(booster)["gradient_booster"]["name"] == "gblinear":
        return booster
    return booster[: int(best) + 1]


def _learner(booster: Any) -> Any:
    return json.loads(booster.save_config())["learner"]


def _requirement(raw: bytes, objective: str) -> tuple[Release, str]:
    """Return the oldest release that serves a model faithfully, and why."""
    intercept = _BASE_SCORE.search(raw)
    if intercept and len(set(intercept[2].split(b","))) > 1:
        return _LIST_INTERCEPT, "its intercept differs between its outputs, which xgboost before 3.1 misreads"
    if objective in _OBJECTIVES_OF_2_0:
        return (2, 0), f"xgboost before 2.0 cannot load {objective}"
    if _VECTOR_LEAF.search(raw):
        return (2, 0), "xgboost before 2.0 cannot load trees with several outputs"
    return (1, 7), "xgboost before 1.7 cannot load the JSON of today's xgboost"


def _with_plain_intercept(raw: bytes) -> bytes:
    """Write an intercept of equal entries as one number, which every release reads alike."""

    def plain(found: re.Match[bytes]) -> bytes:
        entries = set(found[2].split(b","))
        return found[1] + b'"' + entries.pop() + b'"' if len(entries) == 1 else found[0]

    return _BASE_SCORE.sub(plain, raw)


def _release(version: str) -> Release | None:
    """Return which xgboost is in an image; None when its version does not say."""
    if version in {"1", "latest"}:
        return 0, 72
    found = re.match(r"(\d+)\.(\d+)", version)
    return (int(found[1]), int(found[2])) if found else None


def _way_out(needed: Release) -> str:
    able = [f"xgboost@{v}" for v in images.versions("xgboost") if (_release(v) or (0, 0)) >= needed]
    retrain = " or train it with base_score=0.5" if needed == _LIST_INTERCEPT else ""
    return f"use {', '.join(able)}{retrain}"
