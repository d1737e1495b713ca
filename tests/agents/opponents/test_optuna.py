from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from sqlalchemy.exc import OperationalError

from agents.opponents.hyperband_tpe import HyperbandTPE
from agents.opponents.optuna_pruning import WARMUP_SHARE, MedianPrunedTPE
from agents.opponents.optuna_search import CmaEsSearch, TPESearch
from agents.opponents.optuna_study import open_study, quiet, study_name
from agents.opponents.search import Search
from tests.agents.opponents.searching import (
    LOCAL_LEVEL,
    QUADRATIC,
    RATE,
    equal_outcomes,
    instances,
    open_trials,
    search_one,
)

POSTGRES = "HPO_CONTROL_TEST_POSTGRES"
"""Environment variable with the address of a database that tests may write to, such as
postgresql+psycopg://user@localhost/test."""

TPE = TPESearch(name="tpe", hyperparameters=RATE, max_runs=6)
STUDIES: list[Search] = [
    TPE,
    MedianPrunedTPE(name="pruned", hyperparameters=RATE, max_runs=6),
    HyperbandTPE(name="hyperband", hyperparameters=RATE, max_runs=4),
]


@pytest.fixture(params=["sqlite", "postgresql"])
def storage(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'studies.db'}"
    address = os.environ.get(POSTGRES)
    if address is None:
        pytest.skip(f"no PostgreSQL server: {POSTGRES} is not set")
    return address


@pytest.fixture
def studies(storage: str) -> Iterator[optuna.storages.RDBStorage]:
    """The database, as somebody sees it who looks into it afterwards."""
    opened = optuna.storages.RDBStorage(storage)
    yield opened
    opened.remove_session()
    opened.engine.dispose()


@pytest.mark.parametrize("search", STUDIES, ids=lambda search: search.name)
def test_a_database_changes_no_outcome(search: Search, storage: str) -> None:
    (instance,) = instances(QUADRATIC)
    kept = replace(search, storage=storage)  # type: ignore[call-arg]
    assert kept.identity() == search.identity()
    assert equal_outcomes(
        search_one(search, QUADRATIC, instance), search_one(kept, QUADRATIC, instance)
    )


def test_a_study_that_was_left_behind_is_replaced(
    storage: str, studies: optuna.storages.RDBStorage
) -> None:
    (instance,) = instances(QUADRATIC)
    search = replace(TPE, storage=storage)
    name = study_name(search, open_trials(QUADRATIC, search.canonical(instance, QUADRATIC)))
    with quiet():
        left = optuna.create_study(study_name=name, storage=studies, load_if_exists=True)
        left.ask({"learning_rate": optuna.distributions.FloatDistribution(0.0, 1.0)})
    outcomes = [search_one(search, QUADRATIC, instance) for _ in range(2)]
    assert equal_outcomes(*outcomes)
    kept = optuna.load_study(study_name=name, storage=studies)
    assert [trial.state.name for trial in kept.trials] == ["COMPLETE"] * 6


def test_a_search_that_fails_leaves_no_study(
    storage: str, studies: optuna.storages.RDBStorage
) -> None:
    sampler = optuna.samplers.RandomSampler(seed=0)
    with pytest.raises(RuntimeError), open_study("failed", storage, sampler):
        raise RuntimeError
    assert "failed" not in optuna.get_all_study_names(studies)


def test_a_study_keeps_what_was_tried_and_what_came_of_it(
    storage: str, studies: optuna.storages.RDBStorage
) -> None:
    (instance,) = instances(QUADRATIC)
    search = replace(TPE, storage=storage)
    outcome = search_one(search, QUADRATIC, instance)
    canonical = search.canonical(instance, QUADRATIC)
    study = optuna.load_study(
        study_name=study_name(search, open_trials(QUADRATIC, canonical)), storage=studies
    )
    finished = ~np.isnan(outcome.trial_validation_loss)
    values = np.array([trial.value for trial in study.trials])
    np.testing.assert_allclose(values[finished], np.log(outcome.trial_validation_loss[finished]))
    assert study.trials[0].user_attrs["values"] == pytest.approx([0.1])  # the default comes first
    assert study.best_value == np.log(outcome.last_loss)


def test_a_process_that_finds_another_creating_the_tables_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    waited: list[float] = []
    opens = optuna.storages.RDBStorage.__init__

    def first_too_early(storage: Any, *arguments: Any, **options: Any) -> None:
        if not waited:
            raise OperationalError("CREATE TABLE studies", {}, Exception("it exists"))
        opens(storage, *arguments, **options)

    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", first_too_early)
    monkeypatch.setattr("time.sleep", waited.append)
    kept = replace(TPE, storage=f"sqlite:///{tmp_path / 'studies.db'}", max_runs=2)
    search_one(kept, QUADRATIC, instances(QUADRATIC)[0])
    assert len(waited) == 1


def test_studies_of_other_instances_and_workloads_have_other_names() -> None:
    one, other = instances(QUADRATIC, 2)
    settings = [
        (QUADRATIC, one),
        (QUADRATIC, other),
        (QUADRATIC, replace(one, seed=4)),
        (replace(QUADRATIC, engine="eager"), one),
    ]
    names = {study_name(TPE, open_trials(workload, instance)) for workload, instance in settings}
    longer = replace(TPE, max_runs=7)
    assert len(names | {study_name(longer, open_trials(QUADRATIC, one))}) == 5


def test_pruned_trials_free_budget_for_further_ones() -> None:
    search = MedianPrunedTPE(
        name="pruned", hyperparameters=LOCAL_LEVEL.space.names[:1], max_runs=20
    )
    (instance,) = instances(LOCAL_LEVEL, num_decisions=12)
    outcome = search_one(search, LOCAL_LEVEL, instance)
    pruned = outcome.trial_intervals < 12
    assert pruned.sum() >= 5
    assert len(pruned) > 20
    assert outcome.trial_intervals[pruned].min() >= round(WARMUP_SHARE * 12)
    assert outcome.trial_intervals.sum() * LOCAL_LEVEL.updates_per_decision == outcome.num_updates
    assert not pruned[:5].any()  # there is no median yet


def test_a_trial_is_pruned_when_it_is_worse_than_the_median_at_its_interval() -> None:
    search = MedianPrunedTPE(name="pruned", hyperparameters=RATE, max_runs=12)
    (instance,) = instances(QUADRATIC, num_decisions=12)
    outcome = search_one(search, QUADRATIC, instance)
    finished = ~np.isnan(outcome.trial_validation_loss)
    complete = outcome.trial_intervals == 12
    pruned = finished & ~complete
    assert pruned.any()
    kept = outcome.trial_validation_loss[complete]
    assert outcome.trial_validation_loss[pruned].min() > np.median(kept)


def test_cma_es_does_not_turn_into_random_search_with_a_single_knob() -> None:
    assert CmaEsSearch(name="cma", hyperparameters=RATE).companions(1) == ("companion",)
    assert CmaEsSearch(name="cma", hyperparameters=RATE).companions(2) == ()
    search = CmaEsSearch(name="cma", hyperparameters=RATE, max_runs=60)
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0], max_runs=60)
    search.search(trials)
    outcome = trials.lanes.outcome(trials.instance)
    late = np.nan_to_num(outcome.trial_validation_loss[-12:], nan=np.inf)
    assert np.median(late) < 2.0 * outcome.last_loss  # random rates end anywhere


def test_optunas_logging_and_warnings_are_as_they_were() -> None:
    before = optuna.logging.get_verbosity(), list(warnings.filters)
    search_one(TPE, QUADRATIC, instances(QUADRATIC)[0])
    assert (optuna.logging.get_verbosity(), list(warnings.filters)) == before
    with pytest.raises(RuntimeError), quiet():
        raise RuntimeError
    assert optuna.logging.get_verbosity() == before[0]
