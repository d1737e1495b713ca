"""How far an observation lies from those of meta-training, and how much a policy is trusted there.

A network answers anything, also what it never saw. The distance here is that of Mahalanobis (On the
generalised distance in statistics, 1936): a Gaussian is fitted to the observations of meta-training
and a new one is measured in its standard deviations, all correlations included, as Lee et al. (A
simple unified framework for detecting out-of-distribution samples, 2018, equation 2) do with the
features of a classifier. `Policy.act` lives by the trust that follows from it.

Needs numpy alone: it runs inside a user's training loop.

Axes: `N` lanes, `D` observation fields.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError

Array = NDArray[np.float32]

QUANTILE = 0.999
"""Share of the observations of meta-training that are trusted fully: a usual run makes some thirty
decisions, so one familiar run in about thirty has one that is held back a little."""

VARIANCE_FLOOR = 0.1**2
"""Added to the variance of every field. What never changed in meta-training, or followed from other
fields, may differ by a twentieth of the fields' whole range at the cost of one standard deviation.
"""

MASK_VARIANCE_FLOOR = 2.0**2
"""Added to that of the fields that say what is measured and what can be moved, -1 or 1: a flip
costs one standard deviation at most. These are facts of the user's loop and no state of the
training, so they may not make an observation foreign: of a policy for learning rate and weight
decay the squared distance was 16 in the median and 77 at the threshold."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Familiarity:
    """What the observations of meta-training looked like.

    Args:
        mean: Of every field, float32 `[D]`.
        whitening: Turns deviations from the mean into uncorrelated ones, in standard deviations:
            `deviations [N, D] @ whitening`; float32 `[D, D]`.
        threshold: The distance up to which an observation is familiar, positive.
        offset: What lies across all fields, and adds to every distance as the second leg of a right
            triangle: of hyperparameters that a policy had in meta-training and has no more.

    Raises:
        ConfigurationError: A shape, a dtype or a value contradicts the above.

    Example:
        >>> known = Familiarity(
        ...     mean=np.zeros(2, dtype=np.float32),
        ...     whitening=np.diag([1.0, 10.0]).astype(np.float32),
        ...     threshold=2.0,
        ... )
        >>> seen = np.array([[0.5, 0.0], [0.0, 0.4]])
        >>> known.distance(seen).round(6).tolist(), known.trust(seen).round(6).tolist()
        ([0.5, 4.0], [1.0, 0.25])
    """

    mean: Array
    whitening: Array
    threshold: float
    offset: float = 0.0

    def __post_init__(self) -> None:
        """Check the arrays against each other."""
        shapes = tensor_shapes(self.mean.size)
        for name, tensor in self.tensors().items():
            if tensor.dtype != np.float32 or tensor.shape != shapes[name]:
                raise ConfigurationError(
                    f"{name} must be float32 {shapes[name]}; got {tensor.dtype} {tensor.shape}"
                )
            if not np.isfinite(tensor).all():
                raise ConfigurationError(f"{name} must be finite; fit it to finite observations")
        if not (math.isfinite(self.threshold) and self.threshold > 0.0):
            raise ConfigurationError(
                f"the threshold of familiarity must be positive and finite; got {self.threshold}"
            )
        if not (math.isfinite(self.offset) and self.offset >= 0.0):
            raise ConfigurationError(
                f"the offset of familiarity must be finite and at least 0; got {self.offset}"
            )

    @classmethod
    def fit(cls, observations: NDArray[np.floating[Any]], fields: Sequence[str]) -> Familiarity:
        """Describe observations by their mean, their covariance and the largest usual distance.

        Args:
            observations: Those of meta-training, `[N, D]` with at least two rows.
            fields: Names of the `D` fields, which tell masks from measurements.

        Raises:
            ConfigurationError: The shape is not `[N, D]`, or there are too few observations.
        """
        seen = np.asarray(observations, dtype=np.float64)
        if seen.ndim != 2 or len(seen) < 2 or seen.shape[1] != len(fields):
            raise ConfigurationError(
                f"observations must have shape [N >= 2, D={len(fields)}]; got {seen.shape}"
            )
        floor = np.where([is_mask(f) for f in fields], MASK_VARIANCE_FLOOR, VARIANCE_FLOOR)
        covariance = np.cov(seen, rowvar=False).reshape(len(fields), -1) + np.diag(floor)
        factor = np.linalg.cholesky(covariance)  # lower, so its inverse whitens
        mean = seen.mean(axis=0).astype(np.float32)
        whitening = np.ascontiguousarray(np.linalg.inv(factor).T, dtype=np.float32)
        distance = _distance(observations, mean, whitening.astype(np.float64))
        return cls(mean=mean, whitening=whitening, threshold=float(np.quantile(distance, QUANTILE)))

    def tensors(self) -> dict[str, Array]:
        """Name the arrays, as `tensor_shapes` does."""
        return {"familiarity.mean": self.mean, "familiarity.whitening": self.whitening}

    def distance(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return how many standard deviations observations `[N, D]` lie off the mean, `[N]`."""
        return np.hypot(_distance(observations, self.mean, self._whitening), self.offset)

    def trust(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the share of the policy in the moves `[N]`, in (0, 1].

        It is exactly 1 up to the threshold, and falls with the square of the distance beyond.

        Args:
            observations: `[N, D]`.
        """
        distance = np.maximum(self.distance(observations), self.threshold)
        return np.asarray((self.threshold / distance) ** 2)

    @cached_property
    def _whitening(self) -> NDArray[np.float64]:
        """`whitening` in float64: it is multiplied by at every decision."""
        return self.whitening.astype(np.float64)


def is_mask(field: str) -> bool:
    """Say whether a field of the observation tells what is there, and not how it is.

    Example:
        >>> is_mask("has_validation"), is_mask("learning_rate/available"), is_mask("drop")
        (True, True, False)
    """
    return field.startswith("has_") or field.endswith("/available")


def tensor_shapes(num_fields: int) -> dict[str, tuple[int, ...]]:
    """Return the shape of every array, by its name in a policy file, for `D` fields."""
    return {
        "familiarity.mean": (num_fields,),
        "familiarity.whitening": (num_fields, num_fields),
    }


def _distance(
    observations: NDArray[np.floating[Any]], mean: Array, whitening: NDArray[np.float64]
) -> NDArray[np.float64]:
    deviations = (np.asarray(observations, dtype=np.float64) - mean) @ whitening
    return np.asarray(np.sqrt(np.einsum("nd,nd->n", deviations, deviations)))
