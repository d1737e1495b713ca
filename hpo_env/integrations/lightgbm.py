"""LightGBM: callbacks that steer the shrinkage, tree by tree.

    control = HPOControl(controller)
    lightgbm.train(params, data, valid_sets=[data, validation], callbacks=control.callbacks())

The data set that trains, whatever it is called, is followed as the training loss, and the first
other one as the validation loss; each by its first metric that is a loss.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import SteeredBoosting
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.extras import require

_RATE_ALIASES = ("learning_rate", "shrinkage_rate", "eta")
_BOOSTING_ALIASES = ("boosting", "boosting_type", "boost")
_DEFAULT_RATE = 0.1  # LightGBM's own
_ADVICE = "Take lightgbm.reset_parameter(learning_rate=...) out of the callbacks, or this one"


class HPOControl:
    """Steers `lightgbm.train`, and `fit` of the scikit-learn interface; any number of times.

    Args:
        controller: What decides.
        **options: `shrinkage`, what the policy calls it where that is not "learning_rate", and
            further arguments of `Controller.steer`.

    Raises:
        ConfigurationError: While training: several models are trained at once, or trees are not
            shrunk once for all ("dart", "rf"); or no loss is evaluated.
    """

    def __init__(self, controller: Controller, **options: Any) -> None:
        require("lightgbm", extra="boost")
        self._boosting = SteeredBoosting(controller, **options)

    @property
    def run(self) -> Run[PlainHost] | None:
        """The run of the last training, once it has begun."""
        return self._boosting.run

    def callbacks(self) -> list[Callable[[Any], None]]:
        """Return the two callbacks, one before each tree and one after it."""

        def before(env: Any) -> None:
            if env.iteration == env.begin_iteration:
                self._begin(env)

        def after(env: Any) -> None:
            self._boosting.finish_round(*_losses(env), scores=_scores(env))
            if env.iteration + 1 == env.end_iteration:
                self._boosting.end()

        before.before_iteration = True  # type: ignore[attr-defined]
        before.order, after.order = 20, 20  # type: ignore[attr-defined]
        return [before, after]

    def _begin(self, env: Any) -> None:
        if type(env.model).__name__ == "CVBooster":
            raise ConfigurationError("lightgbm.cv trains several models: use lightgbm.train")
        kind = next((env.params[alias] for alias in _BOOSTING_ALIASES if alias in env.params), "")
        if kind in ("dart", "rf", "random_forest"):
            raise ConfigurationError(
                f"boosting='gbdt' must be used, as {kind!r} does not shrink each tree once for all"
            )
        model = env.model

        def put(rates: tuple[Any, ...]) -> None:
            model.reset_parameter({"learning_rate": _first(rates)})

        value = BorrowedValue(
            model,
            "learning_rate",
            read=lambda: tuple(model.params.get(alias) for alias in _RATE_ALIASES),
            put=put,
            make=lambda rate: (rate,),
            number=_first,
            advice=_ADVICE,
        )
        self._boosting.begin(value, to_come=env.end_iteration - env.begin_iteration)


def _first(rates: tuple[Any, ...]) -> float:
    """Return the rate that is given, under whatever name."""
    return float(next((rate for rate in rates if rate is not None), _DEFAULT_RATE))


def _losses(env: Any) -> tuple[float | None, float | None]:
    """Return training and validation loss of the round."""
    train = validation = None
    training_name = getattr(env.model, "_train_data_name", "training")
    for name, _, value, is_higher_better, *_ in env.evaluation_result_list or ():
        if is_higher_better:
            continue
        if name == training_name and train is None:
            train = float(value)
        elif name != training_name and validation is None:
            validation = float(value)
    return train, validation


def _scores(env: Any) -> list[str]:
    """Name the metrics of the round that are better when they are higher."""
    found = env.evaluation_result_list or ()
    return sorted({metric for _, metric, _, is_higher_better, *_ in found if is_higher_better})
