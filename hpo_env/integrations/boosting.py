"""What the callbacks of LightGBM and XGBoost share: shrinkage, one boosting round at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.lengths import num_saved


class SteeredBoosting:
    """Steers the shrinkage of one boosting after another.

    Args:
        controller: What decides.
        shrinkage: What the policy calls the shrinkage.
        **options: Further arguments of `Controller.steer`; a `state` to go on from is used once.

    Attributes:
        run: The last run, once training has begun.
    """

    def __init__(
        self, controller: Controller, *, shrinkage: str = "learning_rate", **options: Any
    ) -> None:
        controller.policy.space.index(shrinkage)
        self.run: Run[PlainHost] | None = None
        self._controller = controller
        self._shrinkage = shrinkage
        self._state: Mapping[str, Any] | None = options.pop("state", None)
        self._options = options
        self._validation_loss: float | None = None

    def begin(
        self, value: BorrowedValue, *, total_steps: int | None = None, to_come: int = 0
    ) -> None:
        """Start, before the first round of a training.

        Args:
            value: The shrinkage.
            total_steps: Rounds in the run; None: those saved with a state and those to come.
            to_come: Rounds in this training.
        """
        self._validation_loss = None
        state, self._state = self._state, None
        total = num_saved(state) + to_come if total_steps is None else total_steps
        host = PlainHost({self._shrinkage: value}, lambda: self._validation_loss)
        self.run = self._controller.steer(host, total_steps=total, state=state, **self._options)

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
        if self.run is not None:
            self.run.step(train_loss)

    def end(self) -> None:
        """Give the shrinkage back, after the last round."""
        if self.run is not None:
            self.run.close()
