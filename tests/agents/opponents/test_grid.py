from __future__ import annotations

import numpy as np
import pytest

from agents.opponents.grid import grid_levels, grid_points


@pytest.mark.parametrize(
    ("num_points", "num_hyperparameters", "levels"),
    [(9, 2, [3, 3]), (8, 2, [4, 2]), (8, 3, [2, 2, 2]), (1, 3, [1, 1, 1]), (7, 1, [7])],
)
def test_levels_are_even_and_the_first_knob_has_the_most(
    num_points: int, num_hyperparameters: int, levels: list[int]
) -> None:
    assert grid_levels(num_points, num_hyperparameters) == levels


def test_the_grid_is_every_combination_of_the_middles() -> None:
    expected = [[x, y] for x in (1 / 6, 3 / 6, 5 / 6) for y in (1 / 4, 3 / 4)]
    np.testing.assert_allclose(grid_points(6, 2), expected)
