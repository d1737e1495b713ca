"""The course of a run, replayed on all rows: how often, in what ways, and when time is short."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpo_env.automl import ControlledBoostingRegressor, fitting, growing
from hpo_env.automl.boosters import BOOSTERS
from hpo_env.errors import ControllerWarning

pytestmark = pytest.mark.filterwarnings("ignore:there are .* validation rows")


def numbers() -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 5))
    return x, 100.0 + 30.0 * (x[:, 0] + x[:, 1] * x[:, 2]) + rng.normal(size=300)


@pytest.mark.parametrize(
    ("library", "given", "is_random"),
    [
        ("lightgbm", {}, [False, True, False, True]),
        ("lightgbm", {"extra_trees": False}, [False] * 4),
        ("xgboost", {}, [False] * 4),
    ],
)
def test_the_mean_of_several_replays_predicts_half_of_them_with_random_thresholds(
    library: str, given: dict[str, Any], is_random: list[bool]
) -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(
        library=library,
        n_estimators=20,
        initial={"num_leaves": 4, "row_fraction": 0.6, "column_fraction": 0.6},
        library_params=given,
        random_state=0,
    ).fit(x, y)
    (replays,) = model._fit.models
    assert [one.goal.parameters.get("extra_trees", False) for one in replays] == is_random
    longer = math.ceil(1.5 * model.n_iter_)
    assert [one.num_rounds for one in replays] == [
        longer if one else model.n_iter_ for one in is_random
    ]
    said = [one.outputs(x)[:, 0] for one in replays]
    assert len({tuple(one) for one in said}) == 4
    np.testing.assert_allclose(
        model.predict(x), np.mean(said, axis=0) * y.std() + y.mean(), rtol=1e-9
    )
    if library == "lightgbm":
        grown = [one.trees.trees_to_dataframe().groupby("tree_index").size() for one in replays]
        nodes = [per_tree.max() for per_tree in grown]
        assert (nodes[1] > 1.2 * nodes[0]) == is_random[1]


@pytest.mark.parametrize(("slow", "count"), [(False, 4), (True, 2)])
def test_there_are_as_many_replays_as_there_is_time_for(
    slow: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = numbers()
    clock = {"now": 0.0}
    monkeypatch.setattr(time, "monotonic", lambda: clock["now"])
    model = ControlledBoostingRegressor(n_estimators=10, time_budget=100.0, random_state=0)
    replayed = growing.replay

    def slowly(*args: Any, **given: Any) -> Any:
        clock["now"] += 25.0 if slow else 1.0
        return replayed(*args, **given)

    monkeypatch.setattr(fitting, "replay", slowly)
    model.fit(x, y)
    assert [len(replays) for replays in model._fit.models] == [count]
    assert model.is_refitted_
    assert any("the mean of 2 of 4 replays" in note for note in model.notes_) == slow


@pytest.mark.parametrize("library", tuple(BOOSTERS))
def test_ctrl_c_leaves_the_replays_that_are_done(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = BOOSTERS[library]
    monkeypatch.setattr(kind, "update", interrupted_at(45, kind.update))
    x, y = numbers()
    model = ControlledBoostingRegressor(library=library, n_estimators=20, random_state=0)
    with pytest.warns(ControllerWarning, match="interrupted: the model is the mean of 1 of 4"):
        model.fit(x, y)
    assert 20 + model.n_iter_ < 45 <= 20 + 2 * model.n_iter_, "not in the second replay"
    assert [len(replays) for replays in model._fit.models] == [1]
    assert model.is_refitted_
    assert model.score(x, y) > 0.0


def interrupted_at(number: int, update: Callable[[Any], None]) -> Callable[[Any], None]:
    count = 0

    def counted(booster: Any) -> None:
        nonlocal count
        count += 1
        if count == number:
            raise KeyboardInterrupt
        update(booster)

    return counted
