"""Exponential smoothing is best at the Kalman gain, and the telemetry points there."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.local_level import (
    LocalLevelFamily,
    LocalLevelTask,
    kalman_gain,
    stationary_error,
)

RATIOS = [0.01, 0.1, 1.0, 10.0]


def run(ratio: float, factor: float) -> tuple[float, float]:
    """Mean forecast error and agreement over the second half of a long run."""
    task = LocalLevelTask(name="x", num_decisions=30, initial=(factor,), noise_ratio=ratio)
    trainer = LocalLevelFamily().make_trainer(2, engine="auto", device="cpu")
    trainer.reset(np.arange(2), [task] * 2, [1, 2])
    seen = [trainer.advance(np.full((2, 1), factor))[0] for _ in range(30)][15:]
    errors = [t.validation_loss.mean() for t in seen]
    return float(np.mean(errors)), float(np.mean([t.update_agreement.mean() for t in seen]))


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_long_run_error_is_what_the_formula_says(ratio: float) -> None:
    for factor in (kalman_gain(ratio), 0.5):
        assert run(ratio, factor)[0] == pytest.approx(stationary_error(ratio, factor), rel=0.03)


@pytest.mark.parametrize("ratio", RATIOS)
def test_the_kalman_gain_is_the_best_factor(ratio: float) -> None:
    grid = np.linspace(0.01, 1.0, 400)
    best = grid[np.argmin([stationary_error(ratio, a) for a in grid])]
    assert best == pytest.approx(kalman_gain(ratio), abs=0.005)


@pytest.mark.parametrize("ratio", RATIOS)
def test_successive_errors_agree_below_the_gain_and_oppose_above_it(ratio: float) -> None:
    gain = kalman_gain(ratio)
    assert run(ratio, gain / 2)[1] > 0.02
    assert abs(run(ratio, gain)[1]) < 0.03
    assert run(ratio, min(1.0, gain * 1.5))[1] < -0.01


def test_resetting_one_lane_leaves_the_others_alone() -> None:
    family = LocalLevelFamily()
    tasks: list[Any] = [family.sample(np.random.default_rng(k)) for k in range(2)]
    values = np.full((2, 1), 0.3)

    def losses(reset_other: bool) -> list[float]:
        trainer = family.make_trainer(2, engine="auto", device="cpu")
        trainer.reset(np.arange(2), tasks, [1, 2])
        first = trainer.advance(values)[0].validation_loss[0]
        if reset_other:
            trainer.reset(np.array([1]), tasks[1:], [7])
        return [first, trainer.advance(values)[0].validation_loss[0]]

    assert losses(reset_other=True) == losses(reset_other=False)
