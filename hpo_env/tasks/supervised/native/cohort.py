"""A cohort that trains on the fused kernel.

Membership, buffers and snapshots are the common ones; an interval and an evaluation are one call.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.updaters import Updater
from hpo_env.tasks.supervised.cohort import Cohort, copy_each, to_numpy
from hpo_env.tasks.supervised.measurement import Float64
from hpo_env.tasks.supervised.native.kernel import COUNTERS, FACTS, Int64, Trained, kernel
from hpo_env.tasks.supervised.slots import LaneTensors, Part, Room, num_measured
from hpo_env.tasks.supervised.step import CompileMode, weight_movement


class NativeCohort(Cohort):
    """Lanes whose model has a kernel; see `Cohort`."""

    keeps_middle: ClassVar[bool] = False  # the kernel does, one lane's

    def __init__(
        self,
        room: Room,
        *,
        mode: CompileMode,
        device: torch.device,
        batch: int,
        updater: Updater | None = None,
    ) -> None:
        super().__init__(room, mode=mode, device=device, batch=batch, updater=updater)
        self._kernel = kernel(room.spec)

    def _run_interval(
        self, values: dict[str, Float64], batch_sizes: NDArray[np.int64]
    ) -> tuple[Float64, ...]:
        n = self.slots.num_lanes
        lanes = self.slots.views_of(slice(0, n))
        copy_each(lanes.weights, lanes.start)
        intervals = self.slots.records["interval"][:n].copy()
        settings = self._settings(values, int(intervals.max()), n)
        if self._replacement is None:
            trained = self._call(lanes, batch_sizes, 0, intervals, settings)
        else:
            trained = self._update_one_by_one(lanes, batch_sizes, intervals, settings)
        loss, score = self._measure(np.arange(n), "validation")
        ends = np.stack([trained.norms[0], trained.norms[intervals - 1, np.arange(n)]])
        measured = (trained.losses, ends, trained.movement)
        return (*(array.astype(np.float64) for array in measured), loss, score)

    def _call(
        self,
        lanes: LaneTensors,
        batch_sizes: NDArray[np.int64],
        num_done: int,
        intervals: NDArray[np.int64],
        settings: NDArray[np.float32],
    ) -> Trained:
        """Do some updates of each lane `[N]`, after `num_done` others.

        There are settings `[U, N, ...]` for the most that a lane does.
        """
        return self._kernel.train(
            [*lanes.weights, *lanes.momenta, *lanes.squares],
            *self.slots.tensors.data_of("train"),
            batch=int(batch_sizes.max()),
            num_updates=intervals,
            counters=self._kernel_counters(batch_sizes, num_done),
            settings=settings,
        )

    def _kernel_counters(self, batch_sizes: NDArray[np.int64], num_done: int) -> Int64:
        record = self.slots.records[: self.slots.num_lanes]
        columns = {
            "seed": record["seed"],
            "num_updates": record["num_updates"] + num_done,
            "batch_size": batch_sizes,
            "num_consumed": record["num_consumed"] + num_done * batch_sizes,
            "num_rows": record["num_rows"],
        }
        return np.column_stack([*(columns[name] for name in COUNTERS), record["strides"]])

    def _update_one_by_one(
        self,
        lanes: LaneTensors,
        batch_sizes: NDArray[np.int64],
        intervals: NDArray[np.int64],
        settings: NDArray[np.float32],
    ) -> Trained:
        """Have the kernel leave gradients, and the updater use them."""
        steps = []
        with torch.no_grad():
            for u in range(len(settings)):
                self._keep_middle(lanes, np.flatnonzero(intervals // 2 == u))
                before = self._before_update(lanes.weights)
                goes_on = (intervals > u).astype(np.int64)
                one = settings[u : u + 1]
                steps.append(self._call(lanes, batch_sizes, u, goes_on, one))
                self._replace_updates(before, lanes, np.flatnonzero(goes_on))
            movement = to_numpy(weight_movement(*self._moving(lanes)))
        return Trained(
            losses=np.concatenate([step.losses for step in steps]),
            norms=np.concatenate([step.norms for step in steps]),
            movement=movement.astype(np.float32),
        )

    def _keep_middle(self, lanes: LaneTensors, slots: NDArray[np.int64]) -> None:
        """Copy the weights of slots that are in the middle of their interval."""
        chosen = torch.from_numpy(slots)
        for weight, middle in zip(lanes.weights, lanes.middle, strict=True):
            middle[chosen] = weight[chosen]

    def _replace_updates(
        self, before: Tensor | None, lanes: LaneTensors, slots: NDArray[np.int64]
    ) -> None:
        """Have the updater update slots, and no others."""
        if len(slots) == self.slots.num_lanes:
            return self._replace_update(before, lanes)
        chosen = torch.from_numpy(slots)
        copies = self.slots.copies_of(chosen)
        self._replace_update(None if before is None else before[chosen], copies)
        return self.slots.put_back(chosen, copies)

    def _measure(self, slots: NDArray[np.int64], part: Part) -> tuple[Float64, Float64]:
        record = self.slots.records[slots]
        columns: dict[str, NDArray[Any]] = {
            "slot": slots,
            "num_rows": num_measured(record, part, self.spec.model.window),
            "num_outputs": record["num_outputs"],
            "objective": record["objective"],
        }
        facts = np.column_stack([columns[name].astype(np.int64) for name in FACTS])
        with torch.no_grad():
            weights = self._all_evaluated()
        x, y = self.slots.tensors.data_of(part)
        return self._kernel.evaluate(weights, x, y, facts)
