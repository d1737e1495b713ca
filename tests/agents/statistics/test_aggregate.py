from __future__ import annotations

import numpy as np
import pytest

from agents.statistics.aggregate import OpponentSummary, rate_spread, summarise_suite
from agents.statistics.pairing import pair_runs
from tests.agents.statistics.tables import frame_of, realistic_table, row

# Log test losses by task (wine, iris) and initial rate (0.1, 0.2).
LOSSES = {
    "controller": {"wine": (0.0, 0.2), "iris": (0.0, 0.0)},
    "cosine": {"wine": (0.5, 0.1), "iris": (0.005, -0.4)},
}


@pytest.fixture
def summaries() -> dict[str, OpponentSummary]:
    rows = [
        row(name, [(1.0, float(np.exp(loss)))], task=dataset, start=rate)
        for name, by_task in LOSSES.items()
        for dataset, losses in by_task.items()
        for rate, loss in zip((0.1, 0.2), losses, strict=True)
    ]
    (runs,) = pair_runs(frame_of(*rows))
    return {s.opponent: s for s in summarise_suite(runs)}


def test_a_comparison_computed_by_hand(summaries: dict[str, OpponentSummary]) -> None:
    against = summaries["cosine"].against
    assert against is not None
    # Differences 0.5 and -0.1 on wine, 0.005 and -0.4 on iris.
    assert against.difference.value == pytest.approx(0.00125)
    assert against.iqm_difference.value == pytest.approx((0.005 - 0.1) / 2)
    assert against.probability.value == 0.5
    assert (against.wins, against.ties, against.losses) == (1, 1, 2)
    assert against.hardest_task == "iris"
    assert against.hardest_difference == pytest.approx(-0.1975)


def test_a_method_computed_by_hand(summaries: dict[str, OpponentSummary]) -> None:
    found = summaries["cosine"]
    assert found.mean == pytest.approx(0.05125)
    assert found.iqm == pytest.approx((0.005 + 0.1) / 2)
    # The best known is 0.0 on wine and -0.4 on iris.
    assert found.log_regret == pytest.approx((0.5 + 0.1 + 0.405 + 0.0) / 4)
    assert found.worst_task == "wine"
    assert found.worst_regret == pytest.approx(0.3)
    assert found.rank == pytest.approx((2 + 1 + 2 + 1) / 4)
    assert found.rate_spread == pytest.approx((0.4 + 0.405) / 2)
    assert (found.runs_spent, found.diverged, found.num_runs) == (1.0, 0.0, 4)


def test_the_controller_is_compared_with_nobody_and_stands_where_it_belongs(
    summaries: dict[str, OpponentSummary],
) -> None:
    assert summaries["controller"].against is None
    assert list(summaries) == ["controller", "cosine"]  # 0.05 before 0.05125
    assert summaries["controller"].worst_task == "iris"


def test_equals_share_a_rank() -> None:
    (runs,) = pair_runs(frame_of(*(row(n, [(1.0, 1.0)]) for n in ("controller", "a", "b"))))
    assert [s.rank for s in summarise_suite(runs)] == [2.0, 2.0, 2.0]


def test_the_spread_over_rates_is_of_the_rate_alone() -> None:
    units = np.array(["u", "u", "v", "v"])
    assert rate_spread(np.array([[1.0, 3.0, 7.0, 7.0]]), units).tolist() == [1.0]
    assert np.isnan(rate_spread(np.array([[1.0, 3.0]]), np.array(["u", "v"]))).all()


def test_a_search_is_charged_its_trials_and_divergence_is_counted() -> None:
    nan = float("nan")
    rows = [row("controller", [(1.0, 1.0)]), row("search", [(1.0, 1.0)] * 5)]
    wild = row("wild", [(nan, nan)], trial_intervals=[1])
    (runs,) = pair_runs(frame_of(*rows, wild))
    found = {s.opponent: s for s in summarise_suite(runs)}
    assert found["search"].runs_spent == 5.0
    assert (found["wild"].diverged, found["wild"].runs_spent) == (1.0, 0.25)
    assert found["wild"].mean == pytest.approx(np.log(4.0) + 5.0)
    assert found["wild"].normalised_regret == 1.0


def test_intervals_for_new_data_sets_are_the_wider_ones_where_data_sets_differ() -> None:
    (runs,) = pair_runs(realistic_table(suites=("interpolation",)))
    found = {s.opponent: s for s in summarise_suite(runs)}
    against = found["random_search"].against
    assert against is not None
    runs_width = against.difference.runs.high - against.difference.runs.low
    sets_width = against.difference.data_sets.high - against.difference.data_sets.low
    assert 0.0 < runs_width < sets_width
