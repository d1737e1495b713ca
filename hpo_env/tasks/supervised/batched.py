"""The fast trainer: all lanes of a model are trained by one call.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

import warnings
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.networks.updaters import Updater
from hpo_env.tasks.base import Engine, Task, Trainer
from hpo_env.tasks.supervised.cohort import Cohort
from hpo_env.tasks.supervised.data import SupervisedTask, prepare
from hpo_env.tasks.supervised.native.cohort import NativeCohort
from hpo_env.tasks.supervised.native.kernel import build_failure, has_kernel
from hpo_env.tasks.supervised.slots import LaneSnapshot, Room, room_for
from hpo_env.tasks.supervised.space import HYPERPARAMETERS, MAX_BATCH_SIZE
from hpo_env.tasks.supervised.step import CompileMode, missing_for_compiling
from hpo_env.telemetry import Telemetry

_NAMES = tuple(h.name for h in HYPERPARAMETERS)
_LANES_WORTH_COMPILING = 32


class BatchedTrainer(Trainer):
    """Trains lanes in cohorts of equal models.

    Args:
        num_lanes: `N`.
        updates_per_decision: Updates in one interval of tasks that do not say themselves.
        engine: "native": the fused kernels, compiled for models that have none;
            "compiled"; "eager"; or "auto": native where it can be built, and for other models
            compiled from 32 lanes on if there is a C++ compiler, else eager.
        device: A torch device.
        updater: What takes the place of the tasks' optimisers; models without a kernel then run
            eagerly. None leaves them theirs.

    Raises:
        ConfigurationError: No lanes, a device that is not there, or an engine that it cannot have.
    """

    def __init__(
        self,
        num_lanes: int,
        *,
        updates_per_decision: int = 10,
        engine: Engine = "auto",
        device: str = "cpu",
        updater: Updater | None = None,
    ) -> None:
        if num_lanes < 1:
            raise ConfigurationError(f"num_lanes must be a positive integer; got {num_lanes}")
        self._num_lanes = num_lanes
        self._updates = updates_per_decision
        self._device = _checked_device(device)
        self._is_native = _is_native(engine, self._device)
        mode = _mode(engine, num_lanes, self._device)
        self._mode: CompileMode = mode if updater is None else "eager"
        self._updater = updater
        self._cohorts: dict[Room, Cohort] = {}
        self._rooms: list[Room | None] = [None] * num_lanes

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new runs; see `Trainer.reset`."""
        for lane, task, seed in zip(lanes.tolist(), tasks, seeds, strict=True):
            supervised = cast(SupervisedTask, task)
            problem = prepare(supervised)
            cohort = self._enter(lane, room_for(supervised.architecture, problem))
            cohort.slots.add(
                lane,
                problem,
                optimizer=supervised.optimizer,
                seed=seed,
                interval=supervised.updates_per_decision or self._updates,
            )
        telemetry = Telemetry.missing(len(lanes))
        for cohort, places in self._by_cohort(lanes):
            slots = cohort.slots.slots_of(lanes[places])
            loss, metric = cohort.evaluate(slots, "validation")
            cohort.set_first_loss(slots, loss)
            telemetry.train_loss[places] = cohort.train_loss(slots)
            telemetry.validation_loss[places] = loss
            telemetry.validation_metric[places] = metric
        return telemetry

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Train every lane for one decision interval; see `Trainer.advance`."""
        telemetry = Telemetry.missing(self._num_lanes)
        used = values.copy()
        for cohort in self._cohorts.values():
            if cohort.slots.num_lanes == 0:
                continue
            lanes = cohort.slots.lanes.copy()
            columns = dict(zip(_NAMES, values[lanes].T, strict=True))
            measured, used_instead = cohort.advance(columns)
            telemetry.put(lanes, measured)
            for name, column in used_instead.items():
                used[lanes, _NAMES.index(name)] = column
        return telemetry, used

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure loss and metric on test rows; see `Trainer.test`."""
        losses, metrics = np.empty(len(lanes)), np.empty(len(lanes))
        for cohort, places in self._by_cohort(lanes):
            slots = cohort.slots.slots_of(lanes[places])
            losses[places], metrics[places] = cohort.evaluate(slots, "test")
        return losses, metrics

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the weights of the interval's start; see `Trainer.roll_back`."""
        for cohort, places in self._by_cohort(lanes):
            cohort.slots.roll_back(cohort.slots.slots_of(lanes[places]))

    def snapshot(self, lanes: NDArray[np.int64]) -> list[LaneSnapshot]:
        """Copy all state of lanes; see `Trainer.snapshot`."""
        return [self._cohort_of(lane).slots.snapshot(lane) for lane in lanes.tolist()]

    def restore(self, lanes: NDArray[np.int64], snapshot: list[LaneSnapshot]) -> None:
        """Put a snapshot into lanes; see `Trainer.restore`."""
        for lane, state in zip(lanes.tolist(), snapshot, strict=True):
            self._enter(lane, state.room).slots.restore(lane, state)

    def _enter(self, lane: int, room: Room) -> Cohort:
        """Take a lane out of its cohort, if it has to change it, and return the one to join."""
        if self._rooms[lane] not in (None, room):
            self._cohort_of(lane).slots.remove(lane)
        self._rooms[lane] = room
        if room not in self._cohorts:
            kind = NativeCohort if self._is_native and has_kernel(room.spec) else Cohort
            self._cohorts[room] = kind(
                room,
                mode=self._mode,
                device=self._device,
                batch=MAX_BATCH_SIZE,
                updater=self._updater,
            )
        return self._cohorts[room]

    def _cohort_of(self, lane: int) -> Cohort:
        room = self._rooms[lane]
        if room is None:
            raise ConfigurationError(f"lane {lane} has no run yet: call reset first")
        return self._cohorts[room]

    def _by_cohort(self, lanes: NDArray[np.int64]) -> list[tuple[Cohort, NDArray[np.int64]]]:
        """Group places in `lanes` by the cohort of the lane there."""
        rooms = [self._rooms[lane] for lane in lanes]
        return [
            (self._cohort_of(int(lanes[places[0]])), places)
            for room in dict.fromkeys(rooms)
            if len(places := np.array([i for i, r in enumerate(rooms) if r == room]))
        ]


def _checked_device(device: str) -> torch.device:
    try:
        checked = torch.device(device)
        torch.empty(0, device=checked)
    except (RuntimeError, AssertionError, TypeError) as error:  # torch asserts a build with CUDA
        raise ConfigurationError(f"device {device!r} cannot be used: {error}") from error
    return checked


def _is_native(engine: Engine, device: torch.device) -> bool:
    """Decide whether models run on the fused kernels, and build those."""
    if engine not in ("auto", "native"):
        return False
    if device.type != "cpu":
        if engine == "auto":
            return False
        raise ConfigurationError(
            f"engine 'native' runs on device 'cpu'; got {device.type!r}, where 'compiled' is fast"
        )
    reason = build_failure()
    if reason is None:
        return True
    if engine == "native":
        raise ConfigurationError(
            f"engine 'native' needs a C++ compiler: {reason}; install g++, or use 'eager'"
        )
    warnings.warn(f"training runs without the native kernel: {reason}", stacklevel=4)
    return False


def _mode(engine: Engine, num_lanes: int, device: torch.device) -> CompileMode:
    """Decide how models without a kernel run."""
    if engine == "auto":
        is_worth_it = num_lanes >= _LANES_WORTH_COMPILING
        can_compile = device.type != "cpu" or missing_for_compiling() is None
        return "auto" if is_worth_it and can_compile else "eager"
    if engine == "reference":
        raise ConfigurationError("engine 'reference' is ReferenceTrainer")
    if engine == "native":
        return "compiled"
    missing = missing_for_compiling() if device.type == "cpu" else None
    if engine == "compiled" and missing is not None:
        raise ConfigurationError(f"engine 'compiled' needs {missing}; install that, or use 'eager'")
    return engine
