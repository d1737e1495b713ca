from __future__ import annotations

import numpy as np
import torch

from agents.opponents.restarts import restart_factors


def test_factors_are_those_of_torch_in_the_middle_of_each_interval() -> None:
    num_intervals, first_cycle = 70, 10
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimizer, T_0=first_cycle, T_mult=2
    )
    expected = []
    for interval in range(num_intervals):
        reference.step(interval + 0.5)
        expected.append(optimizer.param_groups[0]["lr"])
    factors = restart_factors(np.arange(num_intervals), np.full(num_intervals, num_intervals))
    np.testing.assert_allclose(factors, expected, atol=1e-12)


def test_the_last_cycle_ends_with_the_run() -> None:
    factors = restart_factors(np.arange(30), np.full(30, 30))
    assert factors[-1] < 0.01
    assert (np.diff(factors) > 0).sum() == 2, "two restarts"
