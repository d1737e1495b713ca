from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiDiscrete
from sb3_contrib import TQC, RecurrentPPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

from agents.export import export_policy
from agents.learners.extraction import extract_policy
from agents.learners.moves import deterministic_moves
from hpo_env.errors import ConfigurationError, PolicyFileError
from hpo_env.hyperparameters import LEVELS, Hyperparameter, HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.policy_file import load
from hpo_env.tasks.quadratic import QuadraticFamily
from hpo_env.vector_env import HPOControlVectorEnv

torch.set_num_threads(1)


class Lanes(HPOControlVectorEnv):
    """The parts of an environment that export reads, over hyperparameters of our choice."""

    def __init__(self, num_hyperparameters: int = 2, base_schedule: str = "cosine") -> None:
        names = ["learning_rate", "momentum", "dropout"][:num_hyperparameters]
        self.controlled = HyperparameterSpace(
            Hyperparameter(name=n, low=1e-6, high=1.0, default=1e-3, max_step=4.0) for n in names
        )
        self.base_schedule = base_schedule
        self.family = QuadraticFamily()


class Blank(gym.Env[Any, Any]):
    """Spaces to build an agent on."""

    def __init__(self, action_space: gym.Space[Any], lanes: Lanes) -> None:
        num_fields = len(field_names(lanes.controlled.names))
        self.observation_space = Box(-1.0, 1.0, (num_fields,), np.float32)
        self.action_space = action_space

    def reset(self, **_: Any) -> tuple[Any, dict[str, Any]]:
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, True, False, {}


CONTINUOUS, CHOICES, JOINT = Box(-1.0, 1.0, (2,)), MultiDiscrete([5, 5]), Discrete(25)

AGENTS: list[tuple[Any, gym.Space[Any], str]] = [
    (PPO, CONTINUOUS, "clipped"),
    (PPO, CHOICES, "choices"),
    (A2C, CONTINUOUS, "clipped"),
    (A2C, CHOICES, "choices"),
    (SAC, CONTINUOUS, "squashed"),
    (TD3, CONTINUOUS, "squashed"),
    (TQC, CONTINUOUS, "squashed"),
    (DQN, JOINT, "joint_choice"),
]


def make_agent(cls: Any, space: gym.Space[Any], **policy_kwargs: Any) -> BaseAlgorithm:
    memory = {"buffer_size": 10} if cls in (SAC, TD3, TQC, DQN) else {}
    name = "MlpLstmPolicy" if cls is RecurrentPPO else "MlpPolicy"
    noise = {"use_sde": True} if policy_kwargs.pop("use_sde", False) else {}
    env, kwargs = Blank(space, Lanes()), policy_kwargs or None
    agent: BaseAlgorithm = cls(
        name, env, seed=0, device="cpu", policy_kwargs=kwargs, **memory, **noise
    )
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():  # away from initial outputs near 0, where every mistake looks small
        for parameter in agent.policy.parameters():
            parameter.add_(0.3 * torch.randn(parameter.shape, generator=generator))
    return agent


def export(agent: BaseAlgorithm, lanes: Lanes, folder: Path, metadata: dict[str, Any]) -> Path:
    def moves(observations: Any, state: Any, starts: Any) -> Any:
        return deterministic_moves(
            agent, observations, len(policy.space), state=state, starts=starts
        )

    policy = extract_policy(agent, lanes, metadata=metadata)
    return export_policy(policy, moves, folder)


def decisions(agent: BaseAlgorithm, observations: Any, head: str) -> Any:
    if head == "choices":
        with torch.no_grad():
            policy: Any = agent.policy
            chances = policy.get_distribution(torch.from_numpy(observations)).distribution
        return np.stack([one.probs.numpy() @ LEVELS for one in chances], axis=1)
    chosen, _ = agent.predict(observations, deterministic=True)
    if head == "joint_choice":
        return LEVELS[np.stack([chosen // 5, chosen % 5], axis=1)]
    return chosen


@pytest.mark.parametrize(("cls", "space", "head"), AGENTS)
@pytest.mark.parametrize("hidden", [[16, 8], []], ids=["hidden", "linear"])
def test_the_file_acts_as_the_agent_does(
    cls: Any, space: gym.Space[Any], head: str, hidden: list[int], tmp_path: Path
) -> None:
    agent = make_agent(cls, space, net_arch=hidden)
    policy = load(export(agent, Lanes(), tmp_path / "policy", metadata={}))
    assert policy.head == head
    assert policy.layer_sizes[1:-1] == tuple(hidden)
    rng = np.random.default_rng(7)
    x = rng.uniform(-1, 1, (500, len(policy.fields))).astype(np.float32)
    expected = decisions(agent, x, head)
    assert len(np.unique(expected, axis=0)) > 3  # the comparison means something
    np.testing.assert_allclose(policy.act(x), expected, atol=1e-5)


def test_the_environment_gives_family_hyperparameters_and_schedule(tmp_path: Path) -> None:
    export(make_agent(PPO, CONTINUOUS), Lanes(), tmp_path, metadata={})
    policy = load(tmp_path)
    assert (policy.family, policy.base_schedule) == ("quadratic", "cosine")
    assert policy.space.names == ("learning_rate", "momentum")
    assert policy.activation == "tanh"


def test_metadata_of_any_kind_ends_up_as_plain_data(tmp_path: Path) -> None:
    metadata = {
        "score": np.float32(-0.5),
        "worst": float("nan"),
        "run": Path("runs"),
        "seeds": (1, 2),
        "table": {"mean": np.arange(2)},
    }
    export(make_agent(PPO, CONTINUOUS), Lanes(), tmp_path, metadata=metadata)
    stored = json.loads((tmp_path / "controller.json").read_text())["metadata"]
    assert {key: stored[key] for key in metadata} == {
        "score": -0.5,
        "worst": "nan",
        "run": "runs",
        "seeds": [1, 2],
        "table": {"mean": [0, 1]},
    }
    assert stored["agent"] == "PPO"
    assert set(stored["versions"]) >= {"hpo-control", "torch", "stable-baselines3"}


def test_extracting_copies_the_weights() -> None:
    agent = make_agent(PPO, CONTINUOUS)
    policy = extract_policy(agent, Lanes())
    before = [weight.copy() for weight in policy.weights]
    with torch.no_grad():
        for parameter in agent.policy.parameters():
            parameter.add_(1.0)
    for now, then in zip(policy.weights, before, strict=True):
        np.testing.assert_array_equal(now, then)


@pytest.mark.parametrize("kinds", [("one", "other"), None])
def test_a_policy_says_what_kinds_of_runs_it_has_met(kinds: tuple[str, ...] | None) -> None:
    class Telling(QuadraticFamily):
        @property
        def kinds(self) -> tuple[str, ...] | None:
            return kinds

    lanes = Lanes()
    lanes.family = Telling()
    assert extract_policy(make_agent(PPO, CONTINUOUS), lanes).kinds == kinds


@pytest.mark.parametrize(("space", "head"), [(CONTINUOUS, "clipped"), (CHOICES, "likeliest")])
@pytest.mark.parametrize("hidden", [[16, 8], []], ids=["hidden", "linear"])
def test_the_file_of_an_agent_with_a_memory_acts_as_the_agent_does_over_an_episode(
    space: gym.Space[Any], head: str, hidden: list[int], tmp_path: Path
) -> None:
    agent = make_agent(RecurrentPPO, space, net_arch=hidden, lstm_hidden_size=12)
    policy = load(export(agent, Lanes(), tmp_path / "policy", metadata={}))
    assert policy.head == head
    rng, state, theirs = np.random.default_rng(7), policy.start(20), None
    for step in range(30):
        x = rng.uniform(-1, 1, (20, len(policy.fields))).astype(np.float32)
        expected, theirs = agent.predict(
            x, state=theirs, episode_start=np.full(20, step == 0), deterministic=True
        )
        moves, trust, state = policy.step(x, state)
        wanted = LEVELS[expected] if head == "likeliest" else expected
        np.testing.assert_allclose(moves, wanted, atol=1e-5)
        assert (trust == 1.0).all()
    assert (policy.act(x) != moves).any()  # what it remembers matters


class CustomExtractor(FlattenExtractor):
    """Flattens, as its parent does, but a policy file cannot know that."""


@pytest.mark.parametrize(
    ("cls", "policy_kwargs", "message"),
    [
        (RecurrentPPO, {"n_lstm_layers": 2}, "RecurrentPPO's memory must be one plain layer"),
        (RecurrentPPO, {"lstm_kwargs": {"bias": False}}, "must be one plain layer of LSTM"),
        (PPO, {"features_extractor_class": CustomExtractor}, "features extractor CustomExtractor"),
        (SAC, {"features_extractor_class": CustomExtractor}, "features extractor CustomExtractor"),
        (PPO, {"activation_fn": torch.nn.GELU}, "tanh or ReLU between them"),
        (SAC, {"use_sde": True}, "use_sde"),
    ],
)
def test_networks_that_the_file_cannot_hold_are_refused(
    cls: Any, policy_kwargs: dict[str, Any], message: str, tmp_path: Path
) -> None:
    agent = make_agent(cls, CONTINUOUS, **policy_kwargs)
    with pytest.raises(ConfigurationError, match=message):
        export(agent, Lanes(), tmp_path / "policy", metadata={})
    assert not (tmp_path / "policy").exists()


def test_normalised_observations_are_refused(tmp_path: Path) -> None:
    venv = VecNormalize(DummyVecEnv([lambda: Blank(CONTINUOUS, Lanes())]))
    agent = PPO("MlpPolicy", venv, device="cpu")
    with pytest.raises(ConfigurationError, match="norm_obs=False"):
        export(agent, Lanes(), tmp_path, metadata={})


def test_an_agent_over_other_hyperparameters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"layers\.0\.weight must be float32"):
        export(make_agent(PPO, CONTINUOUS), Lanes(1), tmp_path, metadata={})


def test_an_agent_that_decides_in_its_own_way_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agent = make_agent(SAC, CONTINUOUS)
    predict = agent.predict

    def moody(observations: Any, **options: Any) -> Any:
        chosen, state = predict(observations, **options)
        return -chosen, state

    monkeypatch.setattr(agent, "predict", moody)
    with pytest.raises(PolicyFileError, match="64 of 64 random observations"):
        export(agent, Lanes(), tmp_path, metadata={})
