"""One controlled run, and its course replayed: what `fit` is made of.

Axes: `R` rows, `K` scores of a row.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from hpo_env.automl.boosters import Booster, Goal
from hpo_env.automl.linear_start import LinearStart
from hpo_env.automl.model import Model
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
_LINEAR_PARTS = (1.0, 1.0, 4.0 / 3.0, 8.0 / 15.0)
"""Of the run's share of a linear model, where one replay after the other begins: at 0.75, 0.75, 1
and 0.4, and so on. What errs in other ways is worth more in a mean."""

_BETWEEN_SEEDS, _NUM_SEEDS = 1000, 2**31 - 1


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
        model: What has grown, cut off after its best round.
        schedule: Values from one round on, by round ("step").
        losses: Training and validation loss after each round; the first is NaN but for the last
            round before a decision.
        best_round: How many of the rounds make the best model, at least 1.
        seed: Of bags and columns.
        is_interrupted: Whether somebody stopped it in mid-course.
    """

    policy: Policy
    decisions: tuple[Decision, ...]
    num_decisions: int
    known: tuple[str, ...]
    model: Model
    schedule: tuple[ScheduleRow, ...]
    losses: tuple[tuple[float, float], ...]
    best_round: int
    seed: int
    is_interrupted: bool

    @property
    def best_loss(self) -> float:
        """The lowest validation loss."""
        return self.losses[self.best_round - 1][1]

    @property
    def linear_share(self) -> float:
        """Of a linear model where the first tree began; 0: at a constant."""
        return 0.0 if self.model.begins is None else self.model.begins.share

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
    linear_share: float,
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
        linear_share: Of a linear model where the first tree begins, in [0, 1]; it is left out where
            it is no better than a constant on the rows that are followed.
        seed: Of bags and columns.
        deadline: When to stop; one round is made in any case.
        report: Told after each round.

    Raises:
        KeyboardInterrupt: It came before there was a model.
    """
    begins = LinearStart.of(goal, train, linear_share)
    if begins is not None and not begins.helps(goal, validation):
        begins = None
    booster = kind(goal, _from(begins, train), _from(begins, validation), seed=seed)
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
                # The policy sees the training loss of the last round before a decision alone.
                is_last = run.num_steps + 1 >= run.plan.end(run.interval)
                losses.append(booster.losses(of_training=is_last))
                host.note_round(*losses[-1])
                run.step()
                best = min(best, losses[-1][1])
                report(len(losses), num_rounds, losses[-1][1], best)
        except KeyboardInterrupt:
            if not losses:
                raise
            is_interrupted = True
        run.close()
    validated = [loss if math.isfinite(loss) else math.inf for _, loss in losses]
    best_round = validated.index(min(validated)) + 1
    return Grown(
        policy=run.policy,
        decisions=tuple(run.decisions),
        num_decisions=int(run.plan.time(0)[1]),
        known=controller.policy.space.names,
        model=Model(
            kind=kind, goal=goal, begins=begins, trees=booster.model(), num_rounds=best_round
        ),
        schedule=tuple(dict(row) for row in run.schedule if row["step"] < len(losses)),
        losses=tuple(losses),
        best_round=best_round,
        seed=seed,
        is_interrupted=is_interrupted,
    )


def replay(
    rows: Rows, grown: Grown, begins: LinearStart | None, *, number: int, report: Report
) -> Model:
    """Grow trees on other rows by the course of a run, up to its best round.

    Args:
        rows: That grow the trees.
        grown: The run.
        begins: A linear model of these rows where the run began at one of its own; None: at a
            constant.
        number: Of the replay, from 0 on. The first begins at the run's share of the linear model
            and draws bags and columns as the run did.
        report: Told after each round.
    """
    own = grown.model
    if begins is not None:
        part = _LINEAR_PARTS[number % len(_LINEAR_PARTS)]
        begins = replace(begins, share=min(part * begins.share, 1.0))
    seed = (grown.seed + number * _BETWEEN_SEEDS) % _NUM_SEEDS
    booster = own.kind(own.goal, _from(begins, rows), None, seed=seed)
    due = {int(row["step"]): row for row in grown.schedule}
    for made in range(grown.best_round):
        if made in due:
            booster.write({name: due[made][name] for name in LIBRARY_NAMES if name in due[made]})
        booster.update()
        report(made + 1, grown.best_round, math.nan, math.nan)
    return replace(own, begins=begins, trees=booster.model())


def _from(begins: LinearStart | None, rows: Rows) -> Rows:
    """Return rows with the scores from which trees go on."""
    return rows if begins is None else rows.beginning_at(begins.margin(rows.x))


def affordable_rounds(
    kind: type[Booster],
    goal: Goal,
    train: Rows,
    validation: Rows,
    initial: Mapping[str, float],
    *,
    linear_share: float,
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
        linear_share: See `grow`.
        seconds: For the run; infinite: all rounds fit.
        most: Rounds that are asked for.
    """
    if math.isinf(seconds):
        return most
    before = time.monotonic()
    begins = LinearStart.of(goal, train, linear_share)
    booster = kind(goal, _from(begins, train), _from(begins, validation), seed=0)
    booster.write(initial)
    built = time.monotonic()
    for _ in range(_PROBED_ROUNDS):
        booster.update()
        booster.losses()
    of_a_round = (time.monotonic() - built) / _PROBED_ROUNDS
    left = seconds - 2.0 * (built - before) - _PROBED_ROUNDS * of_a_round
    return max(min(most, int(left / max(of_a_round, 1e-6))), 1)
