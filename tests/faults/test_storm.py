from __future__ import annotations

import pytest
import storm


@pytest.mark.parametrize("seed", range(3))
def test_a_killed_engine_knows_afterwards_what_it_acknowledged(seed, tmp_path):
    wrong, (acknowledged, _, _), _ = storm.storm(seed, tmp_path)
    assert not wrong
    assert acknowledged
