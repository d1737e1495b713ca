"""The slots of a cohort: where each of its lanes has weights, memory, data and a record.

Lanes fill the first slots of buffers that are larger, so that one call trains them all. A lane that
leaves is replaced by the last one.

Axes: `N` lanes of the cohort, `C` slots.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.base import pad_weights
from hpo_env.networks.registry import ModelSpec
from hpo_env.tasks.supervised.data import (
    MAX_TEST_ROWS,
    MAX_TEST_TOKENS,
    MAX_TRAIN_TOKENS,
    MAX_VALIDATION_ROWS,
    MAX_VALIDATION_TOKENS,
    Problem,
)
from hpo_env.tasks.supervised.minibatches import NUM_STRIDES, order_strides, shuffled
from hpo_env.tasks.supervised.replacement import Replacement
from hpo_env.tasks.supervised.rows import Rows, Windows
from hpo_env.tasks.supervised.step import objective_code

_FIRST_SLOTS = 4
_PADDING = 16
"""Outputs are padded to a multiple of it: a whole number of vectors on every processor."""
_TABLE_PADDING = 32

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
_MOST_ROWS: dict[Part, int] = {
    "train": MAX_VALIDATION_ROWS,  # of 1,024: a look at them, as long as the one at validation
    "validation": MAX_VALIDATION_ROWS,
    "test": MAX_TEST_ROWS,
}
"""Rows of a part that are measured at most."""
_MOST_TOKENS: dict[Part, int] = {
    "train": MAX_VALIDATION_TOKENS,
    "validation": MAX_VALIDATION_TOKENS,
    "test": MAX_TEST_TOKENS,
}
"""Tokens of a part that are told at most."""

_PART_TOKENS = (MAX_TRAIN_TOKENS, MAX_VALIDATION_TOKENS + 1, MAX_TEST_TOKENS + 1)
_RECORD = np.dtype(
    [
        ("lane", np.int64),
        ("seed", np.int64),
        ("num_updates", np.int64),
        ("interval", np.int64),  # updates between two decisions
        ("optimizer_updates", np.int64),  # since the optimiser's memory was last empty
        ("num_consumed", np.int64),
        ("num_rows", np.int64),
        ("num_validation_rows", np.float32),
        ("num_test_rows", np.float32),
        ("num_outputs", np.float32),
        ("objective", np.float32),  # its place in step.LANE_OBJECTIVES
        ("validation_variance", np.float64),
        ("test_variance", np.float64),
        ("first_loss", np.float64),
        ("optimizer", "U16"),
        ("strides", np.int64, NUM_STRIDES),
    ]
)
"""What the host knows of a slot's lane."""


def most_measured(part: Part, window: int | None) -> int:
    """Return how many rows of a part are measured at most, or tokens if there is a window."""
    return _MOST_ROWS[part] if window is None else _MOST_TOKENS[part] + 1


def num_measured(record: Any, part: Part, window: int | None) -> NDArray[np.float32]:
    """Return how many of a part's rows, or windows, are measured in slots of a record, `[n]`."""
    present = record["num_rows" if part == "train" else f"num_{part}_rows"]
    most = _MOST_ROWS[part]
    if window is not None:
        most = _MOST_TOKENS[part] // (window - 1)
        if part == "train":  # windows may begin at any token but the last ones
            present = (present + window - 2) // (window - 1)
    rows: NDArray[np.float32] = np.minimum(present, most).astype(np.float32)
    return rows


class Room(NamedTuple):
    """What lanes of a cohort have room for: a padded model, and rows to train on if not a text."""

    spec: ModelSpec
    train_rows: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneSnapshot:
    """All state of one lane: its room, its record and a copy of its slot of every buffer."""

    room: Room
    record: Any
    tensors: tuple[Tensor, ...]


def room_for(name: str, problem: Problem) -> Room:
    """Choose the padded model and the rows of a problem; what is alike shares a cohort."""
    unit = 1 if problem.is_image or problem.is_text else _TABLE_PADDING
    spec = ModelSpec(
        architecture=name,
        num_inputs=-(-problem.num_features // unit) * unit,
        num_outputs=-(-problem.num_outputs // _PADDING) * _PADDING,
    )
    return Room(spec, problem.most_rows)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LaneTensors:
    """All tensors of some lanes, each with the lane as its first axis.

    Args:
        weights: One a parameter.
        momenta: The optimiser's, like the weights.
        squares: The optimiser's, like the weights.
        data: Inputs and targets of training, of validation and of test rows; tokens `[C, L]` and
            nothing, where rows are windows of a text.
        memory: What an updater remembers, where there is one.
        start: Weights at the start of the last interval. Not state, as all that follows.
        middle: Weights in its middle; none where the kernel keeps them.
    """

    weights: list[Tensor]
    momenta: list[Tensor]
    squares: list[Tensor]
    data: list[Tensor]
    memory: list[Tensor]
    start: list[Tensor]
    middle: list[Tensor]

    @property
    def trained(self) -> list[Tensor]:
        """What a step changes and an interval goes on from."""
        return [*self.weights, *self.momenta, *self.squares, *self.memory]

    @property
    def state(self) -> list[Tensor]:
        """All that a lane is, weights first."""
        return [*self.weights, *self.momenta, *self.squares, *self.data, *self.memory]

    @property
    def scratch(self) -> list[Tensor]:
        """What an interval leaves besides."""
        return [*self.start, *self.middle]

    def data_of(self, part: Part) -> list[Tensor]:
        """Return inputs and targets of a part."""
        first = 2 * PARTS.index(part)
        return self.data[first : first + 2]

    def map(self, function: Callable[[Tensor], Tensor]) -> LaneTensors:
        """Return what a function makes of each tensor."""
        return LaneTensors(
            weights=[function(t) for t in self.weights],
            momenta=[function(t) for t in self.momenta],
            squares=[function(t) for t in self.squares],
            data=[function(t) for t in self.data],
            memory=[function(t) for t in self.memory],
            start=[function(t) for t in self.start],
            middle=[function(t) for t in self.middle],
        )


class Slots:
    """Lanes of one model in slots `0..N-1` of common buffers.

    Args:
        room: What each has room for.
        device: Where the buffers are.
        replacement: What takes the place of their optimisers, if anything does.
        keeps_middle: Whether the weights in the middle of an interval are kept.

    Attributes:
        num_lanes: `N`.
        records: What the host knows of each slot's lane `[C]`.
        tensors: The buffers, each `[C, ...]`.
    """

    def __init__(
        self,
        room: Room,
        *,
        device: torch.device,
        replacement: Replacement | None,
        keeps_middle: bool,
    ) -> None:
        self.room, self.spec = room, room.spec
        self.num_lanes = 0
        self.records = np.zeros(0, dtype=_RECORD)
        self._device = device
        self._replacement = replacement
        self._keeps_middle = keeps_middle
        self._views: dict[tuple[int, int], LaneTensors] = {}
        self.tensors = self._buffers(0)
        self._grow(_FIRST_SLOTS)

    @property
    def lanes(self) -> NDArray[np.int64]:
        """Which lane each slot holds, `[N]`."""
        lanes: NDArray[np.int64] = self.records["lane"][: self.num_lanes]
        return lanes

    def slot_of(self, lane: int) -> int:
        """Find the slot of a lane."""
        return int(np.flatnonzero(self.lanes == lane)[0])

    def slots_of(self, lanes: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the slots of lanes `[n]`."""
        return np.array([self.slot_of(lane) for lane in lanes.tolist()])

    # --- Coming and going -------------------------------------------------------------------------

    def add(self, lane: int, problem: Problem, *, optimizer: str, seed: int, interval: int) -> int:
        """Start a lane, in the slot that it has or in a new one, and return the slot.

        Args:
            lane: Its number.
            problem: Its data.
            optimizer: Its optimiser.
            seed: The episode seed.
            interval: Updates between two decisions.
        """
        slot = self._take(lane)
        train = shuffled(problem.train, seed)
        record = self.records[slot]
        record["seed"], record["optimizer"], record["interval"] = seed, optimizer, interval
        record["num_updates"] = record["optimizer_updates"] = record["num_consumed"] = 0
        record["num_rows"] = len(train)
        record["strides"] = 1 if problem.is_text else order_strides(len(train), seed)
        record["num_validation_rows"] = problem.validation.num_measured
        record["num_test_rows"] = problem.test.num_measured
        record["num_outputs"] = problem.num_outputs
        record["objective"] = objective_code(problem.objective)
        record["validation_variance"] = problem.validation.variance
        record["test_variance"] = problem.test.variance
        drawn = self.spec.model.initial_weights(problem.num_features, problem.num_outputs, seed)
        padded = pad_weights(self.spec.parameters(), drawn)
        for buffer, weight in zip(self.tensors.weights, padded, strict=True):
            buffer[slot] = torch.from_numpy(weight)
        self._forget(np.array([slot]))
        for part, rows in zip(PARTS, (train, problem.validation, problem.test), strict=True):
            self._keep(slot, part, rows)
        return slot

    def _keep(self, slot: int, part: Part, rows: Rows | Windows) -> None:
        """Write rows into a slot; what older runs left in those beyond is masked out."""
        x, y = self.tensors.data_of(part)
        if isinstance(rows, Windows):
            x[slot, : len(rows.tokens)] = torch.from_numpy(rows.tokens.copy())
            return
        r, d = rows.x.shape
        x[slot, :r, :d] = torch.from_numpy(rows.x)
        x[slot, :r, d:] = 0.0
        y[slot, :r] = torch.from_numpy(rows.y)

    def remove(self, lane: int) -> None:
        """Drop a lane; the last slot moves into the hole."""
        slot, last = self.slot_of(lane), self.num_lanes - 1
        if slot != last:
            for buffer in self.tensors.state:
                buffer[slot] = buffer[last]
            self.records[slot] = self.records[last]
        self.num_lanes = last

    def snapshot(self, lane: int) -> LaneSnapshot:
        """Copy the state of a lane."""
        slot = self.slot_of(lane)
        return LaneSnapshot(
            room=self.room,
            record=self.records[slot].copy(),
            tensors=tuple(buffer[slot].clone() for buffer in self.tensors.state),
        )

    def restore(self, lane: int, snapshot: LaneSnapshot) -> None:
        """Put the state of a snapshot into the slot that the lane has, or into a new one."""
        slot = self._take(lane)
        for buffer, tensor in zip(self.tensors.state, snapshot.tensors, strict=True):
            buffer[slot] = tensor
        self.records[slot] = snapshot.record
        self.records[slot]["lane"] = lane

    def roll_back(self, slots: NDArray[np.int64]) -> None:
        """Put back the weights that slots had at the start of the last interval."""
        index = torch.from_numpy(slots).to(self._device)
        for weight, start in zip(self.tensors.weights, self.tensors.start, strict=True):
            weight[index] = start[index]
        self._forget(slots)

    def _forget(self, slots: NDArray[np.int64]) -> None:
        """Empty the optimiser's memory."""
        index = torch.from_numpy(slots).to(self._device)
        for buffer in (*self.tensors.momenta, *self.tensors.squares):
            buffer[index] = 0.0
        if self._replacement is not None:
            weights = self.spec.trained(self.tensors.weights)
            begun = self._replacement.start([weight[index] for weight in weights])
            for buffer, numbers in zip(self.tensors.memory, begun, strict=True):
                buffer[index] = numbers
        self.records["optimizer_updates"][slots] = 0

    # --- Room -------------------------------------------------------------------------------------

    def _take(self, lane: int) -> int:
        """Return the slot of a lane, a new one if it has none."""
        if lane in self.lanes:
            return self.slot_of(lane)
        if self.num_lanes == len(self.records):
            self._grow(2 * self.num_lanes)
        slot = self.num_lanes
        self.records[slot]["lane"] = lane
        self.num_lanes += 1
        return slot

    def _grow(self, num_slots: int) -> None:
        records = np.zeros(num_slots, dtype=_RECORD)
        records[: len(self.records)] = self.records
        records["num_rows"] = np.maximum(records["num_rows"], 1)  # empty slots must not divide by 0
        records["num_outputs"] = np.maximum(records["num_outputs"], 1)
        self.records = records
        grown = self._buffers(num_slots)
        for new, old in zip(grown.state, self.tensors.state, strict=True):
            new[: self.num_lanes] = old[: self.num_lanes]
        self.tensors = grown
        self._views = {}

    def _buffers(self, num_slots: int) -> LaneTensors:
        """Make buffers of zeros."""

        def zeros(shape: tuple[int, ...], dtype: torch.dtype = torch.float32) -> Tensor:
            return torch.zeros((num_slots, *shape), dtype=dtype, device=self._device)

        shapes = [parameter.shape for parameter in self.spec.parameters()]
        memory = () if self._replacement is None else self._replacement.memory
        return LaneTensors(
            weights=[zeros(shape) for shape in shapes],
            momenta=[zeros(shape) for shape in shapes],
            squares=[zeros(shape) for shape in shapes],
            data=[zeros(shape, dtype) for shape, dtype in self._data()],
            memory=[zeros(shape, dtype) for shape, dtype in memory],
            start=[zeros(shape) for shape in shapes],
            middle=[zeros(shape) for shape in shapes] if self._keeps_middle else [],
        )

    def _data(self) -> list[tuple[tuple[int, ...], torch.dtype]]:
        """List shape and type of inputs and targets of each part; windows are their own targets."""
        if self.spec.model.window is not None:
            return [
                facts
                for tokens in _PART_TOKENS
                for facts in (((tokens,), torch.uint8), ((0,), torch.float32))
            ]
        return [
            (shape, torch.float32)
            for rows in (self.room.train_rows, MAX_VALIDATION_ROWS, MAX_TEST_ROWS)
            for shape in ((rows, self.spec.num_inputs), (rows,))
        ]

    def views_of(self, span: slice) -> LaneTensors:
        """Return the slots of a span of every buffer; the same tensors at every call."""
        key = (span.start, span.stop)
        if key not in self._views:
            self._views[key] = self.tensors.map(lambda buffer: dynamic(buffer[span]))
        return self._views[key]

    def copies_of(self, slots: Tensor) -> LaneTensors:
        """Copy slots `[n]` out of every buffer."""
        return self.tensors.map(lambda buffer: dynamic(buffer.index_select(0, slots)))

    def put_back(self, slots: Tensor, copies: LaneTensors) -> None:
        """Write what training has changed of copies back into their slots."""
        for buffer, tensor in zip(
            (*self.tensors.trained, *self.tensors.scratch),
            (*copies.trained, *copies.scratch),
            strict=True,
        ):
            buffer.index_copy_(0, slots, tensor)


def dynamic(tensor: Tensor) -> Tensor:
    """Have compilations hold for any number of lanes."""
    torch._dynamo.mark_dynamic(tensor, 0)
    return tensor
