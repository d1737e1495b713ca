"""Adapts many lanes at once, each to the handful of rows of its task.

Lanes whose tasks are alike are stacked, so that a matrix is multiplied once for all of them.

Axes: `N` lanes, `n` some of them, `P` weights of a lane.
"""

from __future__ import annotations

import copy
import math
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from hpo_env.loss_summary import loss_entries
from hpo_env.reward import has_diverged
from hpo_env.tasks.base import Task, Trainer
from hpo_env.tasks.few_shot import features as measures
from hpo_env.tasks.few_shot.initialisations import initialisation
from hpo_env.tasks.few_shot.network import Perceptron
from hpo_env.tasks.few_shot.preparation import Prepared, Rows, prepare
from hpo_env.tasks.few_shot.space import INNER_RATE, TEMPERATURE, TRUNK_RATE, WEIGHT_DECAY
from hpo_env.tasks.few_shot.task import FewShotTask
from hpo_env.telemetry import Telemetry

Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]

_LARGEST_LOSS = 1e30  # of rows that a user does not see: their overflow is nobody's to notice
_LEAST_FIRST_LOSS = 0.1  # prototypes may fit their rows so well that any loss is a multiple of it


@dataclass(frozen=True, kw_only=True, eq=False)
class Adapted:
    """What an interval changes.

    Args:
        weights: `[P]`.
        temperature: Under which it predicts.
        held_back: What the rows that are held back say, see `features.Seen`.
    """

    weights: Float32
    temperature: float
    held_back: measures.Seen


@dataclass(kw_only=True, eq=False)
class Lane:
    """A run.

    Args:
        task: What it adapts to.
        rows: Of the task.
        network: Of as many outputs as the task has.
        start: The weights that it began with `[P]`.
        rates: The initialisation's own rate of every weight `[P]`.
        is_trunk: Which weights are the trunk's, bool `[P]`.
        now: Where it is.
        before: Where it was when the last interval began.
        first_loss: Training loss before the first step.
    """

    task: FewShotTask
    rows: Prepared
    network: Perceptron
    start: Float32
    rates: Float32
    is_trunk: NDArray[np.bool_]
    now: Adapted = field(init=False)
    before: Adapted = field(init=False)
    first_loss: float = field(init=False)

    def loss(self, rows: Rows) -> tuple[float, float]:
        """Return loss and metric of other rows: accuracy, or the negative squared error."""
        weights = self.now.weights[None]
        outputs = self.network.activations(weights, rows.inputs[None])[-1]
        temperature = np.array([self.now.temperature])
        loss = float(self.network.losses(outputs, rows.targets[None], temperature).mean())
        loss = min(loss, _LARGEST_LOSS) if math.isfinite(loss) else _LARGEST_LOSS
        if not self.rows.is_classification:
            return loss, -loss
        right = outputs[0].argmax(axis=1) == rows.targets.argmax(axis=1)
        return loss, float(right.mean())


class FewShotTrainer(Trainer):
    """N adaptations; see `Trainer` for the methods.

    Args:
        num_lanes: `N`.
    """

    def __init__(self, num_lanes: int) -> None:
        self._lanes: list[Lane | None] = [None] * num_lanes

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start from the learned initialisation; see `Trainer.reset`."""
        telemetry = Telemetry.missing(len(lanes))
        for place, lane in enumerate(lanes):
            run = begin(cast(FewShotTask, tasks[place]), seeds[place])
            self._lanes[lane] = run
            telemetry.train_loss[place] = run.first_loss
            telemetry.validation_loss[place], telemetry.validation_metric[place] = run.loss(
                run.rows.query
            )
        return telemetry

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Take the steps of an interval in every lane; see `Trainer.advance`."""
        telemetry = Telemetry.missing(len(self._lanes))
        alike = defaultdict(list)
        for lane, run in enumerate(self._lanes):
            if run is not None:
                alike[run.task.alike].append(lane)
        for key in sorted(alike):
            lanes = np.array(alike[key])
            runs = [self._run(lane) for lane in lanes]
            telemetry.put(lanes, adapt(runs, values[lanes]))
        return telemetry, values.copy()

    def features(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return what held-back rows say `[n, F]`; see `features.FEATURES`."""
        rows = [measures.features(self._run(lane).now.held_back) for lane in lanes]
        return np.array(rows).reshape(len(lanes), len(measures.FEATURES))

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure loss and metric on test rows; see `Trainer.test`."""
        measured = [self._run(lane).loss(self._run(lane).rows.test) for lane in lanes]
        return np.array([m[0] for m in measured]), np.array([m[1] for m in measured])

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back weights and temperature of the interval's start; see `Trainer.roll_back`."""
        for lane in lanes:
            run = self._run(lane)
            run.now = run.before

    def snapshot(self, lanes: NDArray[np.int64]) -> list[Lane]:
        """Copy the state of lanes: what is in them is replaced and never written into."""
        return [copy.copy(self._run(lane)) for lane in lanes]

    def restore(self, lanes: NDArray[np.int64], snapshot: list[Lane]) -> None:
        """Put a snapshot into lanes; see `Trainer.restore`."""
        for lane, held in zip(lanes, snapshot, strict=True):
            self._lanes[lane] = copy.copy(held)

    def _run(self, lane: Any) -> Lane:
        run: Lane | None = self._lanes[lane]
        assert run is not None, f"lane {lane} has not been reset"
        return run


def begin(task: FewShotTask, seed: int) -> Lane:
    """Start one run.

    Raises:
        MissingExtraError: The source's data are not installed.
    """
    rows, learned = prepare(task, seed), initialisation(task.source)
    network = learned.network(task.ways, is_classification=rows.is_classification)
    start = learned.start(network, rows)
    rates, is_trunk = learned.rates_of(network)
    run = Lane(task=task, rows=rows, network=network, start=start, rates=rates, is_trunk=is_trunk)
    temperature = task.initial[TEMPERATURE]
    weights = start[None]
    outputs = network.activations(weights, rows.adapted.inputs[None])[-1]
    losses = network.losses(outputs, rows.adapted.targets[None], np.array([temperature]))
    run.first_loss = float(losses.mean())
    seen = measures.first(run.rows, _held_back(run, weights, temperature), run.first_loss)
    run.now = run.before = Adapted(weights=start, temperature=temperature, held_back=seen)
    return run


def adapt(runs: list[Lane], values: NDArray[np.float64]) -> Telemetry:
    """Take the steps of an interval in lanes that are alike, in place.

    Args:
        runs: n of them.
        values: Of every hyperparameter `[n, H]`.

    Returns:
        What it measured `[n]`.
    """
    network, num_steps = runs[0].network, runs[0].task.steps_per_decision
    temperature = values[:, TEMPERATURE]
    inputs = np.stack([run.rows.adapted.inputs for run in runs])
    targets = np.stack([run.rows.adapted.targets for run in runs])
    start = np.stack([run.start for run in runs])
    path = [np.stack([run.now.weights for run in runs])]
    rates = _rates(runs, values)
    decay = values[:, WEIGHT_DECAY, None].astype(np.float32)
    losses, norms = [], []
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(num_steps):
            loss, gradient = network.gradient(path[-1], inputs, targets, temperature)
            losses.append(loss)
            norms.append(_norm(gradient))
            path.append(path[-1] - rates * (gradient + decay * (path[-1] - start)))
        telemetry = _measured(runs, np.stack(losses), norms, path)
        for lane, run in enumerate(runs):
            _put(run, path[-1][lane], float(temperature[lane]), telemetry, lane)
    return telemetry


def _rates(runs: list[Lane], values: NDArray[np.float64]) -> Float32:
    """Return the rate of every weight `[n, P]`."""
    trunk = np.where(runs[0].is_trunk, values[:, TRUNK_RATE, None], 1.0)
    return (runs[0].rates * trunk * values[:, INNER_RATE, None]).astype(np.float32)


def _put(run: Lane, weights: Float32, temperature: float, telemetry: Telemetry, lane: int) -> None:
    """Bring a run to its new weights, and write down what only that shows.

    The last step's weights may be finite, and what they make of a row not.
    """
    seen = measures.following(
        run.now.held_back,
        _held_back(run, weights[None], temperature),
        train_loss=float(telemetry.train_loss[lane]),
        way=float(_norm((weights - run.start)[None])[0] / _norm(run.start[None])[0]),
    )
    run.before = run.now
    run.now = Adapted(weights=weights.copy(), temperature=temperature, held_back=seen)
    loss, metric = run.loss(run.rows.query)
    telemetry.validation_loss[lane], telemetry.validation_metric[lane] = loss, metric
    telemetry.diverged[lane] |= not math.isfinite(seen.judged.loss)


def _held_back(run: Lane, weights: Float32, temperature: float) -> measures.Judged:
    rows = run.rows.held_back
    outputs = run.network.activations(weights, rows.inputs[None])[-1]
    losses = run.network.losses(outputs, rows.targets[None], np.array([temperature]))
    return measures.judged(
        float(losses.mean()), outputs[0], rows.targets, temperature, run.rows.is_classification
    )


def _measured(
    runs: list[Lane], losses: Float64, norms: list[Float64], path: list[Float32]
) -> Telemetry:
    """Make the record of an interval from its losses `[U, n]` and its U + 1 weights `[n, P]`."""
    half = len(losses) // 2
    first, second = path[half] - path[0], path[-1] - path[half]
    telemetry = Telemetry.missing(len(runs))
    for name, value in loss_entries(losses, len(losses)).items():
        getattr(telemetry, name)[:] = value
    telemetry.gradient_norm_first[:] = norms[0]
    telemetry.gradient_norm_last[:] = norms[-1]
    telemetry.update_ratio[:] = _norm(path[-1] - path[0]) / _norm(path[0])
    if half:
        lengths = np.maximum(_norm(first) * _norm(second), 1e-30)
        telemetry.update_agreement[:] = _row_sums(first * second) / lengths
    least = np.array([max(run.first_loss, _LEAST_FIRST_LOSS) for run in runs])
    is_finite = np.isfinite(path[-1]).all(axis=1) & np.isfinite(losses).all(axis=0)
    telemetry.diverged[:] = has_diverged(losses[-1], least) | ~is_finite
    return telemetry


def _norm(rows: Float32) -> Float64:
    """Return the length of rows of weights `[n]`."""
    return np.asarray(np.sqrt(_row_sums(np.square(rows))))


def _row_sums(rows: Float32) -> Float64:
    return np.asarray(rows.sum(axis=1, dtype=np.float64))
