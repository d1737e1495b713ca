"""A host whose weights are torch tensors, whoever makes the updates.

The parts of the weights are those of the optimisers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hpo_env.control import replicas
from hpo_env.control.host import Host, Steered
from hpo_env.control.writers import Writer, write_all
from hpo_env.errors import ConfigurationError
from hpo_env.measuring import IntervalMeasurement
from hpo_env.telemetry import Telemetry


class WeightsHost(Host):
    """Measures displacements of weights and norms of gradients, and rolls weights back.

    Whoever makes the updates calls `before_update` before each, or `copy_weights` before and
    `measure_gradients` after it. Under `torch.distributed` replicas measure together and make the
    moves of the first.

    Args:
        writers: What can be written, by hyperparameter.
        parts: Returns the weights, a list for each optimiser, in an order that stays.
        model: Its modes are put back after `validate`, and its buffers by a roll back.
        validate: Returns the validation loss; None where there is none.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        *,
        parts: Callable[[], list[list[Tensor]]],
        model: nn.Module | None = None,
        validate: Callable[[], Any] | None = None,
    ) -> None:
        self._writers = dict(writers)
        self._model = model
        self._validate = validate
        self._parts = parts
        self.parameters = parts()
        self.measurement = IntervalMeasurement(1, len(self.parameters))
        self._buffers: list[Tensor] = []
        every = [parameter for part in self.parameters for parameter in part]
        self._device = every[0].device if every else torch.device("cpu")
        self._run: Steered | None = None

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return {name: writer.initial for name, writer in self._writers.items()}

    def begin(self, run: Steered) -> None:
        """Keep the run: nothing is measured once it is over."""
        self._run = run

    def before_update(self, part: int, *, gradient_scale: Tensor | float = 1.0) -> None:
        """Measure what is due before an update; a second call before the same one does nothing."""
        if self._is_due:
            parameters = self.parameters[part]
            gradients = [p.grad for p in parameters if p.grad is not None]
            self.measurement.before_update(
                parameters, gradients, part=part, gradient_scale=gradient_scale
            )

    def copy_weights(self, part: int = 0) -> None:
        """Do the first half of `before_update`, for hosts whose gradients come later."""
        if self._is_due:
            self.measurement.copy_weights(self.parameters[part], part=part)

    def measure_gradients(self, part: int = 0) -> None:
        """Do the second half, after the update and before it is counted."""
        if self._is_due:
            gradients = [p.grad for p in self.parameters[part] if p.grad is not None]
            self.measurement.measure_gradients(gradients, part=part)

    def begin_interval(self, num_updates: int) -> None:
        """Copy the model's buffers; the weights are copied before the first update."""
        self.parameters = self._parts()
        self.measurement = IntervalMeasurement(num_updates, len(self.parameters))
        if self._model is not None:
            self._buffers = [buffer.detach().clone() for buffer in self._model.buffers()]

    def note_update(self, loss: Any) -> None:
        """Count an update; a tensor is not read before the interval's end."""
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise ConfigurationError(
                f"step(loss) needs one number; got a tensor of shape {tuple(loss.shape)}. "
                "Average it first"
            )
        self.measurement.after_update(loss)

    def validate(self) -> Any:
        """Call the function, and put every module back into its mode."""
        if self._validate is None:
            return None
        modules = [] if self._model is None else list(self._model.modules())
        modes = [module.training for module in modules]
        try:
            return self._validate()
        finally:
            # A validate() that leaves the model in eval() would switch off dropout for good. Each
            # module by itself, as some may be kept in eval() on purpose.
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode

    def measure(self, validation_loss: float) -> Telemetry:
        """Work out what was collected, over all replicas."""
        telemetry = self.measurement.finish(*self.parameters, validation_loss=validation_loss)
        has_loss = len(self.measurement.losses) > 0
        telemetry.diverged[:] = has_loss and not math.isfinite(telemetry.train_loss[0])
        if replicas.is_replicated():
            replicas.mean_telemetry(telemetry, self._device)
        return telemetry

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Call each writer."""
        return write_all(self._writers, values)

    def roll_back(self) -> bool:
        """Put back weights and buffers; without a copy of the weights nothing is done."""
        start = self.measurement.start
        if any(part is None for part in start):
            return False
        now = [p for part in self.parameters for p in part]
        copies = [copy for part in start if part is not None for copy in part]
        with torch.no_grad():
            for parameter, copy in zip(now, copies, strict=True):
                parameter.copy_(copy)
            if self._model is not None:
                for buffer, copy in zip(self._model.buffers(), self._buffers, strict=True):
                    buffer.copy_(copy)
        return True

    def agreed(self, moves: list[float]) -> list[float]:
        """Return the first replica's moves."""
        return replicas.from_first(moves, self._device) if replicas.is_replicated() else moves

    def mean_loss(self, loss: float) -> float:
        """Return the mean over the replicas that have a loss."""
        return replicas.mean_loss(loss, self._device) if replicas.is_replicated() else loss

    def state_dict(self) -> dict[str, Any]:
        """Return the measurement so far."""
        return {"interval": self.measurement.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the measurement back."""
        self.measurement.load_state_dict(state["interval"])

    @property
    def _is_due(self) -> bool:
        return self.measurement.is_due and not (self._run is not None and self._run.is_over)
