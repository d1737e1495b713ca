from __future__ import annotations

import numpy as np
import pytest

from agents.statistics.pairing import pair_runs
from agents.statistics.trials_equivalent import trials_equivalent, trials_needed
from tests.agents.statistics.tables import frame_of, row

NAN = float("nan")


def needed(trials: list[tuple[float, float]], target: float, budget: int = 8) -> float:
    frame = frame_of(row("random_search", trials))
    return float(trials_needed(frame, np.log([target]), budget)[0])


def test_trials_are_counted_until_the_incumbent_is_as_good_on_test() -> None:
    assert needed([(3.0, 3.0), (2.0, 2.0), (1.0, 1.0)], 2.0) == 2


def test_a_lucky_test_loss_that_validation_does_not_choose_does_not_count() -> None:
    assert needed([(2.0, 3.0), (2.5, 0.1), (1.0, 0.5)], 1.0) == 3


def test_a_search_that_gets_there_and_leaves_again_has_got_there() -> None:
    assert needed([(2.0, 0.5), (1.0, 3.0)], 1.0) == 1


def test_a_search_that_does_not_get_there_needs_more_than_its_budget() -> None:
    assert needed([(3.0, 3.0)] * 8, 1.0) == 9
    assert needed([(3.0, 3.0), (1.0, 1.0)], 1.0, budget=1) == 2


def test_diverged_trials_count_as_trials_and_never_as_results() -> None:
    assert needed([(NAN, NAN), (NAN, NAN), (1.0, 1.0)], 1.0) == 3


def test_a_median_over_runs_with_censored_ones() -> None:
    # The controller reaches 2, 0.5, 2.5 and 0.1 on four tasks; the search 3, then 2, then 1.
    trials = [(3.0, 3.0), (2.0, 2.0), (1.0, 1.0)]
    rows = []
    for dataset, mine in zip("abcd", (2.0, 0.5, 2.5, 0.1), strict=True):
        rows.append(row("controller", [(mine, mine)], task=dataset))
        rows.append(row("random_search", trials, task=dataset))
    (found,) = trials_equivalent(pair_runs(frame_of(*rows))[0])
    assert (found.search, found.budget, found.num_runs) == ("random_search", 3, 4)
    assert found.reached == 0.5  # 2, > 3, 2, > 3
    assert found.median.value == 2.0
    assert (found.median.runs.low, found.median.runs.high) == (2.0, 4.0)
    assert found.words(found.median.value) == "2"
    assert found.words(found.median.runs.high) == "> 3"
    assert found.words(NAN) == "–"


def test_all_runs_are_looked_at_for_the_same_number_of_trials() -> None:
    rows = [row("controller", [(1.0, 1.0)], seed=s) for s in (0, 1)]
    rows.append(row("optuna_tpe", [(2.0, 2.0)], seed=0))
    rows.append(row("optuna_tpe", [(2.0, 2.0), (1.0, 1.0)], seed=1))
    (found,) = trials_equivalent(pair_runs(frame_of(*rows))[0])
    assert (found.budget, found.reached) == (1, 0.0)


@pytest.mark.parametrize("name", ["cosine", "grid"])
def test_only_the_searches_are_counted(name: str) -> None:
    rows = [row("controller", [(1.0, 1.0)]), row(name, [(1.0, 1.0)])]
    assert trials_equivalent(pair_runs(frame_of(*rows))[0]) == []
