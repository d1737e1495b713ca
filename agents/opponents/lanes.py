"""Where opponents train: runs side by side, stopped, copied and charged.

A `Workload` knows the family and the engine. `Lanes` are runs that train together, one decision
interval at a time, under whatever values an opponent gives them. They keep each run's history
through copies of it, count every inner update, and hold the test losses back until the end.

Axes: `N` lanes, `H` hyperparameters of the family, `T` decision intervals.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.networks.updaters import Updater
from hpo_env.reward import has_diverged, log_loss
from hpo_env.seeding import draw_episode_seed
from hpo_env.tasks.base import Engine, Task, TaskFamily, Trainer
from hpo_env.tasks.registry import make_family
from hpo_env.telemetry import Telemetry

from .instances import Instance, Outcome
from .starts import leading_column

Array = NDArray[np.float64]
Indices = NDArray[np.int64] | Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What runs are trained on.

    Args:
        family: The task family.
        engine: How inner runs are computed.
        device: A torch device.
        max_lanes: Runs that train at once; bounds the memory.
        options: Options of the family that its trainer needs, such as `updates_per_decision`.
    """

    family: str = "supervised"
    engine: Engine = "auto"
    device: str = "cpu"
    max_lanes: int = 256
    options: dict[str, Any] = field(default_factory=dict)

    def __getstate__(self) -> dict[str, Any]:
        return {f.name: getattr(self, f.name) for f in fields(self)}  # what is cached stays here

    @cached_property
    def task_family(self) -> TaskFamily:
        """The family with these options."""
        return make_family(self.family, **self.options)

    @property
    def space(self) -> HyperparameterSpace:
        """All hyperparameters of the family."""
        return self.task_family.space

    @property
    def column(self) -> int:
        """The column of the family's leading hyperparameter."""
        return leading_column(self.task_family)

    @property
    def leading(self) -> Hyperparameter:
        """The hyperparameter that schedules and grids are about."""
        return self.task_family.hyperparameters[self.column]

    @property
    def loss_floor(self) -> float:
        """A validation loss below this is as good as this."""
        return self.task_family.loss_floor

    @property
    def updates_per_decision(self) -> int:
        """Inner updates in one decision interval, of tasks that do not say themselves."""
        return self.task_family.updates_per_decision

    def interval_updates(self, task: Task) -> int:
        """Return the inner updates in one decision interval of a task."""
        return self.task_family.interval_updates(task)

    def defaults(self, task: Task) -> Array:
        """Return the family's default values for the task `[H]`."""
        return self.task_family.defaults(task)

    def open(self, instances: Sequence[Instance], *, updater: Updater | None = None) -> Lanes:
        """Start one run for each instance; for k trials give it k times.

        Args:
            instances: What to train.
            updater: An update rule in the place of the tasks' own optimisers.

        Raises:
            ConfigurationError: No instances, too many, or of unequal numbers of decisions; or an
                update rule for a family that has no use for one.
        """
        return Lanes(self, instances, updater=updater)


@dataclass(frozen=True, kw_only=True, eq=False)
class History:
    """What one run went through, its forks included.

    Args:
        values: Effective values, one array `[H]` an interval.
        losses: Validation loss after each interval.
        diverged: Whether it has diverged; nothing is added after that.
    """

    values: tuple[Array, ...] = ()
    losses: tuple[float, ...] = ()
    diverged: bool = False

    def __len__(self) -> int:
        return len(self.losses)


@dataclass(frozen=True, kw_only=True, eq=False)
class Frozen:
    """Runs that were put aside; `Lanes.restore` goes on with them bit for bit."""

    trainer: Any
    histories: tuple[History, ...]
    losses: Array


@dataclass(frozen=True, kw_only=True, eq=False)
class _Trial:
    """A run that has ended."""

    history: History
    test_loss: float
    test_metric: float
    spent_updates: int


class Lanes:
    """Runs that train together, all of the same number of decisions.

    Slots are numbered `0..N-1`. Runs of one instance may be copied onto each other; they have the
    same weights and minibatches at the start and differ in what was done to their hyperparameters.

    Args:
        workload: Where to train.
        instances: One a slot.
        updater: An update rule in the place of the tasks' own optimisers.
    """

    def __init__(
        self, workload: Workload, instances: Sequence[Instance], *, updater: Updater | None = None
    ) -> None:
        if not 1 <= len(instances) <= workload.max_lanes:
            raise ConfigurationError(
                f"1 to {workload.max_lanes} instances can train together; got {len(instances)}"
            )
        lengths = {instance.task.num_decisions for instance in instances}
        if len(lengths) > 1:
            raise ConfigurationError(
                f"runs that train together must have equally many decisions; got {sorted(lengths)}"
            )
        self.workload = workload
        self._updater = updater
        self.space = workload.space
        self.num_intervals = lengths.pop()
        self.instances = list(instances)
        self._started = time.perf_counter()
        self._trainer = self._make_trainer(len(instances))
        self._train_seconds: dict[Instance, float] = dict.fromkeys(self.instances, 0.0)
        self._num_updates: dict[Instance, int] = dict.fromkeys(self.instances, 0)
        self._trials: dict[Instance, list[_Trial]] = {i: [] for i in self.instances}
        self._first_loss: dict[Instance, float] = {}
        self._histories = [History() for _ in instances]
        self.losses = np.full(len(instances), np.nan)
        self.restart(np.arange(len(instances)))

    def __len__(self) -> int:
        return len(self.instances)

    @property
    def initial(self) -> Array:
        """The user's own initial values `[N, H]`."""
        return np.array([instance.task.initial for instance in self.instances])

    @property
    def interval(self) -> NDArray[np.int64]:
        """Decision intervals that each run has gone through `[N]`."""
        return np.array([len(history) for history in self._histories])

    @property
    def diverged(self) -> NDArray[np.bool_]:
        """Which runs have diverged `[N]`; they train no further and are not charged."""
        return np.array([history.diverged for history in self._histories])

    @property
    def is_over(self) -> NDArray[np.bool_]:
        """Which runs have reached their end or diverged `[N]`."""
        return (self.interval >= self.num_intervals) | self.diverged

    @property
    def scores(self) -> Array:
        """Log validation losses `[N]`, infinite where diverged: what searches minimise."""
        finished = log_loss(np.where(self.diverged, 1.0, self.losses), self.workload.loss_floor)
        return np.where(self.diverged, np.inf, finished)

    @property
    def policy_divergence(self) -> Array:
        """How far the last interval's updates moved each policy `[N]`, in nats; NaN: not known.

        Of families that offer "policy_divergence"; see `Trainer.policy_divergence`.
        """
        return self._trainer.policy_divergence(np.arange(len(self)))

    # ------------------------------------------------------------------------------------ training

    def restart(self, slots: Indices) -> Telemetry:
        """Begin the slots' runs again from the first update, and return telemetry `[n]`."""
        index = np.asarray(slots, dtype=np.int64)
        chosen = [self.instances[slot] for slot in index]
        before = time.perf_counter()
        telemetry = self._trainer.reset(
            index,
            [instance.task for instance in chosen],
            [draw_episode_seed(np.random.default_rng(i.lane_seed)) for i in chosen],
        )
        self._charge(chosen, time.perf_counter() - before)
        for slot, instance, loss in zip(index, chosen, telemetry.validation_loss, strict=True):
            self._histories[slot] = History()
            self.losses[slot] = loss
            self._first_loss[instance] = float(loss)
        return telemetry

    def advance(self, values: Array) -> Telemetry:
        """Train all runs that are not over for one decision interval.

        Args:
            values: Effective hyperparameters `[N, H]`; those of runs that are over do not matter.

        Returns:
            Telemetry `[N]`; of runs that are over it means nothing.
        """
        running = ~self.is_over
        before = time.perf_counter()
        telemetry, used = self._trainer.advance(np.where(running[:, None], values, self._safe))
        elapsed = time.perf_counter() - before
        first = np.array([self._first_loss[instance] for instance in self.instances])
        diverged = telemetry.diverged | has_diverged(telemetry.validation_loss, first)
        self._charge([self.instances[s] for s in np.flatnonzero(running)], elapsed)
        for slot in np.flatnonzero(running):
            history, loss = self._histories[slot], float(telemetry.validation_loss[slot])
            instance = self.instances[slot]
            self._num_updates[instance] += self.workload.interval_updates(instance.task)
            self._histories[slot] = History(
                values=(*history.values, used[slot].copy()),
                losses=(*history.losses, float("nan") if diverged[slot] else loss),
                diverged=bool(diverged[slot]),
            )
            self.losses[slot] = np.nan if diverged[slot] else loss
        return telemetry

    # -------------------------------------------------------------------- stopping, copying, ending

    def freeze(self, slots: Indices) -> Frozen:
        """Copy runs, so that `restore` goes on with them bit for bit."""
        index = np.asarray(slots, dtype=np.int64)
        return Frozen(
            trainer=self._trainer.snapshot(index),
            histories=tuple(self._histories[slot] for slot in index),
            losses=self.losses[index].copy(),
        )

    def restore(self, slots: Indices, frozen: Frozen) -> None:
        """Put n frozen runs into n slots of the same instances; inverse of `freeze`."""
        index = np.asarray(slots, dtype=np.int64)
        self._trainer.restore(index, frozen.trainer)
        for slot, history in zip(index, frozen.histories, strict=True):
            self._histories[slot] = history
        self.losses[index] = frozen.losses

    def fork(self, source_slots: Indices, target_slots: Indices) -> None:
        """Copy runs onto others of the same instances; a copy has its source's history."""
        self.restore(target_slots, self.freeze(source_slots))

    def keep(self, slots: Indices) -> None:
        """Drop all slots but these, which are renumbered from 0 in the order given.

        A slot that is given several times is copied.
        """
        index = np.asarray(slots, dtype=np.int64)
        frozen = self.freeze(index)
        self.instances = [self.instances[slot] for slot in index]
        self._trainer = self._make_trainer(len(index))
        self._histories = [History()] * len(index)
        self.losses = np.empty(len(index))
        self.restore(np.arange(len(index)), frozen)

    def finish(self, slots: Indices) -> Array:
        """Note runs as trials that have ended, be they over or stopped early.

        Returns:
            Their scores `[n]`, as in `scores`.
        """
        index = np.asarray(slots, dtype=np.int64)
        test_loss, test_metric = self._trainer.test(index)
        for slot, loss, metric in zip(index, test_loss, test_metric, strict=True):
            history, instance = self._histories[slot], self.instances[slot]
            bad = history.diverged
            self._trials[instance].append(
                _Trial(
                    history=history,
                    test_loss=float("nan") if bad else float(loss),
                    test_metric=float("nan") if bad else float(metric),
                    spent_updates=self._num_updates[instance],
                )
            )
        scores: Array = self.scores[index]
        return scores

    def outcome(self, instance: Instance) -> Outcome:
        """Return what was reached on an instance: the best of its complete trials.

        Trials that were stopped before their last interval are not returned unless there is no
        other. The opponent's own time is what passed since the lanes were opened and was not spent
        on training.

        Raises:
            ConfigurationError: No trial of it has ended.
        """
        trials = self._trials[instance]
        if not trials:
            raise ConfigurationError(f"no trial of {instance.task.name!r} has ended: call finish()")
        best = min(trials, key=self._rank)
        share = 1.0 / len(self._trials)
        elapsed = (time.perf_counter() - self._started) - sum(self._train_seconds.values())
        curve = np.full((1 + len(self.space), self.num_intervals), np.nan)
        curve[0, : len(best.history)] = best.history.losses
        if best.history.values:
            curve[1:, : len(best.history)] = np.array(best.history.values).T
        return Outcome(
            first_loss=self._first_loss[instance],
            last_loss=_last(best.history),
            test_loss=best.test_loss,
            test_metric=best.test_metric,
            diverged=best.history.diverged,
            hyperparameters=dict(zip(self.space.names, curve[1:], strict=True)),
            validation_loss=curve[0],
            trial_validation_loss=np.array([_last(t.history) for t in trials]),
            trial_test_loss=np.array([t.test_loss for t in trials]),
            trial_intervals=np.array([len(t.history) for t in trials]),
            spent_updates=np.array([t.spent_updates for t in trials]),
            num_updates=self._num_updates[instance],
            train_seconds=self._train_seconds[instance],
            overhead_seconds=elapsed * share,
        )

    # --------------------------------------------------------------------------------- the insides

    @property
    def _safe(self) -> Array:
        """Values that a run which is over can be given without harm, `[H]`."""
        return self.space.defaults

    def _make_trainer(self, num_lanes: int) -> Trainer:
        workload = self.workload
        family, engine, device = workload.task_family, workload.engine, workload.device
        if self._updater is None:
            return family.make_trainer(num_lanes, engine=engine, device=device)
        return family.make_updated_trainer(self._updater, num_lanes, engine=engine, device=device)

    def _charge(self, instances: Sequence[Instance], seconds: float) -> None:
        for instance in instances:
            self._train_seconds[instance] += seconds / len(instances)

    def _rank(self, trial: _Trial) -> tuple[bool, bool, float]:
        history = trial.history
        is_cut = len(history) < self.num_intervals
        return history.diverged, is_cut, _last(history) if not history.diverged else 0.0


def _last(history: History) -> float:
    return float("nan") if history.diverged or not history.losses else history.losses[-1]


def with_initial(instance: Instance, values: Array) -> Instance:
    """Return the instance with other initial values `[H]`; its seed of the lane stays the same."""
    task = replace(instance.task, initial=tuple(float(v) for v in values))
    return replace(instance, task=task)
