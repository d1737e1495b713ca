"""A cohort: all lanes of an environment whose inner model is the same, trained by one call.

Axes: `N` lanes of the cohort, `C` slots, `U` updates.
"""

from __future__ import annotations

import itertools
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.optimizers import coefficients
from hpo_env.networks.updaters import Updater
from hpo_env.tasks.supervised.data import MAX_VALIDATION_ROWS
from hpo_env.tasks.supervised.measurement import (
    Float64,
    interval_telemetry,
    ratio_and_agreement,
)
from hpo_env.tasks.supervised.minibatches import (
    FEWEST_ROWS,
    drawn_windows,
    interval_rows,
    row_bounds,
)
from hpo_env.tasks.supervised.replacement import STILL, STILL_VALUES, Replacement
from hpo_env.tasks.supervised.slots import (
    LaneTensors,
    Part,
    Room,
    Slots,
    dynamic,
    most_measured,
    num_measured,
)
from hpo_env.tasks.supervised.step import (
    COUNTERS,
    SETTINGS,
    CompileMode,
    Kernels,
    kernels,
    metrics,
)
from hpo_env.telemetry import Telemetry

_LARGEST_TEMPORARY = 8 * 2**20
"""Bytes of one layer's outputs in a call on a processor: above, the C library gives them back to
the system each time, and getting them again costs a fifth of the interval."""
_LARGEST_ON_A_GPU = 2**30
"""The same on a GPU, which many lanes a call fill."""


class Cohort:
    """Lanes that share a model.

    Args:
        room: Their model, and the rows that each may have.
        mode: How the model's functions run.
        device: Where the buffers are.
        batch: The largest minibatch.
        updater: What takes the place of the lanes' own optimisers; None leaves them theirs.

    Attributes:
        slots: Who is in it, and all that they are.
    """

    keeps_middle: ClassVar[bool] = True
    """Whether the weights in the middle of an interval have to be kept, for want of a kernel."""

    def __init__(
        self,
        room: Room,
        *,
        mode: CompileMode,
        device: torch.device,
        batch: int,
        updater: Updater | None = None,
    ) -> None:
        spec = self.spec = room.spec
        parameters = spec.parameters()
        self._replacement = (
            None if updater is None else Replacement(updater, spec.trained(parameters))
        )
        self.slots = Slots(
            room,
            device=device,
            replacement=self._replacement,
            keeps_middle=self.keeps_middle or updater is not None,
        )
        self._mode = mode
        self._device = device
        self._batch = batch
        widest = max(parameter.shape[-1] for parameter in parameters)
        largest = 4 * MAX_VALIDATION_ROWS * widest * spec.rows_per_input()
        most = _LARGEST_TEMPORARY if device.type == "cpu" else _LARGEST_ON_A_GPU
        self._lanes_per_call = max(most // largest, 2)

    # --- Training ---------------------------------------------------------------------------------

    def advance(self, values: dict[str, Float64]) -> tuple[Telemetry, dict[str, Float64]]:
        """Train all lanes for one interval, each for as many updates as it has in one.

        Args:
            values: Hyperparameters `[N]` by name.

        Returns:
            Telemetry `[N]`, and what was used in the place of other values `[N]`, by name; NaN
            where a hyperparameter was not used at all.
        """
        batch_sizes = np.clip(np.rint(values["batch_size"]), 1, self._batch).astype(np.int64)
        losses, norms, movement, loss, score = self._run_interval(values, batch_sizes)
        record = self.slots.records[: self.slots.num_lanes]
        intervals = record["interval"].copy()
        record["num_updates"] += intervals
        record["optimizer_updates"] += intervals
        record["num_consumed"] += intervals * batch_sizes
        ratio, agreement = ratio_and_agreement(movement)
        metric = metrics(record["objective"], loss, score, record["validation_variance"])
        telemetry = Telemetry.missing(len(record))
        for num_updates in np.unique(intervals):
            lanes = np.flatnonzero(intervals == num_updates)
            measured = interval_telemetry(
                np.ascontiguousarray(losses[:num_updates][:, lanes]),
                gradient_norms=norms[:, lanes],
                update_ratio=ratio[lanes],
                update_agreement=agreement[lanes],
                validation_loss=loss[lanes],
                validation_metric=metric[lanes],
                first_loss=record["first_loss"][lanes],
            )
            telemetry.put(lanes, measured)
        return telemetry, {"batch_size": batch_sizes.astype(np.float64), **self._used_instead()}

    def _used_instead(self) -> dict[str, Float64]:
        """Return what an updater has used in the place of the optimiser's hyperparameters."""
        if self._replacement is None:
            return {}
        n = self.slots.num_lanes
        missing = {name: np.full(n, np.nan) for name in STILL_VALUES}
        rates = self._replacement.learning_rate([m[:n] for m in self.slots.tensors.memory])
        return {**missing, "learning_rate": rates}

    def _run_interval(
        self, values: dict[str, Float64], batch_sizes: NDArray[np.int64]
    ) -> tuple[Float64, ...]:
        """Train and evaluate all lanes.

        Returns:
            Minibatch losses `[U, N]`, NaN after a lane's last; first and last gradient norm
            `[2, N]`, movement of the weights `[5, N]`, validation loss `[N]` and score `[N]`.
        """
        has_dropout = bool((values["dropout"] > 0.0).any())
        intervals = self.slots.records["interval"][: self.slots.num_lanes]
        sorts = np.stack([row_bounds(batch_sizes, self._batch), intervals], axis=1)
        wholes: list[Float64] = []
        for bound, num_updates in np.unique(sorts, axis=0).tolist():
            run = kernels(self.spec, self._mode, has_dropout=has_dropout, batch=bound)
            num_slots = max(self.slots.num_lanes, run.least_lanes)
            inputs = [
                self._rows(batch_sizes, num_updates, num_slots, bound),
                self._counters(batch_sizes, num_updates, num_slots),
                torch.from_numpy(self._settings(values, num_updates, num_slots)).to(self._device),
            ]
            ours = np.flatnonzero((sorts == (bound, num_updates)).all(axis=1))
            for piece in self._pieces(ours, run):
                measured = self._train_piece(run, piece, inputs)
                if not wholes:
                    shapes = [tuple(m.shape[:-1]) for m in measured]
                    shapes[0] = (int(intervals.max()),)
                    wholes = [np.full((*shape, num_slots), np.nan) for shape in shapes]
                for whole, part in zip(wholes, measured, strict=True):
                    place = whole if whole.ndim == 1 else whole[: len(part)]
                    place[..., piece] = to_numpy(part)
        return tuple(whole[..., : self.slots.num_lanes] for whole in wholes)

    def _train_piece(
        self, run: Kernels, piece: slice | NDArray[np.int64], inputs: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Train and evaluate the lanes of one piece, out of inputs `[U, N, ...]` of all slots."""
        if isinstance(piece, slice):
            ours = [whole[:, piece] for whole in inputs]
            return self._train(run, self.slots.views_of(piece), self._facts(piece), ours)
        chosen = torch.from_numpy(piece).to(self._device)
        ours = [whole.index_select(1, chosen) for whole in inputs]
        copies = self.slots.copies_of(chosen)
        measured = self._train(run, copies, self._facts(piece), ours)
        self.slots.put_back(chosen, copies)
        return measured

    def _train(
        self, run: Kernels, lanes: LaneTensors, facts: list[Tensor], inputs: list[Tensor]
    ) -> tuple[Tensor, ...]:
        """Train and evaluate n lanes.

        Args:
            run: The model's functions.
            lanes: Their tensors.
            facts: What evaluation has to know of them.
            inputs: Rows, counters and settings `[U, n, ...]`.

        Returns:
            What `_run_interval` does.
        """
        weights, memories = lanes.weights, (lanes.momenta, lanes.squares)
        data = lanes.data_of("train")
        # Copies: a piece of a larger tensor would be compiled for its place in it.
        rows, counters, settings = (
            [dynamic(piece.clone()) for piece in whole.unbind(0)] for whole in inputs
        )
        losses, norms = [], []
        with torch.no_grad():
            copy_each(weights, lanes.start)
            for u in range(len(rows)):
                if u == len(rows) // 2:
                    copy_each(weights, lanes.middle)
                before = self._before_update(weights)
                loss, norm = run.train(weights, *memories, *data, rows[u], counters[u], settings[u])
                self._replace_update(before, lanes)
                losses.append(loss)
                norms.append(norm)
            movement = run.compare(*self._moving(lanes))
            evaluated = self._evaluated(weights, lanes.memory)
            loss, score = run.evaluate(evaluated, *lanes.data_of("validation"), *facts)
        return torch.stack(losses), torch.stack([norms[0], norms[-1]]), movement, loss, score

    def _moving(self, lanes: LaneTensors) -> list[list[Tensor]]:
        """Return weights at the start, in the middle and now, without running averages."""
        return [self.spec.trained(w) for w in (lanes.start, lanes.middle, lanes.weights)]

    # --- An updater in the place of the optimisers ------------------------------------------------

    def _before_update(self, weights: list[Tensor]) -> Tensor | None:
        """Keep weights that an updater needs as they were, `[n, P]`."""
        if self._replacement is None:
            return None
        return self._replacement.flat(self.spec.trained(weights))

    def _replace_update(self, before: Tensor | None, lanes: LaneTensors) -> None:
        """Have the updater do the update of which the step has left the gradients."""
        if self._replacement is not None and before is not None:
            weights, gradients = map(self.spec.trained, (lanes.weights, lanes.momenta))
            self._replacement.update(before, weights, gradients, lanes.memory)

    def _evaluated(self, weights: list[Tensor], memory: list[Tensor]) -> list[Tensor]:
        """Return the weights at which lanes are evaluated."""
        if self._replacement is None:
            return weights
        trained = iter(self._replacement.evaluated(self.spec.trained(weights), memory))
        pairs = zip(self.spec.parameters(), weights, strict=True)
        return [w if parameter.is_average else next(trained) for parameter, w in pairs]

    def _all_evaluated(self) -> list[Tensor]:
        """Return the weights at which lanes are evaluated, of all slots in use."""
        if self._replacement is None:
            return self.slots.tensors.weights
        n, tensors = self.slots.num_lanes, self.slots.tensors
        return self._evaluated([w[:n] for w in tensors.weights], [m[:n] for m in tensors.memory])

    # --- Measuring --------------------------------------------------------------------------------

    def evaluate(self, slots: NDArray[np.int64], part: Part) -> tuple[Float64, Float64]:
        """Measure loss and metric of some slots on their validation or test rows."""
        losses, scores = self._measure(slots, part)
        record = self.slots.records[slots]
        return losses, metrics(record["objective"], losses, scores, record[f"{part}_variance"])

    def train_loss(self, slots: NDArray[np.int64]) -> Float64:
        """Measure the loss of some slots on as many training rows as validation may have."""
        return self._measure(slots, "train")[0]

    def set_first_loss(self, slots: NDArray[np.int64], losses: Float64) -> None:
        """Note the losses before the first update, against which divergence is judged."""
        self.slots.records["first_loss"][slots] = losses

    def _measure(self, slots: NDArray[np.int64], part: Part) -> tuple[Float64, Float64]:
        """Measure loss `[n]` and score `[n]` of n slots."""
        run = kernels(self.spec, self._mode, has_dropout=False, batch=FEWEST_ROWS)
        padded = np.resize(slots, max(len(slots), run.least_lanes))
        chosen = torch.from_numpy(padded).to(self._device)
        with torch.no_grad():
            weights = self._all_evaluated()
            data = [
                buffer[:, : most_measured(part, self.spec.model.window)]
                for buffer in self.slots.tensors.data_of(part)
            ]
            tensors = [dynamic(b.index_select(0, chosen)) for b in (*weights, *data)]
            loss, score = run.evaluate(
                tensors[: len(weights)], *tensors[len(weights) :], *self._facts(padded, part)
            )
        return to_numpy(loss)[: len(slots)], to_numpy(score)[: len(slots)]

    # --- Cutting into calls -----------------------------------------------------------------------

    def _pieces(self, slots: NDArray[np.int64], run: Kernels) -> list[slice | NDArray[np.int64]]:
        """Cut slots into pieces for a call each: spans if they are all that there are.

        Otherwise lists of slots, to be copied; one comes twice where there are too few.
        """
        if len(slots) == self.slots.num_lanes:
            return list(self._spans(run))
        padded = np.resize(slots, max(len(slots), run.least_lanes))
        return list(np.array_split(padded, self._num_calls(len(padded), run)))

    def _spans(self, run: Kernels) -> list[slice]:
        """Cut the lanes into spans of equal size, none below the least number of lanes.

        An idle slot makes up the number where there are too few.
        """
        num_slots = max(self.slots.num_lanes, run.least_lanes)
        ends = np.linspace(0, num_slots, self._num_calls(num_slots, run) + 1)
        return [slice(a, b) for a, b in itertools.pairwise(ends.round().astype(int).tolist())]

    def _num_calls(self, num_slots: int, run: Kernels) -> int:
        return min(-(-num_slots // self._lanes_per_call), num_slots // run.least_lanes)

    # --- What the step is told --------------------------------------------------------------------

    def _facts(self, slots: slice | NDArray[np.int64], part: Part = "validation") -> list[Tensor]:
        """Return what evaluation has to know of each lane: rows, outputs, objective."""
        record = self.slots.records[slots]
        columns = (
            num_measured(record, part, self.spec.model.window),
            record["num_outputs"],
            record["objective"],
        )
        facts = [np.ascontiguousarray(column, dtype=np.float32) for column in columns]
        return [dynamic(torch.from_numpy(fact).to(self._device)) for fact in facts]

    def _settings(
        self, values: dict[str, Float64], num_updates: int, num_slots: int
    ) -> NDArray[np.float32]:
        n = self.slots.num_lanes
        record = self.slots.records[:n]
        settings = np.zeros((num_updates, num_slots, len(SETTINGS)), dtype=np.float32)
        settings[:, n:, SETTINGS.index("num_outputs")] = 1.0
        optimizers = record["optimizer"]
        if self._replacement is not None:
            optimizers = np.full(n, STILL)
            values = values | {name: np.full(n, value) for name, value in STILL_VALUES.items()}
        computed = coefficients(
            optimizers,
            learning_rate=values["learning_rate"],
            weight_decay=values["weight_decay"],
            momentum=values["momentum"],
            updates=record["optimizer_updates"] + np.arange(1, num_updates + 1)[:, None],
        )
        settings[:, :n, : computed.shape[2]] = computed
        for name in ("dropout", "label_smoothing", "gradient_clip"):
            settings[:, :n, SETTINGS.index(name)] = values[name]
        for name in ("objective", "num_outputs"):
            settings[:, :n, SETTINGS.index(name)] = record[name]
        return settings

    def _counters(self, batch_sizes: NDArray[np.int64], num_updates: int, num_slots: int) -> Tensor:
        n = self.slots.num_lanes
        record = self.slots.records[:n]
        step = np.arange(num_updates)[:, None]
        counters = np.ones((num_updates, num_slots, len(COUNTERS)), dtype=np.int64)
        columns = (record["seed"], record["num_updates"] + step, batch_sizes)
        for index, column in enumerate(columns):
            counters[:, :n, index] = column
        return torch.from_numpy(counters).to(self._device)

    def _rows(
        self, batch_sizes: NDArray[np.int64], num_updates: int, num_slots: int, bound: int
    ) -> Tensor:
        record = self.slots.records[:num_slots]
        sizes = np.ones(num_slots, dtype=np.int64)
        sizes[: len(batch_sizes)] = batch_sizes
        facts = (record["seed"], record["num_consumed"], record["num_rows"], sizes)
        shape: dict[str, Any] = {
            "num_updates": num_updates,
            "batch": bound,
            "device": self._device,
        }
        if self.spec.model.window is not None:
            return drawn_windows(*facts, **shape)
        return interval_rows(*facts, record["strides"], **shape)


def copy_each(source: list[Tensor], target: list[Tensor]) -> None:
    """Copy tensors into others of the same shapes."""
    for s, t in zip(source, target, strict=True):
        t.copy_(s)


def to_numpy(tensor: Tensor) -> Float64:
    """Fetch a tensor as float64."""
    return tensor.cpu().numpy().astype(np.float64)
