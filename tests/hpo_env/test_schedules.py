"""Base schedules agree with torch's, and with what their names promise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from hpo_env.errors import UnknownNameError
from hpo_env.schedules import SCHEDULES, interval_factors, schedule

STEPS = 200
PROGRESS = np.arange(STEPS) / STEPS


def torch_factors(make: object) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    scheduler = make(optimizer)  # type: ignore[operator]
    rates = []
    for _ in range(STEPS):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return rates


@pytest.mark.parametrize("name", SCHEDULES)
def test_factors_lie_between_zero_and_one(name: str) -> None:
    factors = schedule(name)(np.linspace(0.0, 1.0, 101))
    assert ((factors >= 0.0) & (factors <= 1.0)).all()
    assert factors.max() > 0.95


def test_cosine_is_torchs() -> None:
    expected = torch_factors(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, STEPS))
    np.testing.assert_allclose(schedule("cosine")(PROGRESS), expected, atol=1e-12)


def test_linear_is_torchs() -> None:
    expected = torch_factors(lambda o: torch.optim.lr_scheduler.LinearLR(o, 1.0, 0.0, STEPS))
    np.testing.assert_allclose(schedule("linear")(PROGRESS), expected, atol=1e-12)


def test_one_cycle_is_close_to_torchs() -> None:
    # torch counts to total_steps - 1 and anneals the end to 1/10,000: a hair away from 0
    expected = torch_factors(
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, STEPS, cycle_momentum=False)
    )
    np.testing.assert_allclose(schedule("one_cycle")(PROGRESS), expected, atol=0.02)


def test_step_divides_by_ten_after_each_third() -> None:
    factors = schedule("step")(np.array([0.1, 0.5, 0.9, 1.0]))
    np.testing.assert_allclose(factors, [1.0, 0.1, 0.01, 0.01])


def test_warmup_starts_at_zero_and_peaks_after_a_twentieth() -> None:
    assert schedule("warmup_cosine")(np.array([0.0, 0.05])).tolist() == [0.0, 1.0]


def test_an_interval_takes_the_factor_of_its_middle() -> None:
    middle = interval_factors("linear", np.array([0, 1]), np.array([2, 2]))
    assert middle.tolist() == [0.75, 0.25]


def test_an_unknown_schedule_suggests_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cosine'"):
        schedule("cosin")
