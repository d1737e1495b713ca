"""The critic sees the task, the actor does not, and nothing of it is exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from agents.config import TrainConfig
from agents.export import export_policy
from agents.factory import make_env
from agents.learners.privileged import AsymmetricPolicy, PrivilegedObservations, describe_task
from agents.learners.sb3 import PPO
from agents.learners.vec_env import unwrap
from hpo_env.policy_file import load
from hpo_env.tasks.registry import FAMILIES, make_family

CONFIG = TrainConfig.of(family="quadratic", num_envs=4, num_decisions=3, critic="task").resolved()


def make_learner() -> PPO:
    env = make_env(CONFIG, split="train", num_envs=4)
    return PPO(CONFIG.settings, env, seed=0, total_steps=100)


def make() -> tuple[PrivilegedObservations, AsymmetricPolicy]:
    learner = make_learner()
    assert isinstance(learner.venv, PrivilegedObservations)
    policy = learner.model.policy
    assert isinstance(policy, AsymmetricPolicy)
    return learner.venv, policy


def test_tasks_of_a_family_are_described_alike_and_told_apart() -> None:
    for name in FAMILIES:
        family = make_family(name)
        rng = np.random.default_rng(0)
        described = [describe_task(family.sample(rng)) for _ in range(5)]
        assert len({d.shape for d in described}) == 1
        assert len({d.tobytes() for d in described}) == 5
        assert all(np.isfinite(d).all() for d in described)


def test_the_critic_sees_the_new_task_as_soon_as_it_begins() -> None:
    venv, _ = make()
    venv.seed(0)
    before = venv.reset()[:, venv.num_public : -1]
    for _ in range(3):
        observations, _, ended, infos = venv.step(np.full((4, 1), 2))
    assert isinstance(observations, np.ndarray)
    assert ended.all()
    assert infos[0]["terminal_observation"].shape == observations[0].shape
    assert not np.array_equal(observations[:, venv.num_public : -1], before)
    expected = [describe_task(task) for task in unwrap(venv).lanes.tasks]
    assert np.array_equal(observations[:, venv.num_public : -1], np.stack(expected))


def test_privileged_features_move_values_and_not_actions() -> None:
    venv, policy = make()
    venv.seed(0)
    observations = torch.from_numpy(venv.reset())
    changed = observations.clone()
    changed[:, venv.num_public :] += 1.0
    with torch.no_grad():
        assert not torch.equal(policy.predict_values(observations), policy.predict_values(changed))
        same, other = (policy.get_distribution(o).mode() for o in (observations, changed))
    assert torch.equal(same, other)


def test_an_exported_policy_takes_the_public_observation(tmp_path: Path) -> None:
    learner = make_learner()
    policy = load(export_policy(learner.policy({}), learner.moves, tmp_path / "policy"))
    assert policy.fields == tuple(unwrap(learner.venv).lanes.observation_docs)
