"""A host whose weights are torch tensors, whoever makes the updates.

The parts of the weights are those of the optimisers.
"""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from hpo_env.control import replicas
from hpo_env.control.host import Host, Steered
from hpo_env.control.writers import Writer, start_all, write_all
from hpo_env.errors import ConfigurationError, ControllerWarning
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
        others: Returns tensors that no optimiser trains and a roll back puts back too, always the
            same ones.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        *,
        parts: Callable[[], list[list[Tensor]]],
        model: nn.Module | None = None,
        validate: Callable[[], Any] | None = None,
        others: Callable[[], list[Tensor]] | None = None,
    ) -> None:
        self._writers = dict(writers)
        self._model = model
        self._validate = validate
        self._parts = parts
        self.parameters = parts()
        self.measurement = IntervalMeasurement(1, len(self.parameters))
        self._others = others
        self._copies: list[tuple[Tensor, Tensor]] = []  # of all but what the measurement copies
        self._buffers: dict[str, Tensor] = {}
        self._unseen: set[int] = set()
        self._has_failed_to_measure = False
        every = [parameter for part in self.parameters for parameter in part]
        self._device = every[0].device if every else torch.device("cpu")
        self._run: Steered | None = None

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return {name: writer.initial for name, writer in self._writers.items()}

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`."""
        start_all(self._writers, values)

    def begin(self, run: Steered) -> None:
        """Keep the run: nothing is measured once it is over."""
        self._run = run

    def before_update(self, part: int, *, gradient_scale: Tensor | float = 1.0) -> None:
        """Measure what is due before an update; a second call before the same one does nothing."""
        if self._is_due:
            self._unseen.discard(part)
            self._measure(
                lambda: self.measurement.before_update(
                    self.parameters[part],
                    _gradients(self.parameters[part]),
                    part=part,
                    gradient_scale=gradient_scale,
                )
            )

    def copy_weights(self, part: int = 0) -> None:
        """Do the first half of `before_update`, for hosts whose gradients come later."""
        if self._is_due:
            self.measurement.copy_weights(self.parameters[part], part=part)

    def measure_gradients(self, part: int = 0) -> None:
        """Do the second half, after the update and before it is counted."""
        if self._is_due:
            self._measure(
                lambda: self.measurement.measure_gradients(
                    _gradients(self.parameters[part]), part=part
                )
            )

    def begin_interval(self, num_updates: int) -> None:
        """Copy the model's buffers; the weights are copied before the first update."""
        before, self.parameters = self.measurement, self._parts()
        self.measurement = IntervalMeasurement(num_updates, len(self.parameters))
        self._copies = []
        if self._model is not None:
            self._buffers = {n: b.detach().clone() for n, b in self._model.named_buffers()}
        if self._others is not None:
            self.copy_too(self._others())
        # Optimisers whose steps are not announced: compiled ones, idle ones, those of two steps.
        self._unseen = {
            part
            for part, start in enumerate(before.start)
            if start is None and before.num_done > 0 and part < len(self.parameters)
        }
        for part in self._unseen:
            self.measurement.copy_weights(self.parameters[part], part=part)

    def copy_too(self, tensors: Iterable[Tensor]) -> None:
        """Copy further tensors, which a roll back of this interval puts back."""
        self._copies += [(tensor, tensor.detach().clone()) for tensor in tensors]

    def note_update(self, loss: Any) -> None:
        """Count an update; a tensor is not read before the interval's end."""
        if isinstance(loss, Tensor) and loss.numel() != 1:
            raise ConfigurationError(
                f"step(loss) needs one number; got a tensor of shape {tuple(loss.shape)}. "
                "Average it first"
            )
        for part in self._unseen:
            self._measure_unseen(part)
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
        if self._has_skipped(telemetry):
            self.measurement.leave_out_what_is_not_finite()
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
        """Put back all that there is a copy of; False where there is no copy of any weights."""
        start = self.measurement.start
        if all(part is None for part in start):
            return False
        pairs = list(self._copies)
        for part, copies in zip(self.parameters, start, strict=True):
            pairs += zip(part, copies or (), strict=copies is not None)
        if self._model is not None:
            pairs += [
                (buffer, self._buffers[name])
                for name, buffer in self._model.named_buffers()
                if name in self._buffers and self._buffers[name].shape == buffer.shape
            ]
        with torch.no_grad():
            for tensor, copy in pairs:
                tensor.copy_(copy)
        return True

    def unrestored(self) -> str | None:
        """Name what is not finite although everything was put back; None: nothing."""
        if _are_finite(p for part in self.parameters for p in part):
            return None
        return "weights that are not finite"

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
        """Take the measurement back, but for copies of weights that are others now."""
        self.measurement.load_state_dict(state["interval"])
        shapes = [[parameter.shape for parameter in part] for part in self.parameters]
        self.measurement.keep_copies_of(shapes)

    def _measure(self, measure: Callable[[], None]) -> None:
        """Measure what can be measured: it is no reason to end a training."""
        try:
            measure()
        except (RuntimeError, NotImplementedError, TypeError) as error:
            if not self._has_failed_to_measure:
                self._has_failed_to_measure = True
                warnings.warn(
                    f"weights or gradients cannot be measured ({type(error).__name__}: {error}). "
                    "The run goes on without",
                    ControllerWarning,
                    stacklevel=2,
                )

    def _measure_unseen(self, part: int) -> None:
        """Measure an optimiser whose step was not announced, after it."""
        if not self._is_due:
            return
        parameters, measurement = self.parameters[part], self.measurement
        self._measure(lambda: measurement.measure_gradients(_gradients(parameters), part=part))
        if measurement.num_done + 1 == measurement.num_updates // 2:
            measurement.copy_middle(parameters, part=part)

    def _has_skipped(self, telemetry: Telemetry) -> bool:
        """Say whether the losses that are not finite are of batches that a scaler has skipped."""
        return (
            not math.isfinite(telemetry.train_loss[0])
            and len(self.measurement.losses) > 0
            and not math.isinf(telemetry.validation_loss[0])
            and _are_finite(p for part in self.parameters for p in part)
            and _has_scaler()
        )

    @property
    def _is_due(self) -> bool:
        return self.measurement.is_due and not (self._run is not None and self._run.is_over)


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _are_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.detach().isfinite().all()) for tensor in tensors)


def _has_scaler() -> bool:
    """Say whether a gradient scaler is in use; asked only where a loss was not finite."""
    gc.collect()  # one that nobody holds any more is not in use
    # type() and not isinstance(): the latter runs code of lazy objects that lie about.
    scalers = [o for o in gc.get_objects() if issubclass(type(o), torch.amp.GradScaler)]
    return any(scaler.is_enabled() and scaler._scale is not None for scaler in scalers)
