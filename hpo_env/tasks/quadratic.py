"""The noisy quadratic: stochastic gradient descent with a learning rate whose best value is known.

The loss is `h/2 |w|²/P`, and a minibatch moves the optimum by noise: its gradient is `h (w - ζ)`
with `ζ ~ N(0, s²)` in every coordinate. The mean square `v` of a coordinate follows

    v' = (1 - a h)² v + (a h s)²,   which is least at   a* = v / (h (v + s²)).

`v'` grows with `v`, so taking the best rate at every update is the best schedule there is
(Schaul, Zhang and LeCun, "No more pesky learning rates", 2013, eq. 6). The rate starts anywhere
between 1e-5 and 1e1, so an agent has to find `1/h` first and then let the rate fall as `1/k`.
"""

from __future__ import annotations

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

NUM_PARAMETERS = 64
UPDATES_PER_DECISION = 4
_DEFAULT_DECISIONS = 40
_CURVATURE = (0.3, 3.0)  # 1/h stays within one large action of where every start can be brought
_NOISE = (0.1, 1.0)
_INITIAL_RATE = (1e-5, 1e1)


@dataclass(frozen=True, kw_only=True)
class QuadraticTask(Task):
    """A quadratic.

    Args:
        curvature: `h`.
        noise: `s`, the standard deviation of a minibatch's optimum.
    """

    curvature: float
    noise: float


def optimal_rates(task: QuadraticTask) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the best learning rate of every update and the expected loss after it.

    Returns:
        Rates and losses, each of shape `[num_decisions * UPDATES_PER_DECISION]`.

    Example:
        >>> numbers = dict(num_decisions=1, initial=(1e-3,), curvature=2.0, noise=1.0)
        >>> task = QuadraticTask(name="quadratic", **numbers)
        >>> optimal_rates(task)[0].round(4).tolist()  # 1/(2h), 1/(3h), ...
        [0.25, 0.1667, 0.125, 0.1]
    """
    square, h, s2 = 1.0, task.curvature, task.noise**2
    rates, losses = [], []
    for _ in range(task.num_decisions * UPDATES_PER_DECISION):
        rate = square / (h * (square + s2))
        square = (1.0 - rate * h) ** 2 * square + (rate * h) ** 2 * s2
        rates.append(rate)
        losses.append(0.5 * h * square)
    return np.array(rates), np.array(losses)


class QuadraticFamily(TaskFamily):
    """Noisy quadratics of random curvature and noise; splits hold different curvatures."""

    name = "quadratic"
    hyperparameters: ClassVar = (
        Hyperparameter(
            name="learning_rate",
            low=1e-6,
            high=1e2,
            default=0.1,
            max_step=100.0,
            scheduled=True,
            retreat=-1.0,
            is_always_available=True,
        ),
    )
    default_controlled = ("learning_rate",)
    base_schedule = "cosine"
    twin = "hpo_env.tasks.array_twins:train_quadratic"
    capabilities = frozenset({"gradients"})
    # All lanes' episodes are equally long and begin together, so a rollout shorter than an episode
    # would see one stage of it only. Found with `benchmarks/known_answers.py`.
    agent_settings: ClassVar = {"ppo": {"n_steps": 40, "learning_rate": 3e-3}}
    updates_per_decision = UPDATES_PER_DECISION

    def sample(self, rng: np.random.Generator) -> QuadraticTask:
        """Draw curvature, noise and the initial learning rate, all log-uniformly."""
        return QuadraticTask(
            name="quadratic",
            num_decisions=self.num_decisions or _DEFAULT_DECISIONS,
            initial=(float(np.exp(rng.uniform(*np.log(_INITIAL_RATE)))),),
            curvature=draw_banded(rng, *_CURVATURE, self.split),
            noise=float(np.exp(rng.uniform(*np.log(_NOISE)))),
        )

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; engine "auto" or "eager", device "cpu"."""
        check_array_engine(self.name, engine, device)
        return QuadraticTrainer(num_lanes)


class QuadraticTrainer(ArrayTrainer):
    """Stochastic gradient descent on N quadratics at once."""

    def __init__(self, num_lanes: int) -> None:
        super().__init__(
            weights=np.ones((num_lanes, NUM_PARAMETERS)),
            curvature=np.ones(num_lanes),
            noise=np.ones(num_lanes),
            first_loss=np.ones(num_lanes),
        )

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start from random signs, so that every start is equally far from the optimum."""
        for lane, task, seed in zip(lanes, tasks, seeds, strict=True):
            assert isinstance(task, QuadraticTask)
            self.rngs[lane] = stream(seed, "noise")
            signs = stream(seed, "init").choice([-1.0, 1.0], NUM_PARAMETERS)
            self.state["weights"][lane] = signs
            self.state["curvature"][lane] = task.curvature
            self.state["noise"][lane] = task.noise
        telemetry = Telemetry.missing(len(lanes))
        loss = self._loss()[lanes]
        self.state["first_loss"][lanes] = loss
        telemetry.validation_loss[:] = loss
        h, s = self.state["curvature"][lanes], self.state["noise"][lanes]
        telemetry.train_loss[:] = loss + 0.5 * h * s**2  # its expectation: the noise adds s² to w²
        return telemetry

    def _run_interval(self, values: NDArray[np.float64]) -> Telemetry:
        """Take `UPDATES_PER_DECISION` steps of stochastic gradient descent in every lane."""
        rate = values[:, :1]
        h, s = self.state["curvature"][:, None], self.state["noise"][:, None]
        noise = self.draw_normal(UPDATES_PER_DECISION, NUM_PARAMETERS)  # [N, U, P]
        path = [self.state["weights"]]
        losses, norms = [], []
        with np.errstate(over="ignore", invalid="ignore"):
            for u in range(UPDATES_PER_DECISION):
                residual = path[-1] - s * noise[:, u]
                losses.append(0.5 * h[:, 0] * np.mean(residual**2, axis=1))
                norms.append(h[:, 0] * np.linalg.norm(residual, axis=1))
                path.append(path[-1] - rate * h * residual)
            self.state["weights"] = path[-1]
            telemetry = _measure(np.stack(losses, axis=1), norms, path, self._loss())
        diverged = has_diverged(telemetry.validation_loss, self.state["first_loss"])
        telemetry.diverged[:] = diverged
        return telemetry

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the expected loss, which has no noise to hide from, and NaN for the metric."""
        loss = self._loss()[lanes]
        return loss, np.full_like(loss, np.nan)

    def _loss(self) -> NDArray[np.float64]:
        square = np.mean(self.state["weights"] ** 2, axis=1)
        return np.asarray(0.5 * self.state["curvature"] * square)


def _measure(
    losses: NDArray[np.float64],
    gradient_norms: list[NDArray[np.float64]],
    path: list[NDArray[np.float64]],
    validation_loss: NDArray[np.float64],
) -> Telemetry:
    """Fill telemetry from an interval's losses `[N, U]` and its U + 1 weights `[N, P]`."""
    half = losses.shape[1] // 2
    first, second = path[half] - path[0], path[-1] - path[half]
    lengths = np.linalg.norm(first, axis=1) * np.linalg.norm(second, axis=1)
    telemetry = Telemetry.missing(len(losses))
    measured = {
        "train_loss": losses.mean(axis=1),
        "train_loss_first_half": losses[:, :half].mean(axis=1),
        "train_loss_second_half": losses[:, half:].mean(axis=1),
        "train_loss_spread": losses.std(axis=1),
        "validation_loss": validation_loss,
        "gradient_norm_first": gradient_norms[0],
        "gradient_norm_last": gradient_norms[-1],
        "update_ratio": np.linalg.norm(path[-1] - path[0], axis=1)
        / np.linalg.norm(path[0], axis=1),
        "update_agreement": np.sum(first * second, axis=1) / np.maximum(lengths, 1e-300),
    }
    for name, value in measured.items():
        getattr(telemetry, name)[:] = value
    return telemetry
