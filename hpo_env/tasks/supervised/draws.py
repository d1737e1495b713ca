"""Draws of what varies between tasks of supervised learning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

import numpy as np

from hpo_env.arguments import is_number
from hpo_env.datasets import Dataset
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.tasks.supervised.data import MAX_TRAIN_ROWS

Initial = float | tuple[float, float]
"""A value, or a range that is drawn from evenly on the hyperparameter's own axis."""

_LEARNING_RATES = {"sgd": (1e-5, 1.0)}
_OTHER_LEARNING_RATES = (1e-5, 1e-1)
USUAL_INITIAL = {"rmsprop": {"momentum": 0.0}, "adagrad": {"momentum": 0.0}}
"""torch's own defaults: RMSprop's first steps are ten times its rate, and momentum would make them
a hundred times, which blows most networks up at rates that are usual."""
_AUGMENTED_INITIAL: dict[str, tuple[float, float]] = {
    "weight_decay": (1e-6, 1e-2),
    "batch_size": (16.0, 64.0),
}
_MIN_TRAIN_ROWS = 200
_MAX_TRAIN_ROWS = 2 * MAX_TRAIN_ROWS  # enough to fill the training rows
SHARE_UNCHANGED = 0.5
"""Share of varied tasks whose labels are left as they are, and whose features are."""

_T = TypeVar("_T")


def checked_initial(
    space: HyperparameterSpace, initial: Mapping[str, Initial]
) -> dict[str, Initial]:
    """Check initial values that replace the family's own.

    Raises:
        UnknownNameError: There is no such hyperparameter.
        ConfigurationError: A value is outside its range, or a range is the wrong way round.
    """
    if not isinstance(initial, Mapping):
        raise ConfigurationError(
            f"initial must be values or pairs of ends by name of a hyperparameter; got {initial!r}"
        )
    for name, value in initial.items():
        known = space.hyperparameters[space.index(name)]
        ends = value if isinstance(value, tuple | list) else (value, value)
        if len(ends) != 2 or not all(is_number(end) for end in ends):
            raise ConfigurationError(
                f"initial {name}: it must be a number or a pair of them; got {value!r}"
            )
        low, high = ends
        if not known.low <= low <= high <= known.high:
            raise ConfigurationError(
                f"initial {name}: {known.low} <= low <= high <= {known.high} must hold; got {value}"
            )
    return dict(initial)


def initial_ranges(optimizer: str, *, is_augmented: bool) -> dict[str, Initial]:
    """Return where tasks under an optimiser draw initial values from, by hyperparameter.

    Args:
        optimizer: Name of the task's optimiser.
        is_augmented: Whether the task is varied.

    Returns:
        Of what is not at its default.
    """
    return {
        "learning_rate": _LEARNING_RATES.get(optimizer, _OTHER_LEARNING_RATES),
        **USUAL_INITIAL.get(optimizer, {}),
        **(_AUGMENTED_INITIAL if is_augmented else {}),
    }


def draw_value(hyperparameter: Hyperparameter, value: Initial, rng: np.random.Generator) -> float:
    """Draw from a range evenly on the hyperparameter's own axis."""
    if not isinstance(value, tuple | list):
        return float(value)
    space = HyperparameterSpace([hyperparameter])
    low, high = np.array([[value[0]]]), np.array([[value[1]]])
    distance = rng.random() * (space.to_axis(high) - space.to_axis(low))
    return float(np.clip(space.values(low, distance), low, high).item())


def choose(names: list[_T] | tuple[_T, ...], rng: np.random.Generator) -> _T:
    """Draw one of some names, each as likely."""
    return names[int(rng.integers(len(names)))]


def log_uniform(low: float, high: float, rng: np.random.Generator) -> float:
    """Draw a number whose logarithm is uniform."""
    return float(low * (high / low) ** rng.random())


def draw_num_rows(num_present: int, rng: np.random.Generator) -> int:
    """Draw how many of the present rows a varied task uses."""
    high = min(num_present, _MAX_TRAIN_ROWS)
    return round(log_uniform(min(high, _MIN_TRAIN_ROWS), high, rng))


def draw_num_features(
    dataset: Dataset, at_most: int | None, rng: np.random.Generator, is_augmented: bool
) -> int:
    """Draw how many features a task uses: all pixels of an image, all of a table or a part of them.

    Args:
        dataset: Where they are.
        at_most: What a table's features are cut to; None: nothing.
        rng: For varied tasks.
        is_augmented: Whether the task is varied.
    """
    present: int = dataset.x.shape[1]
    if dataset.image_shape is not None:
        return present
    most = present if at_most is None else min(present, at_most)
    if not is_augmented or rng.random() < SHARE_UNCHANGED:
        return most
    return int(rng.integers(-(-most // 2), most + 1))


def draw_noise(largest: float, rng: np.random.Generator) -> float:
    """Draw the amount of noise in a varied task: often none, and at most `largest`."""
    return 0.0 if rng.random() < SHARE_UNCHANGED else float(rng.uniform(0.0, largest))
