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

from hpo_env.reward import bounded_log_loss

from .. import tags
from ..statistics.intervals import TIE
from .recording import Recording
from .schedules import by_start, words_of

Array = NDArray[np.float64]

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
    return _log_last_loss(base) - _log_last_loss(controller)


def _log_last_loss(recording: Recording) -> Array:
    return bounded_log_loss(
        recording.last_loss,
        first_loss=recording.first_loss,
        diverged=recording.diverged,
        floor=recording.family.loss_floor,
    )


def colours(controller: Recording, base: Recording) -> tuple[list[str], list[list[str]]]:
    """Return what each point can be coloured by: names, and words of each of them for each run."""
    family = controller.family
    column = family.space.index(family.leading())
    starts = np.array([task.initial[column] for task in controller.tasks])
    gain = gains(controller, base)
    columns = {
        "family": [family.name] * len(gain),
        "task": [task.name for task in controller.tasks],
        "gain": [describe_gain(value) for value in gain],
        **{
            name: [task.labels[name] for task in controller.tasks]
            for name in controller.tasks[0].labels
        },
        "start": words_of(by_start(starts)).tolist(),
        "gain in log loss": [f"{value:.3f}" for value in gain],
    }
    return list(columns), [list(row) for row in zip(*columns.values(), strict=True)]


def describe_gain(gain: float) -> str:
    """Put a gain into one of five classes: the projector colours few classes, and no numbers.

    Example:
        >>> [describe_gain(gain) for gain in (-0.5, 0.001, 0.05)]
        ['1 much worse', '3 a tie', '4 better']
    """
    classes = ("1 much worse", "2 worse", "3 a tie", "4 better", "5 much better")
    return classes[int(np.searchsorted((-_MUCH, -TIE, TIE, _MUCH), gain))]


def write_projector(
    writer: SummaryWriter, controller: Recording, base: Recording, step: int
) -> None:
    """Write the points for TensorBoard's "Projector" page."""
    header, metadata = colours(controller, base)
    writer.add_embedding(
        embed(base),
        metadata=metadata,
        metadata_header=header,
        global_step=step,
        tag=tags.PROJECTOR,
    )
