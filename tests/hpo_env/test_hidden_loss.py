"""A loss that only training knows, and entries of the observation that only one family has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np
import pytest

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, ContractError
from hpo_env.observation import field_names
from hpo_env.tasks.declarations import check_declarations
from hpo_env.testing import FamilyContract, ParityContract
from hpo_env.testing.policies import linear_policy
from hpo_env.testing.trainer_host import TrainerHost
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.hidden import HiddenFamily, HiddenTrainer

ADDRESS = "tests.hpo_env.hidden:HiddenFamily"


class TestHidden(FamilyContract):
    family: ClassVar[str] = ADDRESS


class TestHiddenInUse(ParityContract):
    family: ClassVar[str] = ADDRESS


def course(**arguments: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return observations, rewards and losses of ten steps, in which some intervals fail."""
    env = HPOControlVectorEnv(4, family=ADDRESS, num_decisions=6, **arguments)
    shown, rewards, losses = [env.reset(seed=0)[0]], [], []
    for k in range(10):
        observations, reward, *_, info = env.step(np.full((4, 1), [[1.0], [-0.5]][k % 2]))
        shown.append(observations)
        rewards.append(reward)
        losses.append(info["validation_loss"])
    return np.stack(shown), np.stack(rewards), np.stack(losses)


@pytest.mark.parametrize("on_divergence", ["roll_back", "cut", "end"])
def test_the_hidden_loss_changes_rewards_and_nothing_that_is_seen(
    monkeypatch: pytest.MonkeyPatch, on_divergence: str
) -> None:
    shown, rewards, losses = course(on_divergence=on_divergence)
    monkeypatch.setattr(HiddenTrainer, "factor", 1.5)
    shown_then, rewards_then, losses_then = course(on_divergence=on_divergence)
    assert np.array_equal(shown, shown_then)
    assert not np.allclose(rewards, rewards_then)
    assert not np.allclose(losses, losses_then)


def test_the_observation_says_that_there_is_no_validation() -> None:
    shown = course()[0]
    assert (shown[..., field_names(["learning_rate"]).index("has_validation")] == -1.0).all()


def test_an_interval_that_is_rolled_back_has_the_true_loss_of_its_start() -> None:
    env = HPOControlVectorEnv(4, family=ADDRESS, num_decisions=20)
    loss = env.reset(seed=0)[1]["validation_loss"]
    num_rolled_back = 0
    for _ in range(12):
        _, reward, *_, info = env.step(np.ones((4, 1)))
        back = info["rolled_back"]
        assert np.array_equal(info["validation_loss"][back], loss[back])
        assert not reward[back].any()
        num_rolled_back += int(back.sum())
        loss = info["validation_loss"]
    assert num_rolled_back


def test_features_are_the_end_of_the_observation() -> None:
    env = HPOControlVectorEnv(4, family=ADDRESS, num_decisions=3)
    assert list(env.observation_docs)[-2:] == list(HiddenFamily.features)
    env.reset(seed=0)
    for _ in range(4):
        observations = env.step(np.full((4, 1), 0.3))[0]
        measured = env.trainer.features(np.arange(4))
        assert np.array_equal(observations[:, -2:], measured.astype(np.float32))


class Featureless(TrainerHost):
    def features(self) -> Mapping[str, float]:
        return {}


def test_a_host_without_the_features_of_the_policy_is_refused() -> None:
    family = HiddenFamily()
    task = family.sample(np.random.default_rng(0))
    policy = linear_policy(ADDRESS, ["learning_rate"])
    with pytest.raises(ConfigurationError, match=r"reads 2 entries.*'size'.*features\(\)"):
        Controller(policy).steer(Featureless(family, task, 0), total_steps=3, num_decisions=3)
    run: Run[Any] = Controller(policy).steer(
        TrainerHost(family, task, 0), total_steps=3, num_decisions=3
    )
    for _ in range(3):
        run.step()
    assert list(run.decisions[0].observation) == list(policy.fields)
    assert "learning_rate" in str(run.explain())
    plain = replace(linear_policy("quadratic", ["learning_rate"]), family="hidden")
    Controller(plain).steer(TrainerHost(family, task, 0), total_steps=3, num_decisions=3)


@pytest.mark.parametrize(
    ("features", "rule"),
    [
        (np.zeros((2, 3)), r"shape \(2, 2\); got \(2, 3\)"),
        (np.full((2, 2), np.nan), "NaN for 'size' in lane 0"),
        (None, "got NoneType"),
    ],
)
def test_features_that_break_the_contract_are_named(
    monkeypatch: pytest.MonkeyPatch, features: Any, rule: str
) -> None:
    monkeypatch.setattr(HiddenTrainer, "features", lambda self, lanes: features)
    with pytest.raises(ContractError, match=rule):
        HPOControlVectorEnv(2, family=ADDRESS).reset(seed=0)


def test_a_feature_may_not_have_the_name_of_a_field(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HiddenFamily, "features", {"drop": "What falls"})
    with pytest.raises(ConfigurationError, match=r"no field of the observation has.*'drop'"):
        check_declarations(HiddenFamily)
