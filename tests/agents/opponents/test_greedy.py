from __future__ import annotations

import numpy as np
import pytest
import torch

from agents.opponents.greedy import GreedyRates
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.telemetry import Telemetry
from tests.agents.opponents.test_plateau import losses, measured

RATE = Hyperparameter(name="learning_rate", low=1e-3, high=0.5, default=1e-2, max_step=4.0)


@pytest.mark.parametrize(("num_intervals", "reset_after"), [(10, 500), (30, 500), (200, 3)])
def test_rates_are_those_of_transformers_step_by_step(num_intervals: int, reset_after: int) -> None:
    optimization = pytest.importorskip("transformers.optimization")
    curves = losses(num_intervals, 6, seed=num_intervals)
    curves[:, 4] = np.linspace(1.0, 2.0, num_intervals)  # only ever falls, down to the lowest
    curves[:, 5] = np.linspace(2.0, 1.0, num_intervals)  # only ever rises
    initial = np.array([0.5, 1e-1, 1e-2, 1e-3, 1.1e-3, 0.49])
    rates = GreedyRates(initial, num_intervals, RATE, reset_after=reset_after)
    optimizers = [torch.optim.SGD([torch.zeros(1)], lr=rate) for rate in initial]
    references = [
        optimization.GreedyLR(
            optimizer,
            patience=rates.patience,
            min_lr=RATE.low,
            max_lr=RATE.high,
            reset_start=reset_after,
        )
        for optimizer in optimizers
    ]
    has_been = np.zeros((2, 6), dtype=bool)
    for loss in curves:
        rates.step(measured(loss))
        for reference, value in zip(references, loss, strict=True):
            reference.step(value)
        expected = [optimizer.param_groups[0]["lr"] for optimizer in optimizers]
        np.testing.assert_allclose(rates.rates, expected, rtol=1e-14)
        has_been |= [rates.rates > initial, rates.rates < initial]
    assert has_been.any(axis=1).all(), "rates must rise and fall for this to show anything"


def test_all_starts_again_after_enough_reductions_in_vain() -> None:
    rates = GreedyRates(np.array([1.05e-3]), 10, RATE, reset_after=2)
    course = []
    for _ in range(8):
        rates.step(_bad())
        course.append(float(rates.rates[0]))
    # the first loss is the best; a reduction after every second bad one, the second in vain
    np.testing.assert_allclose(course[:4], [1.05e-3, 1.05e-3, 1e-3, 1e-3])
    np.testing.assert_allclose(course[4], 1.05e-3)


def _bad() -> Telemetry:
    return measured(np.ones(1))
