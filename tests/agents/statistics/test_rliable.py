"""Our statistics against the implementation that Agarwal et al. (2021) published.

Runs where `rliable`, `arch` and `absl` can be imported; nothing of ours needs them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.statistics import resampling
from agents.statistics.intervals import interquartile_mean, probability_of_improvement
from agents.statistics.profiles import score_profile
from agents.statistics.resampling import Resamples

metrics = pytest.importorskip("rliable.metrics", reason="needs rliable")
library = pytest.importorskip("rliable.library", reason="needs rliable with arch and absl-py")

RNG = np.random.default_rng(0)
SCORES = RNG.normal(size=(8, 5)) + np.arange(5.0)  # [runs, tasks]
SETS = np.tile(np.arange(5), (8, 1)).ravel()
UNITS = np.arange(40)


@pytest.fixture
def interval(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Compute rliable's interval; since arch 6 its bootstrap no longer takes a `random_state`."""
    import arch.bootstrap

    original = arch.bootstrap.IIDBootstrap.__init__

    def without_state(self: Any, *args: Any, random_state: None = None, **others: Any) -> None:
        original(self, *args, **others)

    monkeypatch.setattr(arch.bootstrap.IIDBootstrap, "__init__", without_state)

    def compute(statistic: Any) -> tuple[float, float]:
        state = np.random.get_state()
        np.random.seed(0)
        _, found = library.get_interval_estimates(
            {"ours": SCORES}, lambda scores: np.array([statistic(scores)]), reps=4_000
        )
        np.random.set_state(state)
        return float(found["ours"][0, 0]), float(found["ours"][1, 0])

    return compute


def test_interquartile_means_agree() -> None:
    assert interquartile_mean(SCORES.ravel()) == pytest.approx(metrics.aggregate_iqm(SCORES))


def test_intervals_of_the_mean_and_of_the_interquartile_mean_agree(interval: Any) -> None:
    resamples = Resamples.draw(SETS, UNITS)
    for theirs, ours in (
        (metrics.aggregate_mean, resampling.mean),
        (metrics.aggregate_iqm, resampling.interquartile_mean),
    ):
        found = resamples.estimate(SCORES.ravel(), ours).runs
        assert (found.low, found.high) == pytest.approx(interval(theirs), abs=0.03)


def test_probabilities_of_improvement_agree_on_all_pairs_of_runs() -> None:
    other = SCORES[::-1] + RNG.normal(0.3, 1.0, size=SCORES.shape)
    pairs = SCORES[:, None, :] - other[None, :, :]  # rliable's runs are not paired
    ours = np.mean([probability_of_improvement(pairs[:, :, t].ravel()) for t in range(5)])
    assert ours == pytest.approx(metrics.probability_of_improvement(SCORES, other))


def test_score_profiles_agree() -> None:
    taus = np.linspace(-3.0, 7.0, 41)
    np.testing.assert_allclose(
        score_profile(SCORES.reshape(1, -1), taus)[0], library.score_distributions(SCORES, taus)
    )
