"""A cohort: all lanes of an environment whose inner model is the same.

Its lanes fill the first slots of buffers that are larger, so that one call trains them all. A lane
that leaves is replaced by the last one.

Axes: `N` lanes of the cohort, `C` slots, `U` updates.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.models import ModelSpec, initial_weights, pad_weights
from hpo_env.networks.optimizers import coefficients
from hpo_env.reward import has_diverged
from hpo_env.tasks.supervised.data import (
    MAX_TEST_ROWS,
    MAX_TRAIN_ROWS,
    MAX_VALIDATION_ROWS,
    Problem,
)
from hpo_env.tasks.supervised.minibatches import (
    FEWEST_ROWS,
    NUM_STRIDES,
    interval_rows,
    order_strides,
    row_bounds,
    shuffled,
)
from hpo_env.tasks.supervised.step import (
    COUNTERS,
    SETTINGS,
    CompileMode,
    Kernels,
    kernels,
)
from hpo_env.telemetry import Telemetry

_FIRST_SLOTS = 4
_PADDING = 16
"""Outputs are padded to a multiple of it: a whole number of vectors on every processor."""
_TABLE_PADDING = 32
_LARGEST_TEMPORARY = 8 * 2**20
"""Bytes of one layer's outputs in a call on a processor: above, the C library gives them back to
the system each time, and getting them again costs a fifth of the interval."""
_LARGEST_ON_A_GPU = 2**30
"""The same on a GPU, which many lanes a call fill."""

Float64 = NDArray[np.float64]
Part = Literal["train", "validation", "test"]
_PARTS: tuple[Part, ...] = ("train", "validation", "test")
_MOST_ROWS = {
    "train": MAX_VALIDATION_ROWS,  # of 1,024: a look at them, as long as the one at validation
    "validation": MAX_VALIDATION_ROWS,
    "test": MAX_TEST_ROWS,
}
"""Rows of a part that are measured at most."""

_RECORD = np.dtype(
    [
        ("lane", np.int64),
        ("seed", np.int64),
        ("num_updates", np.int64),
        ("optimizer_updates", np.int64),  # since the optimiser's memory was last empty
        ("num_consumed", np.int64),
        ("num_rows", np.int64),
        ("num_validation_rows", np.float32),
        ("num_test_rows", np.float32),
        ("num_outputs", np.float32),
        ("is_regression", np.float32),
        ("validation_variance", np.float64),
        ("test_variance", np.float64),
        ("first_loss", np.float64),
        ("optimizer", "U16"),
        ("strides", np.int64, NUM_STRIDES),
    ]
)
"""What the host knows of a slot's lane."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneSnapshot:
    """All state of one lane: its model, its record and a copy of its slot of every buffer."""

    spec: ModelSpec
    record: Any
    tensors: tuple[Tensor, ...]


def spec_for(name: str, problem: Problem) -> ModelSpec:
    """Choose the padded model of a problem; what is alike shares a cohort."""
    unit = 1 if problem.is_image else _TABLE_PADDING
    return ModelSpec(
        architecture=name,
        num_inputs=-(-problem.num_features // unit) * unit,
        num_outputs=-(-problem.num_outputs // _PADDING) * _PADDING,
    )


class Cohort:
    """Lanes in slots `0..N-1` of common buffers.

    Args:
        spec: Their model.
        mode: How the model's functions run.
        device: Where the buffers are.
        batch: The largest minibatch.
    """

    num_weight_copies: ClassVar[int] = 2
    """Copies of all lanes' weights that an interval leaves; the first is of its start."""

    def __init__(
        self, spec: ModelSpec, *, mode: CompileMode, device: torch.device, batch: int
    ) -> None:
        self.spec = spec
        self.num_lanes = 0
        self._mode = mode
        self._device = device
        self._batch = batch
        widest = max(parameter.shape[-1] for parameter in spec.parameters())
        largest = 4 * MAX_VALIDATION_ROWS * widest * spec.rows_per_input()
        most = _LARGEST_TEMPORARY if device.type == "cpu" else _LARGEST_ON_A_GPU
        self._lanes_per_call = max(most // largest, 2)
        self._records = np.zeros(0, dtype=_RECORD)
        shapes = [parameter.shape for parameter in spec.parameters()]
        d = spec.num_inputs
        self._num_weights = len(shapes)
        # A lane's state: weights, momenta, squares; then inputs and targets of each split.
        self._state_shapes: list[tuple[int, ...]] = [
            *(shapes * 3),
            *((MAX_TRAIN_ROWS, d), (MAX_TRAIN_ROWS,)),
            *((MAX_VALIDATION_ROWS, d), (MAX_VALIDATION_ROWS,)),
            *((MAX_TEST_ROWS, d), (MAX_TEST_ROWS,)),
        ]
        # Not state: the weights at the start and in the middle of an interval.
        self._scratch_shapes = shapes * self.num_weight_copies
        self._buffers: list[Tensor] = []
        self._scratch: list[Tensor] = []
        self._views: dict[tuple[int, int], list[Tensor]] = {}
        self._grow(_FIRST_SLOTS)

    @property
    def lanes(self) -> NDArray[np.int64]:
        """Which lane each slot holds, `[N]`."""
        lanes: NDArray[np.int64] = self._records["lane"][: self.num_lanes]
        return lanes

    # --- Membership -------------------------------------------------------------------------------

    def add(self, lane: int, name: str, problem: Problem, *, optimizer: str, seed: int) -> int:
        """Start a lane, in the slot that it has or in a new one, and return the slot."""
        slot = self._take_slot(lane)
        train = shuffled(problem.train, seed)
        record = self._records[slot]
        record["seed"], record["optimizer"] = seed, optimizer
        record["num_updates"] = record["optimizer_updates"] = record["num_consumed"] = 0
        record["num_rows"] = len(train)
        record["strides"] = order_strides(len(train), seed)
        record["num_validation_rows"] = len(problem.validation)
        record["num_test_rows"] = len(problem.test)
        record["num_outputs"] = problem.num_outputs
        record["is_regression"] = problem.is_regression
        record["validation_variance"] = problem.validation.y.var(dtype=np.float64)
        record["test_variance"] = problem.test.y.var(dtype=np.float64)
        weights = initial_weights(name, problem.num_features, problem.num_outputs, seed)
        k = self._num_weights
        for index, weight in enumerate(pad_weights(self.spec, weights)):
            self._buffers[index][slot] = torch.from_numpy(weight)
            self._buffers[k + index][slot] = 0.0
            self._buffers[2 * k + index][slot] = 0.0
        for part, rows in enumerate((train, problem.validation, problem.test)):
            x, y = self._buffers[3 * k + 2 * part], self._buffers[3 * k + 2 * part + 1]
            r, d = rows.x.shape  # what older runs left in the rows beyond is masked out
            x[slot, :r, :d] = torch.from_numpy(rows.x)
            x[slot, :r, d:] = 0.0
            y[slot, :r] = torch.from_numpy(rows.y)
        return slot

    def remove(self, slot: int) -> None:
        """Drop a slot's lane; the last slot moves into the hole."""
        last = self.num_lanes - 1
        if slot != last:
            for buffer in self._buffers:
                buffer[slot] = buffer[last]
            self._records[slot] = self._records[last]
        self.num_lanes = last

    def slot_of(self, lane: int) -> int:
        """Find the slot of a lane."""
        return int(np.flatnonzero(self.lanes == lane)[0])

    def snapshot(self, lane: int) -> LaneSnapshot:
        """Copy the state of a lane."""
        slot = self.slot_of(lane)
        return LaneSnapshot(
            spec=self.spec,
            record=self._records[slot].copy(),
            tensors=tuple(buffer[slot].clone() for buffer in self._buffers),
        )

    def restore(self, lane: int, snapshot: LaneSnapshot) -> None:
        """Put the state of a snapshot into the slot that the lane has, or into a new one."""
        slot = self._take_slot(lane)
        for buffer, tensor in zip(self._buffers, snapshot.tensors, strict=True):
            buffer[slot] = tensor
        self._records[slot] = snapshot.record
        self._records[slot]["lane"] = lane

    def _take_slot(self, lane: int) -> int:
        if lane in self.lanes:
            return self.slot_of(lane)
        if self.num_lanes == len(self._records):
            self._grow(2 * self.num_lanes)
        slot = self.num_lanes
        self._records[slot]["lane"] = lane
        self.num_lanes += 1
        return slot

    def _grow(self, num_slots: int) -> None:
        records = np.zeros(num_slots, dtype=_RECORD)
        records[: len(self._records)] = self._records
        records["num_rows"] = np.maximum(records["num_rows"], 1)  # empty slots must not divide by 0
        records["num_outputs"] = np.maximum(records["num_outputs"], 1)
        self._records = records
        grown = [torch.zeros((num_slots, *s), device=self._device) for s in self._state_shapes]
        for new, old in zip(grown, self._buffers, strict=bool(self._buffers)):
            new[: self.num_lanes] = old[: self.num_lanes]
        self._buffers = grown
        self._scratch = [
            torch.zeros((num_slots, *s), device=self._device) for s in self._scratch_shapes
        ]
        self._views = {}

    def roll_back(self, slots: NDArray[np.int64]) -> None:
        """Put back the weights that slots had at the start of the last interval."""
        k, index = self._num_weights, torch.from_numpy(slots).to(self._device)
        for number, start in enumerate(self._scratch[:k]):
            self._buffers[number][index] = start[index]
            self._buffers[k + number][index] = 0.0
            self._buffers[2 * k + number][index] = 0.0
        self._records["optimizer_updates"][slots] = 0

    # --- Training ---------------------------------------------------------------------------------

    def advance(self, values: dict[str, Float64], num_updates: int) -> tuple[Telemetry, Float64]:
        """Train all lanes for one interval.

        Args:
            values: Hyperparameters `[N]` by name.
            num_updates: `U`.

        Returns:
            Telemetry `[N]`, and the batch sizes in use `[N]`.
        """
        n = self.num_lanes
        batch_sizes = np.clip(np.rint(values["batch_size"]), 1, self._batch).astype(np.int64)
        losses, norms, movement, loss, accuracy = self._run_interval(
            values, batch_sizes, num_updates
        )
        record = self._records[:n]
        record["num_updates"] += num_updates
        record["optimizer_updates"] += num_updates
        record["num_consumed"] += num_updates * batch_sizes
        metric = _metric(record, loss, accuracy, record["validation_variance"])
        telemetry = _telemetry(losses, norms, movement, loss, metric, record["first_loss"])
        return telemetry, batch_sizes.astype(np.float64)

    def _run_interval(
        self, values: dict[str, Float64], batch_sizes: NDArray[np.int64], num_updates: int
    ) -> tuple[Float64, ...]:
        """Train and evaluate all lanes.

        Returns:
            Minibatch losses `[U, N]`, first and last gradient norm `[2, N]`, movement of the
            weights `[5, N]`, validation loss `[N]` and accuracy `[N]`.
        """
        has_dropout = bool((values["dropout"] > 0.0).any())
        bounds = row_bounds(batch_sizes, self._batch)
        wholes: list[Float64] = []
        for bound in np.unique(bounds).tolist():
            run = kernels(self.spec, self._mode, has_dropout=has_dropout, batch=bound)
            num_slots = max(self.num_lanes, run.least_lanes)
            inputs = [
                self._rows(batch_sizes, num_updates, num_slots, bound),
                self._counters(batch_sizes, num_updates, num_slots),
                torch.from_numpy(self._settings(values, num_updates, num_slots)).to(self._device),
            ]
            for piece in self._pieces(np.flatnonzero(bounds == bound), run):
                measured = self._train_piece(run, piece, inputs)
                if not wholes:
                    wholes = [np.empty((*m.shape[:-1], num_slots)) for m in measured]
                for whole, part in zip(wholes, measured, strict=True):
                    whole[..., piece] = _to_numpy(part)
        return tuple(whole[..., : self.num_lanes] for whole in wholes)

    def _train_piece(
        self, run: Kernels, piece: slice | NDArray[np.int64], inputs: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Train and evaluate the lanes of one piece, out of inputs `[U, N, ...]` of all slots."""
        if isinstance(piece, slice):
            ours = [whole[:, piece] for whole in inputs]
            return self._train(run, self._views_of(piece), self._facts(piece), ours)
        chosen = torch.from_numpy(piece).to(self._device)
        ours = [whole.index_select(1, chosen) for whole in inputs]
        buffers = [*self._buffers, *self._scratch]
        tensors = _dynamic([buffer.index_select(0, chosen) for buffer in buffers])
        measured = self._train(run, tensors, self._facts(piece), ours)
        num_data = len(self._state_shapes) - 3 * self._num_weights  # which training leaves alone
        for number, (buffer, tensor) in enumerate(zip(buffers, tensors, strict=True)):
            if not 0 <= number - 3 * self._num_weights < num_data:
                buffer.index_copy_(0, chosen, tensor)
        return measured

    def _train(
        self, run: Kernels, tensors: list[Tensor], facts: list[Tensor], inputs: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Train and evaluate n lanes.

        Args:
            run: The model's functions.
            tensors: State and scratch of the lanes.
            facts: What evaluation has to know of them.
            inputs: Rows, counters and settings `[U, n, ...]`.

        Returns:
            What `_run_interval` does.
        """
        k = self._num_weights
        weights, momenta, squares = tensors[:k], tensors[k : 2 * k], tensors[2 * k : 3 * k]
        x, y, x_validation, y_validation = tensors[3 * k : 3 * k + 4]
        start, middle = tensors[-2 * k : -k], tensors[-k:]
        # Copies: a piece of a larger tensor would be compiled for its place in it.
        rows, counters, settings = (
            _dynamic([piece.clone() for piece in whole.unbind(0)]) for whole in inputs
        )
        losses, norms = [], []
        with torch.no_grad():
            _copy(weights, start)
            for u in range(len(rows)):
                if u == len(rows) // 2:
                    _copy(weights, middle)
                loss, norm = run.train(
                    weights, momenta, squares, x, y, rows[u], counters[u], settings[u]
                )
                losses.append(loss)
                norms.append(norm)
            movement = run.compare(start, middle, weights)
            loss, accuracy = run.evaluate(weights, x_validation, y_validation, *facts)
        return torch.stack(losses), torch.stack([norms[0], norms[-1]]), movement, loss, accuracy

    def evaluate(self, slots: NDArray[np.int64], part: Part) -> tuple[Float64, Float64]:
        """Measure loss and metric of some slots on their validation or test rows."""
        losses, accuracies = self._measure(slots, part)
        record = self._records[slots]
        return losses, _metric(record, losses, accuracies, record[f"{part}_variance"])

    def train_loss(self, slots: NDArray[np.int64]) -> Float64:
        """Measure the loss of some slots on as many training rows as validation may have."""
        return self._measure(slots, "train")[0]

    def _measure(self, slots: NDArray[np.int64], part: Part) -> tuple[Float64, Float64]:
        """Measure loss `[n]` and accuracy `[n]` of n slots."""
        run = kernels(self.spec, self._mode, has_dropout=False, batch=FEWEST_ROWS)
        padded = np.resize(slots, max(len(slots), run.least_lanes))
        chosen = torch.from_numpy(padded).to(self._device)
        weights = self._buffers[: self._num_weights]
        data = [buffer[:, : _MOST_ROWS[part]] for buffer in self._data_of(part)]
        tensors = _dynamic([b.index_select(0, chosen) for b in (*weights, *data)])
        with torch.no_grad():
            loss, accuracy = run.evaluate(
                tensors[: self._num_weights],
                *tensors[self._num_weights :],
                *self._facts(padded, part),
            )
        return _to_numpy(loss)[: len(slots)], _to_numpy(accuracy)[: len(slots)]

    def _data_of(self, part: Part) -> list[Tensor]:
        """Return the buffers of a part's inputs and targets."""
        first = 3 * self._num_weights + 2 * _PARTS.index(part)
        return self._buffers[first : first + 2]

    def set_first_loss(self, slots: NDArray[np.int64], losses: Float64) -> None:
        """Note the losses before the first update, against which divergence is judged."""
        self._records["first_loss"][slots] = losses

    def _pieces(self, slots: NDArray[np.int64], run: Kernels) -> list[slice | NDArray[np.int64]]:
        """Cut slots into pieces for a call each: spans if they are all that there are.

        Otherwise lists of slots, to be copied; one comes twice where there are too few.
        """
        if len(slots) == self.num_lanes:
            return list(self._spans(run))
        padded = np.resize(slots, max(len(slots), run.least_lanes))
        return list(np.array_split(padded, self._num_calls(len(padded), run)))

    def _spans(self, run: Kernels) -> list[slice]:
        """Cut the lanes into spans of equal size, none below the least number of lanes.

        An idle slot makes up the number where there are too few.
        """
        num_slots = max(self.num_lanes, run.least_lanes)
        ends = np.linspace(0, num_slots, self._num_calls(num_slots, run) + 1)
        return [slice(a, b) for a, b in itertools.pairwise(ends.round().astype(int).tolist())]

    def _num_calls(self, num_slots: int, run: Kernels) -> int:
        return min(-(-num_slots // self._lanes_per_call), num_slots // run.least_lanes)

    def _views_of(self, span: slice) -> list[Tensor]:
        """Return the slots of a span of every buffer, state before scratch."""
        key = (span.start, span.stop)
        if key not in self._views:
            self._views[key] = _dynamic([b[span] for b in (*self._buffers, *self._scratch)])
        return self._views[key]

    def _facts(self, slots: slice | NDArray[np.int64], part: Part = "validation") -> list[Tensor]:
        """Return what evaluation has to know of each lane: rows, outputs, kind of target."""
        record = self._records[slots]
        columns = (num_measured_rows(record, part), record["num_outputs"], record["is_regression"])
        facts = [np.ascontiguousarray(column, dtype=np.float32) for column in columns]
        return _dynamic([torch.from_numpy(fact).to(self._device) for fact in facts])

    def _settings(
        self, values: dict[str, Float64], num_updates: int, num_slots: int
    ) -> NDArray[np.float32]:
        n = self.num_lanes
        record = self._records[:n]
        settings = np.zeros((num_updates, num_slots, len(SETTINGS)), dtype=np.float32)
        settings[:, n:, SETTINGS.index("num_outputs")] = 1.0
        updates = record["optimizer_updates"] + np.arange(1, num_updates + 1)[:, None]
        computed = coefficients(
            record["optimizer"],
            learning_rate=values["learning_rate"],
            weight_decay=values["weight_decay"],
            momentum=values["momentum"],
            updates=updates,
        )
        settings[:, :n, : computed.shape[2]] = computed
        for name in ("dropout", "label_smoothing", "gradient_clip"):
            settings[:, :n, SETTINGS.index(name)] = values[name]
        for name in ("is_regression", "num_outputs"):
            settings[:, :n, SETTINGS.index(name)] = record[name]
        return settings

    def _counters(self, batch_sizes: NDArray[np.int64], num_updates: int, num_slots: int) -> Tensor:
        n = self.num_lanes
        record = self._records[:n]
        step = np.arange(num_updates)[:, None]
        counters = np.ones((num_updates, num_slots, len(COUNTERS)), dtype=np.int64)
        columns = (
            record["seed"],
            record["num_updates"] + step,
            batch_sizes,
        )
        for index, column in enumerate(columns):
            counters[:, :n, index] = column
        return torch.from_numpy(counters).to(self._device)

    def _rows(
        self, batch_sizes: NDArray[np.int64], num_updates: int, num_slots: int, bound: int
    ) -> Tensor:
        record = self._records[:num_slots]
        sizes = np.ones(num_slots, dtype=np.int64)
        sizes[: len(batch_sizes)] = batch_sizes
        return interval_rows(
            record["seed"],
            record["num_consumed"],
            record["num_rows"],
            sizes,
            record["strides"],
            num_updates=num_updates,
            batch=bound,
            device=self._device,
        )


def num_measured_rows(record: Any, part: Part) -> NDArray[np.float32]:
    """Return how many of a part's rows are measured, `[n]`."""
    present = record["num_rows" if part == "train" else f"num_{part}_rows"]
    rows: NDArray[np.float32] = np.minimum(present, _MOST_ROWS[part]).astype(np.float32)
    return rows


def _copy(source: list[Tensor], target: list[Tensor]) -> None:
    for s, t in zip(source, target, strict=True):
        t.copy_(s)


def _dynamic(tensors: list[Tensor]) -> list[Tensor]:
    for tensor in tensors:
        torch._dynamo.mark_dynamic(tensor, 0)
    return tensors


def _to_numpy(tensor: Tensor) -> Float64:
    return tensor.cpu().numpy().astype(np.float64)


def _metric(record: Any, loss: Float64, accuracy: Float64, variance: Float64) -> Float64:
    """Return R² of regressions and accuracy of classifications."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(record["is_regression"] > 0.5, 1.0 - loss / variance, accuracy)


def _telemetry(
    losses: Float64,
    norms: Float64,
    movement: Float64,
    validation_loss: Float64,
    validation_metric: Float64,
    first_loss: Float64,
) -> Telemetry:
    """Make the record `[N]` of an interval from minibatch losses `[U, N]` and what was measured."""
    half = len(losses) // 2
    nan = np.full(losses.shape[1], np.nan)
    diverged = has_diverged(validation_loss, first_loss) | ~np.isfinite(losses).all(axis=0)
    with np.errstate(all="ignore"):
        weights, whole, first, second, product = movement
        return Telemetry(
            train_loss=losses.mean(axis=0),
            train_loss_first_half=losses[:half].mean(axis=0) if half else nan,
            train_loss_second_half=losses[half:].mean(axis=0) if half else nan,
            train_loss_spread=losses.std(axis=0),
            validation_loss=validation_loss,
            validation_metric=validation_metric,
            gradient_norm_first=norms[0],
            gradient_norm_last=norms[1],
            update_ratio=np.sqrt(whole / weights),
            update_agreement=product / np.sqrt(first * second) if half else nan,
            diverged=diverged,
        )
