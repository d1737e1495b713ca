"""Keras 3 on the torch backend: a callback that steers `Model.fit`.

    os.environ["KERAS_BACKEND"] = "torch"  # before the first import of keras
    model.fit(x, y, callbacks=[HPOControlCallback(controller, validate=validation_loss)])

The learning rate of the optimiser must be a number: Keras does not let anybody write one that comes
from a `LearningRateSchedule`. Keras callbacks have no part in its checkpoints: save
`callback.run.state_dict()` with `torch.save`, and give it to a new callback as `state=`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch

from hpo_env.control.run import Run
from hpo_env.control.weights_host import WeightsHost
from hpo_env.control.writers import Writer
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.extras import require

_keras = require("keras", extra="keras")


class AttributeWriter:
    """A number that is an attribute of a Keras object."""

    def __init__(self, owner: Any, attribute: str) -> None:
        self._owner, self._attribute = owner, attribute
        self.initial = self._read()

    def write(self, value: float) -> float:
        """Set the attribute and read it back."""
        setattr(self._owner, self._attribute, value)
        return self._read()

    def _read(self) -> float:
        value = getattr(self._owner, self._attribute)
        return float(_keras.ops.convert_to_numpy(value))


class HPOControlCallback(_keras.callbacks.Callback):  # type: ignore[misc,name-defined]
    """Steers the optimiser of a Keras model: learning rate, weight decay, momentum.

    Args:
        controller: What decides.
        validate: Takes the model and returns the validation loss; called without gradients at the
            start and after every decision interval. None: the training loss.
        total_steps: Batches in the run; by default epochs times steps, where Keras knows them.
        num_decisions: Decision intervals in the run; by default as in the policy's training.
        base_schedule: Name of the schedule that decisions correct; by default the policy's.
        loggers: Told of every decision and interval.
        state: A saved `run.state_dict()` to go on from.

    Attributes:
        run: The run, once training has begun.

    Raises:
        ConfigurationError: The backend is not torch.
    """

    def __init__(
        self,
        controller: Controller,
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
        self.run: Run[WeightsHost] | None = None
        self._controller = controller
        self._validate = validate
        self._total_steps = total_steps
        self._num_decisions = num_decisions
        self._base_schedule = base_schedule
        self._loggers = loggers
        self._state = state
        self._batch = 0
        self._mean = 0.0

    def on_train_begin(self, logs: Any = None) -> None:
        """Start the run, or go on with it."""
        total_steps = self._total_steps
        if total_steps is None and self.params.get("steps") is None:
            raise ConfigurationError(
                "Keras does not know the length of this data: give the callback total_steps"
            )
        if total_steps is None:
            total_steps = self.params["epochs"] * self.params["steps"]
        self.run = self._controller.steer(
            make_host(self.model, self._validate),
            total_steps=total_steps,
            num_decisions=self._num_decisions,
            base_schedule=self._base_schedule,
            loggers=self._loggers,
            state=self._state,
        )

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Note that Keras starts a new average of the loss."""
        self._batch, self._mean = 0, 0.0

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Copy weights, where that is due before this update."""
        if self.run is not None:
            self.run.host.copy_weights()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Measure gradients, and count the update."""
        if self.run is None:
            return
        self.run.host.measure_gradients()
        loss = None
        mean = (logs or {}).get("loss")
        if mean is not None:  # Keras reports the epoch's average so far
            self._batch += 1
            loss = self._batch * mean - (self._batch - 1) * self._mean
            self._mean = mean
        self.run.step(loss)


def make_host(model: Any, validate: Callable[[Any], Any] | None = None) -> WeightsHost:
    """Make the host of a compiled model; see `HPOControlCallback`."""

    def validated() -> Any:
        with torch.no_grad():
            return None if validate is None else validate(model)

    return WeightsHost(
        _writers(model),
        parts=lambda: [[weight.value for weight in model.trainable_weights]],
        model=model,
        validate=None if validate is None else validated,
    )


def _writers(model: Any) -> dict[str, Writer]:
    """Find what Keras lets one write while it trains."""
    optimizer = model.optimizer
    if isinstance(
        getattr(optimizer, "_learning_rate", None),
        _keras.optimizers.schedules.LearningRateSchedule,
    ):
        raise ConfigurationError(
            "Keras does not let a controller write a learning rate that comes from a "
            "LearningRateSchedule; compile with a number, and give the callback base_schedule="
        )
    found: dict[str, Writer] = {"learning_rate": AttributeWriter(optimizer, "learning_rate")}
    if getattr(optimizer, "weight_decay", None):
        found["weight_decay"] = AttributeWriter(optimizer, "weight_decay")
    for attribute in ("beta_1", "momentum"):
        if getattr(optimizer, attribute, None):  # without momentum there are no buffers for it
            found["momentum"] = AttributeWriter(optimizer, attribute)
            break
    return found
