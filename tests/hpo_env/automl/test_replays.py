"""The course of a run, replayed on all rows: how often, in what ways, and when time is short."""

from __future__ import annotations

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


@pytest.mark.parametrize("library", tuple(BOOSTERS))
@pytest.mark.parametrize(("linear_start", "shares"), [(0.75, (0.75, 0.75, 1.0, 0.4)), (0.0, ())])
def test_the_mean_of_several_replays_predicts(
    library: str, linear_start: float, shares: tuple[float, ...]
) -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(
        library=library,
        n_estimators=20,
        initial={"row_fraction": 0.6, "column_fraction": 0.6},
        linear_start=linear_start,
        random_state=0,
    ).fit(x, y)
    (replays,) = model._fit.models
    assert [one.num_rounds for one in replays] == [model.n_iter_] * 4
    assert tuple(one.begins.share for one in replays if one.begins) == pytest.approx(shares)
    said = [one.outputs(x)[:, 0] for one in replays]
    assert len({tuple(one) for one in said}) == 4
    mean = np.mean(said, axis=0) * y.std() + y.mean()
    np.testing.assert_allclose(model.predict(x), mean, rtol=1e-9)


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
        clock["now"] += 40.0 if slow else 1.0
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


def test_ctrl_c_in_the_linear_model_of_the_refit_leaves_the_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The rows that train have a model by then."""

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=20, random_state=0)
    monkeypatch.setattr(fitting, "LinearStart", type("Interrupted", (), {"of": interrupted}))
    with pytest.warns(ControllerWarning, match="has grown on the rows that train alone"):
        model.fit(x, y)
    assert not model.is_refitted_
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
