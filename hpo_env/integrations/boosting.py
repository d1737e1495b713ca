"""What the callbacks of LightGBM and XGBoost share: one boosting after another, round by round.

A policy of the family `automl` moves all of its hyperparameters that a loop of the library can
write. Any other moves one: what it calls the learning rate is the shrinkage.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.saved import check_saved
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.callbacks import Decides, controller_of
from hpo_env.integrations.lengths import num_saved
from hpo_env.integrations.options import check_options
from hpo_env.policy import Policy
from hpo_env.starts import Problem
from hpo_env.tasks.automl.host import BoostingHost
from hpo_env.tasks.automl.progress import FEATURES, Facts
from hpo_env.tasks.automl.task import Target

Array = NDArray[np.float64]

_FEWEST_DECISIONS = 20  # training had 20 to 40, of 2 to 10 rounds each
_LONGEST_ROUNDS = 10


def is_for_boosting(policy: Policy) -> bool:
    """Say whether a policy was trained on boosting, and so reads and moves what boosting has."""
    return bool(policy.features) and set(policy.features) <= set(FEATURES)


def usual_decisions(num_rounds: int) -> int:
    """Return how many decisions suit a boosting: few, as more cost time and bring nothing.

    Example:
        >>> [usual_decisions(rounds) for rounds in (10, 60, 200, 400, 1000)]
        [5, 20, 20, 40, 100]
    """
    return max(min(_FEWEST_DECISIONS, num_rounds // 2), num_rounds // _LONGEST_ROUNDS, 1)


@dataclass(frozen=True, kw_only=True)
class Labels:
    """What is predicted on the rows of one side.

    Args:
        y: Targets, or classes 0..K-1 `[R]`.
        weight: Of each row `[R]`; None: all alike.
    """

    y: Array
    weight: Array | None = None


def constant_losses(target: Target, *sides: Labels | None) -> list[float | None]:
    """Return the losses of the constant that is best on the first side, on each side.

    Log loss of the shares of the classes, or root mean square error of the mean; None for a side
    that is None, and for all where the first is.

    Example:
        >>> constant_losses("regression", Labels(y=np.array([0.0, 2.0])), None)
        [1.0, None]
    """
    first = sides[0]
    if first is None or not len(first.y):
        return [None for _ in sides]
    losses: list[float | None] = []
    for side in sides:
        if side is None or not len(side.y):
            losses.append(None)
        elif target == "regression":
            mean = np.average(first.y, weights=first.weight)
            square = np.average(np.square(side.y - mean), weights=side.weight)
            losses.append(float(np.sqrt(square)))
        else:
            last = int(max(s.y.max() for s in sides if s is not None and len(s.y)))
            shares = np.bincount(first.y.astype(np.int64), first.weight, minlength=last + 1)
            shares = np.clip(shares / shares.sum(), 1e-15, 1.0)
            logs = np.log(shares[side.y.astype(np.int64)])
            losses.append(-float(np.average(logs, weights=side.weight)))
    return losses


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a callback found in a training that is about to begin.

    Args:
        values: What it can write, by the family's names.
        flush: Hands what was written over to the library.
        facts: What is known of the data.
        train_loss: Of the best constant, on the rows that train; None: not known.
        validation_loss: Of the same, on the rows that are followed.
    """

    values: Mapping[str, BorrowedValue]
    flush: Callable[[], None]
    facts: Facts
    train_loss: float | None = None
    validation_loss: float | None = None


class LibraryHost(BoostingHost):
    """A boosting in somebody else's loop: values are written together, and given back at the end.

    Args:
        found: What there is.
    """

    def __init__(self, found: Found) -> None:
        super().__init__(
            found.values,
            found.facts,
            validation_loss=found.validation_loss,
            train_loss=found.train_loss,
        )
        self._found = found

    def problem(self) -> Problem:
        """Say what is predicted, and from how many rows."""
        facts = self._found.facts
        return Problem(kind=facts.target, size=facts.num_rows)

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write all, and hand them over at once: each time counts, for a bag is drawn anew."""
        used = super().write(values)
        self._found.flush()
        return used

    def close(self) -> None:
        """Give the values back."""
        super().close()
        self._found.flush()


class SteeredBoosting:
    """Steers one boosting after another.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        shrinkage: What the policy calls the shrinkage.
        **options: Further arguments of `Controller.steer`; a `state` to go on from is used once.

    Attributes:
        run: The last run, once training has begun.
        moves_all: Whether all that boosting has is moved, and not the shrinkage alone.

    Raises:
        UnknownArgumentError: An option is none.
        ConfigurationError: `state` is that of no run.
    """

    def __init__(
        self, controller: Decides, *, shrinkage: str = "learning_rate", **options: Any
    ) -> None:
        self._controller = controller_of(controller)
        self._controller.policy.space.index(shrinkage)
        taken = ("total_steps",)
        check_options("the callback", options, of=Controller.steer, taken=taken)
        self.run: Run[Any] | None = None
        self.moves_all = is_for_boosting(self._controller.policy)
        self._shrinkage = shrinkage
        state = options.pop("state", None)
        self._state = None if state is None else check_saved(state)
        self._options = options
        self._validation_loss: float | None = None

    def num_decisions(self, num_rounds: int) -> int:
        """Return how many decisions a run has; one that is saved keeps its own."""
        saved: Mapping[str, Any] = (self._state or {}).get("asked", {})
        asked = self._options.get("num_decisions", saved.get("num_decisions"))
        if asked is not None:
            return int(asked)
        own = self._controller.default_num_decisions
        return usual_decisions(num_rounds) if self.moves_all else own

    def total(self, total_steps: int | None, to_come: int) -> int:
        """Return the rounds in a run: those given, or those saved with a state and to come."""
        return num_saved(self._state) + to_come if total_steps is None else total_steps

    def begin(self, value: BorrowedValue, total_steps: int) -> None:
        """Start to steer the shrinkage, before the first round of a training of so many rounds."""
        host = PlainHost({self._shrinkage: value}, lambda: self._validation_loss)
        self._begin(host, total_steps)

    def begin_all(self, found: Found, total_steps: int) -> None:
        """Start to steer all that can be written, before the first round."""
        self._begin(LibraryHost(found), total_steps)

    @property
    def closes_interval(self) -> bool:
        """Whether the round that was just made is the last of its interval."""
        run = self.run
        return run is not None and run.num_steps + 1 >= run.plan.end(run.interval)

    def finish_round(
        self, train_loss: float | None, validation_loss: float | None, *, scores: list[str]
    ) -> None:
        """Count a round.

        Args:
            train_loss: Of the data that trains; None where it is not evaluated.
            validation_loss: Of other data.
            scores: What was evaluated and is no loss.

        Raises:
            ConfigurationError: There is neither of the losses: nothing can be steered by.
        """
        if train_loss is None and validation_loss is None:
            found = f"got {', '.join(map(repr, scores))}" if scores else "got no evaluation"
            raise ConfigurationError(
                "the last metric must be a loss, as 'logloss' or 'rmse', of at least one "
                f"evaluation set; {found}. Give eval_set= (in fit), valid_sets= (in "
                "lightgbm.train) or evals= (in xgboost.train), and such a metric"
            )
        self._validation_loss = validation_loss
        if self.run is None:
            return
        if isinstance(self.run.host, BoostingHost):
            self.run.host.note_round(train_loss, validation_loss)
        self.run.step(train_loss)

    def end(self) -> None:
        """Give the values back, after the last round."""
        if self.run is not None:
            self.run.close()

    def _begin(self, host: Any, total_steps: int) -> None:
        self._validation_loss = None
        options = self._options | {"num_decisions": self.num_decisions(total_steps)}
        state, self._state = self._state, None
        self.run = self._controller.steer(host, total_steps=total_steps, state=state, **options)
