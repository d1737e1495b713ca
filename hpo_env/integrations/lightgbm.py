"""LightGBM: callbacks that steer the shrinkage, tree by tree.

    control = HPOControl(controller)
    lightgbm.train(params, data, valid_sets=[data, validation], callbacks=control.callbacks())

The data set that trains is followed as the training loss, the first other one as validation loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import SteeredBoosting
from hpo_env.integrations.extras import require

_ALIASES = ("learning_rate", "shrinkage_rate", "eta")
_DEFAULT_RATE = 0.1  # LightGBM's own


class HPOControl:
    """Steers `lightgbm.train`.

    Args:
        controller: What decides.
        **options: `shrinkage`, what the policy calls it where that is not "learning_rate", and
            further arguments of `Controller.steer`.
    """

    def __init__(self, controller: Controller, **options: Any) -> None:
        require("lightgbm", extra="boost")
        self._boosting = SteeredBoosting(controller, **options)
        self._rate = _DEFAULT_RATE

    @property
    def run(self) -> Run[PlainHost] | None:
        """The run, once training has begun."""
        return self._boosting.run

    def callbacks(self) -> list[Callable[[Any], None]]:
        """Return the two callbacks, one before each tree and one after it."""

        def before(env: Any) -> None:
            if self._boosting.run is None:
                self._begin(env)
            env.model.reset_parameter({"learning_rate": self._rate})

        def after(env: Any) -> None:
            train, validation = _losses(env)
            self._boosting.finish_round(train, validation)

        before.before_iteration = True  # type: ignore[attr-defined]
        before.order, after.order = 20, 20  # type: ignore[attr-defined]
        return [before, after]

    def _begin(self, env: Any) -> None:
        if type(env.model).__name__ == "CVBooster":
            raise ConfigurationError("lightgbm.cv trains several models: use lightgbm.train")
        given = [env.params[alias] for alias in _ALIASES if alias in env.params]
        self._boosting.begin(
            self._write,
            initial=float(given[0]) if given else _DEFAULT_RATE,
            total_steps=env.end_iteration - env.begin_iteration,
        )

    def _write(self, value: float) -> float:
        self._rate = value
        return value


def _losses(env: Any) -> tuple[float | None, float | None]:
    """Return training and validation loss of the round."""
    train = validation = None
    for name, metric, value, is_higher_better, *_ in env.evaluation_result_list or ():
        if is_higher_better:
            continue
        if value < 0.0:
            raise ConfigurationError(f"the metric {metric!r} must be a loss; got {value}")
        if name == "training" and train is None:
            train = float(value)
        elif name != "training" and validation is None:
            validation = float(value)
    return train, validation
