"""Exponential smoothing run through a random walk seen in noise: no gradients at all.

The series is `y(t) = m(t) + e(t)`, `m(t+1) = m(t) + n(t)` with variances 1 and `q`, and the learner
keeps a level `l += a (y - l)`. Its one-step forecast error is least, in the long run, at the steady
Kalman gain

    a* = p / (p + 1)   with   p = (q + sqrt(q² + 4 q)) / 2

(Harvey, "Forecasting, Structural Time Series Models and the Kalman Filter", 1989, section 4.1.2).
The noise ratio `q` is not shown. Below `a*` the forecast errors follow one another with the same
sign, above it with opposite signs: the telemetry's agreement of successive updates, as in any
training.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import Hyperparameter
from hpo_env.reward import has_diverged
from hpo_env.seeding import stream
from hpo_env.tasks.array import ArrayTrainer, check_array_engine
from hpo_env.tasks.bands import draw_banded
from hpo_env.tasks.base import Engine, Task, TaskFamily, Trainer
from hpo_env.telemetry import Telemetry

STEPS_PER_DECISION = 25
TRAIN, VALIDATION, _TEST = slice(0, 32), slice(32, 96), slice(96, 224)
NUM_SERIES = 224  # columns of a lane's panel: training, validation and test series
_DEFAULT_DECISIONS = 30
_NOISE_RATIO = (1e-3, 1e1)
_SMOOTHING = (0.01, 1.0)


@dataclass(frozen=True, kw_only=True)
class LocalLevelTask(Task):
    """A local level model.

    Args:
        noise_ratio: `q`, the variance of the level's steps over that of the observation noise.
    """

    noise_ratio: float


def kalman_gain(noise_ratio: float) -> float:
    """Return the best constant smoothing factor.

    Example:
        >>> round(kalman_gain(1.0), 4)  # the golden ratio's inverse
        0.618
    """
    p = (noise_ratio + math.sqrt(noise_ratio**2 + 4.0 * noise_ratio)) / 2.0
    return p / (p + 1.0)


def stationary_error(noise_ratio: float, smoothing: float) -> float:
    """Return the long-run mean square of the one-step forecast error under a constant factor.

    The level's error `d = m - l` before an observation follows `d' = (1 - a) d - a e + n`, so its
    variance settles at `(a² + q) / (a (2 - a))`, and the forecast error adds the observation's 1.

    Example:
        >>> round(stationary_error(1.0, kalman_gain(1.0)), 4)  # p + 1
        2.618
    """
    a = smoothing
    return 1.0 + (a**2 + noise_ratio) / (a * (2.0 - a))


class LocalLevelFamily(TaskFamily):
    """Local level models of random noise ratio; splits hold different ratios."""

    name = "local_level"
    hyperparameters: ClassVar = (
        Hyperparameter(
            name="smoothing",
            low=_SMOOTHING[0],
            high=_SMOOTHING[1],
            default=0.3,
            max_step=2.0,
            is_always_available=True,
        ),
    )
    default_controlled = ("smoothing",)
    twin = "hpo_env.tasks.array_twins:smooth_local_level"
    # As for the quadratic: a rollout is a whole episode.
    agent_settings: ClassVar = {"ppo": {"n_steps": 30, "learning_rate": 3e-3}}
    updates_per_decision = STEPS_PER_DECISION

    def sample(self, rng: np.random.Generator) -> LocalLevelTask:
        """Draw the noise ratio and the initial smoothing factor, both log-uniformly."""
        return LocalLevelTask(
            name="local_level",
            num_decisions=self.num_decisions or _DEFAULT_DECISIONS,
            initial=(float(np.exp(rng.uniform(*np.log(_SMOOTHING)))),),
            noise_ratio=draw_banded(rng, *_NOISE_RATIO, self.split),
        )

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; engine "auto" or "eager", device "cpu"."""
        check_array_engine(self.name, engine, device)
        return LocalLevelTrainer(num_lanes)


class LocalLevelTrainer(ArrayTrainer):
    """Exponential smoothing of N panels of series at once."""

    def __init__(self, num_lanes: int) -> None:
        super().__init__(
            level=np.zeros((num_lanes, NUM_SERIES)),  # the learner's
            signal=np.zeros((num_lanes, NUM_SERIES)),  # the hidden m(t)
            walk=np.zeros(num_lanes),  # sqrt(q)
            test_loss=np.ones(num_lanes),
            first_loss=np.ones(num_lanes),
        )

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new panels and run one interval at the initial factor, to have a first loss."""
        smoothing = np.zeros((len(self.rngs), 1))
        for lane, task, seed in zip(lanes, tasks, seeds, strict=True):
            assert isinstance(task, LocalLevelTask)
            self.rngs[lane] = stream(seed, "series")
            self.state["walk"][lane] = math.sqrt(task.noise_ratio)
            smoothing[lane, 0] = task.initial[0]
        self.state["signal"][lanes] = 0.0
        self.state["level"][lanes] = 0.0
        others = np.setdiff1d(np.arange(len(self.rngs)), lanes)
        held = self.snapshot(others)
        errors = self._smooth(smoothing)
        self.restore(others, held)
        telemetry = Telemetry.missing(len(lanes))
        squares = np.mean(errors[lanes] ** 2, axis=1)  # [n, series]
        telemetry.train_loss[:] = squares[:, TRAIN].mean(axis=1)
        telemetry.validation_loss[:] = squares[:, VALIDATION].mean(axis=1)
        self.state["first_loss"][lanes] = telemetry.validation_loss
        return telemetry

    def _run_interval(self, values: NDArray[np.float64]) -> Telemetry:
        """Smooth through `STEPS_PER_DECISION` observations of every series."""
        errors = self._smooth(values[:, :1])  # [N, steps, series]
        train = errors[:, :, TRAIN]
        squares = np.mean(train**2, axis=2)  # [N, steps]
        half = STEPS_PER_DECISION // 2
        telemetry = Telemetry.missing(len(errors))
        telemetry.train_loss[:] = squares.mean(axis=1)
        telemetry.train_loss_first_half[:] = squares[:, :half].mean(axis=1)
        telemetry.train_loss_second_half[:] = squares[:, half:].mean(axis=1)
        telemetry.train_loss_spread[:] = squares.std(axis=1)
        telemetry.validation_loss[:] = np.mean(errors[:, :, VALIDATION] ** 2, axis=(1, 2))
        before, after = train[:, :-1], train[:, 1:]
        length = np.sqrt(np.sum(before**2, axis=(1, 2)) * np.sum(after**2, axis=(1, 2)))
        telemetry.update_agreement[:] = np.sum(before * after, axis=(1, 2)) / length
        telemetry.diverged[:] = has_diverged(telemetry.validation_loss, self.state["first_loss"])
        self.state["test_loss"] = np.mean(errors[:, :, _TEST] ** 2, axis=(1, 2))
        return telemetry

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the mean square forecast error on test series in the last interval; no metric."""
        loss = self.state["test_loss"][lanes].copy()
        return loss, np.full_like(loss, np.nan)

    def _smooth(self, smoothing: NDArray[np.float64]) -> NDArray[np.float64]:
        """Run the panels on; return one-step forecast errors `[N, steps, series]`."""
        noise = self.draw_normal(2, STEPS_PER_DECISION, NUM_SERIES)
        steps = np.cumsum(noise[:, 0], axis=1) * self.state["walk"][:, None, None]
        signal = self.state["signal"][:, None] + steps
        observed = signal + noise[:, 1]
        level = self.state["level"]
        errors = np.empty_like(observed)
        for k in range(STEPS_PER_DECISION):
            errors[:, k] = observed[:, k] - level
            level = level + smoothing * errors[:, k]
        self.state["signal"], self.state["level"] = signal[:, -1], level
        return errors
