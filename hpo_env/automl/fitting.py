"""What `fit` does, once the data are rows: runs, their ensemble, and the refit on all rows.

Axes: `M` runs.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpo_env.automl.boosters import Booster, Goal
from hpo_env.automl.ensembling import greedy_weights, loss_of_outputs
from hpo_env.automl.growing import Deadline, Grown, affordable_rounds, grow, replay
from hpo_env.automl.linear_start import Features, LinearStart, most_features, why_not
from hpo_env.automl.model import Model
from hpo_env.automl.progress_bar import ProgressBar
from hpo_env.automl.rows import Rows
from hpo_env.controller import Controller
from hpo_env.errors import ControllerWarning
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.seeding import stream
from hpo_env.starts import Problem, Start, chosen_start
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES

Array = NDArray[np.float64]

_SPREAD = 1.0  # of the starts of further runs, in largest moves of the policy
_WARN_BELOW = 200  # validation rows
_SLOWEST_REPLAY = 1.2  # times the slowest so far: what the next may take

Sides = tuple[Rows, Rows]
"""Rows that grow trees, and rows by which they are steered and cut off."""

SPACE = HyperparameterSpace(HYPERPARAMETERS).subset(LIBRARY_NAMES)


@dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """What is asked of a fit.

    Args:
        kind: Of booster.
        goal: What is predicted.
        controller: What decides.
        num_rounds: Of each run, at most.
        num_runs: How many runs.
        initial: Values that runs begin from, by name; see `Controller.attach` for `start`.
        start: Where runs begin.
        linear_share: Of a linear model where the first tree of each begins, in [0, 1].
        num_replays: Of the course of each run on all rows; 0: what the runs have grown predicts.
        seed: Of everything that is random.
        seconds: For the whole fit; None: as long as it takes.
    """

    kind: type[Booster]
    goal: Goal
    controller: Controller
    num_rounds: int
    num_runs: int
    initial: Mapping[str, float]
    start: Start | None
    linear_share: float
    num_replays: int
    seed: int
    seconds: float | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Fit:
    """What a fit came to.

    Args:
        runs: The controlled runs, M of them.
        weights: Of each run in the model `[M]`.
        models: The trees that predict, the mean of those of a run; none for a run of weight 0.
        is_refitted: Whether they have grown on all rows.
        validation_loss: Of the ensemble on the validation rows, before any refit; the mean of the
            runs' where each has its own.
        notes: What a person should know.
    """

    runs: tuple[Grown, ...]
    weights: Array
    models: tuple[tuple[Model, ...], ...]
    is_refitted: bool
    validation_loss: float
    notes: tuple[str, ...] = field(default=())


def fit_rows(plan: Plan, sides: Sequence[Sides], bar: ProgressBar) -> Fit:
    """Grow, choose and refit.

    Runs that share their validation rows begin around the start, and a greedy selection by those
    rows makes the ensemble. Where each has its own, all begin alike and weigh the same.

    Args:
        plan: What is asked.
        sides: Rows that grow the trees, and rows by which they are steered and cut off: one pair
            for all runs, or one for each.
        bar: Told how far it is.

    Raises:
        KeyboardInterrupt: It came before there was a model.
    """
    train, validation = sides[0]
    notes: list[str] = []
    if len(validation) < _WARN_BELOW:
        notes.append(
            f"there are {len(validation)} validation rows, fewer than {_WARN_BELOW}: what is "
            "chosen by them is chosen by chance to a part. Give more rows, or a larger "
            "validation_fraction"
        )
        warnings.warn(notes[-1], ControllerWarning, stacklevel=4)
    whole = Deadline(plan.seconds)
    if plan.linear_share > 0.0:
        most = most_features(plan.goal, len(train))
        features = Features.of(train.x, plan.goal.is_categorical, most)
        why = why_not(features, plan.goal, len(train))
        notes += [why] if why else []
    is_shared = len(sides) == 1
    runs, is_whole = _grown(plan, sides, bar, notes)
    weights, loss = _chosen(plan, runs, validation) if is_shared else _together(runs)
    models: list[tuple[Model, ...]] = [
        (one.model,) if w > 0.0 else () for one, w in zip(runs, weights, strict=True)
    ]
    is_refitted = False
    if plan.num_replays and is_whole:
        is_refitted = _refitted(plan, train.and_also(validation), runs, models, whole, bar, notes)
    return Fit(
        runs=tuple(runs),
        weights=weights,
        models=tuple(models),
        is_refitted=is_refitted,
        validation_loss=loss,
        notes=tuple(notes),
    )


def _chosen(plan: Plan, runs: Sequence[Grown], validation: Rows) -> tuple[Array, float]:
    """Choose among runs by the rows that all of them were cut off by.

    Returns:
        A weight for each run, and the loss of the ensemble.
    """
    target, weight = plan.goal.target, validation.weight
    outputs = [one.model.outputs(validation.x) for one in runs]
    weights = greedy_weights(target, outputs, validation.y, weight)
    together = np.tensordot(weights, np.array(outputs), axes=1)
    return weights, loss_of_outputs(target, together, validation.y, weight)


def _together(runs: Sequence[Grown]) -> tuple[Array, float]:
    """Weigh runs alike that were cut off by other rows each, but for one that was interrupted.

    Returns:
        A weight for each run, and the mean of their losses.
    """
    is_whole = np.array([not one.is_interrupted for one in runs])
    weights = is_whole / is_whole.sum() if is_whole.any() else np.ones(1)
    return weights, float(np.average([one.best_loss for one in runs], weights=weights))


def _grown(
    plan: Plan, sides: Sequence[Sides], bar: ProgressBar, notes: list[str]
) -> tuple[list[Grown], bool]:
    """Make the controlled runs, as many as there is time for, at least one.

    Returns:
        The runs, and whether nobody interrupted them.
    """
    is_shared = len(sides) == 1
    train, validation = sides[0]
    seconds = np.inf if plan.seconds is None else plan.seconds
    if plan.num_replays:  # one makes the rounds again, on more rows; others if there is time
        seconds /= 2.0 + len(validation) / len(train)
    deadline = Deadline(None if plan.seconds is None else seconds)
    num_rounds = affordable_rounds(
        plan.kind,
        plan.goal,
        train,
        validation,
        plan.initial,
        linear_share=plan.linear_share,
        seconds=seconds / plan.num_runs,
        most=plan.num_rounds,
    )
    if num_rounds < plan.num_rounds:
        notes.append(f"time_budget leaves time for {num_rounds} of {plan.num_rounds} rounds a run")
    runs: list[Grown] = []
    for number in range(plan.num_runs):
        if runs and deadline.is_over:
            notes.append(f"time_budget was over after {number} of {plan.num_runs} runs")
            break
        bar.begin(f"run {number + 1} of {plan.num_runs}")
        train, validation = sides[0 if is_shared else number]
        initial, start = _begin(plan, number if is_shared else 0, len(train))
        try:
            grown = grow(
                plan.kind,
                plan.goal,
                train,
                validation,
                plan.controller,
                num_rounds=num_rounds,
                initial=initial,
                start=start,
                linear_share=plan.linear_share,
                seed=plan.seed + number,
                deadline=deadline,
                report=bar,
            )
        except KeyboardInterrupt:
            if not runs:
                raise
            return runs, _is_whole_after(number + 1, notes)
        runs.append(grown)
        if grown.is_interrupted:
            return runs, _is_whole_after(number + 1, notes)
    return runs, True


def _is_whole_after(run: int, notes: list[str]) -> bool:
    """Say that a run was interrupted: False."""
    notes.append(
        f"fit was interrupted in run {run}: the model is what had grown, on the rows that train "
        "alone"
    )
    warnings.warn(notes[-1], ControllerWarning, stacklevel=5)
    return False


def _begin(plan: Plan, number: int, num_rows: int) -> tuple[dict[str, float], Start | None]:
    """Say where a run begins: the first where it was asked for, further ones around it."""
    if number == 0:
        return dict(plan.initial), plan.start
    problem = Problem(kind=plan.goal.target, size=float(num_rows))
    learned = chosen_start(plan.controller.policy.learned_start, plan.start, problem)
    base = np.array([[{**plan.initial, **learned}[name] for name in LIBRARY_NAMES]])
    away = stream(plan.seed, "start", str(number)).uniform(-_SPREAD, _SPREAD, base.shape)
    values = SPACE.values(base, away * SPACE.steps)[0]
    return dict(zip(LIBRARY_NAMES, values.tolist(), strict=True)), "user"


def _refitted(
    plan: Plan,
    rows: Rows,
    runs: Sequence[Grown],
    models: list[tuple[Model, ...]],
    whole: Deadline,
    bar: ProgressBar,
    notes: list[str],
) -> bool:
    """Put models on all rows in the place of those that have grown on a part; say if all are.

    Where time is short, or somebody interrupts, what there is of each run will do.
    """
    made: dict[int, list[Model]] = {place: [] for place, own in enumerate(models) if own}
    jobs = [(number, place) for number in range(plan.num_replays) for place in made]
    longest, why, was_interrupted = 0.0, "", False
    try:
        begins = None if whole.is_over else LinearStart.of(plan.goal, rows, plan.linear_share)
        for done, (number, place) in enumerate(jobs):
            if whole.left <= (_SLOWEST_REPLAY * longest if number else 0.0):
                why = "time_budget was over in the refit"
                break
            bar.begin(f"refit {done + 1} of {len(jobs)}")
            begun = time.monotonic()
            own = begins if runs[place].linear_share else None
            made[place].append(replay(rows, runs[place], own, number=number, report=bar))
            longest = max(longest, time.monotonic() - begun)
    except KeyboardInterrupt:
        why, was_interrupted = "the refit was interrupted", True
    is_made, count = all(made.values()), sum(map(len, made.values()))
    if why:
        what = f"is the mean of {count} of {len(jobs)} replays"
        what = what if is_made else "has grown on the rows that train alone"
        notes.append(f"{why}: the model {what}")
        if was_interrupted:
            warnings.warn(notes[-1], ControllerWarning, stacklevel=4)
    for place, found in made.items():
        models[place] = tuple(found) if is_made else models[place]
    return is_made
