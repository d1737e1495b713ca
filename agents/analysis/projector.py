"""Tasks as points: where two are near, training them looks alike.

A task is described by its telemetry under the base schedule, that is without the controller: the
mean of every observation field over the first, middle and last third of the run. Its gain is what
the controller adds.

Axes: `E` runs, `D` observation fields.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from agents import tags
from agents.analysis.recording import Recording
from agents.analysis.regret import decade
from agents.evaluation.statistics import TIE

Array = NDArray[np.float64]

HEADER = (
    "family",
    "data set",
    "gain",
    "architecture",
    "optimizer",
    "initial rate",
    "gain in log loss",
)
_MUCH = 0.1  # log loss: a tenth
_FARTHEST = 3.0  # standard deviations


def embed(recording: Recording) -> Array:
    """Describe every run by its telemetry `[E, 3 * D]`, standardised; constant columns are 0."""
    lengths = np.maximum(np.isfinite(recording.observations[:, :, 0]).sum(axis=1), 1)
    rows = []
    for observations, length in zip(recording.observations, lengths, strict=True):
        bounds = np.linspace(0, length, len(tags.THIRDS) + 1).astype(np.int64)
        thirds = [
            observations[min(start, length - 1) : max(stop, start + 1)].mean(axis=0)
            for start, stop in pairwise(bounds)
        ]
        rows.append(np.concatenate(thirds))
    table = np.nan_to_num(np.stack(rows))
    spread = table.std(axis=0)
    scores = (table - table.mean(axis=0)) / np.where(spread > 1e-9, spread, np.inf)
    # A run that diverged differs from all others in everything, and would squeeze them together.
    return np.asarray(np.clip(scores, -_FARTHEST, _FARTHEST))


def principal_plane(table: Array) -> Array:
    """Project rows `[E, K]` onto the plane in which they differ most, `[E, 2]`.

    Example:
        >>> plane = principal_plane(np.array([[1.0, 0, 0], [-1.0, 0, 0]]))
        >>> np.abs(plane).round(6).tolist()
        [[1.0, 0.0], [1.0, 0.0]]
    """
    left, sizes, _ = np.linalg.svd(table - table.mean(axis=0), full_matrices=False)
    plane = np.zeros((len(table), 2))
    count = min(2, len(sizes))
    plane[:, :count] = left[:, :count] * sizes[:count]
    return plane


def gains(controller: Recording, base: Recording) -> Array:
    """Return how much lower the controller's final log validation loss is than the base's `[E]`."""
    return base.results.log_last_loss - controller.results.log_last_loss


def labels(controller: Recording, base: Recording, family: str) -> list[list[str]]:
    """Return what each point can be coloured by, in the order of `HEADER`."""
    results = controller.results
    rates = results.initial(0)
    rows = zip(
        results.names,
        gains(controller, base),
        results.architectures,
        results.optimizers,
        rates,
        strict=True,
    )
    return [
        [
            family,
            str(name),
            describe_gain(gain),
            str(net) or "none",
            str(opt) or "none",
            decade(rate),
            f"{gain:.3f}",
        ]
        for name, gain, net, opt, rate in rows
    ]


def describe_gain(gain: float) -> str:
    """Put a gain into one of five classes: the projector colours few classes, and no numbers.

    Example:
        >>> [describe_gain(gain) for gain in (-0.5, 0.001, 0.05)]
        ['1 much worse', '3 a tie', '4 better']
    """
    classes = ("1 much worse", "2 worse", "3 a tie", "4 better", "5 much better")
    return classes[int(np.searchsorted((-_MUCH, -TIE, TIE, _MUCH), gain))]


def write_projector(
    writer: SummaryWriter, controller: Recording, base: Recording, family: str, step: int
) -> None:
    """Write the points for TensorBoard's "Projector" page."""
    writer.add_embedding(
        embed(base),
        metadata=labels(controller, base, family),
        metadata_header=list(HEADER),
        global_step=step,
        tag=tags.PROJECTOR,
    )
