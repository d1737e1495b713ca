"""Measuring one decision interval of a training run with torch, at little cost.

The controller in a user's own loop fills its telemetry here. Trainers, which have all of an
interval at hand, measure the same in their own way; parity tests compare the two. Nothing is read
from the device before the interval's end: losses and norms stay tensors until then. The price is
two copies of the weights and two gradient norms an interval.

Axes: `U` updates of the interval.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hpo_env.loss_summary import summarize_losses
from hpo_env.telemetry import Telemetry


def global_norm(tensors: Iterable[Tensor]) -> Tensor:
    """Return the Euclidean norm of all tensors taken as one vector, a tensor without axes.

    Example:
        >>> global_norm([torch.tensor([3.0]), torch.tensor([[4.0]])]).item()
        5.0
    """
    return torch.nn.utils.get_total_norm([_entries(tensor.detach()) for tensor in tensors])


class IntervalMeasurement:
    """Collects one interval of one run: `before_update` and `after_update` U times, then `finish`.

    Args:
        num_updates: `U`, at least 1. The first half are the updates `0 .. U // 2 - 1`.
        num_parts: How many optimisers share the run; each measures its own part of the weights.

    Example:
        >>> w = torch.tensor([1.0])
        >>> interval = IntervalMeasurement(2)
        >>> for loss in (4.0, 2.0):
        ...     interval.before_update([w], [torch.tensor([3.0])])
        ...     w -= 0.25
        ...     interval.after_update(torch.tensor(loss))
        >>> telemetry = interval.finish([w], validation_loss=1.5)
        >>> [x.item() for x in (telemetry.train_loss, telemetry.update_ratio)]
        [3.0, 0.5]
    """

    def __init__(self, num_updates: int, num_parts: int = 1) -> None:
        self.num_updates = num_updates
        self.num_done = 0
        self._due = (0, num_updates // 2, num_updates - 1)
        self.losses: list[Tensor | float] = []
        self.start: list[list[Tensor] | None] = [None] * num_parts
        self.middle: list[list[Tensor] | None] = [None] * num_parts
        self.first_norms: list[Tensor | None] = [None] * num_parts
        self.last_norms: list[Tensor | None] = [None] * num_parts

    @property
    def is_due(self) -> bool:
        """Whether `before_update` would measure anything before the update that comes next."""
        return (
            self.num_done in self._due
            or None in self.start
            or (self.num_done > self.num_updates // 2 and None in self.middle)
        )

    @property
    def is_halfway(self) -> bool:
        """Whether exactly the first half of the updates is done."""
        return self.num_done == self.num_updates // 2

    def before_update(
        self,
        parameters: Sequence[Tensor],
        gradients: Sequence[Tensor],
        *,
        part: int = 0,
        gradient_scale: Tensor | float = 1.0,
    ) -> None:
        """Measure what the coming update makes it time to measure.

        Args:
            parameters: The weights of that part, in an order that stays.
            gradients: Their gradients, before clipping; empty when there are none.
            part: Which optimiser is about to step.
            gradient_scale: What the gradients were multiplied by, as under mixed precision.
        """
        self.copy_weights(parameters, part=part)
        self.measure_gradients(gradients, part=part, gradient_scale=gradient_scale)

    def copy_weights(self, parameters: Sequence[Tensor], *, part: int = 0) -> None:
        """Do the half of `before_update` that must come before the update."""
        if self.start[part] is None:
            self.start[part] = _copy(parameters)
        is_second_half = self.num_updates > 1 and self.num_done >= self.num_updates // 2
        if is_second_half and self.middle[part] is None:
            self.middle[part] = _copy(parameters)

    def forget(self, part: int) -> None:
        """Forget all that was measured of a part."""
        self.start[part] = self.middle[part] = None
        self.first_norms[part] = self.last_norms[part] = None

    def copy_middle(self, parameters: Sequence[Tensor], *, part: int = 0) -> None:
        """Copy the weights after the last update of the first half, where that is known later."""
        self.middle[part] = _copy(parameters)

    def leave_out_what_is_not_finite(self) -> None:
        """Forget losses that are not finite: of batches that were not learnt from."""
        losses = read_losses(self.losses)
        self.losses = [float(loss) for loss in losses if math.isfinite(loss)]

    def measure_gradients(
        self,
        gradients: Sequence[Tensor],
        *,
        part: int = 0,
        gradient_scale: Tensor | float = 1.0,
    ) -> None:
        """Do the other half, which may also come after the update, before it is counted."""
        is_first = self.first_norms[part] is None
        is_last = self.num_done == self.num_updates - 1
        if (is_first or is_last) and len(gradients):
            norm = global_norm(gradients) / gradient_scale
            if is_first:
                self.first_norms[part] = norm
            if is_last:
                self.last_norms[part] = norm

    def after_update(self, loss: Tensor | float | None = None) -> None:
        """Count the update just made, and note its minibatch loss; a tensor is not read yet."""
        self.num_done += 1
        if loss is not None:
            # A copy: graphs that are captured and replayed write every loss to one place.
            self.losses.append(loss.detach().clone() if isinstance(loss, Tensor) else float(loss))

    def finish(
        self,
        *parameters: Sequence[Tensor],
        validation_loss: float = math.nan,
        validation_metric: float = math.nan,
        diverged: bool = False,
    ) -> Telemetry:
        """Work out the telemetry of the interval.

        Args:
            *parameters: The weights now, one sequence a part.
            validation_loss: Measured now; NaN when it was not.
            validation_metric: The same.
            diverged: Whether the caller counts the run as diverged.

        Returns:
            Telemetry of one lane. NaN stands where nothing was measured, and for the comparison of
            halves when there was a single update.
        """
        losses = read_losses(self.losses)
        telemetry = Telemetry.missing(1)
        summarize_losses(telemetry, losses, self.num_updates)
        telemetry.gradient_norm_first[:] = _total(self.first_norms)
        telemetry.gradient_norm_last[:] = _total(self.last_norms)
        ratio, agreement = self._displacement(parameters)
        telemetry.update_ratio[:] = ratio
        telemetry.update_agreement[:] = agreement
        telemetry.validation_loss[:] = validation_loss
        telemetry.validation_metric[:] = validation_metric
        telemetry.diverged[:] = diverged
        return telemetry

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, weights and norms as tensors."""
        return {
            "num_updates": self.num_updates,
            "num_done": self.num_done,
            "losses": read_losses(self.losses).tolist(),
            "start": self.start,
            "middle": self.middle,
            "first_norms": self.first_norms,
            "last_norms": self.last_norms,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.__init__(int(state["num_updates"]))  # type: ignore[misc]
        self.num_done = int(state["num_done"])
        for name in ("losses", "start", "middle", "first_norms", "last_norms"):
            setattr(self, name, list(state[name]))

    def keep_copies_of(self, shapes: Sequence[Sequence[torch.Size]]) -> None:
        """Forget copies that are not of weights of these shapes, as after another was frozen.

        Args:
            shapes: Of each part's weights.
        """
        for name in ("start", "middle", "first_norms", "last_norms"):
            found = getattr(self, name)[: len(shapes)]
            setattr(self, name, found + [None] * (len(shapes) - len(found)))
        for part, of_part in enumerate(shapes):
            start = self.start[part]
            if start is not None and [copy.shape for copy in start] != list(of_part):
                self.start[part] = self.middle[part] = None

    def _displacement(self, parameters: Sequence[Sequence[Tensor]]) -> tuple[float, float]:
        """Return how far the weights moved, relative to their size, and the halves' cosine."""
        start, middle = _joined(self.start), _joined(self.middle)
        now = [weight.detach() for part in parameters for weight in part]
        if not start or len(start) != len(now):
            return math.nan, math.nan
        sums = _square_sums(start, start if middle is None else middle, now)
        size, whole, second, mixed = sums.tolist()  # one read of the device for all
        first, dot = whole - 2.0 * mixed + second, mixed - second  # of first = whole - second
        ratio = _quotient(math.sqrt(whole), math.sqrt(size))
        lengths = math.sqrt(max(first, 0.0) * second)
        return ratio, math.nan if middle is None else _quotient(dot, lengths)


_PIECE = 2**15  # numbers; a few such pieces stay in a core's own cache
_EXACT_SIZE = 2**17
"""Weights up to which float64 costs nothing. Beyond, float32 is three times as fast, and off by
1e-6 at most: the observation is rounded to 1e-7 anyway."""


def _square_sums(
    start: Sequence[Tensor], middle: Sequence[Tensor], now: Sequence[Tensor]
) -> Tensor:
    """Return `|start|^2`, `|whole|^2`, `|second|^2` and `whole . second`, `[4]`.

    `whole` is the displacement from start to now, `second` that from the middle to now. Piece by
    piece, so that no third copy of the weights is ever held.
    """
    device = now[0].device
    is_small = sum(weight.numel() for weight in now) <= _EXACT_SIZE
    dtype = torch.float64 if is_small and device.type == "cpu" else torch.float32
    size = _PIECE if device.type == "cpu" else 2**24
    total = torch.zeros(4, dtype=dtype, device=device)
    for tensors in zip(start, middle, now, strict=True):
        pieces = [torch.split(_real(tensor).reshape(-1), size) for tensor in tensors]
        for a, b, c in zip(*pieces, strict=True):
            before, end = a.to(device, dtype), c.to(device, dtype)
            whole, second = end - before, end - b.to(device, dtype)
            pairs = ((before, before), (whole, whole), (second, second), (whole, second))
            total += torch.stack([torch.dot(x, y) for x, y in pairs])
    return total


def read_losses(losses: Sequence[Tensor | float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Read losses `[U]` from wherever they are, with one transfer where they share a device."""
    tensors = [loss for loss in losses if isinstance(loss, Tensor)]
    if len(tensors) == len(losses) and tensors:
        return torch.stack([t.reshape(()) for t in tensors]).double().cpu().numpy()
    return np.array([float(loss) for loss in losses], dtype=np.float64)


def _entries(tensor: Tensor) -> Tensor:
    """Return the numbers that a tensor holds, where it is sparse."""
    if tensor.layout is torch.sparse_coo:
        return tensor.coalesce().values()
    return tensor if tensor.layout is torch.strided else tensor.values()


def _real(tensor: Tensor) -> Tensor:
    return torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _copy(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _joined(parts: Sequence[list[Tensor] | None]) -> list[Tensor] | None:
    if any(part is None for part in parts):
        return None
    return [tensor for part in parts if part is not None for tensor in part]


def _total(norms: Sequence[Tensor | None]) -> float:
    """Combine the norms of the parts; a part that took no step has none."""
    total = math.hypot(*(float(norm) for norm in norms if norm is not None))
    return total if any(norm is not None for norm in norms) and math.isfinite(total) else math.nan


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0.0 else math.nan
