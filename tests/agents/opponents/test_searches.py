"""What every opponent that trains many times has to do."""

from __future__ import annotations

import sys
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from agents.opponents.base import Instance
from agents.opponents.lanes import with_initial
from agents.opponents.registry import make_opponent
from agents.opponents.search import Search
from hpo_env.errors import MissingExtraError
from hpo_env.schedules import interval_factors
from hpo_env.tasks.registry import family_class
from tests.agents.opponents.searching import (
    LOCAL_LEVEL,
    QUADRATIC,
    SUPERVISED,
    equal_outcomes,
    instances,
    open_trials,
    search_one,
    setup_of,
)

COMPLETE = ("grid_search", "random_search", "optuna_tpe", "optuna_gp", "optuna_cma_es", "smac3")
"""Train complete runs only."""
PARTIAL = ("optuna_tpe_pruned", "successive_halving", "hyperband", "hyperband_tpe", "asha")
POPULATIONS = ("pbt", "pbt_constant", "pb2")
ALL = (*COMPLETE, *PARTIAL, *POPULATIONS)

BLIND = ("grid_search", "random_search")
"""Learn nothing from their trials."""


def make(name: str, *, family: str = "quadratic", runs: int = 8) -> Search:
    search = make_opponent(name, setup_of(family, runs))
    assert isinstance(search, Search)
    return search


@cache
def best_cosine_score(instance: Instance) -> float:
    """The lowest log validation loss of 200 rates, two in every hundredth of the range."""
    trials = open_trials(QUADRATIC, instance, max_runs=200)
    made = trials.make(np.linspace(0.0, 1.0, 200)[:, None])
    trials.train(made)
    return min(trial.score for trial in made)


@pytest.mark.parametrize("name", ALL)
def test_the_best_rate_of_a_quadratic_is_found(name: str) -> None:
    search, shares = make(name, runs=24), []
    for instance in instances(QUADRATIC, 2, num_decisions=20):
        outcome = search_one(search, QUADRATIC, instance)
        first, best = np.log(outcome.first_loss), best_cosine_score(instance)
        shares.append((first - np.log(outcome.last_loss)) / (first - best))
    assert np.mean(shares) > (0.88 if name in (*BLIND, *POPULATIONS) else 0.97)


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_runs_are_as_many_as_the_budget_has(name: str) -> None:
    outcome = search_one(make(name, family="local_level"), LOCAL_LEVEL, instances(LOCAL_LEVEL)[0])
    assert outcome.num_updates == 8 * 9 * LOCAL_LEVEL.updates_per_decision
    assert outcome.trial_intervals.tolist() == [9] * 8


@pytest.mark.parametrize("name", PARTIAL)
@pytest.mark.parametrize("runs", [1, 2, 8])
def test_partial_runs_spend_the_budget_but_for_less_than_a_run(name: str, runs: int) -> None:
    search = make(name, family="local_level", runs=runs)
    outcome = search_one(search, LOCAL_LEVEL, instances(LOCAL_LEVEL)[0])
    assert (runs - 1) * 9 < outcome.num_updates / LOCAL_LEVEL.updates_per_decision <= runs * 9
    assert outcome.trial_intervals.max() == 9
    assert np.isfinite(outcome.validation_loss).all()
    assert outcome.spent_updates[-1] == outcome.num_updates


@pytest.mark.parametrize("name", POPULATIONS)
def test_a_population_costs_a_run_for_each_lane(name: str) -> None:
    outcome = search_one(make(name, family="local_level"), LOCAL_LEVEL, instances(LOCAL_LEVEL)[0])
    assert outcome.num_updates == 8 * 9 * LOCAL_LEVEL.updates_per_decision
    assert len(outcome.trial_test_loss) == 8


@pytest.mark.parametrize("name", ALL)
def test_an_outcome_follows_from_its_instance_alone(name: str) -> None:
    search = make(name, runs=5 if name in COMPLETE else 8)
    both = [search.canonical(i, QUADRATIC) for i in instances(QUADRATIC, 2)]
    together = search.run(QUADRATIC, both, {})
    alone = search.run(QUADRATIC, both[1:], {})[0]
    assert equal_outcomes(together[1], alone)
    assert not equal_outcomes(*together)


@pytest.mark.parametrize("name", [n for n in ALL if n != "grid_search"])
def test_another_seed_searches_elsewhere(name: str) -> None:
    search, (instance,) = make(name, runs=5), instances(QUADRATIC)
    one, other = (
        search_one(search, QUADRATIC, replace(instance, seed=seed)).trial_validation_loss
        for seed in (0, 1)
    )
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("name", ALL)
def test_the_users_own_rate_makes_no_difference(name: str) -> None:
    search, (instance,) = make(name), instances(QUADRATIC)
    canonical = {
        search.canonical(with_initial(instance, np.array([rate])), QUADRATIC)
        for rate in (1e-4, 1e-2, 1.0)
    }
    assert [i.task.initial for i in canonical] == [(0.1,)]


def test_what_is_not_chosen_stays_as_the_user_has_it() -> None:
    (instance,) = instances(SUPERVISED)
    own = np.array(instance.task.initial) * 0.9
    search = make_opponent("random_search", setup_of("supervised", 2))
    canonical = search.canonical(with_initial(instance, own), SUPERVISED)
    defaults = SUPERVISED.defaults(instance.task)
    assert canonical.task.initial == (*defaults[:2], *own[2:])


@pytest.mark.parametrize("name", ["random_search", "hyperband", "asha", "pbt"])
def test_another_schedule_is_followed_from_beginning_to_end(name: str) -> None:
    search = replace(make(name, runs=2), schedule="linear")
    assert search.identity() != make(name, runs=2).identity()
    outcome = search_one(search, QUADRATIC, instances(QUADRATIC, num_decisions=3)[0])
    rates = outcome.hyperparameters["learning_rate"]
    factors = interval_factors("linear", np.arange(3), np.full(3, 3))
    starts = rates / factors
    expected: Any = 1e-9 if name != "pbt" else np.log(1.2) * 3  # which moves in between
    assert np.ptp(np.log(starts)) <= expected


def test_identities_tell_searches_apart() -> None:
    identities = [str(make(name).identity()) for name in ALL]
    identities += [str(make("random_search", runs=9).identity())]
    assert len(set(identities)) == len(identities)


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("optuna_tpe", "optuna"),
        ("optuna_tpe_pruned", "optuna"),
        ("hyperband_tpe", "optuna"),
        ("optuna_cma_es", "cmaes"),
        ("smac3", "smac"),
    ],
)
def test_a_package_that_is_missing_is_named_before_anything_is_trained(
    name: str, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{package}.*hpo-control\[(search|smac)\]"):
        make(name)


@pytest.mark.parametrize("name", ALL)
def test_who_chooses_among_runs_needs_a_loss_that_a_user_knows(name: str) -> None:
    try:
        needs = make_opponent(name, setup_of("quadratic", 8)).needs
    except MissingExtraError as error:
        pytest.skip(str(error))
    assert needs == {"loss"}
    assert needs <= family_class("quadratic").offers()
    assert not needs <= family_class("forecasting").offers()  # points to come
