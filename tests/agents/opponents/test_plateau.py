from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.opponents.plateau import PlateauRates
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.telemetry import Telemetry

RATE = Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0)


def losses(num_intervals: int, num_lanes: int, seed: int) -> np.ndarray:
    """Noisy curves `[T, N]` that fall, stall and rise."""
    rng = np.random.default_rng(seed)
    steps = rng.normal(-0.01, 0.05, (num_intervals, num_lanes)) * rng.choice([0, 1], num_lanes)
    return np.exp(np.cumsum(steps, axis=0))


def measured(loss: np.ndarray) -> Telemetry:
    telemetry = Telemetry.missing(len(loss))
    telemetry.validation_loss[:] = loss
    return telemetry


@pytest.mark.parametrize("num_intervals", [4, 30, 100])
def test_rates_are_those_of_torch_step_by_step(num_intervals: int) -> None:
    curves = losses(num_intervals, 6, seed=num_intervals)
    initial = np.array([1.0, 1e-1, 1e-2, 1e-3, 3e-4, 1e-5])
    rates = PlateauRates(initial, num_intervals, RATE)
    optimizers = [torch.optim.SGD([torch.zeros(1)], lr=rate) for rate in initial]
    references = [
        torch.optim.lr_scheduler.ReduceLROnPlateau(o, patience=rates.patience, min_lr=RATE.low)
        for o in optimizers
    ]
    for loss in curves:
        rates.step(measured(loss))
        for reference, value in zip(references, loss, strict=True):
            reference.step(value)
        expected = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        np.testing.assert_allclose(rates.rates, expected, rtol=1e-14)
    assert (rates.rates < initial).any(), "no rate ever fell: the curves show nothing"


def test_patience_is_a_tenth_of_the_run() -> None:
    rates = PlateauRates(np.array([1e-2]), 30, RATE)
    course = []
    for _ in range(9):  # the first loss is the best; three bad ones are borne, the fourth is not
        rates.step(measured(np.ones(1)))
        course.append(float(rates.rates[0]))
    np.testing.assert_allclose(course, [1e-2] * 4 + [1e-3] * 4 + [1e-4])
