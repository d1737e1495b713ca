from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from agents.opponents.pb2 import Bandit
from agents.opponents.time_varying_gp import Kernel, TimeVaryingGP

KERNEL = Kernel(lengthscale=0.3, forgetting=0.1, noise=0.05)


def observations(count: int = 12, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x, t = rng.random((count, 2)), np.repeat(np.arange(count / 4), 4)
    y = np.sin(6 * x[:, 0]) + 0.1 * rng.standard_normal(count)
    return x, t, (y - y.mean()) / y.std()


def test_without_forgetting_it_is_scikit_learns_process() -> None:
    x, t, y = observations()
    ours = TimeVaryingGP(Kernel(lengthscale=0.3, forgetting=0.0, noise=0.05), x, t, y)
    theirs = GaussianProcessRegressor(RBF(0.3), alpha=0.05, optimizer=None).fit(x, y)
    new = np.random.default_rng(1).random((5, 2))
    mean, deviation = ours.predict(new, np.full(5, 9.0))
    expected = theirs.predict(new, return_std=True)
    np.testing.assert_allclose(mean, expected[0])
    np.testing.assert_allclose(deviation, expected[1])
    assert ours.log_likelihood == pytest.approx(theirs.log_marginal_likelihood_value_)


def test_one_observation_fades_as_the_kernel_says() -> None:
    # With one observation of variance v = 1 + noise: mean k y / v, variance 1 - k² / v.
    x, now = np.array([[0.5]]), np.array([4.0])
    model = TimeVaryingGP(KERNEL, x, np.array([0.0]), np.array([2.0]))
    mean, deviation = model.predict(x, now)
    k = 0.9**2  # (1 - ε)^(4 / 2)
    assert mean[0] == pytest.approx(k * 2.0 / 1.05)
    assert deviation[0] == pytest.approx((1 - k**2 / 1.05) ** 0.5)


def test_fitting_does_not_lower_the_likelihood() -> None:
    x, t, y = observations(24)
    fitted = TimeVaryingGP.fit(x, t, y)
    assert fitted.log_likelihood > TimeVaryingGP(KERNEL, x, t, y).log_likelihood


def test_a_function_that_changes_is_forgotten_and_one_that_does_not_is_kept() -> None:
    rng = np.random.default_rng(0)
    x, t = rng.random((60, 1)), np.repeat(np.arange(6.0), 10)
    still = np.sin(6 * x[:, 0])
    drifting = np.sin(6 * x[:, 0] + 1.5 * t)
    kept, forgot = (
        TimeVaryingGP.fit(x, t, (y - y.mean()) / y.std()).kernel.forgetting
        for y in (still, drifting)
    )
    assert kept < 0.01 < forgot


def test_what_is_under_way_narrows_the_deviation_and_leaves_the_mean_to_observations() -> None:
    x, t, y = observations()
    model = TimeVaryingGP(KERNEL, x, t, y)
    point, now = np.array([[0.9, 0.1]]), np.array([3.0])
    before, after = model.predict(point, now)[1], model.observe(point, now, np.zeros(1))
    assert after.predict(point, now)[1] < 0.5 * before


def test_the_bandit_goes_where_losses_fell_and_not_twice_to_one_place() -> None:
    rng = np.random.default_rng(0)
    bandit = Bandit(rng)
    for _ in range(4):
        points = rng.random((20, 1))
        bandit.observe(points, np.exp(-(((points[:, 0] - 0.7) / 0.15) ** 2)))
    chosen = bandit.propose(np.zeros((3, 1)), np.empty((0, 1)))[:, 0]
    assert np.abs(chosen - 0.7).max() < 0.2
    assert np.min(np.diff(np.sort(chosen))) > 0.0


def test_divergences_keep_the_bandit_away() -> None:
    rng = np.random.default_rng(0)
    bandit = Bandit(rng)
    for _ in range(3):
        points = rng.random((20, 1))
        bandit.observe(points, np.where(points[:, 0] > 0.5, np.nan, points[:, 0]))
    assert bandit.propose(np.zeros((2, 1)), np.empty((0, 1))).max() < 0.55


def test_the_bandit_has_an_answer_where_everything_diverged() -> None:
    bandit = Bandit(np.random.default_rng(0))
    bandit.observe(np.full((4, 2), 0.9), np.full(4, np.nan))
    chosen = bandit.propose(np.zeros((2, 2)), np.zeros((2, 2)))
    assert ((chosen >= 0.0) & (chosen <= 1.0)).all()
