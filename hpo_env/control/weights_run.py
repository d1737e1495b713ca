"""A controlled run whose weights are torch tensors, whoever makes the updates.

Axes: none; the parts of the weights are those of the optimisers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hpo_env.control import replicas
from hpo_env.control.decider import Verdict
from hpo_env.control.knobs import Knob
from hpo_env.control.run import Run, RunLogger
from hpo_env.errors import ConfigurationError
from hpo_env.measuring import IntervalMeasurement
from hpo_env.policy import Policy
from hpo_env.telemetry import Telemetry


class WeightsRun(Run):
    """Measures displacements of weights and norms of gradients; see `Run` for the arguments.

    Args:
        parts: Returns the weights, a list for each optimiser, in an order that stays.
        model: Its modes are put back after `validate`, and its buffers after a divergence.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        knobs: Mapping[str, Knob],
        *,
        parts: Callable[[], list[list[Tensor]]],
        model: nn.Module | None,
        total_steps: int,
        num_decisions: int,
        base_schedule: str,
        validate: Callable[[], Any] | None,
        loggers: Sequence[RunLogger],
    ) -> None:
        self._model = model
        self._parts = parts
        self._parameters = parts()
        self._measurement = IntervalMeasurement(1, len(self._parameters))
        self._buffers: list[Tensor] = []
        every = [parameter for part in self._parameters for parameter in part]
        self._device = every[0].device if every else torch.device("cpu")
        super().__init__(
            policies,
            knobs,
            total_steps=total_steps,
            num_decisions=num_decisions,
            base_schedule=base_schedule,
            validate=validate,
            loggers=loggers,
        )

    def before_update(self, part: int, *, gradient_scale: Tensor | float = 1.0) -> None:
        """Measure what is due before an update; a second call before the same one does nothing."""
        measurement = self._measurement
        if measurement.is_due and not self.is_over:
            parameters = self._parameters[part]
            gradients = [p.grad for p in parameters if p.grad is not None]
            measurement.before_update(
                parameters, gradients, part=part, gradient_scale=gradient_scale
            )

    def copy_weights(self, part: int = 0) -> None:
        """Do the first half of `before_update`, for hosts whose gradients come later."""
        if self._measurement.is_due and not self.is_over:
            self._measurement.copy_weights(self._parameters[part], part=part)

    def measure_gradients(self, part: int = 0) -> None:
        """Do the second half, after the update and before `step`."""
        if self._measurement.is_due and not self.is_over:
            gradients = [p.grad for p in self._parameters[part] if p.grad is not None]
            self._measurement.measure_gradients(gradients, part=part)

    def _note_update(self, loss: Any) -> None:
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise ConfigurationError(
                f"step(loss) needs one number; got a tensor of shape {tuple(loss.shape)}. "
                "Average it first"
            )
        self._measurement.after_update(loss)

    def _begin_measurement(self, num_updates: int) -> None:
        self._parameters = self._parts()
        self._measurement = IntervalMeasurement(num_updates, len(self._parameters))
        if self._model is not None:
            self._buffers = [buffer.detach().clone() for buffer in self._model.buffers()]

    def _measured(self, validation_loss: float) -> Telemetry:
        telemetry = self._measurement.finish(*self._parameters, validation_loss=validation_loss)
        has_loss = len(self._measurement.losses) > 0
        telemetry.diverged[:] = has_loss and not math.isfinite(telemetry.train_loss[0])
        if replicas.is_replicated():
            replicas.mean_telemetry(telemetry, self._device)
        return telemetry

    def _measurement_state(self) -> dict[str, Any]:
        return {"interval": self._measurement.state_dict()}

    def _load_measurement(self, state: Mapping[str, Any]) -> None:
        self._begin_measurement(max(self._end - self._start, 1))
        self._measurement.load_state_dict(state["interval"])

    def _roll_back(self) -> bool:
        """Put back weights and buffers of the interval's start, and empty the optimiser's memory.

        Without a copy of the weights nothing is done.
        """
        start = self._measurement.start
        if any(part is None for part in start):
            return False
        now = [p for part in self._parameters for p in part]
        copies = [copy for part in start if part is not None for copy in part]
        with torch.no_grad():
            for parameter, copy in zip(now, copies, strict=True):
                parameter.copy_(copy)
            if self._model is not None:
                for buffer, copy in zip(self._model.buffers(), self._buffers, strict=True):
                    buffer.copy_(copy)
        self._forget_moments()
        return True

    def _forget_moments(self) -> None:
        """Empty the optimiser's memory, which led to where the weights have come back from."""

    def _validated(self) -> float:
        modules = [] if self._model is None else list(self._model.modules())
        modes = [module.training for module in modules]
        try:
            return super()._validated()
        finally:
            # A validate() that leaves the model in eval() would switch off dropout for good. Each
            # module by itself, as some may be kept in eval() on purpose.
            for module, mode in zip(modules, modes, strict=True):
                module.training = mode

    def _decide(self) -> Verdict:
        before = self._decider.corrections.copy()
        verdict = super()._decide()
        if replicas.is_replicated():
            moves = replicas.from_first(self._decider.moves[0].tolist(), self._device)
            self._decider.corrections = before
            self._decider.take(np.array([moves]))
        return verdict

    def _reduced_loss(self, loss: float) -> float:
        return replicas.mean_loss(loss, self._device) if replicas.is_replicated() else loss
