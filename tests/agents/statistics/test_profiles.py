from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import trapezoid

from agents.statistics.pairing import pair_runs
from agents.statistics.profiles import (
    TAU_MAX,
    cost_profile,
    cost_ratios,
    costs_to_target,
    integrated_score,
    score_profile,
    targets,
)
from tests.agents.statistics.tables import frame_of, row

INF, NAN = float("inf"), float("nan")


def test_costs_and_ratios_by_hand() -> None:
    # Three methods, three workloads; the second needs twice the best on a, four times on b.
    costs = np.array([[10.0, 5.0, INF], [20.0, 20.0, 7.0], [INF, INF, INF]])
    ratios = cost_ratios(costs, np.array(list("abc")))
    assert ratios.tolist() == [[1.0, 1.0, INF], [2.0, 4.0, 1.0], [INF, INF, INF]]
    profile = cost_profile(ratios, np.array([1.0, 1.99, 2.0, 4.0]))
    np.testing.assert_allclose(profile[0], 2 / 3)
    np.testing.assert_allclose(profile[1], [1 / 3, 1 / 3, 2 / 3, 1.0])
    np.testing.assert_allclose(profile[2], 0.0)
    # Areas from 1 to 4: 3 + 3 + 0, then 2 + 0 + 3, then none; over 3 workloads and a width of 3.
    np.testing.assert_allclose(integrated_score(ratios), [6 / 9, 5 / 9, 0.0])


def test_the_score_is_the_area_under_the_profile_over_its_width() -> None:
    rng = np.random.default_rng(0)
    ratios = 1.0 + rng.exponential(2.0, size=(3, 20))
    taus = np.linspace(1.0, TAU_MAX, 30_001)
    area = trapezoid(cost_profile(ratios, taus), taus, axis=1) / (TAU_MAX - 1.0)
    np.testing.assert_allclose(integrated_score(ratios), area, atol=1e-3)


def test_a_workload_is_missed_when_half_of_its_runs_miss_the_target() -> None:
    costs = np.array([[1.0, 1.0, 1.0, 1.0], [3.0, 5.0, INF, INF], [2.0, 2.0, 2.0, INF]])
    assert cost_ratios(costs, np.array(list("aaaa"))).tolist() == [[1.0], [INF], [2.0]]


def test_the_target_is_what_the_default_ends_with_over_all_initial_rates() -> None:
    rows = [
        row(name, [(loss, 1.0)], start=rate)
        for name, losses in (("controller", (1.0, 1.0)), ("default", (2.0, 8.0)))
        for rate, loss in zip((0.1, 0.2), losses, strict=True)
    ]
    (runs,) = pair_runs(frame_of(*rows))
    np.testing.assert_allclose(targets(runs), np.log(4.0))


def test_the_default_reaches_its_own_target() -> None:
    rates, final = (0.1, 0.2, 0.3), 1.1
    rows = [row(n, [(final, 1.0)], start=r) for n in ("controller", "default") for r in rates]
    (runs,) = pair_runs(frame_of(*rows))
    assert (costs_to_target(runs, targets(runs)) <= 1.0).all()


def test_without_the_default_the_target_is_the_median_method() -> None:
    finals = {"controller": 1.0, "a": 2.0, "b": 8.0}
    (runs,) = pair_runs(frame_of(*(row(n, [(x, x)]) for n, x in finals.items())))
    np.testing.assert_allclose(targets(runs), np.log(2.0))


def test_the_clock_stops_at_the_interval_or_the_trial_that_reaches_the_target() -> None:
    controller = row("controller", [(1.0, 1.0)], validation_loss=np.array([3.0, 1.9, 2.5, 1.0]))
    search = row("search", [(2.5, 1.0), (1.0, 1.0), (1.5, 1.0)])
    never = row("never", [(2.1, 0.1)], validation_loss=np.array([3.0, 2.5, 2.2, 2.1]))
    wild = row(
        "wild", [(NAN, NAN)], trial_intervals=[2], validation_loss=np.array([3.0, NAN, NAN, NAN])
    )
    (runs,) = pair_runs(frame_of(controller, search, never, wild))
    costs = dict(zip(runs.opponents, costs_to_target(runs, np.log([2.0]))[:, 0], strict=True))
    assert costs == {"controller": 0.5, "search": 2.0, "never": INF, "wild": INF}


@pytest.mark.parametrize(("threshold", "share"), [(-1.0, 1.0), (0.0, 0.75), (2.0, 0.25), (3.0, 0)])
def test_score_profiles_count_runs_above_the_threshold(threshold: float, share: float) -> None:
    scores = np.array([[0.0, 1.0, 2.0, 3.0]])
    assert score_profile(scores, np.array([threshold])).tolist() == [[share]]
