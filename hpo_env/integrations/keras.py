"""Keras 3 on the torch backend: a callback that steers `Model.fit`.

    os.environ["KERAS_BACKEND"] = "torch"  # before the first import of keras
    model.fit(x, y, callbacks=[HPOControlCallback(controller, validate=validation_loss)])

The learning rate of the optimiser must be a number: Keras does not let anybody write one that comes
from a `LearningRateSchedule`. Keras callbacks have no part in its checkpoints: save
`callback.run.state_dict()` with `torch.save`, and give it to a new callback as `state=`. Nor are
they told of exceptions: a `fit` that was interrupted gives the values back when the next one
begins, or with `callback.run.close()`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch

from hpo_env.control.run import Run
from hpo_env.control.weights_host import WeightsHost
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue, own_values, take_for_own
from hpo_env.integrations.callbacks import Callback, Decides, controller_of
from hpo_env.integrations.extras import require
from hpo_env.integrations.lengths import num_saved

_keras = require("keras", extra="keras")


_ADVICE = (
    "Take LearningRateScheduler, ReduceLROnPlateau or whatever sets it out of the callbacks, and "
    "give this one base_schedule="
)


class ModelHost(WeightsHost):
    """A compiled Keras model.

    Args:
        model: The model.
        validate: Takes it and returns the validation loss; None where there is none.
    """

    def __init__(self, model: Any, validate: Callable[[Any], Any] | None = None) -> None:
        def validated() -> Any:
            with torch.no_grad():
                return None if validate is None else validate(model)

        self._values = _values(model)
        super().__init__(
            self._values,
            parts=lambda: [[weight.value for weight in model.trainable_weights]],
            model=model,
            validate=None if validate is None else validated,
        )
        self._keras_model = model
        self._state: list[torch.Tensor] = []
        self._batch = 0
        self._mean = 0.0

    def begin_interval(self, num_updates: int) -> None:
        """Copy also what Keras calls weights and does not train, as moving averages."""
        super().begin_interval(num_updates)
        weights = self._keras_model.non_trainable_weights
        self._state = [weight.value.detach().clone() for weight in weights]

    def state_dict(self) -> dict[str, Any]:
        """Return the measurement so far, and the values that were found."""
        return super().state_dict() | {"own": own_values(self._values)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the measurement back; the values of a model that was saved are not its own."""
        super().load_state_dict(state)
        take_for_own(self._values, state.get("own", {}))  # earlier versions do not say

    def roll_back(self) -> bool:
        """Put back weights and averages, and empty the optimiser's memory."""
        if not super().roll_back():
            return False
        weights = self._keras_model.non_trainable_weights
        with torch.no_grad():
            for weight, copy in zip(weights, self._state, strict=True):
                weight.value.copy_(copy)
        _empty_memory(self._keras_model)
        if not math.isfinite(self._mean):  # the epoch's averages would stay so
            self._keras_model.reset_metrics()
            self.begin_epoch()
        return True

    def begin_epoch(self) -> None:
        """Note that Keras starts a new average of the loss."""
        self._batch, self._mean = 0, 0.0

    def batch_loss(self, mean: Any) -> float | None:
        """Tell a batch's loss from the epoch's average so far, which is all that Keras says."""
        if mean is None:
            return None
        self._batch += 1
        before, self._mean = self._mean, float(mean)
        return self._batch * self._mean - (self._batch - 1) * before


class HPOControlCallback(Callback, _keras.callbacks.Callback):  # type: ignore[misc,name-defined]
    """Steers the optimiser of a Keras model: learning rate, weight decay, momentum.

    After each training the optimiser has its own values back, and the next begins anew.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        validate: Takes the model and returns the validation loss; called without gradients at the
            start and after every decision interval. None: the training loss.
        total_steps: Batches in the run; by default those of the epochs to come (and, with `state`,
            those made before), where Keras knows them.
        num_decisions: Decision intervals in the run; by default as in the policy's training.
        base_schedule: Name of the schedule that decisions correct; by default the policy's.
        loggers: Told of every decision and interval.
        state: A saved `run.state_dict()` to go on from, once.

    Attributes:
        run: The run of the last training, once its first epoch has begun.

    Raises:
        ConfigurationError: The backend is not torch.
    """

    def __init__(
        self,
        controller: Decides,
        *,
        validate: Callable[[Any], Any] | None = None,
        total_steps: int | None = None,
        num_decisions: int | None = None,
        base_schedule: str | None = None,
        loggers: Any = (),
        state: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        if _keras.backend.backend() != "torch":
            raise ConfigurationError(
                "the controller needs Keras on the torch backend, as compiled steps of the others "
                f"do not see what is written; got {_keras.backend.backend()!r}. Set the "
                "environment variable KERAS_BACKEND=torch before keras is imported"
            )
        self.run: Run[ModelHost] | None = None
        self._controller = controller_of(controller)
        self._validate = validate
        self._total_steps = total_steps
        self._num_decisions = num_decisions
        self._base_schedule = base_schedule
        self._loggers = loggers
        self._state = state

    def on_train_begin(self, logs: Any = None) -> None:
        """Forget the training before; the first epoch says where this one starts."""
        self.run = None

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Start the run before the first epoch, or go on with a saved one."""
        if self.run is None:
            self.run = self._begin(epoch)
        self.run.host.begin_epoch()

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Copy weights, where that is due before this update."""
        if self.run is not None:
            self.run.host.copy_weights()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measure gradients, and count the update."""
        if self.run is None:
            return
        self.run.host.measure_gradients()
        self.run.step(self.run.host.batch_loss((logs or {}).get("loss")))

    def on_train_end(self, logs: Any = None) -> None:
        """Give the optimiser's own values back."""
        if self.run is not None:
            self.run.close()

    def _begin(self, first_epoch: int) -> Run[ModelHost]:
        state, self._state = self._state, None  # of this training, not of a later one
        total_steps = self._total_steps
        if total_steps is None:
            if self.params.get("steps") is None:
                raise ConfigurationError(
                    "Keras does not know the length of this data: give the callback total_steps"
                )
            to_come = (self.params["epochs"] - first_epoch) * self.params["steps"]
            total_steps = num_saved(state) + to_come
        run = self._controller.steer(
            ModelHost(self.model, self._validate),
            total_steps=total_steps,
            num_decisions=self._num_decisions,
            base_schedule=self._base_schedule,
            loggers=self._loggers,
            state=state,
        )
        return run


def make_host(model: Any, validate: Callable[[Any], Any] | None = None) -> ModelHost:
    """Make the host of a compiled model; see `ModelHost`."""
    return ModelHost(model, validate)


def _values(model: Any) -> dict[str, BorrowedValue]:
    """Find what Keras lets one write while it trains."""
    optimizer = _optimizer(model)
    if isinstance(
        getattr(optimizer, "_learning_rate", None),
        _keras.optimizers.schedules.LearningRateSchedule,
    ):
        raise ConfigurationError(
            "Keras does not let a controller write a learning rate that comes from a "
            "LearningRateSchedule; compile with a number, and give the callback base_schedule="
        )
    found = {"learning_rate": _attribute(optimizer, "learning_rate")}
    if getattr(optimizer, "weight_decay", None):
        found["weight_decay"] = _attribute(optimizer, "weight_decay")
    for name in ("beta_1", "momentum"):
        if getattr(optimizer, name, None):  # without momentum there are no buffers for it
            found["momentum"] = _attribute(optimizer, name)
            break
    return found


def _attribute(owner: Any, name: str) -> BorrowedValue:
    """Write a number that is an attribute of a Keras object."""
    return BorrowedValue(
        owner,
        name,
        read=lambda: float(_keras.ops.convert_to_numpy(getattr(owner, name))),
        put=lambda value: setattr(owner, name, value),
        advice=_ADVICE,
    )


def _empty_memory(model: Any) -> None:
    """Give all that an optimiser remembers the values that it has in a new one."""
    optimizer = _optimizer(model)
    new = type(optimizer).from_config(optimizer.get_config())
    new.build(model.trainable_variables)
    rate = getattr(optimizer, "_learning_rate", None)
    for ours, fresh in zip(optimizer.variables, new.variables, strict=True):
        if ours is not rate:
            ours.assign(fresh)
    # Averages of weights, which would be zeros before the next update, start from the weights.
    averages = getattr(optimizer, "_model_variables_moving_average", ())
    for average, weight in zip(averages, model.trainable_variables, strict=False):
        average.assign(weight)


def _optimizer(model: Any) -> Any:
    """Return the optimiser that makes the updates, without the wrapper that scales losses."""
    return getattr(model.optimizer, "inner_optimizer", model.optimizer)
