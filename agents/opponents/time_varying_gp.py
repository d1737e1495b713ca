"""A Gaussian process whose function drifts: what was learned long ago counts less.

The kernel is a squared exponential times `(1 - ε)^(|t - t'| / 2)` (Bogunovic, Scarlett and Cevher,
"Time-varying Gaussian process bandit optimization", 2016, sec. 3.1).

Axes: `n` observations, `D` coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve
from scipy.optimize import minimize

Array = NDArray[np.float64]

_START = {"lengthscale": 0.3, "forgetting": 0.1, "noise": 0.1}
_BOUNDS = {
    "lengthscale": (0.05, 3.0),  # in a unit cube
    "forgetting": (1e-5, 0.5),
    "noise": (1e-3, 1.0),  # variances, as shares of observations standardised to 1
}


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """Covariances of observations of variance 1.

    Args:
        lengthscale: Distance in the cube over which values are alike.
        forgetting: `ε`, 0 for a function that does not change.
        noise: Variance of what is observed around the function.
    """

    lengthscale: float
    forgetting: float
    noise: float

    def __call__(self, x: Array, t: Array, other_x: Array, other_t: Array) -> Array:
        """Return covariances of the function `[n, m]` at `x [n, D]` and times `t [n]`."""
        square = ((x[:, None] - other_x[None]) ** 2).sum(axis=-1)
        age = np.abs(t[:, None] - other_t[None])
        near = np.exp(-0.5 * square / self.lengthscale**2)
        return np.asarray(near * (1.0 - self.forgetting) ** (0.5 * age))


class TimeVaryingGP:
    """The posterior after observations.

    Args:
        kernel: The prior's covariance; its mean is 0.
        x: Where was observed `[n, D]`, in the unit cube.
        t: When `[n]`.
        y: What `[n]`, of mean 0 and variance 1.
    """

    def __init__(self, kernel: Kernel, x: Array, t: Array, y: Array) -> None:
        self.kernel = kernel
        self._x, self._t, self._y = x, t, y
        self._factor = cho_factor(kernel(x, t, x, t) + kernel.noise * np.eye(len(x)), lower=True)
        self._weights = cho_solve(self._factor, y)

    @classmethod
    def fit(cls, x: Array, t: Array, y: Array) -> TimeVaryingGP:
        """Choose the kernel whose marginal likelihood of the observations is highest."""

        def loss(logs: Array) -> float:
            return -cls(_kernel(logs), x, t, y).log_likelihood

        start = np.log(list(_START.values()))
        bounds = [tuple(np.log(ends)) for ends in _BOUNDS.values()]
        found = minimize(loss, start, method="L-BFGS-B", bounds=bounds)
        return cls(_kernel(found.x), x, t, y)

    @property
    def log_likelihood(self) -> float:
        """Log marginal likelihood (Rasmussen and Williams, 2006, eq. 2.30)."""
        half_log_determinant = np.log(np.diag(self._factor[0])).sum()
        fit = 0.5 * self._y @ self._weights
        return float(-fit - half_log_determinant - 0.5 * len(self._y) * np.log(2.0 * np.pi))

    def predict(self, x: Array, t: Array) -> tuple[Array, Array]:
        """Return mean and standard deviation of the function, `[m]` each, at `x [m, D]`."""
        cross = self.kernel(x, t, self._x, self._t)
        explained = (cross * cho_solve(self._factor, cross.T).T).sum(axis=1)
        return cross @ self._weights, np.sqrt(np.maximum(1.0 - explained, 0.0))

    def observe(self, x: Array, t: Array, y: Array) -> TimeVaryingGP:
        """Return the posterior after further observations, under the same kernel."""
        return TimeVaryingGP(
            self.kernel,
            np.concatenate([self._x, x]),
            np.concatenate([self._t, t]),
            np.concatenate([self._y, y]),
        )


def _kernel(logs: Array) -> Kernel:
    return Kernel(**dict(zip(_START, np.exp(logs).tolist(), strict=True)))
