from __future__ import annotations

import numpy as np

from agents.opponents.starts import lowest_start, start_grid
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.tasks.registry import family_class


def leading(family: str) -> Hyperparameter:
    known = family_class(family)
    return next(h for h in known.hyperparameters if h.name == known.leading())


def test_the_grid_of_a_rate_has_two_values_a_decade_but_for_the_lowest_decade() -> None:
    np.testing.assert_allclose(start_grid(leading("supervised")), np.logspace(-5, 0, 11))
    assert lowest_start(leading("supervised")) == 1e-5


def test_what_no_schedule_multiplies_starts_anywhere_in_its_range() -> None:
    known = leading("local_level")
    assert lowest_start(known) == known.low
    grid = start_grid(known)
    assert (grid[0], grid[-1]) == (known.low, known.high)


def test_other_scales_have_an_even_grid_on_their_axis() -> None:
    usual = {"name": "h", "default": 0.5, "max_step": 2.0}
    linear = Hyperparameter(**usual, low=-1.0, high=1.0, scale="linear")  # type: ignore[arg-type]
    np.testing.assert_allclose(start_grid(linear), np.linspace(-1.0, 1.0, 11))
    momentum = Hyperparameter(**usual, low=0.0, high=0.999, scale="one_minus_log")  # type: ignore[arg-type]
    np.testing.assert_allclose(1.0 - np.array(start_grid(momentum)), np.logspace(0, -3, 11))


def test_whole_numbers_of_a_short_range_come_up_once() -> None:
    depth = Hyperparameter(
        name="depth", low=1.0, high=4.0, default=2.0, max_step=2.0, scale="log_integer"
    )
    assert start_grid(depth) == (1.0, 2.0, 3.0, 4.0)
