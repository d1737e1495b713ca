"""The slow, obvious trainer: one module and one `torch.optim` optimiser a lane.

It is what the batched trainer has to agree with: same initial weights, same minibatches, same
dropout masks, everything else left to torch.

Axes: `N` lanes, `H` hyperparameters, `B` rows.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo_env.errors import ConfigurationError
from hpo_env.networks.optimizers import optimizer_info
from hpo_env.networks.random_numbers import dropout_uniforms
from hpo_env.networks.registry import architecture
from hpo_env.tasks.base import Task, Trainer
from hpo_env.tasks.supervised.data import MAX_VALIDATION_ROWS, Problem, SupervisedTask, prepare
from hpo_env.tasks.supervised.measurement import interval_telemetry
from hpo_env.tasks.supervised.minibatches import (
    order_start,
    order_strides,
    shuffled,
    window_starts,
)
from hpo_env.tasks.supervised.rows import Rows, Windows
from hpo_env.tasks.supervised.space import HYPERPARAMETERS, MAX_BATCH_SIZE
from hpo_env.telemetry import Telemetry

_NAMES = tuple(h.name for h in HYPERPARAMETERS)


class ReferenceTrainer(Trainer):
    """Trains N independent learners, one after another.

    Args:
        num_lanes: `N`.
        updates_per_decision: Updates in one interval of tasks that do not say themselves.
        device: Only "cpu".

    Raises:
        ConfigurationError: No lanes, or another device.
    """

    def __init__(
        self, num_lanes: int, *, updates_per_decision: int = 10, device: str = "cpu"
    ) -> None:
        if num_lanes < 1:
            raise ConfigurationError(f"num_lanes must be a positive integer; got {num_lanes}")
        if device != "cpu":
            raise ConfigurationError(f"engine 'reference' runs on 'cpu' only; got {device!r}")
        self._updates = updates_per_decision
        self._learners: list[Learner | None] = [None] * num_lanes

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new runs; see `Trainer.reset`."""
        telemetry = Telemetry.missing(len(lanes))
        for place, lane in enumerate(lanes):
            learner = Learner(cast(SupervisedTask, tasks[place]), seeds[place])
            self._learners[lane] = learner
            loss, metric = learner.evaluate(learner.problem.validation)
            learner.first_loss = loss
            telemetry.train_loss[place] = learner.first_train_loss()
            telemetry.validation_loss[place] = loss
            telemetry.validation_metric[place] = metric
        return telemetry

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Train every lane that has a run for one decision interval; see `Trainer.advance`."""
        telemetry = Telemetry.missing(len(self._learners))
        used = values.copy()
        for lane, learner in enumerate(self._learners):
            if learner is not None:
                interval = Values(**dict(zip(_NAMES, values[lane].tolist(), strict=True)))
                telemetry.put(
                    np.array([lane]), learner.train(interval, learner.interval or self._updates)
                )
                used[lane, _NAMES.index("batch_size")] = interval.num_rows
        return telemetry, used

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure loss and metric on test rows; see `Trainer.test`."""
        learners = [self._learner(lane) for lane in lanes]
        measured = [learner.evaluate(learner.problem.test) for learner in learners]
        return np.array([m[0] for m in measured]), np.array([m[1] for m in measured])

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the weights of the interval's start; see `Trainer.roll_back`."""
        for lane in lanes:
            self._learner(lane).roll_back()

    def snapshot(self, lanes: NDArray[np.int64]) -> list[Learner]:
        """Copy all state of lanes; see `Trainer.snapshot`."""
        return [copy.deepcopy(self._learner(lane)) for lane in lanes]

    def restore(self, lanes: NDArray[np.int64], snapshot: list[Learner]) -> None:
        """Put a snapshot into lanes; see `Trainer.restore`."""
        for lane, learner in zip(lanes, snapshot, strict=True):
            self._learners[lane] = copy.deepcopy(learner)

    def _learner(self, lane: int) -> Learner:
        learner = self._learners[lane]
        if learner is None:
            raise ConfigurationError(f"lane {lane} has no run yet: call reset first")
        return learner


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """The hyperparameters of one interval."""

    learning_rate: float
    weight_decay: float
    momentum: float
    batch_size: float
    dropout: float
    label_smoothing: float
    gradient_clip: float

    @property
    def num_rows(self) -> int:
        """Rows of a minibatch."""
        return min(max(round(self.batch_size), 1), MAX_BATCH_SIZE)


class Learner:
    """One lane: a module, its optimiser and its place in the minibatch order.

    Args:
        task: What to train.
        seed: The episode seed.
    """

    def __init__(self, task: SupervisedTask, seed: int) -> None:
        self.problem: Problem = prepare(task)
        self.seed = seed
        self.interval = task.updates_per_decision
        self.rows = shuffled(self.problem.train, seed)
        is_text = self.problem.is_text
        self.strides = None if is_text else order_strides(len(self.rows), seed)
        num_inputs, num_outputs = self.problem.num_features, self.problem.num_outputs
        model = architecture(task.architecture)
        weights = model.initial_weights(num_inputs, num_outputs, seed)
        self.module = model.reference(num_inputs, num_outputs).load(weights)
        self.info = optimizer_info(task.optimizer)
        self.optimizer = self._new_optimizer()
        self.num_updates = 0
        self.num_consumed = 0
        self.first_loss = float("nan")
        self.start = copy.deepcopy(self.module.state_dict())

    def train(self, values: Values, num_updates: int) -> Telemetry:
        """Train for one interval and return what it measured, N = 1."""
        settings = self.info.settings(values.learning_rate, values.weight_decay, values.momentum)
        for group in self.optimizer.param_groups:
            group.update(settings)
        self.start = copy.deepcopy(self.module.state_dict())
        half = num_updates // 2
        losses, norms = [], []
        start = middle = self._weights()
        for update in range(num_updates):
            if update == half:
                middle = self._weights()
            loss, norm = self.update(values)
            losses.append(loss)
            norms.append(norm)
        end = self._weights()
        loss, metric = self.evaluate(self.problem.validation)
        first, second = middle - start, end - middle
        with np.errstate(all="ignore"):
            agreement = first @ second / np.sqrt((first @ first) * (second @ second))
            ratio = np.linalg.norm(end - start) / np.linalg.norm(start)
        return interval_telemetry(
            np.array(losses)[:, None],
            gradient_norms=np.array([[norms[0]], [norms[-1]]]),
            update_ratio=np.array([ratio]),
            update_agreement=np.array([agreement]),
            validation_loss=np.array([loss]),
            validation_metric=np.array([metric]),
            first_loss=np.array([self.first_loss]),
        )

    def roll_back(self) -> None:
        """Put back the weights of the last interval's start, and empty the optimiser's memory."""
        self.module.load_state_dict(self.start)
        self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> torch.optim.Optimizer:
        settings = self.info.settings(1e-3, 0.0, 0.9)  # every interval sets its own
        return self.info.torch_class(self.module.parameters(), **settings)

    def update(self, values: Values) -> tuple[float, float]:
        """Do one update, and return minibatch loss and gradient norm before clipping."""
        chosen = self.rows.take(np.array(self.next_rows(values.num_rows)))
        x, y = torch.from_numpy(chosen.x), torch.from_numpy(chosen.y)
        self.optimizer.zero_grad()
        self.module.normalizes_by_minibatch(True)
        outputs = self.module(x, self._dropout(values.dropout))
        loss = self.problem.objective.reference_loss(outputs, y, values.label_smoothing)
        loss.backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.module.parameters(), values.gradient_clip)
        self.optimizer.step()
        self.num_updates += 1
        return loss.item(), norm.item()

    def next_rows(self, num_rows: int) -> list[int]:
        """Return the rows of the next minibatch, epoch after epoch without replacement.

        Windows of a text are drawn anew each time.
        """
        present, chosen = len(self.rows), []
        if self.strides is None:
            place = self.num_consumed + np.arange(num_rows)
            self.num_consumed += num_rows
            starts = window_starts(np.array(self.seed), place, np.array(present))
            return [int(start) for start in starts]
        for _ in range(num_rows):
            epoch, position = divmod(self.num_consumed, present)
            start = int(order_start(np.array(self.seed), np.array(epoch), np.array(present)))
            stride = int(self.strides[epoch % len(self.strides)])
            chosen.append((stride * position + start) % present)
            self.num_consumed += 1
        return chosen

    def first_train_loss(self) -> float:
        """Measure the loss on as many training rows as a validation part may have."""
        most = len(self.problem.validation.measured()) if self.problem.is_text else None
        return self._measure(self.rows.measured(most or MAX_VALIDATION_ROWS))[0]

    def evaluate(self, rows: Rows | Windows) -> tuple[float, float]:
        """Measure loss and metric."""
        return self._measure(rows.measured())

    def _measure(self, rows: Rows) -> tuple[float, float]:
        objective, y = self.problem.objective, torch.from_numpy(rows.y)
        self.module.normalizes_by_minibatch(False)
        with torch.no_grad():
            outputs = self.module(torch.from_numpy(rows.x), lambda h, site: h)
            loss = objective.reference_loss(outputs, y, 0.0).item()
            score = objective.reference_score(outputs, y)
        variance = np.array(rows.y.var(dtype=np.float64))
        return loss, float(objective.metric(np.array(loss), np.array(score), variance))

    def _dropout(self, rate: float) -> _Drop:
        return _Drop(seed=self.seed, update=self.num_updates, rate=rate)

    def _weights(self) -> NDArray[np.float64]:
        flat = torch.cat([p.detach().reshape(-1) for p in self.module.parameters()])
        return flat.numpy().astype(np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Drop:
    seed: int
    update: int
    rate: float

    def __call__(self, h: Tensor, site: int) -> Tensor:
        shape = (h.shape[0], h.shape[1])
        numbers = torch.from_numpy(dropout_uniforms(self.seed, self.update, site, shape))
        return torch.where(numbers >= self.rate, h / (1.0 - self.rate), 0.0)
