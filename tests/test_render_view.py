from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sm_magics.render.view import BAR_CELLS, bar


@pytest.mark.parametrize(("share", "full"), [(0.0, 0.0), (0.5, 0.5), (0.8, 0.8), (1.0, 1.0), (1.7, 1.0), (-0.1, 0.0)])
def test_a_bar_is_as_full_as_the_share(share, full):
    filled = round(full * BAR_CELLS)
    assert bar(share) == "█" * filled + "░" * (BAR_CELLS - filled)


@given(st.floats(0, 1), st.floats(0, 1))
def test_a_bar_always_has_the_same_length_and_grows_with_the_share(one, other):
    assert len(bar(one)) == BAR_CELLS
    assert one > other or bar(one).count("█") <= bar(other).count("█")
