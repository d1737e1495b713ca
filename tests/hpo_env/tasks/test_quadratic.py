"""The quadratic's best rates are what its formula says, and nothing beats them."""

from __future__ import annotations

import numpy as np
import pytest

from hpo_env.tasks.quadratic import (
    UPDATES_PER_DECISION,
    QuadraticFamily,
    QuadraticTask,
    optimal_rates,
)

TASK = QuadraticTask(name="q", num_decisions=20, initial=(0.1,), curvature=2.0, noise=0.5)


def simulate(rates: np.ndarray, lanes: int = 200) -> float:
    """Mean loss at the end of runs under one rate an interval."""
    trainer = QuadraticFamily().make_trainer(lanes, engine="auto", device="cpu")
    trainer.reset(np.arange(lanes), [TASK] * lanes, list(range(lanes)))
    for rate in rates:
        telemetry, _ = trainer.advance(np.full((lanes, 1), rate))
    return float(telemetry.validation_loss.mean())


def per_interval(rates: np.ndarray) -> np.ndarray:
    return rates.reshape(-1, UPDATES_PER_DECISION).mean(axis=1)


def test_the_expected_loss_is_what_simulation_gives() -> None:
    rates, losses = optimal_rates(TASK)
    # holding the rate over an interval costs a little in the first intervals and nothing later
    assert simulate(per_interval(rates)) == pytest.approx(losses[-1], rel=0.05)


@pytest.mark.parametrize("factor", [0.3, 0.6, 1.7, 3.0])
def test_no_other_multiple_of_the_best_rates_is_better(factor: float) -> None:
    rates, _ = optimal_rates(TASK)
    best = simulate(per_interval(rates))
    assert simulate(per_interval(rates) * factor) > best


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.2, 0.5])
def test_no_constant_rate_is_better(rate: float) -> None:
    assert simulate(np.full(20, rate)) > simulate(per_interval(optimal_rates(TASK)[0]))


def test_a_rate_beyond_two_over_the_curvature_diverges() -> None:
    trainer = QuadraticFamily().make_trainer(1, engine="auto", device="cpu")
    trainer.reset(np.array([0]), [TASK], [0])
    telemetry, _ = trainer.advance(np.array([[50.0]]))
    assert telemetry.diverged.all()


def test_agreement_tells_a_small_rate_from_a_large_one() -> None:
    trainer = QuadraticFamily().make_trainer(2, engine="auto", device="cpu")
    trainer.reset(np.arange(2), [TASK] * 2, [0, 0])
    for _ in range(10):
        telemetry, _ = trainer.advance(np.array([[0.002], [0.9]]))
    small, large = telemetry.update_agreement
    assert small > 0.5 > 0.2 > large
