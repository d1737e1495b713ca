from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.familiarity_fit import fit_familiarity
from hpo_env.errors import ConfigurationError
from hpo_env.familiarity import Familiarity
from hpo_env.policy import Policy
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.controlled_runs import random_policy
from tests.hpo_env.remembering import remembering


def quadratic_policy() -> Policy:
    family = make_family("quadratic", split="train", num_decisions=None)
    policy = random_policy(family.default_controlled, space=family.space)
    return replace(policy, family="quadratic")


def fit(policy: Policy, *, seed: int = 0) -> Familiarity:
    fitted = fit_familiarity(policy, seed=seed, num_lanes=16, num_episodes=2, num_decisions=6)
    assert fitted.familiarity is not None
    return fitted.familiarity


def test_the_same_seed_fits_the_same_and_another_seed_another() -> None:
    policy = quadratic_policy()
    first, again, other = fit(policy), fit(policy), fit(policy, seed=100)
    for name, tensor in first.tensors().items():
        assert tensor.tobytes() == again.tensors()[name].tobytes()
        assert tensor.tobytes() != other.tensors()[name].tobytes()
    assert first.threshold == again.threshold != other.threshold


def test_a_policy_that_was_fitted_before_is_fitted_as_if_it_were_not() -> None:
    policy = quadratic_policy()
    known = fit(policy)
    foreign_to_all = replace(known, threshold=1e-3)
    again = fit(replace(policy, familiarity=foreign_to_all))
    assert again.threshold == known.threshold


def test_fitting_leaves_the_network_alone() -> None:
    policy = quadratic_policy()
    fitted = fit_familiarity(policy, seed=0, num_lanes=4, num_episodes=1, num_decisions=3)
    assert replace(fitted, familiarity=None).tensors().keys() == policy.tensors().keys()
    for name, tensor in policy.tensors().items():
        np.testing.assert_array_equal(fitted.tensors()[name], tensor)


def test_fresh_tasks_of_meta_training_are_familiar_and_nonsense_is_not() -> None:
    policy = quadratic_policy()
    known = fit(policy)
    env = HPOControlVectorEnv(
        8,
        family="quadratic",
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        num_decisions=6,
    )
    observations, _ = env.reset(seed=10_000)
    trust = []
    for _ in range(6):
        trust.append(known.trust(observations))
        observations, *_ = env.step(policy.act(observations))
    assert np.mean(np.concatenate(trust) == 1.0) > 0.9
    nonsense = np.random.default_rng(0).choice([-1.0, 1.0], (50, len(policy.fields)))
    assert (known.trust(nonsense) < 1.0).all()


@pytest.mark.parametrize(
    ("num_lanes", "num_episodes", "message"),
    [(3, 1, "num_lanes must be at least 4; got 3"), (4, 0, "num_episodes must be at least 1")],
)
def test_too_little_to_fit_to_is_refused(num_lanes: int, num_episodes: int, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        fit_familiarity(quadratic_policy(), seed=0, num_lanes=num_lanes, num_episodes=num_episodes)


def test_a_policy_with_a_memory_is_fitted_to_what_it_leads_to() -> None:
    policy = remembering(quadratic_policy())
    assert policy.memory is not None
    known, again = fit(policy), fit(policy)
    assert known.threshold == again.threshold
    blank = np.zeros_like(policy.memory.hidden_weight)
    forgetful = replace(policy, memory=replace(policy.memory, hidden_weight=blank))
    assert fit(forgetful).threshold != known.threshold
