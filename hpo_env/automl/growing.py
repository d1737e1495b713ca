"""One controlled run, and its course replayed: what `fit` is made of.

Axes: `R` rows, `K` scores of a row.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from hpo_env.automl.boosters import Booster, Goal
from hpo_env.automl.rows import Rows
from hpo_env.control.decider import Decision
from hpo_env.control.explain import Explanation, explain
from hpo_env.control.schedule_file import ScheduleRow
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller
from hpo_env.errors import ControllerWarning
from hpo_env.integrations.boosting import constant_losses, usual_decisions
from hpo_env.policy import Policy
from hpo_env.starts import Problem, Start
from hpo_env.tasks.automl.host import BoostingHost
from hpo_env.tasks.automl.progress import Facts
from hpo_env.tasks.automl.space import LIBRARY_NAMES

Report = Callable[[int, int, float, float], None]
"""Told after each round: rounds made and to make, the latest validation loss and the best."""

_PROBED_ROUNDS = 3


class Deadline:
    """A time by which something is to be over.

    Args:
        seconds: From now on; None: there is none.
    """

    def __init__(self, seconds: float | None) -> None:
        self._end = math.inf if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds that are left, infinite without a deadline."""
        return self._end - time.monotonic()

    @property
    def is_over(self) -> bool:
        """Whether nothing is left."""
        return self.left <= 0.0


@dataclass(frozen=True, kw_only=True, eq=False)
class Grown:
    """What a controlled run came to.

    Args:
        policy: What decided, in the loop of this library.
        decisions: Its decisions.
        num_decisions: How many there were to be.
        known: Names of what the whole policy moves.
        model: The trees, for `Booster.scores`.
        schedule: Values from one round on, by round ("step").
        losses: Training and validation loss after each round.
        best_round: How many of the rounds make the best model, at least 1.
        seed: Of bags and columns.
        is_interrupted: Whether somebody stopped it in mid-course.
    """

    policy: Policy
    decisions: tuple[Decision, ...]
    num_decisions: int
    known: tuple[str, ...]
    model: Any
    schedule: tuple[ScheduleRow, ...]
    losses: tuple[tuple[float, float], ...]
    best_round: int
    seed: int
    is_interrupted: bool

    @property
    def best_loss(self) -> float:
        """The lowest validation loss."""
        return self.losses[self.best_round - 1][1]

    def explain(self) -> Explanation:
        """Say what was decided, and which observations moved the decisions."""
        return explain(
            self.policy, self.decisions, self.num_decisions, None, hyperparameters=self.known
        )


class _OwnHost(BoostingHost):
    """A booster that nobody else writes to: values are written together."""

    def __init__(
        self, booster: Booster, initial: Mapping[str, float], facts: Facts, losses: list[Any]
    ) -> None:
        writers = {n: FunctionWriter(function=lambda v: v, initial=initial[n]) for n in initial}
        super().__init__(writers, facts, validation_loss=losses[1], train_loss=losses[0])
        self._booster, self._facts = booster, facts

    def problem(self) -> Problem:
        """See `Host.problem`."""
        return Problem(kind=self._facts.target, size=self._facts.num_rows)

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write all at once."""
        self._booster.write(values)
        return dict(values)


def grow(
    kind: type[Booster],
    goal: Goal,
    train: Rows,
    validation: Rows,
    controller: Controller,
    *,
    num_rounds: int,
    initial: Mapping[str, float],
    start: Start | None,
    seed: int,
    deadline: Deadline,
    report: Report,
) -> Grown:
    """Grow trees under a controller.

    Ctrl-C ends it early; what has grown is kept.

    Args:
        kind: Of booster.
        goal: What is predicted.
        train: Rows that grow the trees.
        validation: Rows that are followed.
        controller: What decides.
        num_rounds: Rounds of the run.
        initial: Values of all of `LIBRARY_NAMES` to begin from, where the learned start has none.
        start: See `Controller.attach`.
        seed: Of bags and columns.
        deadline: When to stop; one round is made in any case.
        report: Told after each round.

    Raises:
        KeyboardInterrupt: It came before there was a model.
    """
    booster = kind(goal, train, validation, seed=seed)
    # Hyperparameters that the policy does not move, and the learned start knows nothing of, stay.
    booster.write(initial)
    decisions = usual_decisions(num_rounds)
    facts = Facts(
        target=goal.target,
        num_rows=len(train),
        num_columns=train.x.shape[1],
        num_classes=goal.num_classes,
        rounds_per_decision=num_rounds / decisions,
    )
    constant = constant_losses(goal.target, train.labels, validation.labels)
    host = _OwnHost(booster, initial, facts, constant)
    losses: list[tuple[float, float]] = []
    best, is_interrupted = math.inf, False
    with warnings.catch_warnings():
        # Losses of a fit that is as good as perfect do not concern its user.
        warnings.simplefilter("ignore", ControllerWarning)
        run = controller.steer(host, total_steps=num_rounds, num_decisions=decisions, start=start)
        try:
            while len(losses) < num_rounds and not (losses and deadline.is_over):
                booster.update()
                losses.append(booster.losses())
                host.note_round(*losses[-1])
                run.step(losses[-1][0])
                best = min(best, losses[-1][1])
                report(len(losses), num_rounds, losses[-1][1], best)
        except KeyboardInterrupt:
            if not losses:
                raise
            is_interrupted = True
        run.close()
    validated = [loss if math.isfinite(loss) else math.inf for _, loss in losses]
    return Grown(
        policy=run.policy,
        decisions=tuple(run.decisions),
        num_decisions=min(decisions, num_rounds),
        known=controller.policy.space.names,
        model=booster.model(),
        schedule=tuple(dict(row) for row in run.schedule if row["step"] < len(losses)),
        losses=tuple(losses),
        best_round=validated.index(min(validated)) + 1,
        seed=seed,
        is_interrupted=is_interrupted,
    )


def replay(
    kind: type[Booster], goal: Goal, rows: Rows, grown: Grown, *, seed: int, report: Report
) -> Any:
    """Grow trees on other rows by the course of a run, up to its best round.

    Args:
        kind: Of booster.
        goal: What is predicted.
        rows: That grow the trees.
        grown: The run.
        seed: Of bags and columns.
        report: Told after each round.

    Returns:
        The trees, for `Booster.scores`.
    """
    booster = kind(goal, rows, None, seed=seed)
    due = {int(row["step"]): row for row in grown.schedule}
    for made in range(grown.best_round):
        if made in due:
            booster.write({name: due[made][name] for name in LIBRARY_NAMES if name in due[made]})
        booster.update()
        report(made + 1, grown.best_round, math.nan, math.nan)
    return booster.model()


def affordable_rounds(
    kind: type[Booster],
    goal: Goal,
    train: Rows,
    validation: Rows,
    initial: Mapping[str, float],
    *,
    seconds: float,
    most: int,
) -> int:
    """Return how many rounds fit into a time, at least 1: a policy has to know it beforehand.

    A few rounds are timed on a booster that is thrown away.

    Args:
        kind: Of booster.
        goal: What is predicted.
        train: Rows that grow the trees.
        validation: Rows that are followed.
        initial: Values to begin from.
        seconds: For the run; infinite: all rounds fit.
        most: Rounds that are asked for.
    """
    if math.isinf(seconds):
        return most
    before = time.monotonic()
    booster = kind(goal, train, validation, seed=0)
    booster.write(initial)
    built = time.monotonic()
    for _ in range(_PROBED_ROUNDS):
        booster.update()
        booster.losses()
    of_a_round = (time.monotonic() - built) / _PROBED_ROUNDS
    left = seconds - 2.0 * (built - before) - _PROBED_ROUNDS * of_a_round
    return max(min(most, int(left / max(of_a_round, 1e-6))), 1)
