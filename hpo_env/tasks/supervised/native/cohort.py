"""A cohort that trains on the fused kernel.

Membership, buffers and snapshots are the common ones; an interval and an evaluation are one call.
"""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from hpo_env.networks.models import ModelSpec
from hpo_env.tasks.supervised.cohort import Cohort, Float64, Part, num_measured_rows
from hpo_env.tasks.supervised.native.kernel import COUNTERS, FACTS, kernel
from hpo_env.tasks.supervised.step import CompileMode


class NativeCohort(Cohort):
    """Lanes whose model has a kernel; see `Cohort`."""

    num_weight_copies: ClassVar[int] = 1  # the kernel keeps those of the middle, one lane's

    def __init__(
        self, spec: ModelSpec, *, mode: CompileMode, device: torch.device, batch: int
    ) -> None:
        super().__init__(spec, mode=mode, device=device, batch=batch)
        self._kernel = kernel(spec)

    def _run_interval(
        self, values: dict[str, Float64], batch_sizes: NDArray[np.int64], num_updates: int
    ) -> tuple[Float64, ...]:
        n = self.num_lanes
        for weights, start in zip(self._buffers, self._scratch, strict=False):
            start[:n] = weights[:n]
        record = self._records[:n]
        columns = {name: record[name] for name in COUNTERS if name != "batch_size"}
        columns["batch_size"] = batch_sizes
        counters = np.column_stack([*(columns[name] for name in COUNTERS), record["strides"]])
        x, y = self._data_of("train")
        trained = self._kernel.train(
            self._buffers[: 3 * self._num_weights],
            x,
            y,
            batch=int(batch_sizes.max()),
            counters=counters,
            settings=self._settings(values, num_updates, n),
        )
        loss, accuracy = self._measure(np.arange(n), "validation")
        measured = (trained.losses, trained.norms[[0, -1]], trained.movement)
        return (*(array.astype(np.float64) for array in measured), loss, accuracy)

    def _measure(self, slots: NDArray[np.int64], part: Part) -> tuple[Float64, Float64]:
        record = self._records[slots]
        columns: dict[str, NDArray[Any]] = {
            "slot": slots,
            "num_rows": num_measured_rows(record, part),
            "num_outputs": record["num_outputs"],
            "is_regression": record["is_regression"],
        }
        facts = np.column_stack([columns[name].astype(np.int64) for name in FACTS])
        x, y = self._data_of(part)
        return self._kernel.evaluate(self._buffers[: self._num_weights], x, y, facts)
