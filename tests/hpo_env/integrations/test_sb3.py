"""The controller in an agent of Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Any

import pytest

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
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

    class Agent(stable_baselines3.PPO):  # type: ignore[name-defined]
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


class TestLossSteeredHost(HostContract):
    def make(self) -> HostUnderTest:
        return Learning()


def make_callback(**options: Any) -> Any:
    from hpo_env.integrations.sb3 import HPOControlCallback

    policy = random_policy(SPACE.names, space=SPACE, base_schedule="constant")
    looks = count(1)  # the same number again would be one that nobody worked out anew
    return HPOControlCallback(
        Controller(policy), validate=lambda model: 1.0 + 1.0 / next(looks), **options
    )


def make_agent(kind: str = "PPO", env: str = "CartPole-v1", **options: Any) -> Any:
    options = {"seed": 0, "device": "cpu", "policy_kwargs": {"net_arch": [4]}} | options
    return getattr(stable_baselines3, kind)("MlpPolicy", env, **options)


def test_what_is_left_out_is_not_moved() -> None:
    agent = make_agent(n_steps=16, batch_size=16, n_epochs=1, ent_coef=0.001)
    callback = make_callback(hyperparameters=["discount", "entropy"])
    agent.learn(64, callback=callback)
    assert set(callback.run.values) == {"discount", "entropy"}
    with pytest.raises(ConfigurationError, match="must be some of what this agent has"):
        agent.learn(64, callback=make_callback(hyperparameters=[]))


@pytest.mark.parametrize(("kind", "env"), [("SAC", "Pendulum-v1"), ("DQN", "CartPole-v1")])
def test_agents_that_do_not_learn_by_rollouts_are_refused(kind: str, env: str) -> None:
    agent = make_agent(kind, env, buffer_size=100)
    with pytest.raises(ConfigurationError, match=f"an on-policy agent .* got {kind}"):
        agent.learn(10, callback=make_callback())


@pytest.mark.parametrize("has_clip_schedule", [False, True])
def test_an_agents_own_schedule_is_corrected_and_given_back(has_clip_schedule: bool) -> None:
    used: list[tuple[float, float]] = []
    schedule = stable_baselines3.common.utils.LinearSchedule(0.01, 0.001, 1.0)

    class Agent(stable_baselines3.PPO):  # type: ignore[name-defined]
        def train(self) -> None:
            progress = self._current_progress_remaining
            used.append((self.lr_schedule(progress), schedule(progress)))

    agent: Any = Agent(
        "MlpPolicy",
        "CartPole-v1",
        learning_rate=schedule,
        clip_range=schedule if has_clip_schedule else 0.2,
        n_steps=16,
        batch_size=16,
        seed=0,
        device="cpu",
        policy_kwargs={"net_arch": [4]},
    )
    theirs = agent.lr_schedule, agent.clip_range
    callback = make_callback(num_decisions=4)
    agent.learn(16 * 8, callback=callback)
    corrections = [mine / base for mine, base in used]
    assert len(used) == 8
    for first, second in zip(corrections[::2], corrections[1::2], strict=True):
        assert first == pytest.approx(second)  # two rollouts an interval, and the schedule goes on
    assert len({round(correction, 6) for correction in corrections}) == 4
    assert callback.run.decisions[1].observation["base_change"] < 0.0
    assert (agent.lr_schedule, agent.clip_range) == theirs


def test_two_schedules_at_once_are_refused() -> None:
    agent = make_agent(learning_rate=lambda progress: 0.01 * progress, n_steps=16, batch_size=16)
    with pytest.raises(ConfigurationError, match="is a schedule already"):
        agent.learn(16, callback=make_callback(base_schedule="cosine"))


def test_a_clip_range_that_is_a_schedule_stays_the_agents_own() -> None:
    agent = make_agent(clip_range=lambda progress: 0.2 * progress, n_steps=16, batch_size=16)
    theirs = agent.clip_range
    callback = make_callback()
    agent.learn(64, callback=callback)
    assert "clip_range" not in callback.run.values
    assert agent.clip_range is theirs
