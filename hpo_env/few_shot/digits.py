"""Handwritten digits: a few of the ten are to be told apart, and are read at the characters' size.

The images are those of scikit-learn, eight pixels wide. Each side of the split has digits of its
own. They are drawn as large as the image allows, as characters are, so that what was learned on
characters can be tried on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from hpo_env.datasets.base import Split
from hpo_env.datasets.registry import load_dataset
from hpo_env.errors import ConfigurationError
from hpo_env.few_shot.base import Array, FewShotSource, FewShotTasks
from hpo_env.few_shot.characters import SIDE
from hpo_env.few_shot.classes import draw_tasks
from hpo_env.few_shot.images import warped

_MARGIN = 0.1  # share of the side
_INK = 0.15  # what is darker belongs to the digit
CLASSES: Mapping[Split, tuple[int, ...]] = {
    "train": (0, 1, 2, 3),
    "validation": (4, 5, 6),
    "test": (7, 8, 9),
}
"""The digits of each side."""


class Digits(FewShotSource):
    """Tell `num_ways` handwritten digits apart.

    Args:
        num_ways: Digits of a task, 2 or 3.
        num_shots: Images of each digit to adapt to.
        num_queries: Images of each digit to be judged by.

    Raises:
        ConfigurationError: There are not so many digits on a side, or images of a digit.
    """

    name = "digits"
    kind = "classification"

    def __init__(self, *, num_ways: int = 3, num_shots: int = 1, num_queries: int = 5) -> None:
        super().__init__(num_shots=num_shots, num_queries=num_queries)
        most = min(map(len, CLASSES.values()))
        if not 2 <= num_ways <= most:
            raise ConfigurationError(f"num_ways must lie in 2..{most} for digits; got {num_ways}")
        fewest = min(len(images) for images in _images())
        if num_shots + num_queries > fewest:
            raise ConfigurationError(
                f"num_shots + num_queries must be at most {fewest}, the images of the rarest "
                f"digit; got {num_shots} + {num_queries}"
            )
        self.num_ways = num_ways

    @property
    def input_shape(self) -> tuple[int, ...]:
        """A grey image; ink is 1, paper 0."""
        return (1, SIDE, SIDE)

    @property
    def num_outputs(self) -> int:
        """`num_ways`."""
        return self.num_ways

    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """See `FewShotSource.sample`; examples are ordered by class."""
        classes = [_images()[digit] for digit in CLASSES[split]]
        return draw_tasks(
            rng,
            [classes] * num_tasks,
            num_ways=self.num_ways,
            num_shots=self.num_shots,
            num_queries=self.num_queries,
        )


@cache
def _images() -> tuple[Array, ...]:
    """Return the images of each digit `[n, 1, SIDE, SIDE]`."""
    data = load_dataset("digits")
    small = data.x.reshape(-1, 8, 8) / np.float32(16.0)
    large = warped(small, np.stack([_to_the_edges(image) for image in small]), SIDE)[:, None]
    return tuple(large[data.y == digit] for digit in range(10))


def _to_the_edges(image: Array) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Return the transform that brings the ink of an image to the margin `[2, 3]`."""
    is_ink = image > _INK
    ends = []
    for axis in (1, 0):
        places = np.flatnonzero(is_ink.any(axis=axis))
        low, high = places[0] / 4.0 - 1.0, (places[-1] + 1) / 4.0 - 1.0
        ends.append((0.5 * (high + low), 0.5 * (high - low)))
    size = max(half for _, half in ends) / (1.0 - _MARGIN)
    return np.array([[size, 0.0, ends[0][0]], [0.0, size, ends[1][0]]])
