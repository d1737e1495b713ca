"""The rows of a run: what it adapts to, what is held back, what it is judged by.

Where a class has four real rows, a quarter of them is held back. Where it has fewer, images are
held back as copies that are turned and stretched a little, and other such copies are adapted to. So
what an agent sees never comes from the query rows: those make the reward, and others of them the
test.

Axes: `R` rows, `F` inputs, `K` outputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from hpo_env.few_shot import FewShotSource, make_source
from hpo_env.few_shot.images import jittered
from hpo_env.seeding import stream
from hpo_env.tasks.few_shot.task import FewShotTask

Float32 = NDArray[np.float32]

QUERIES = {"characters": 5, "digits": 10, "tables": 15, "sinusoids": 25}
"""Rows that make the reward, of each class where there are classes; the test has as many."""

_COPIES = 2  # of an image, that are adapted to
_HELD_BACK_COPIES = 3


@dataclass(frozen=True, kw_only=True, eq=False)
class Rows:
    """Examples.

    Args:
        inputs: `[R, F]`.
        targets: One-hot classes or values `[R, K]`.
    """

    inputs: Float32
    targets: Float32


@dataclass(frozen=True, kw_only=True, eq=False)
class Prepared:
    """All rows of a run.

    Args:
        adapted: What it adapts to, copies of images among them.
        held_back: What measures it on the way.
        query: What makes the reward; never observed.
        test: What makes the figures; never observed.
        is_classification: Whether targets are classes.
    """

    adapted: Rows
    held_back: Rows
    query: Rows
    test: Rows
    is_classification: bool

    @property
    def chance(self) -> float:
        """The loss of who knows nothing: that of equal probabilities, or the targets' spread."""
        if self.is_classification:
            return float(np.log(self.adapted.targets.shape[1]))
        return max(float(np.var(self.adapted.targets)), 1e-3)


def prepare(task: FewShotTask, seed: int) -> Prepared:
    """Draw a task's rows; which of them are held back follows from the episode seed.

    Raises:
        MissingExtraError: The source's data are not installed.
    """
    source = source_of(task.source, task.ways, task.shots)
    drawn = source.sample(task.side, 1, stream(task.draw, "few-shot task"))
    is_classification = source.kind == "classification"
    support, query = (
        _by_class(given[0], told[0], task.ways, source)
        for given, told in (
            (drawn.support_inputs, drawn.support_targets),
            (drawn.query_inputs, drawn.query_targets),
        )
    )
    rng = stream(seed, "held back")
    order = rng.permuted(np.tile(np.arange(task.shots), (task.ways, 1)), axis=1)
    inputs, targets = (np.take_along_axis(part, _like(order, part), axis=1) for part in support)
    support = (inputs, targets)
    is_image = len(source.input_shape) == 3
    count = task.shots // 4 if is_image else max(1, task.shots // 4)
    adapted, held_back = _flat(support, slice(count, None)), _flat(support, slice(0, count))
    if is_image:
        side = source.input_shape[-1]
        copies = _copies(adapted, _COPIES, side, rng)
        if not count:
            held_back = _copies(adapted, _HELD_BACK_COPIES, side, rng)
        adapted = Rows(
            inputs=np.concatenate([adapted.inputs, copies.inputs]),
            targets=np.concatenate([adapted.targets, copies.targets]),
        )
    half = query[0].shape[1] // 2
    return Prepared(
        adapted=adapted,
        held_back=held_back,
        query=_flat(query, slice(0, half)),
        test=_flat(query, slice(half, None)),
        is_classification=is_classification,
    )


@cache
def source_of(name: str, ways: int, shots: int) -> FewShotSource:
    """Build the source of a task, with query rows for reward and test."""
    options = {"num_shots": shots, "num_queries": 2 * QUERIES[name]}
    return make_source(name, **(options if ways == 1 else {"num_ways": ways, **options}))


def _by_class(
    inputs: Float32, targets: NDArray[np.generic], ways: int, source: FewShotSource
) -> tuple[Float32, Float32]:
    """Sort rows by class: inputs `[ways, n, F]`, targets `[ways, n, K]`."""
    flat = inputs.reshape(ways, -1, int(np.prod(source.input_shape)))
    if source.kind == "classification":
        encoded = np.eye(ways, dtype=np.float32)[targets.astype(np.int64)]
    else:
        encoded = targets.astype(np.float32)
    return flat, encoded.reshape(ways, flat.shape[1], -1)


def _like(order: NDArray[np.int64], part: Float32) -> NDArray[np.int64]:
    return order.reshape(*order.shape, *(1,) * (part.ndim - 2))


def _flat(parts: tuple[Float32, ...], rows: slice) -> Rows:
    inputs, targets = (
        np.ascontiguousarray(part[:, rows].reshape(-1, part.shape[2])) for part in parts
    )
    return Rows(inputs=inputs, targets=targets)


def _copies(rows: Rows, count: int, side: int, rng: np.random.Generator) -> Rows:
    """Copy images so many times, each copy turned and stretched in its own way."""
    images = np.tile(rows.inputs, (count, 1)).reshape(-1, side, side)
    return Rows(
        inputs=jittered(images, rng).reshape(len(images), -1),
        targets=np.tile(rows.targets, (count, 1)),
    )
