"""One run in the single environment, step by step: the slow way to what opponents do in many."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from agents.opponents.base import Instance, Outcome
from hpo_env.env import HPOControlEnv

Act = Callable[[NDArray[np.float32]], NDArray[np.float64]]


def run_by_hand(
    instance: Instance, act: Act | None = None, *, family: str, **arguments: Any
) -> dict[str, Any]:
    """Run an instance once, doing nothing by default; return what was measured, by name."""
    env = HPOControlEnv(family=family, tasks=[instance.task], **arguments)
    observation, info = env.reset(seed=instance.lane_seed)
    found: dict[str, Any] = {"first_loss": info["validation_loss"], "losses": [], "values": []}
    over = False
    while not over:
        moves = np.zeros(env.action_space.shape or ()) if act is None else act(observation[None])[0]
        observation, _, over, _, info = env.step(moves.astype(np.float32))
        found["losses"].append(float(info["validation_loss"]))
        found["values"].append({n: float(v) for n, v in info["hyperparameters"].items()})
    return {**info, **found}


def assert_same(outcome: Outcome, found: dict[str, Any]) -> None:
    """Check that an outcome is, bit for bit, what was found by hand."""
    assert outcome.diverged == bool(found["diverged"])
    assert outcome.first_loss == found["first_loss"]
    num_trained = len(found["losses"])
    finite = num_trained - 1 if outcome.diverged else num_trained
    assert outcome.validation_loss[:finite].tolist() == found["losses"][:finite]
    assert np.isnan(outcome.validation_loss[finite:]).all()
    for name, values in outcome.hyperparameters.items():
        assert values[:num_trained].tolist() == [row[name] for row in found["values"]]
        assert np.isnan(values[num_trained:]).all()
    if not outcome.diverged:
        assert outcome.last_loss == found["losses"][-1]
        assert outcome.test_loss == found["test_loss"]
        np.testing.assert_array_equal(outcome.test_metric, found.get("test_metric", np.nan))
