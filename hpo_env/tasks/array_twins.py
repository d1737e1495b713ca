"""The families made of arrays, each in a loop of its own with a controller attached.

The quadratic is trained by torch's own optimiser; smoothing has neither weights nor gradients, so
it brings a host that measures what its trainer measures. See `TaskFamily.twin`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpo_env.control.host import Host
from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller
from hpo_env.seeding import stream
from hpo_env.tasks.base import TaskFamily
from hpo_env.tasks.local_level import (
    NUM_SERIES,
    STEPS_PER_DECISION,
    TRAIN,
    VALIDATION,
    LocalLevelTask,
)
from hpo_env.tasks.quadratic import NUM_PARAMETERS, UPDATES_PER_DECISION, QuadraticTask
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]


def train_quadratic(
    family: TaskFamily, task: QuadraticTask, seed: int, controller: Controller
) -> Run[Any]:
    """Train a noisy quadratic with `torch.optim.SGD`."""
    h, s = task.curvature, task.noise
    noise = stream(seed, "noise")
    signs = stream(seed, "init").choice([-1.0, 1.0], NUM_PARAMETERS)
    weights = torch.nn.Parameter(torch.from_numpy(signs.astype(np.float64)))
    optimizer = torch.optim.SGD([weights], lr=task.initial[0])
    run = controller.attach(
        optimizer,
        total_steps=task.num_decisions * UPDATES_PER_DECISION,
        num_decisions=task.num_decisions,
        validate=lambda: 0.5 * h * float((weights.detach() ** 2).mean()),
    )
    for _ in range(task.num_decisions):
        for optimum in torch.from_numpy(
            noise.standard_normal((UPDATES_PER_DECISION, len(weights)))
        ):
            residual = weights.detach() - s * optimum
            weights.grad = h * residual
            optimizer.step()
            run.step(0.5 * h * (residual**2).mean())
    run.close()
    return run


class SmoothingHost(Host):
    """Exponential smoothing of a panel of series; a step is one observation of each.

    Args:
        task: Which level model the series are drawn from.
        seed: The episode seed.
    """

    def __init__(self, task: LocalLevelTask, seed: int) -> None:
        self._rng = stream(seed, "series")
        self._walk = math.sqrt(task.noise_ratio)
        self._level = np.zeros(NUM_SERIES)
        self._signal = np.zeros(NUM_SERIES)
        self._smoothing = task.initial[0]
        writer = FunctionWriter(function=self._set_smoothing, initial=task.initial[0])
        self._losses = PlainHost({"smoothing": writer})
        self._errors: list[Array] = []
        self._start = (self._level, self._signal)
        self._panel = self._draw()
        for _ in range(STEPS_PER_DECISION):  # to have a first loss
            self.observe_next()

    def observe_next(self) -> float:
        """Forecast the next observations, learn from them, and return the mean square error."""
        if not len(self._panel):
            self._panel = self._draw()
        observed, self._panel = self._panel[0], self._panel[1:]
        self._errors.append(observed - self._level)
        self._level = self._level + self._smoothing * self._errors[-1]
        return float(np.mean(self._errors[-1][TRAIN] ** 2))

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return self._losses.initial

    def begin_interval(self, num_updates: int) -> None:
        """Keep what a roll back puts back."""
        self._losses.begin_interval(num_updates)
        self._start = (self._level, self._signal)
        self._errors = []

    def note_update(self, loss: Any) -> None:
        """See `PlainHost.note_update`."""
        self._losses.note_update(loss)

    def validate(self) -> Any:
        """Return the mean square error of the interval on series that nothing else looks at."""
        return np.mean(np.stack(self._errors)[:, VALIDATION] ** 2)

    def measure(self, validation_loss: float) -> Telemetry:
        """Measure losses, and how far errors that follow one another agree."""
        telemetry = self._losses.measure(validation_loss)
        train = np.stack(self._errors)[:, TRAIN]
        before, after = train[:-1], train[1:]
        length = np.sqrt(np.sum(before**2) * np.sum(after**2))
        telemetry.update_agreement[:] = np.sum(before * after) / length
        return telemetry

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """See `PlainHost.write`."""
        return self._losses.write(values)

    def close(self) -> None:
        """See `PlainHost.close`."""
        self._losses.close()

    def roll_back(self) -> bool:
        """Put learner and series back."""
        self._level, self._signal = self._start
        return True

    def state_dict(self) -> dict[str, Any]:
        """Return losses and errors so far."""
        return {"losses": self._losses.state_dict(), "errors": [e.tolist() for e in self._errors]}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self._losses.load_state_dict(state["losses"])
        self._errors = [np.array(errors) for errors in state["errors"]]

    def _set_smoothing(self, value: float) -> None:
        self._smoothing = value

    def _draw(self) -> Array:
        """Draw an interval's observations `[steps, series]`."""
        noise = self._rng.standard_normal((2, STEPS_PER_DECISION, NUM_SERIES))
        signal = self._signal + np.cumsum(noise[0], axis=0) * self._walk
        self._signal = signal[-1]
        return np.asarray(signal + noise[1])


def smooth_local_level(
    family: TaskFamily, task: LocalLevelTask, seed: int, controller: Controller
) -> Run[SmoothingHost]:
    """Smooth the series of a local level model."""
    host = SmoothingHost(task, seed)
    total_steps = task.num_decisions * STEPS_PER_DECISION
    run = controller.steer(host, total_steps=total_steps, num_decisions=task.num_decisions)
    for _ in range(total_steps):
        run.step(host.observe_next())
    run.close()
    return run
