from __future__ import annotations

import pytest

from sm_magics.local.containers.xgboost_dialect import dialect


@pytest.mark.parametrize(
    ("tag", "version", "flags"),
    [
        ("1", (0, 72), {"one_line_answers", "ignores_extra_columns"}),
        ("0.90-2-cpu-py3", (0, 90), {"one_line_answers", "ignores_extra_columns"}),
        ("1.0-1-cpu-py3", (1, 0), {"one_line_answers", "ignores_extra_columns", "selectable_output"}),
        ("1.2-1", (1, 2), {"one_line_answers", "selectable_output", "ensembles"}),
        ("1.2-2", (1, 2), {"selectable_output", "ensembles"}),
        ("1.3-1", (1, 3), {"selectable_output", "ensembles"}),
        ("1.5-1", (1, 5), {"selectable_output", "ensembles"}),
        ("1.7-1", (1, 7), {"selectable_output", "ensembles", "skips_dotfiles"}),
        ("3.0-5", (3, 0), {"selectable_output", "ensembles", "skips_dotfiles", "numpy_2"}),
        ("3.2-0", (3, 2), {"selectable_output", "ensembles", "skips_dotfiles", "numpy_2", "shifts_libsvm"}),
        ("latest", (99, 0), {"selectable_output", "ensembles", "skips_dotfiles", "numpy_2", "shifts_libsvm"}),
    ],
)
def test_what_each_image_does(tag, version, flags):
    spoken = dialect(tag)
    assert spoken.xgboost == version
    assert {name for name in spoken.__slots__ if getattr(spoken, name) is True} == flags
