"""Runs that begin where tasks of meta-training gained that looked so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.opponents.base import Instance, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.matched_start import NUM_STARTS, MatchedStart, begun_at
from agents.opponents.registry import make_opponent
from hpo_env.control.looks import SPREADS
from hpo_env.control.stored_tasks import StoredTasks
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.policies import linear_policy

OPTIONS = {"updates_per_decision": 3}
KNOBS = ("learning_rate", "weight_decay")
POLICY = linear_policy("supervised", KNOBS)
SETUP = Setup(policy=POLICY, hyperparameters=KNOBS)
WORKLOAD = Workload(options=OPTIONS, max_lanes=2)
GENTLE, FAST = {"learning_rate": 1e-4, "weight_decay": 1e-3}, {"learning_rate": 1e-2}


@pytest.fixture
def instances() -> list[Instance]:
    family = make_family(
        "supervised",
        dataset="diabetes",
        model="mlp_32x2_relu",
        optimizer="adamw",
        num_decisions=4,
        **OPTIONS,
    )
    tasks = make_tasks(family, 3, 1, starts=(1e-3,))
    return [Instance(task=task, seed=seed) for seed, task in enumerate(tasks)]


def controller(instances: list[Instance]) -> list[float]:
    outcomes = make_opponent("controller", SETUP).run(WORKLOAD, instances, {})
    return [outcome.last_loss for outcome in outcomes]


@pytest.mark.parametrize("name", ["matched_start", "prototype_start"])
def test_a_run_begins_where_tasks_gained_that_looked_like_it(
    instances: list[Instance], name: str
) -> None:
    opponent = make_opponent(name, SETUP)
    assert isinstance(opponent, MatchedStart)
    looks = opponent.looks(WORKLOAD, instances)
    assert all(set(look) == set(SPREADS) for look in looks)
    # Another task's look is far from the first one's; of the others nothing is known.
    far = {n: value + 9.0 * SPREADS[n] for n, value in looks[0].items()}
    gains = np.array([[-0.2, 0.1], [0.1, -0.2]])
    table = StoredTasks(starts=(GENTLE, FAST), looks=(looks[0], far), gains=gains)
    (outcome,) = opponent.run(WORKLOAD, instances[:1], {"stored": table.to_json()})
    begun = begun_at(instances[0], WORKLOAD, POLICY.space, GENTLE)
    assert outcome.last_loss == controller([begun])[0] != controller(instances[:1])[0]
    assert outcome.num_updates == (1 + 4) * 3  # the interval that was looked at is charged


def test_what_is_stored_is_what_each_start_gains(instances: list[Instance]) -> None:
    opponent = MatchedStart(name="matched_start", policy=POLICY, max_runs=2)
    table = opponent.stored(WORKLOAD, instances)
    assert table.gains.shape == (3, NUM_STARTS)
    own = controller(instances)
    begun = [begun_at(instance, WORKLOAD, POLICY.space, table.starts[4]) for instance in instances]
    expected = np.clip(np.log(controller(begun)) - np.log(own), -1.0, 1.0)
    np.testing.assert_allclose(table.gains[:, 4], expected, atol=1e-4)


def test_what_cannot_be_moved_stays(instances: list[Instance]) -> None:
    names = WORKLOAD.space.names
    column = names.index("weight_decay")
    values = list(instances[0].task.initial)
    values[column] = 0.0  # no factor changes it
    task = replace(instances[0].task, initial=tuple(values))
    begun = begun_at(replace(instances[0], task=task), WORKLOAD, POLICY.space, GENTLE)
    assert begun.task.initial[column] == 0.0
    assert begun.task.initial[names.index("learning_rate")] == GENTLE["learning_rate"]


def test_nothing_is_stored_of_no_tasks() -> None:
    with pytest.raises(ConfigurationError, match="matched_start"):
        make_opponent("matched_start", SETUP).prepare(WORKLOAD, [])
