from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.opponents.search_space import SearchSpace
from hpo_env.errors import UnknownNameError
from hpo_env.tasks.registry import make_family

SPACE = make_family("supervised").space
SMOOTH = tuple(name for name in SPACE.names if name != "batch_size")


@given(st.lists(st.floats(0.0, 1.0), min_size=len(SMOOTH), max_size=len(SMOOTH)))
def test_points_come_back_from_their_values(point: list[float]) -> None:
    search = SearchSpace(SPACE, SMOOTH)
    values = search.decode(np.array([point]), SPACE.defaults)
    np.testing.assert_allclose(search.encode(values), [point], atol=1e-9)


def test_the_cube_covers_the_ranges_but_for_rates_that_nobody_would_try() -> None:
    search = SearchSpace(SPACE, SPACE.names)
    ends = search.decode(np.array([[0.0] * len(SPACE), [1.0] * len(SPACE)]), SPACE.defaults)
    np.testing.assert_allclose(ends[1], SPACE.high)
    np.testing.assert_allclose(ends[0], [1e-5, *SPACE.low[1:]])


def test_the_middle_of_the_cube_is_the_middle_of_each_scale() -> None:
    search = SearchSpace(SPACE, ("learning_rate", "momentum", "dropout", "batch_size"))
    middle = search.decode(np.full((1, 4), 0.5), SPACE.defaults)[0]
    by_name = dict(zip(SPACE.names, middle, strict=True))
    assert by_name["learning_rate"] == pytest.approx(10**-2.5)
    assert by_name["momentum"] == pytest.approx(1.0 - 1e-3**0.5)
    assert by_name["dropout"] == pytest.approx(0.25)
    batch_size = SPACE.hyperparameters[SPACE.index("batch_size")]
    assert by_name["batch_size"] == round((batch_size.low * batch_size.high) ** 0.5)


def test_what_is_not_searched_keeps_the_users_value() -> None:
    own = SPACE.defaults * 0.5
    values = SearchSpace(SPACE, ("weight_decay",)).decode(np.array([[0.3], [0.9]]), own)
    others = [name != "weight_decay" for name in SPACE.names]
    np.testing.assert_array_equal(values[:, others], np.tile(own[others], (2, 1)))
    assert values[0, 1] < values[1, 1]


def test_what_the_family_has_not_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="'learning_rate'"):
        SearchSpace(SPACE, ("learning_rat",))
