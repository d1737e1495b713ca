"""scikit-learn: a controller for a loop over `partial_fit`.

    run = attach(controller, estimator, total_steps=..., validate=validation_loss)
    for x, y in batches:
        estimator.partial_fit(x, y, classes=classes)
        run.step(loss)

For `SGDClassifier` and `SGDRegressor` with `learning_rate="constant"`, and for `MLPClassifier` and
`MLPRegressor` with the solvers "sgd" and "adam". scikit-learn reads most of these numbers at every
call of `partial_fit`, but a multilayer perceptron keeps its learning rate and its momentum in an
object of its own, which is written directly. `run.close()` gives the user's own numbers back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue, own_values, take_for_own
from hpo_env.integrations.callbacks import Decides, controller_of
from hpo_env.integrations.extras import require

_ADVICE = "Take out of the loop whatever sets it (set_params), or the controller"


def attach(
    controller: Decides,
    estimator: Any,
    *,
    total_steps: int,
    validate: Callable[[], Any] | None = None,
    **options: Any,
) -> Run[EstimatorHost]:
    """Steer an estimator that learns by `partial_fit`.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        estimator: Of one of the four classes.
        total_steps: How often `run.step` will be called: once after each `partial_fit`; with
            `state` also before it was saved.
        validate: Returns the validation loss; None leaves the training loss: the one given to
            `run.step`, or else the one that a network keeps itself.
        **options: Further arguments of `Controller.steer`.

    Raises:
        ConfigurationError: The estimator is of another class, or changes its own learning rate.
    """
    host = make_host(estimator, validate)
    run = controller_of(controller).steer(host, total_steps=total_steps, **options)
    return run


class EstimatorHost(PlainHost):
    """An estimator that learns by `partial_fit`; arguments and errors are those of `attach`."""

    def __init__(self, estimator: Any, validate: Callable[[], Any] | None = None) -> None:
        self._values = _found(estimator)
        super().__init__(self._values, validate)
        self._estimator = estimator

    def note_update(self, loss: Any) -> None:
        """Keep the loss; a network knows that of its last `partial_fit` by itself."""
        super().note_update(getattr(self._estimator, "loss_", None) if loss is None else loss)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses, and the values that were found."""
        return super().state_dict() | {"own": own_values(self._values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the losses back; the values of an estimator that was saved are not its own."""
        super().load_state_dict(state)
        take_for_own(self._values, state.get("own", {}))  # earlier versions do not say


def make_host(estimator: Any, validate: Callable[[], Any] | None = None) -> EstimatorHost:
    """Make the host of an estimator; see `EstimatorHost`."""
    return EstimatorHost(estimator, validate)


def _found(estimator: Any) -> dict[str, BorrowedValue]:
    """Return for each hyperparameter what writes it."""
    models = require("sklearn.linear_model", extra="data")
    networks = require("sklearn.neural_network", extra="data")
    if isinstance(estimator, models.SGDClassifier | models.SGDRegressor):
        if estimator.learning_rate != "constant":
            raise ConfigurationError(
                "learning_rate='constant' must hold, or the estimator changes the rate itself; "
                f"got {estimator.learning_rate!r}"
            )
        return {
            "learning_rate": _parameter(estimator, "eta0"),
            "weight_decay": _parameter(estimator, "alpha"),
        }
    if isinstance(estimator, networks.MLPClassifier | networks.MLPRegressor):
        if estimator.solver not in ("sgd", "adam") or (
            estimator.solver == "sgd" and estimator.learning_rate != "constant"
        ):
            raise ConfigurationError(
                "solver 'adam', or 'sgd' with learning_rate='constant', must be used; got "
                f"{estimator.solver!r} with {estimator.learning_rate!r}"
            )
        momentum = "beta_1" if estimator.solver == "adam" else "momentum"
        return {
            "learning_rate": _kept_in_network(estimator, "learning_rate_init"),
            "weight_decay": _parameter(estimator, "alpha"),
            "momentum": _kept_in_network(estimator, momentum),
        }
    raise ConfigurationError(
        "SGDClassifier, SGDRegressor, MLPClassifier or MLPRegressor must be given; "
        f"got {type(estimator).__name__}"
    )


def _parameter(estimator: Any, name: str) -> BorrowedValue:
    return BorrowedValue(
        estimator,
        name,
        read=lambda: getattr(estimator, name),
        put=lambda value: estimator.set_params(**{name: value}),
        advice=_ADVICE,
    )


def _kept_in_network(estimator: Any, name: str) -> BorrowedValue:
    """Write a parameter that a network copies into an object of its own."""

    def read() -> float:
        optimizer = _optimizer(estimator)
        return float(getattr(estimator if optimizer is None else optimizer, name))

    def put(value: float) -> None:
        setattr(estimator, name, value)
        optimizer = _optimizer(estimator)
        if optimizer is not None:
            setattr(optimizer, name, value)
            if name == "learning_rate_init":
                optimizer.learning_rate = value

    return BorrowedValue(estimator, name, read=read, put=put, advice=_ADVICE)


def _optimizer(estimator: Any) -> Any:
    """Return the object that holds a network's learning rate, None before the first call."""
    if not hasattr(estimator, "coefs_"):
        return None
    if not hasattr(estimator, "_optimizer"):
        raise ConfigurationError(
            "this version of scikit-learn keeps the learning rate of a multilayer perceptron "
            "elsewhere; versions 1.5 to 1.9 are known to work"
        )
    return estimator._optimizer
