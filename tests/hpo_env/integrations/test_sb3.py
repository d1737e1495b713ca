"""The controller in an agent of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from hpo_env.controller import Controller
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.testing.hosts import HostContract, HostUnderTest
from tests.hpo_env.controlled_runs import random_policy

stable_baselines3 = pytest.importorskip("stable_baselines3")

SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=3e-4, max_step=2.0),
        Hyperparameter(name="entropy", low=1e-6, high=1.0, default=1e-3, max_step=2.0),
        Hyperparameter(name="clip_range", low=0.01, high=1.0, default=0.2, max_step=1.2),
        Hyperparameter(
            name="discount",
            low=0.5,
            high=0.9999,
            default=0.99,
            max_step=2.0,
            scale="one_minus_log",
        ),
    ]
)


def test_the_agent_uses_what_the_controller_writes() -> None:
    from hpo_env.integrations.sb3 import HPOControlCallback

    used = []

    class Agent(stable_baselines3.PPO):  # type: ignore[misc,name-defined]
        def train(self) -> None:
            super().train()
            used.append(
                {
                    "learning_rate": self.policy.optimizer.param_groups[0]["lr"],
                    "entropy": self.ent_coef,
                    "clip_range": self.clip_range(1.0),
                    "discount": self.rollout_buffer.gamma,
                }
            )

    agent: Any = Agent(
        "MlpPolicy",
        "CartPole-v1",
        n_steps=32,
        batch_size=32,
        n_epochs=1,
        seed=0,
        device="cpu",
        ent_coef=0.001,
        policy_kwargs={"net_arch": [8]},
    )
    policy = random_policy(SPACE.names, space=SPACE, base_schedule="constant")
    callback = HPOControlCallback(
        Controller(policy), validate=lambda model: 1.0 + 1.0 / (1 + model.num_timesteps)
    )
    agent.learn(256, callback=callback)
    assert callback.run is not None
    assert callback.run.is_over
    written = [decision.values for decision in callback.run.decisions]
    assert len(written) == len(used) == 8
    for mine, theirs in zip(written, used, strict=True):
        assert theirs == pytest.approx(mine)
    assert len({values["learning_rate"] for values in written}) > 4


class Learning(HostUnderTest):
    """An agent whose update is a rollout and a call of `train`."""

    def __init__(self) -> None:
        from hpo_env.integrations.sb3 import make_host

        self._agent = stable_baselines3.PPO(
            "MlpPolicy",
            "CartPole-v1",
            n_steps=16,
            batch_size=16,
            n_epochs=1,
            seed=0,
            device="cpu",
            ent_coef=0.001,
            policy_kwargs={"net_arch": [4]},
        )
        self.host = make_host(self._agent)

    def update(self) -> Any:
        self._agent.learn(16, reset_num_timesteps=False)

    def read(self) -> Mapping[str, float]:
        agent = self._agent
        return {
            "learning_rate": agent.lr_schedule(1.0),
            "entropy": agent.ent_coef,
            "discount": agent.rollout_buffer.gamma,
            "gae_lambda": agent.rollout_buffer.gae_lambda,
            "clip_range": agent.clip_range(1.0),
        }

    def weights(self) -> Any:
        return [p.detach().numpy().copy() for p in self._agent.policy.parameters()]


class TestAgentHost(HostContract):
    def make(self) -> HostUnderTest:
        return Learning()
