"""Steering keeps what is the same all through a run, and notices when it is another run."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.steering import Steering
from hpo_env.telemetry import Telemetry

SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="rate", low=0.01, high=1.0, default=0.1, max_step=4.0),
        Hyperparameter(name="share", low=0.2, high=0.9, default=0.5, max_step=0.3, scale="linear"),
    ]
)


def begin(steering: Steering, lane: int, rate: float) -> None:
    start = Telemetry.missing(1)
    start.validation_loss[:] = 1.0
    values = np.array([[rate, 0.5]])
    steering.begin(
        np.array([lane]), start, initial=values, base=values, num_intervals=np.array([9])
    )


def begun_anew(steering: Steering) -> None:
    begin(steering, 1, 0.5)


def put_back(steering: Steering) -> None:
    other = Steering(SPACE, 2)
    begin(other, 0, 0.5)
    steering.restore(np.array([1]), other.snapshot(np.array([0])))


def written_over(steering: Steering) -> None:
    steering.initial[1, 0] = 0.5
    steering.corrections = steering.corrections * 0.0


@pytest.mark.parametrize("change", [begun_anew, put_back, written_over])
def test_a_run_from_another_value_ends_at_the_end_of_its_own_range(
    change: Callable[[Steering], None],
) -> None:
    steering = Steering(SPACE, 2)
    for lane in (0, 1):
        begin(steering, lane, 0.1)
    up = np.ones((2, 2))
    for _ in range(5):
        steering.move(up)
    change(steering)
    for _ in range(5):
        steering.move(up)
    values = steering.values(steering.initial)
    np.testing.assert_allclose(values, [[1.0, 0.9], [1.0, 0.9]])
    for _ in range(9):
        steering.move(-up)
    np.testing.assert_allclose(steering.values(steering.initial), [[0.01, 0.2], [0.01, 0.2]])
    steering.move(up)  # not wound up beyond the end
    np.testing.assert_allclose(steering.values(steering.initial), [[0.04, 0.5], [0.04, 0.5]])
