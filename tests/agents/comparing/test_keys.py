"""Keys: equal for equal inputs, and different as soon as anything that matters differs."""

from __future__ import annotations

import pickle
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from quadratic_opponents import NEAR, Guided, Mystery, Steady

from agents.comparing import keys
from agents.opponents.base import Instance, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.registry import OPPONENTS, make_opponent
from hpo_env.errors import ConfigurationError, MissingExtraError
from hpo_env.familiarity import Familiarity
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class, make_family

INSTANCE = Instance(task=make_tasks(make_family("quadratic", **NEAR.options), 1, 0)[0], seed=0)


def make_policy(**changes: Any) -> Policy:
    space = family_class("quadratic")().space
    values: dict[str, Any] = {
        "family": "quadratic",
        "space": space,
        "base_schedule": "constant",
        "head": "clipped",
        "activation": "tanh",
        "weights": (np.zeros((1, len(field_names(space.names))), dtype=np.float32),),
        "biases": (np.zeros(1, dtype=np.float32),),
    }
    return Policy(**(values | changes))


def familiarity(offset: float) -> Familiarity:
    num_fields = len(field_names(family_class("quadratic")().space.names))
    return Familiarity(
        mean=np.zeros(num_fields, dtype=np.float32),
        whitening=np.eye(num_fields, dtype=np.float32),
        threshold=1.0,
        offset=offset,
    )


def key(**changes: Any) -> str:
    values: dict[str, Any] = {
        "opponent": Steady(name="steady"),
        "hyperparameters": ("learning_rate",),
        "workload": Workload(family="quadratic"),
        "instance": INSTANCE,
        "preparation": None,
    }
    values |= changes
    opponent = keys.describe_opponent(values["opponent"], values["hyperparameters"])
    workload = keys.describe_workload(values["workload"])
    return keys.digest(
        keys.describe_cell(opponent, workload, values["instance"], values["preparation"])
    )


def test_equal_inputs_have_equal_keys() -> None:
    assert key() == key() == key(workload=Workload(family="quadratic", max_lanes=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"opponent": Steady(name="other")},
        {"opponent": Steady(name="steady", max_runs=2)},
        {"opponent": Guided(name="steady", policy=make_policy())},
        {"hyperparameters": ("learning_rate", "weight_decay")},
        {"workload": Workload(family="quadratic", engine="reference")},
        {"workload": Workload(family="quadratic", options={"num_decisions": 3})},
        {"instance": replace(INSTANCE, seed=1)},
        {"instance": replace(INSTANCE, task=replace(INSTANCE.task, initial=(0.5,)))},
        {"preparation": "abc"},
    ],
)
def test_whatever_decides_the_outcome_changes_the_key(changes: dict[str, Any]) -> None:
    assert key(**changes) != key()


def test_another_protocol_changes_the_key(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    monkeypatch.setattr(keys, "PROTOCOL", keys.PROTOCOL + 1)
    assert key() != before


def test_a_policy_counts_by_what_it_does() -> None:
    policy = make_policy()
    moved = make_policy(biases=(np.full(1, 0.5, dtype=np.float32),))
    cosine = make_policy(base_schedule="cosine")
    floored = make_policy(loss_floor=1e-3)
    familiar = [make_policy(familiarity=familiarity(offset)) for offset in (0.0, 1.0)]
    policies = (policy, moved, cosine, floored, *familiar)
    found = [key(opponent=Guided(name="g", policy=p)) for p in policies]
    assert len(set(found)) == len(policies)
    noted = make_policy(metadata={"note": "the same weights"})
    assert keys.policy_fingerprint(noted) == keys.policy_fingerprint(policy)


def test_an_identity_that_is_not_plain_data_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"opponent 'mystery': identity\(\).*plain data"):
        keys.describe_opponent(Mystery(name="mystery"), ())


_FREE = {"policy", "storage"}  # the one is described by its fingerprint, the other changes nothing


@pytest.mark.parametrize("name", OPPONENTS)
def test_registered_opponents_can_be_sent_to_workers_and_tell_all_their_settings(name: str) -> None:
    policy = make_policy()
    setup = Setup(policy=policy, hyperparameters=policy.space.names, storage="sqlite:///x.db")
    try:
        opponent = make_opponent(name, setup)
    except MissingExtraError as error:
        pytest.skip(str(error))
    described = keys.describe_opponent(opponent, setup.hyperparameters)
    sent = pickle.loads(pickle.dumps(opponent))
    assert keys.describe_opponent(sent, setup.hyperparameters) == described
    assert {f.name for f in fields(opponent)} - _FREE <= set(described["identity"])


def test_tunings_on_other_instances_have_other_keys() -> None:
    opponent = keys.describe_opponent(Steady(name="steady"), ())
    workload = keys.describe_workload(Workload(family="quadratic"))
    one = keys.describe_preparation(opponent, workload, [INSTANCE])
    two = keys.describe_preparation(opponent, workload, [INSTANCE, replace(INSTANCE, seed=1)])
    assert keys.digest(one) != keys.digest(two)
