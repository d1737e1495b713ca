"""A host whose weights are torch tensors, whoever makes the updates.

The parts of the weights are those of the optimisers.
"""

from __future__ import annotations

import gc
import math
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from hpo_env.control import replicas
from hpo_env.control.host import Host, Steered
from hpo_env.control.owners import Owners
from hpo_env.control.plain_host import read_loss
from hpo_env.control.writers import Writer, give_back, start_all, write_all
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
        owners: The models of the weights, where buffers and averages are put back as well.
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
        owners: Owners | None = None,
        validate: Callable[[], Any] | None = None,
        others: Callable[[], list[Tensor]] | None = None,
    ) -> None:
        self._writers = dict(writers)
        self._model = model
        self._owners = owners
        self._validate = validate
        self._parts = parts
        self.parameters = parts()
        self.measurement = IntervalMeasurement(1, len(self.parameters))
        self._others = others
        self._copies: list[tuple[Tensor, Tensor]] = []  # of all but what the measurement copies
        self._buffers: list[tuple[nn.Module, str, Tensor]] = []
        self._averages: list[list[tuple[Tensor, Tensor]]] = []
        # Parts whose updates are not announced, as far as is known: those of compiled optimisers,
        # of idle ones, of those of two steps.
        self.unseen: set[int] = set()
        self._announced: set[int] = set()  # in this interval
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
        if part in self.unseen:
            self.unseen.discard(part)
            self.measurement.forget(part)  # what was taken for its start, in case it was not
        if self._is_due:
            self._announced.add(part)
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
            self._announced.add(part)
            self.unseen.discard(part)
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
        """Copy buffers, and the weights whose first update may not be announced."""
        self.parameters = self._parts()
        self.measurement = IntervalMeasurement(num_updates, len(self.parameters))
        self._copies = []
        self._buffers = [
            (module, name, buffer.detach().clone())
            for module in self._modules()
            for name, buffer in module._buffers.items()
            if buffer is not None and not is_lazy(buffer)
        ]
        if self._others is not None:
            self.copy_too(self._others())
        averages = [] if self._owners is None else self._owners.averages()
        self._averages = [[(t, t.detach().clone()) for t in tensors] for tensors in averages]
        self.unseen = set(range(len(self.parameters))) - self._announced
        self._announced = set()
        for part in self.unseen:
            if not any(map(is_lazy, self.parameters[part])):  # they get their shape in an update
                self.measurement.copy_weights(self.parameters[part], part=part)

    def copied(self) -> set[int]:
        """Return the identities of the weights that a roll back of this interval puts back."""
        parts = (tensor for part in self.parameters for tensor in part)
        return set(map(id, (*parts, *(tensor for tensor, _ in self._copies))))

    def copy_too(self, tensors: Iterable[Tensor]) -> None:
        """Copy further tensors, which a roll back of this interval puts back."""
        self._copies += [(tensor, tensor.detach().clone()) for tensor in tensors]

    def note_update(self, loss: Any) -> None:
        """Count an update; a tensor is not read before the interval's end."""
        if isinstance(loss, Tensor):
            if loss.numel() != 1:
                raise ConfigurationError(
                    f"step(loss) needs one number; got a tensor of shape {tuple(loss.shape)}. "
                    "Average it first"
                )
            if loss.is_complex() or loss.layout is not torch.strided:
                raise ConfigurationError(
                    f"step(loss) needs a real number in a dense tensor; got {loss!r:.60}"
                )
        elif loss is not None:
            loss = read_loss(loss)
        for part in self.unseen:
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
        for average in self._averages:  # the others may be those of another training
            if not _are_finite(tensor for tensor, _ in average):
                pairs += average
        for module, name, copy in self._buffers:
            buffer = module._buffers.get(name)
            if buffer is not None and buffer.shape == copy.shape:
                pairs.append((buffer, copy))
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
        return {
            "interval": self.measurement.state_dict(),
            "unseen": sorted(self.unseen),
            "sizes": [len(part) for part in self.parameters],
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the measurement back, but for copies of weights that are others now."""
        self.measurement.load_state_dict(state["interval"])
        # Weights that came within the interval, and so at the end, are not among those measured.
        for part, size in enumerate(state.get("sizes", ())[: len(self.parameters)]):
            self.parameters[part] = self.parameters[part][:size]
        shapes = [[parameter.shape for parameter in part] for part in self.parameters]
        self.measurement.keep_copies_of(shapes)
        # States of earlier versions do not say; there nothing was copied of such parts.
        missing = [part for part, start in enumerate(self.measurement.start) if start is None]
        self.unseen = set(state.get("unseen", missing)) & set(range(len(shapes)))

    def close(self) -> None:
        """Give the values back."""
        give_back(self._writers)

    def _modules(self) -> Iterable[nn.Module]:
        """Return the modules whose buffers a roll back puts back."""
        if self._owners is not None:
            return self._owners.modules()
        return () if self._model is None else self._model.modules()

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
        if self._is_over:
            return
        parameters, measurement = self.parameters[part], self.measurement
        start = measurement.start[part]
        # An idle one has no gradients.
        if measurement.is_due and start is not None and _have_moved(parameters, start):
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
        return self.measurement.is_due and not self._is_over

    @property
    def _is_over(self) -> bool:
        return self._run is not None and self._run.is_over


def _gradients(parameters: Iterable[Tensor]) -> list[Tensor]:
    return [p.grad for p in parameters if p.grad is not None]


def _have_moved(tensors: Sequence[Tensor], before: Sequence[Tensor]) -> bool:
    return any(not torch.equal(now, then) for now, then in zip(tensors, before, strict=False))


def _are_finite(tensors: Iterable[Tensor]) -> bool:
    return all(bool(tensor.detach().isfinite().all()) for tensor in tensors)


def _has_scaler() -> bool:
    """Say whether a gradient scaler is in use; asked only where a loss was not finite."""
    gc.collect()  # one that nobody holds any more is not in use
    # type() and not isinstance(): the latter runs code of lazy objects that lie about.
    scalers = [o for o in gc.get_objects() if issubclass(type(o), torch.amp.GradScaler)]
    return any(scaler.is_enabled() and scaler._scale is not None for scaler in scalers)
