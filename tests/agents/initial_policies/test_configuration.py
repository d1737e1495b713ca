from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from agents.commands.train import parse
from agents.config import TrainConfig
from agents.initial_policies.registry import ALGORITHMS, JOINT, trained_class
from agents.learners.sb3 import PPO
from agents.meta_training import meta_train
from agents.run_folder import RunFolder
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.policy_file import load

SMALL: dict[str, Any] = {
    "family": "quadratic",
    "num_envs": 8,
    "num_decisions": 5,
    "n_steps": 5,
    "steps": 160,
    "segment_steps": 80,
    "validation_lanes": 4,
    "progress": "quiet",
}


def test_joint_training_is_the_agent_itself() -> None:
    assert TrainConfig().algorithm == JOINT
    assert TrainConfig().learner is PPO


@pytest.mark.parametrize("name", [name for name in ALGORITHMS if name != JOINT])
def test_an_algorithm_is_called_as_its_class_says(name: str) -> None:
    assert trained_class(name, "ppo").name == name


@pytest.mark.parametrize(
    ("told", "error", "message"),
    [
        ({"algorithm": "reptil"}, UnknownNameError, "did you mean 'reptile'"),
        ({"algorithm": "leo"}, UnknownNameError, "algorithm"),
        (
            {"algorithm": "maml", "agent": "sac"},
            ConfigurationError,
            "makes the updates of agent 'ppo'; got agent='sac'",
        ),
        (
            {"algorithm": "maml", "batch_size": 8},
            ConfigurationError,
            "algorithm 'maml' does not read batch_size; it reads .*inner_rate",
        ),
        (
            {"algorithm": "maml", "num_envs": 12, "lanes_per_data_set": 5},
            ConfigurationError,
            "lanes_per_data_set must divide num_envs = 12; got 5, the nearest that does is 6",
        ),
        (
            {"algorithm": "reptile", "inner_rollouts": 1},
            ConfigurationError,
            "inner_rollouts must be at least 2; got 1",
        ),
        ({"algorithm": "imaml", "strength": 0.0}, ConfigurationError, "strength must be positive"),
    ],
)
def test_what_cannot_be_is_refused(
    told: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        TrainConfig.of(**told).resolved()


def test_the_command_line_knows_the_settings_of_an_algorithm() -> None:
    args = ["--algorithm", "reptile", "--inner-epochs", "2", "--family", "quadratic"]
    config = parse(args)
    assert config.algorithm == "reptile"
    assert config.settings.to_json()["inner_epochs"] == 2
    assert TrainConfig.from_json(config.to_json()) == config


def test_an_initial_policy_goes_on_from_a_joint_one_and_becomes_a_policy_file(
    tmp_path: Path,
) -> None:
    joint = meta_train(TrainConfig.of(**SMALL, run_dir=tmp_path))
    learned = meta_train(
        TrainConfig.of(**SMALL, algorithm="first_order_maml", initial=joint, run_dir=tmp_path)
    )
    assert "first_order_maml" in learned.name
    assert RunFolder.open(learned).read_config().algorithm == "first_order_maml"
    assert load(learned / "policy").metadata["config"]["algorithm"] == "first_order_maml"
    again = meta_train(TrainConfig.of(**SMALL, initial=learned, run_dir=tmp_path))
    assert load(again / "policy").space.names == load(joint / "policy").space.names
