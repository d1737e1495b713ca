"""A policy brings nothing lower than its bounds say; users and the guard may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.controller import Controller
from hpo_env.errors import HPOControlError
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.restriction import restrict
from hpo_env.shipped import shipped
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.controlled_runs import Training, fixed_policy, random_policy

NAMES = ("learning_rate", "weight_decay")


def falling(lowest: float, move: float = -1.0) -> Policy:
    return replace(
        fixed_policy(move, NAMES, base_schedule="constant"), lowest={"learning_rate": lowest}
    )


def rates(policy: Policy, start: float) -> list[float]:
    """Return the rates of a user's run of six decisions."""
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=start, weight_decay=1e-2)
    run = Controller(policy).attach(
        optimizer, total_steps=18, num_decisions=6, validate=training.validate
    )
    training.train(optimizer, run, range(18))
    assert run.decisions[-1].values["weight_decay"] < 1e-3  # it has no bound
    return [decision.values["learning_rate"] for decision in run.decisions]


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (1e-2, [2.5e-3, 6.25e-4, 3e-4, 3e-4, 3e-4, 3e-4]),
        (3e-4, [3e-4] * 6),
        (1e-4, [1e-4] * 6),  # a user's own value is left where it is
    ],
)
def test_a_run_is_brought_down_to_the_bound_and_no_further(
    start: float, expected: list[float]
) -> None:
    np.testing.assert_allclose(rates(falling(3e-4), start), expected, rtol=1e-4)


def test_a_bound_that_is_not_reached_changes_no_bit() -> None:
    policy = random_policy(NAMES)
    bounded = replace(policy, lowest={"learning_rate": policy.space.low[0].item()})
    seen = np.random.default_rng(0).uniform(-1.0, 1.0, (64, len(policy.fields)))
    np.testing.assert_array_equal(bounded.act(seen)[:, 1], policy.act(seen)[:, 1])
    high = seen.copy()
    high[:, policy.fields.index("learning_rate/position")] = 0.9
    np.testing.assert_array_equal(bounded.act(high), policy.act(high))


def test_the_environment_is_brought_down_alike() -> None:
    policy = falling(3e-4)
    env = HPOControlVectorEnv(
        2,
        family="supervised",
        dataset="breast_cancer",
        model="mlp_32x2_relu",
        optimizer="adamw",
        initial={"learning_rate": 1e-2},
        hyperparameters=NAMES,
        num_decisions=6,
        updates_per_decision=2,
    )
    observations, _ = env.reset(seed=0)
    found = []
    for _ in range(5):
        observations, *_, info = env.step(policy.act(observations))
        found.append(info["hyperparameters"]["learning_rate"][0])
    np.testing.assert_allclose(found, [2.5e-3, 6.25e-4, 3e-4, 3e-4, 3e-4], rtol=1e-4)


def test_bounds_are_written_read_and_kept_in_a_part(tmp_path: Any) -> None:
    policy = load(save(falling(3e-4), tmp_path))
    assert policy.lowest == {"learning_rate": 3e-4}
    assert restrict(policy, ["learning_rate"]).lowest == {"learning_rate": 3e-4}
    assert restrict(policy, ["weight_decay"]).lowest == {}


@pytest.mark.parametrize("name", sorted(shipped()))
def test_of_the_policies_that_are_shipped_that_of_agents_has_one(name: str) -> None:
    expected = {"learning_rate": 3e-4} if name == "reinforcement" else {}
    assert load(shipped()[name]).lowest == expected


@pytest.mark.parametrize(
    ("lowest", "message"),
    [
        ({"learning_rate": 1e9}, "learning_rate must lie in"),
        ({"learning_rate": "1e-4"}, "learning_rate must lie in"),
        ({"learning_rate": float("nan")}, "learning_rate must lie in"),
        ({"momentum": 0.5}, "unknown hyperparameter 'momentum'"),
    ],
)
def test_bounds_that_cannot_be_are_refused(lowest: Any, message: str) -> None:
    with pytest.raises(HPOControlError, match=message):
        replace(random_policy(NAMES), lowest=lowest)
