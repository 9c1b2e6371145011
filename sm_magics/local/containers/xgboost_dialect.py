"""What differs between the versions of xgboost's container, as plain facts about one image."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Dialect", "dialect"]


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one image behaves; `xgboost` is the version inside it."""

    xgboost: tuple[int, int]
    one_line_answers: bool  # predictions joined by commas, whatever the Accept header says
    selectable_output: bool  # SAGEMAKER_INFERENCE_OUTPUT works
    ensembles: bool  # several model files are one model
    skips_dotfiles: bool
    shifts_libsvm: bool  # indices that start from one are moved to start from zero
    ignores_extra_columns: bool
    numpy_2: bool


def dialect(tag: str) -> Dialect:
    """Return the dialect of an image tag like `1.7-1` or `0.90-2-cpu-py3`; an unknown tag is taken for the newest."""
    found = re.match(r"(\d+)\.(\d+)(?:-(\d+))?", tag)
    if found:
        version, revision = (int(found[1]), int(found[2])), int(found[3] or 1)
    else:
        version, revision = ((0, 72), 1) if tag == "1" else ((99, 0), 1)
    return Dialect(
        xgboost=version,
        one_line_answers=(*version, revision) < (1, 2, 2),
        selectable_output=version >= (1, 0),
        ensembles=version >= (1, 2),
        skips_dotfiles=version >= (1, 7),
        shifts_libsvm=version >= (3, 2),
        ignores_extra_columns=version < (1, 2),
        numpy_2=version >= (3, 0),
    )
