from __future__ import annotations

import numpy as np

from agents.opponents.hyperband import Hyperband, hyperband_sizes
from agents.opponents.sampler import RandomSampler
from agents.opponents.successive_halving import (
    best,
    fit_bracket,
    make_bracket,
    most_halvings,
    run_bracket,
)
from tests.agents.opponents.searching import (
    LOCAL_LEVEL,
    QUADRATIC,
    instances,
    open_trials,
    search_one,
)


def test_a_bracket_computed_by_hand() -> None:
    bracket = make_bracket(9, 2, 9)
    assert bracket.sizes == (9, 3, 1)
    assert bracket.intervals == (1, 3, 9)
    assert bracket.cost == 9 * 1 + 3 * 2 + 1 * 6


def test_a_small_bracket_still_trains_one_run_to_the_end() -> None:
    assert make_bracket(2, 2, 9).sizes == (2, 1, 1)
    assert make_bracket(2, 2, 9).cost == 2 * 1 + 2 + 6


def test_the_largest_bracket_that_fits_is_taken() -> None:
    assert fit_bracket(81, 2, 9, 21) == make_bracket(9, 2, 9)
    assert fit_bracket(81, 2, 9, 20) == make_bracket(8, 2, 9)  # 8 + 2·2 + 6
    assert fit_bracket(81, 2, 9, 8) is None


def test_short_runs_are_halved_less_often() -> None:
    assert [most_halvings(n) for n in (1, 2, 3, 8, 9, 27, 1000)] == [0, 0, 1, 1, 2, 3, 3]


def test_hyperbands_brackets_are_the_papers() -> None:
    # Li et al. (2018), algorithm 1: R = 81, eta = 3, n = ceil(5 / (s + 1) · 3^s).
    assert hyperband_sizes(4) == [(81, 4), (34, 3), (15, 2), (8, 1), (5, 0)]
    assert hyperband_sizes(2) == [(9, 2), (5, 1), (3, 0)]


def test_the_best_of_each_rung_go_on_and_the_others_end() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0])
    sampler = RandomSampler(np.random.default_rng(0), 1)
    run_bracket(make_bracket(9, 2, 9), trials, sampler)
    outcome = trials.lanes.outcome(trials.instance)
    diverged = np.isnan(outcome.trial_validation_loss)
    ended = outcome.trial_intervals[~diverged].tolist()
    assert sorted(ended)[-3:] == [3, 3, 9]
    assert len(outcome.trial_intervals) == 9
    assert outcome.num_updates == (100 * 9 - trials.budget) * QUADRATIC.updates_per_decision
    # The first rung on its own: who is among the best three of it is who went on.
    again = open_trials(QUADRATIC, trials.instance)
    first = again.make(np.random.default_rng(0).random((9, 1)))
    again.train(first, 1)
    promoted = best(first, 3)
    again.train(promoted, 3)
    again.train(best(promoted, 1))
    winner = best(promoted, 1)[0]
    assert np.log(outcome.last_loss) == winner.score


def test_diverged_runs_are_never_promoted() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0])
    made = trials.make(np.array([[1.0], [0.5], [1.0]]))
    trials.train(made, 3)
    assert best(made, 2) == [made[1]]


def test_hyperband_goes_through_its_brackets_within_the_budget() -> None:
    search = Hyperband(name="hyperband", hyperparameters=LOCAL_LEVEL.space.names[:1], max_runs=7)
    outcome = search_one(search, LOCAL_LEVEL, instances(LOCAL_LEVEL)[0])
    # 63 intervals. By hand: 9 runs (21 intervals), 5 runs (5·3 + 6 = 21), 2 complete ones (18); of
    # the 3 that are left nothing can be made.
    assert outcome.trial_intervals.tolist() == [*[1] * 6, 3, 3, 9, *[3] * 4, 9, 9, 9]
    assert outcome.num_updates == 60 * LOCAL_LEVEL.updates_per_decision
