"""What every registered opponent must keep to; found through the registry."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields, replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from agents.comparing.store import outcome_from_json, outcome_to_json
from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Bench
from agents.opponents.registry import OPPONENTS, make_opponent
from hpo_env.errors import MissingExtraError
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.supervised import data as supervised_data
from hpo_env.tasks.supervised.data import Problem, Rows
from tests.agents.opponents.policies import linear_policy
from tests.agents.opponents.searching import equal_outcomes

UPDATES_PER_DECISION, NUM_DECISIONS = 2, 4
BENCH = Bench(options={"updates_per_decision": UPDATES_PER_DECISION}, max_lanes=16)
FINISHED = ("last_loss", "test_loss", "test_metric")
TEST_RESULTS = ("test_loss", "test_metric", "trial_test_loss")


def tasks(count: int, **options: Any) -> list[Task]:
    family = make_family(
        "supervised",
        dataset="diabetes",
        model="mlp_32x2_relu",
        num_decisions=NUM_DECISIONS,
        **BENCH.options,
        **options,
    )
    return make_tasks(family, count, 0)


@dataclass(frozen=True, kw_only=True)
class Ran:
    """An opponent that was prepared on two instances, and has run on three others."""

    opponent: Opponent
    instances: list[Instance]
    prepared: Prepared
    outcomes: list[Outcome]


def run(name: str) -> Ran:
    policy = linear_policy("supervised", ("learning_rate", "weight_decay"))
    setup = Setup(policy=policy, hyperparameters=policy.space.names, num_runs=4, num_lanes=4)
    opponent = make_opponent(name, setup)
    learned_on = [Instance(task=task, seed=1) for task in tasks(2)]
    prepared = opponent.prepare(BENCH, learned_on)
    drawn = tasks(3, split="test", architectures="train")
    given = [Instance(task=task, seed=seed) for task, seed in zip(drawn, (2, 2, 3), strict=True)]
    instances = [opponent.canonical(instance, BENCH) for instance in given]
    outcomes = opponent.run(BENCH, instances, json.loads(json.dumps(prepared)))
    return Ran(opponent=opponent, instances=instances, prepared=prepared, outcomes=outcomes)


@cache
def ran_before(name: str) -> Ran | MissingExtraError:
    try:
        return run(name)
    except MissingExtraError as error:
        return error


@pytest.fixture(params=OPPONENTS)
def ran(request: pytest.FixtureRequest) -> Ran:
    found = ran_before(request.param)
    if isinstance(found, MissingExtraError):
        pytest.skip(str(found))
    return found


def test_the_budget_is_kept_to_the_update(ran: Ran) -> None:
    budget = ran.opponent.max_runs * NUM_DECISIONS * UPDATES_PER_DECISION
    for outcome in ran.outcomes:
        assert 0 < outcome.num_updates <= budget
        assert outcome.spent_updates.max() <= outcome.num_updates
        assert (np.diff(outcome.spent_updates) >= 0).all()


def test_the_same_seed_gives_the_same_outcomes(ran: Ran) -> None:
    again = run(ran.opponent.name)
    assert again.prepared == ran.prepared
    assert all(map(equal_outcomes, again.outcomes, ran.outcomes))


def test_an_outcome_does_not_depend_on_the_other_instances(ran: Ran) -> None:
    alone = ran.opponent.run(BENCH, ran.instances[1:2], ran.prepared)
    assert len(alone) == 1
    assert equal_outcomes(alone[0], ran.outcomes[1])
    turned = ran.opponent.run(BENCH, ran.instances[::-1], ran.prepared)
    for outcome, before in zip(turned[::-1], ran.outcomes, strict=True):
        assert equal_outcomes(outcome, before)


def reversed_test_problem(*, test: Rows, **rest: Any) -> Problem:
    """Turn the test targets round, so that the better a model is, the worse its test loss."""
    return Problem(test=Rows(x=test.x, y=-10.0 * test.y), **rest)


def test_test_rows_change_nothing_but_the_test_results(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervised_data, "Problem", reversed_test_problem)
    misled = run(ran.opponent.name)
    assert misled.prepared == ran.prepared
    for outcome, before in zip(misled.outcomes, ran.outcomes, strict=True):
        assert outcome.test_loss > before.test_loss, "nothing was reversed: this shows nothing"
        tested = {name: getattr(before, name) for name in TEST_RESULTS}
        assert equal_outcomes(replace(outcome, **tested), before)


def test_outcomes_have_the_shapes_that_are_promised(ran: Ran) -> None:
    assert len(ran.outcomes) == len(ran.instances)
    for outcome in ran.outcomes:
        assert list(outcome.hyperparameters) == list(BENCH.space.names)
        curves = [outcome.validation_loss, *outcome.hyperparameters.values()]
        assert {curve.shape for curve in curves} == {(NUM_DECISIONS,)}
        trials = [f.name for f in fields(outcome) if f.name.startswith("trial_")]
        shapes = {getattr(outcome, name).shape for name in [*trials, "spent_updates"]}
        assert len(shapes) == 1, shapes
        assert outcome.trial_intervals.dtype == outcome.spent_updates.dtype == np.int64
        assert outcome.train_seconds > 0.0
        assert outcome.overhead_seconds >= 0.0


def test_the_run_that_is_returned_is_the_best_complete_trial(ran: Ran) -> None:
    for outcome in ran.outcomes:
        assert not outcome.diverged
        assert np.isfinite([getattr(outcome, name) for name in FINISHED]).all()
        assert outcome.last_loss == outcome.validation_loss[-1]
        complete = outcome.trial_intervals == NUM_DECISIONS
        assert outcome.last_loss == np.nanmin(outcome.trial_validation_loss[complete])


def test_a_rate_that_blows_up_ends_in_an_outcome_all_the_same(ran: Ran) -> None:
    task = tasks(1, optimizer="sgd", initial={"learning_rate": 1.0})[0]
    hopeless = replace(task, target_noise=0.0, input_scale=30.0)  # type: ignore[call-arg]
    instance = ran.opponent.canonical(Instance(task=hopeless, seed=2), BENCH)
    outcome = ran.opponent.run(BENCH, [instance], ran.prepared)[0]
    results = [getattr(outcome, name) for name in FINISHED]
    assert np.isfinite(results).all() != outcome.diverged
    assert np.isnan(results).all() == outcome.diverged
    if ran.opponent.name in ("user_constant", "frozen"):
        assert outcome.diverged, "the rate is too low for this test to show anything"
    if outcome.diverged:
        num_trained = outcome.trial_intervals.max()
        assert np.isnan(outcome.validation_loss[num_trained - 1 :]).all()
        assert np.isfinite(outcome.validation_loss[: num_trained - 1]).all()
        assert np.isfinite(outcome.hyperparameters["learning_rate"][:num_trained]).all()


def test_one_run_opponents_have_one_trial(ran: Ran) -> None:
    if ran.opponent.max_runs == 1:
        assert [len(outcome.trial_test_loss) for outcome in ran.outcomes] == [1, 1, 1]


def test_identity_and_what_was_learned_are_plain_data(ran: Ran) -> None:
    for data in (ran.opponent.identity(), dict(ran.prepared)):
        assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert ran.opponent.identity()["name"] == ran.opponent.name


def test_outcomes_survive_being_stored(ran: Ran) -> None:
    for outcome in ran.outcomes:
        stored = json.dumps(outcome_to_json(outcome), allow_nan=False)
        assert equal_outcomes(outcome_from_json(json.loads(stored)), outcome)


def test_canonical_instances_stay_as_they_are(ran: Ran) -> None:
    for instance in ran.instances:
        assert ran.opponent.canonical(instance, BENCH) == instance


def test_canonical_instances_keep_task_and_lane(ran: Ran) -> None:
    for instance, task in zip(
        ran.instances, tasks(3, split="test", architectures="train"), strict=True
    ):
        assert instance.task.name == task.name
        assert instance.lane_seed == Instance(task=task, seed=instance.seed).lane_seed


def test_identities_differ() -> None:
    found = [ran_before(name) for name in OPPONENTS]
    identities = [
        json.dumps(one.opponent.identity() | {"name": ""}, sort_keys=True)
        for one in found
        if isinstance(one, Ran)
    ]
    assert len(set(identities)) == len(identities)
