"""The kernel's update is that of Stable-Baselines3, number by number, from the same rollout.

Minibatches are the whole rollout, so that their order, which no two programs share, means nothing.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel
from hpo_env.tasks.reinforcement.space import NAMES

sb3_logger = pytest.importorskip("stable_baselines3.common.logger")

SITUATIONS: dict[str, dict[str, Any]] = {
    "discrete": {"environment": "cart_pole", "shape": (4, 32, 1)},
    "continuous": {"environment": "pendulum", "shape": (2, 210, 1)},
    "several dimensions": {"environment": "point_mass", "shape": (4, 32, 1)},
    "wide": {"environment": "catch", "hidden": 64, "shape": (4, 32, 1)},
    "a2c": {"environment": "cart_pole", "algorithm": "a2c", "shape": (4, 32, 1)},
    "a2c, continuous": {"environment": "pendulum", "algorithm": "a2c", "shape": (2, 210, 1)},
}
VALUES = {
    "learning_rate": 1e-3,
    "discount": 0.97,
    "gae_lambda": 0.9,
    "entropy": 0.02,
    "clip_range": 0.1,
    "epochs": 3.0,
    "batch_size": 1024.0,
    "value_coefficient": 0.7,
    "max_grad_norm": 0.8,
}
LAYERS = {  # where Stable-Baselines3 keeps what the learner keeps
    "actor.first": "mlp_extractor.policy_net.0",
    "actor.second": "mlp_extractor.policy_net.2",
    "actor.head": "action_net",
    "critic.first": "mlp_extractor.value_net.0",
    "critic.second": "mlp_extractor.value_net.2",
    "critic.head": "value_net",
}


def weights_in_sb3(learner: Any) -> Any:
    """The learner's weights under the names and in the shapes of a state dict."""
    views, found = learner.views_of("weights"), {}
    for own, theirs in LAYERS.items():
        outputs = learner.task.rules.num_outputs if own == "actor.head" else None
        found[f"{theirs}.weight"] = torch.tensor(views[own][:, :outputs].T.copy())
        found[f"{theirs}.bias"] = torch.tensor(views[f"{own}_bias"][:outputs].copy())
    if not learner.task.rules.is_discrete:
        found["log_std"] = torch.tensor(views["log_std"][: learner.task.rules.num_outputs].copy())
    return found


def agent_in_the_same_place(learner: Any) -> Any:
    """An agent of Stable-Baselines3 with the learner's weights and the learner's rollout."""
    from hpo_env.integrations.sb3_agents.reference import make_agent

    task = learner.task
    agent = make_agent(task, 0)
    agent.policy.load_state_dict(weights_in_sb3(learner))
    agent.set_logger(sb3_logger.configure(None, []))
    buffer, shape = agent.rollout_buffer, (task.num_steps, task.num_envs)
    buffer.reset()
    for own, theirs in {
        "observations": "observations",
        "actions": "actions",
        "rewards": "rewards",
        "values": "values",
        "log_probs": "log_probs",
        "first": "episode_starts",
    }.items():
        place = getattr(buffer, theirs)
        place[:] = learner.part(own).reshape(*shape, *place.shape[2:])
    buffer.full = True
    buffer.compute_returns_and_advantage(
        last_values=torch.tensor(learner.part("last_values").copy()),
        dones=learner.part("starts").astype(bool),
    )
    return agent


@pytest.mark.parametrize("name", SITUATIONS)
def test_an_update_is_that_of_stable_baselines(name: Any) -> None:
    kernel = Kernel()
    options = {"start": "default", "algorithm": "ppo", "normalises": False, **SITUATIONS[name]}
    task = ReinforcementFamily(**options).sample(np.random.default_rng(2))
    initial = dict(zip(NAMES, task.initial, strict=True)) | VALUES
    task = replace(task, initial=tuple(initial[known] for known in NAMES))
    learner = Learner(task, 5)
    values = np.array([task.initial])
    kernel.begin([learner], values)
    agent = agent_in_the_same_place(learner)
    before = learner.part("weights").copy()
    measured = dict(zip(COLUMNS, kernel.advance([learner], values)[0], strict=True))
    agent.train()
    moved = 0.0
    for key, theirs in agent.policy.state_dict().items():
        own = weights_in_sb3(learner)[key]
        np.testing.assert_allclose(own, theirs.numpy(), rtol=1e-3, atol=3e-5, err_msg=key)
    moved = float(np.abs(learner.part("weights") - before).max())
    assert moved > 5e-4, "an update that moves nothing shows nothing"
    logged = agent.logger.name_to_value
    for own, theirs in {
        "explained_variance": "explained_variance",
        "approx_kl": "approx_kl",
        "clip_fraction": "clip_fraction",
        "value_loss": "value_loss",
    }.items():
        if f"train/{theirs}" in logged:
            assert measured[own] == pytest.approx(logged[f"train/{theirs}"], rel=2e-3, abs=2e-4)
        else:
            assert np.isnan(measured[own])
    assert measured["entropy"] == pytest.approx(-logged["train/entropy_loss"], rel=1e-4)
