from __future__ import annotations

import numpy as np
import pytest

from agents.opponents.kl_adaptive import TARGET, adapted


@pytest.mark.parametrize(
    ("divergence", "expected"),
    [
        (2.01 * TARGET, 1e-3 / 1.5),
        (1.99 * TARGET, 1e-3),
        (0.51 * TARGET, 1e-3),
        (0.49 * TARGET, 1.5e-3),
        (0.0, 1e-3),  # as of a policy that was not updated
        (np.nan, 1e-3),
        (np.inf, 1e-3 / 1.5),
    ],
)
def test_the_rate_follows_the_band(divergence: float, expected: float) -> None:
    rate = adapted(np.array([1e-3]), np.array([divergence]), low=1e-5, high=1e-2, num_updates=1)
    assert rate[0] == pytest.approx(expected)


def test_several_updates_are_made_up_for_at_once_and_ends_hold() -> None:
    rates, divergence = np.array([1e-3, 1e-3]), np.array([1.0, 1e-4])
    limits = {"low": 1e-5, "high": 1e-2}
    once = adapted(rates, divergence, **limits, num_updates=3)
    step = rates
    for _ in range(3):
        step = adapted(step, divergence, **limits, num_updates=1)
    np.testing.assert_allclose(once, step)
    far = adapted(rates, divergence, **limits, num_updates=50)
    assert far.tolist() == [1e-5, 1e-2]
