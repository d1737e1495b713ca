"""Models of N lanes with their data, which give gradients and losses at whatever weights.

The inner training itself computes both, so that a lane sees the initial weights, the minibatches,
the dropout masks, the smoothing and the clipping that it would see under the task's own optimiser.
A gradient is read off an update: one of SGD at rate 0 without momentum leaves the weights as they
are and the clipped gradient in its memory.

Axes: `N` lanes, `P` parameters of a padded model, `R` rows, `D` inputs, `B` minibatch rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.errors import ConfigurationError
from hpo_env.networks.models import ModelSpec, initial_weights, pad_weights
from hpo_env.networks.optimizers import coefficients
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised.data import (
    MAX_TEST_ROWS,
    MAX_TRAIN_ROWS,
    MAX_VALIDATION_ROWS,
    Problem,
    Rows,
    SupervisedTask,
    prepare,
)
from hpo_env.tasks.supervised.minibatches import interval_rows, order_strides, row_bounds, shuffled
from hpo_env.tasks.supervised.native.kernel import (
    COUNTERS,
    FACTS,
    build_failure,
    has_kernel,
    kernel,
)
from hpo_env.tasks.supervised.space import HYPERPARAMETERS, MAX_BATCH_SIZE
from hpo_env.tasks.supervised.step import SETTINGS, kernels

IN_FORCE = ("batch_size", "dropout", "label_smoothing", "gradient_clip")
"""Hyperparameters of a task that do not belong to its optimiser."""

Part = Literal["train", "validation", "test"]
Float64 = NDArray[np.float64]
_ROWS: dict[Part, int] = {
    "train": MAX_TRAIN_ROWS,
    "validation": MAX_VALIDATION_ROWS,
    "test": MAX_TEST_ROWS,
}
"""Rows of a part at most. All are allocated: sums over other numbers of rows are rounded
otherwise, and a lane would depend on its neighbours."""


def in_force(task: SupervisedTask) -> dict[str, float]:
    """Return the values of `IN_FORCE` as they are used."""
    initial = dict(zip((h.name for h in HYPERPARAMETERS), task.initial, strict=True))
    values = {name: initial[name] for name in IN_FORCE}
    return values | {"batch_size": float(np.clip(np.rint(values["batch_size"]), 1, MAX_BATCH_SIZE))}


def row_bound(task: SupervisedTask) -> int:
    """Return how many rows the step computes; lanes that train together must agree in it."""
    size = np.array([int(in_force(task)["batch_size"])])
    return int(row_bounds(size, MAX_BATCH_SIZE).item())


def open_learners(
    spec: ModelSpec,
    tasks: Sequence[SupervisedTask],
    seeds: Sequence[int],
    *,
    engine: Engine,
    device: str,
) -> Learners:
    """Set learners up on the kernels of their model if the engine lets them, and in torch if not.

    Args:
        spec: The model that all tasks have.
        tasks: N of them, of equal `row_bound`.
        seeds: Their episode seeds.
        engine: "native" computes in the model's native kernel, and so does "auto" where there is
            one; all else computes in torch, eagerly. They differ by rounding.
        device: A torch device.

    Raises:
        ConfigurationError: The kernels are asked for and cannot be had.
    """
    if engine == "native" and (torch.device(device).type != "cpu" or not has_kernel(spec)):
        raise ConfigurationError(
            f"engine 'native' needs device 'cpu' and a model with a kernel; got {device!r} and "
            f"{spec.architecture!r}: use engine='eager'"
        )
    if engine == "native" and (reason := build_failure()):
        raise ConfigurationError(f"engine 'native' cannot be had: {reason}; use engine='eager'")
    wants_kernel = engine in ("auto", "native") and torch.device(device).type == "cpu"
    is_native = wants_kernel and has_kernel(spec) and build_failure() is None
    kind = NativeLearners if is_native else Learners
    return kind(spec, tasks, seeds, device=torch.device(device))


class Learners:
    """N models of one spec, computed in torch.

    Args:
        spec: Their model.
        tasks: N of them.
        seeds: Their episode seeds: initial weights, minibatches and dropout follow from them.
        device: Where to compute.
    """

    def __init__(
        self,
        spec: ModelSpec,
        tasks: Sequence[SupervisedTask],
        seeds: Sequence[int],
        *,
        device: torch.device,
    ) -> None:
        self.spec = spec
        self._device = device
        self._num_updates = 0
        self._bound = row_bound(tasks[0])
        values = [in_force(task) for task in tasks]
        self._values = {name: np.array([v[name] for v in values]) for name in IN_FORCE}
        self._seeds = np.array(seeds, dtype=np.int64)
        self._sizes = [parameter.size for parameter in spec.parameters()]
        shapes = [(len(tasks), *parameter.shape) for parameter in spec.parameters()]
        # The step's weights, momenta and squares.
        self._tensors = [torch.zeros(shape, device=device) for shape in shapes * 3]
        self._load(tasks)
        self._settings = self._constant_settings()

    def __len__(self) -> int:
        return len(self._seeds)

    def _load(self, tasks: Sequence[SupervisedTask]) -> None:
        """Fill the buffers and what is known of each lane."""
        n, spec = len(tasks), self.spec
        self._x = {p: torch.zeros(n, r, spec.num_inputs) for p, r in _ROWS.items()}
        self._y = {p: torch.zeros(n, r) for p, r in _ROWS.items()}
        self._num_rows = {p: np.zeros(n, dtype=np.int64) for p in _ROWS}
        self._variances: dict[Part, Float64] = {p: np.zeros(n) for p in _ROWS}
        self._num_outputs = np.zeros(n, dtype=np.int64)
        self._is_regression = np.zeros(n, dtype=bool)
        initial = []
        for lane, (task, seed) in enumerate(zip(tasks, self._seeds.tolist(), strict=True)):
            problem = prepare(task)
            for part, rows in _parts(problem, seed).items():
                self._fill(lane, part, rows)
            self._num_outputs[lane] = problem.num_outputs
            self._is_regression[lane] = problem.is_regression
            shape = (problem.num_features, problem.num_outputs)
            weights = pad_weights(spec, initial_weights(spec.architecture, *shape, seed))
            initial.append(np.concatenate([weight.ravel() for weight in weights]))
        self.initial_weights = torch.from_numpy(np.stack(initial)).to(self._device)
        self._strides = np.stack(
            [
                order_strides(int(rows), seed)
                for rows, seed in zip(self._num_rows["train"], self._seeds.tolist(), strict=True)
            ]
        )
        self._x = {part: x.to(self._device) for part, x in self._x.items()}
        self._y = {part: y.to(self._device) for part, y in self._y.items()}

    def _fill(self, lane: int, part: Part, rows: Rows) -> None:
        num_rows, num_features = rows.x.shape
        self._x[part][lane, :num_rows, :num_features] = torch.from_numpy(rows.x)
        self._y[part][lane, :num_rows] = torch.from_numpy(rows.y)
        self._num_rows[part][lane] = num_rows
        self._variances[part][lane] = rows.y.var(dtype=np.float64)

    def _constant_settings(self) -> NDArray[np.float32]:
        """Return the step's settings `[N, len(SETTINGS)]`: an update that changes no weight."""
        zero = np.zeros(len(self))
        settings = np.empty((len(self), len(SETTINGS)), dtype=np.float32)
        sgd = coefficients(
            ["sgd"] * len(self),
            learning_rate=zero,
            weight_decay=zero,
            momentum=zero,
            updates=np.ones((1, len(self)), dtype=np.int64),
        )[0]
        settings[:, : sgd.shape[1]] = sgd
        columns: dict[str, NDArray[Any]] = {
            **{name: self._values[name] for name in IN_FORCE if name in SETTINGS},
            "is_regression": self._is_regression,
            "num_outputs": self._num_outputs,
        }
        for name, column in columns.items():
            settings[:, SETTINGS.index(name)] = column
        return settings

    # ------------------------------------------------------------------------------------ measuring

    def gradients(self, weights: Tensor) -> tuple[Tensor, Float64]:
        """Compute gradients of the next minibatch, clipped as the task says.

        Args:
            weights: `[N, P]`.

        Returns:
            Gradients `[N, P]` and minibatch losses `[N]`.
        """
        self._put(weights)
        losses = self._step()
        self._num_updates += 1
        momenta = self._tensors[len(self._sizes) : 2 * len(self._sizes)]
        return torch.cat([momentum.view(len(self), -1) for momentum in momenta], 1), losses

    def evaluate(self, weights: Tensor) -> Float64:
        """Measure the loss `[N]` of weights `[N, P]` on validation rows."""
        return self._loss_and_metric(weights, "validation")[0]

    def test(self, weights: Tensor) -> tuple[Float64, Float64]:
        """Measure loss `[N]` and accuracy or R² `[N]` of weights `[N, P]` on test rows."""
        return self._loss_and_metric(weights, "test")

    def _loss_and_metric(self, weights: Tensor, part: Part) -> tuple[Float64, Float64]:
        self._put(weights)
        loss, accuracy = self._measure(part)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            r2 = 1.0 - loss / self._variances[part]
        return loss, np.where(self._is_regression, r2, accuracy)

    def _put(self, weights: Tensor) -> None:
        for tensor, piece in zip(self._weights, torch.split(weights, self._sizes, 1), strict=True):
            tensor.view(len(self), -1).copy_(piece)

    @property
    def _weights(self) -> list[Tensor]:
        return self._tensors[: len(self._sizes)]

    @property
    def _batch_sizes(self) -> NDArray[np.int64]:
        return self._values["batch_size"].astype(np.int64)

    @property
    def _num_consumed(self) -> NDArray[np.int64]:
        return self._num_updates * self._batch_sizes

    def _step(self) -> Float64:
        """Leave gradients in the momenta, and return minibatch losses `[N]`."""
        k = len(self._sizes)
        has_dropout = bool((self._values["dropout"] > 0.0).any())
        run = kernels(self.spec, "eager", has_dropout=has_dropout, batch=self._bound)
        rows = interval_rows(
            self._seeds,
            self._num_consumed,
            self._num_rows["train"],
            self._batch_sizes,
            self._strides,
            num_updates=1,
            batch=self._bound,
            device=self._device,
        )[0]
        updates = np.full(len(self), self._num_updates)
        counters = np.column_stack([self._seeds, updates, self._batch_sizes])
        momenta, squares = self._tensors[k : 2 * k], self._tensors[2 * k :]
        loss, _ = run.train(
            self._weights,
            momenta,
            squares,
            self._x["train"],
            self._y["train"],
            rows,
            torch.from_numpy(counters).to(self._device),
            torch.from_numpy(self._settings).to(self._device),
        )
        return _to_numpy(loss)

    def _measure(self, part: Part) -> tuple[Float64, Float64]:
        """Measure loss and accuracy at the weights that were put last."""
        run = kernels(self.spec, "eager", has_dropout=False, batch=self._bound)
        columns = (self._num_rows[part], self._num_outputs, self._is_regression)
        facts = [torch.from_numpy(c.astype(np.float32)).to(self._device) for c in columns]
        loss, accuracy = run.evaluate(self._weights, self._x[part], self._y[part], *facts)
        return _to_numpy(loss), _to_numpy(accuracy)


class NativeLearners(Learners):
    """N models of one spec, computed by its native kernel; see `Learners`."""

    def __init__(
        self,
        spec: ModelSpec,
        tasks: Sequence[SupervisedTask],
        seeds: Sequence[int],
        *,
        device: torch.device,
    ) -> None:
        super().__init__(spec, tasks, seeds, device=device)
        self._kernel = kernel(spec)

    def _step(self) -> Float64:
        columns = {
            "seed": self._seeds,
            "num_updates": np.full(len(self), self._num_updates),
            "batch_size": self._batch_sizes,
            "num_consumed": self._num_consumed,
            "num_rows": self._num_rows["train"],
        }
        trained = self._kernel.train(
            self._tensors,
            self._x["train"],
            self._y["train"],
            batch=int(self._batch_sizes.max()),
            counters=np.column_stack([*(columns[name] for name in COUNTERS), self._strides]),
            settings=self._settings[None],
        )
        losses: Float64 = trained.losses[0].astype(np.float64)
        return losses

    def _measure(self, part: Part) -> tuple[Float64, Float64]:
        columns: dict[str, NDArray[Any]] = {
            "slot": np.arange(len(self)),
            "num_rows": self._num_rows[part],
            "num_outputs": self._num_outputs,
            "is_regression": self._is_regression,
        }
        facts = np.column_stack([columns[name].astype(np.int64) for name in FACTS])
        return self._kernel.evaluate(self._weights, self._x[part], self._y[part], facts)


def _parts(problem: Problem, seed: int) -> dict[Part, Rows]:
    return {
        "train": shuffled(problem.train, seed),
        "validation": problem.validation,
        "test": problem.test,
    }


def _to_numpy(tensor: Tensor) -> Float64:
    return tensor.cpu().numpy().astype(np.float64)
