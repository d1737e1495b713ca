"""A controller in somebody's own loop sees and does what it does in the callback."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.reinforcement import AgentLoop
from tests.hpo_env.integrations.agents import ROLLOUT, learn, make_agent, make_callback, make_policy

sb3 = pytest.importorskip("stable_baselines3")

NAMES = ("learning_rate", "discount", "entropy", "clip_range", "epochs")


class InOwnHands(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
    """What a loop does that tells an `AgentLoop` everything itself.

    Args:
        updates: How many there will be.
        num_decisions: Decision intervals.
    """

    def __init__(self, updates: int, num_decisions: int) -> None:
        super().__init__()
        self._updates, self._num_decisions = updates, num_decisions
        self._num_seen = 0
        self.loop: Any = None

    def _on_training_start(self) -> None:
        from hpo_env.integrations.sb3_agents.training import agent_facts

        agent: Any = self.model
        constant = sb3.common.utils.FloatSchedule
        self.rate = agent.policy.optimizer.param_groups[0]
        per_decision = round(self._updates / self._num_decisions)
        self.loop = AgentLoop(
            Controller(make_policy(NAMES)),
            agent.policy,
            agent.policy.optimizer,
            total_updates=self._updates,
            num_decisions=self._num_decisions,
            facts=agent_facts(agent, ROLLOUT, per_decision),
            bind={
                "discount": lambda value: setattr(agent.rollout_buffer, "gamma", value),
                "entropy": lambda value: setattr(agent, "ent_coef", value),
                "clip_range": lambda value: setattr(agent, "clip_range", constant(value)),
                "epochs": self._set_epochs,
            },
            initial={
                "discount": 0.99,
                "entropy": 0.0,
                "clip_range": 0.2,
                "epochs": agent.n_epochs,
                "batch_size": agent.batch_size,
                "max_grad_norm": agent.max_grad_norm,
            },
        )

    def _set_epochs(self, value: float) -> float:
        self.model.n_epochs = round(value)
        return float(round(value))

    def _on_step(self) -> bool:
        infos = self.locals["infos"]
        cut = [info.get("TimeLimit.truncated", False) for info in infos]
        self.loop.take_step(self.locals["rewards"], self.locals["dones"], truncated=cut)
        return True

    def _on_rollout_start(self) -> None:
        agent: Any = self.model
        if agent._n_updates == self._num_seen:
            return
        self._num_seen = agent._n_updates
        logged = agent.logger.name_to_value
        names = ("explained_variance", "approx_kl", "clip_fraction", "value_loss")
        told = {name: logged[f"train/{name}"] for name in names}
        self.loop.end_update(entropy=-logged["train/entropy_loss"], **told)

    def _on_rollout_end(self) -> None:
        agent: Any = self.model
        buffer = agent.rollout_buffer
        self.loop.end_rollout()
        agent.lr_schedule = sb3.common.utils.FloatSchedule(self.rate["lr"])
        buffer.compute_returns_and_advantage(self.locals["values"], self.locals["dones"])
        self.loop.begin_update(buffer.advantages, buffer.returns)

    def _on_training_end(self) -> None:
        self._on_rollout_start()
        self.loop.close()


def test_decisions_are_those_of_the_callback() -> None:
    agent = make_agent(learning_rate=1e-3)
    callback = make_callback(make_policy(NAMES), num_decisions=3)
    learn(agent, callback, 6)
    own = InOwnHands(6, 3)
    agent = make_agent(learning_rate=1e-3)
    agent.policy.optimizer.param_groups[0]["lr"] = 1e-3
    learn(agent, own, 6)
    ours = [copy.copy(decision.to_json()) for decision in own.loop.run.decisions]
    theirs = [decision.to_json() for decision in callback.run.decisions]
    assert len(ours) == 3
    for mine, other in zip(ours, theirs, strict=True):
        assert mine["values"] == pytest.approx(other["values"], rel=1e-9)
        seen = [list(one["observation"].values()) for one in (mine, other)]
        np.testing.assert_allclose(seen[0], seen[1], atol=1e-5)
    assert len({str(one["values"]) for one in ours}) == 3


def make_loop(**changes: Any) -> AgentLoop:
    from hpo_env.integrations.sb3_agents.training import agent_facts

    agent = make_agent()
    options: dict[str, Any] = {
        "total_updates": 4,
        "facts": agent_facts(agent, ROLLOUT, 1),
        "bind": {"discount": print},
        "initial": {"discount": 0.99},
    }
    controller = Controller(make_policy(NAMES))
    return AgentLoop(controller, agent.policy, agent.policy.optimizer, **{**options, **changes})


def test_what_is_wrong_is_named() -> None:
    with pytest.raises(UnknownNameError, match="discount"):
        make_loop(bind={"discont": print})
    with pytest.raises(ConfigurationError, match=r"\['discount'\] are missing"):
        make_loop(initial={"epochs": 4.0})
    loop = make_loop()
    with pytest.raises(ConfigurationError, match="end_rollout"):
        loop.end_update(approx_kl=0.01)
    with pytest.raises(UnknownNameError, match="approx_kl"):
        loop.end_update(aprox_kl=0.01)
    loop.close()
