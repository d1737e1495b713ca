"""Gymnasium's and Stable-Baselines3's own checkers, on every family and action mode."""

from __future__ import annotations

import gymnasium as gym
import pytest
from gymnasium.utils.env_checker import check_env as check_with_gymnasium
from stable_baselines3.common.env_checker import check_env as check_with_stable_baselines

import hpo_env
from hpo_env.tasks.registry import FAMILIES
from tests.hpo_env.families import SMALL

families = pytest.mark.parametrize("family", FAMILIES)
action_modes = pytest.mark.parametrize("action_mode", ["continuous", "discrete"])


@families
@action_modes
def test_gymnasium_finds_no_fault(family: str, action_mode: str) -> None:
    env = gym.make(hpo_env.ENV_ID, family=family, action_mode=action_mode, **SMALL[family])
    check_with_gymnasium(env.unwrapped)
    env.close()


@families
@action_modes
def test_stable_baselines_finds_no_fault(family: str, action_mode: str) -> None:
    env = gym.make(hpo_env.ENV_ID, family=family, action_mode=action_mode, **SMALL[family])
    check_with_stable_baselines(env.unwrapped, warn=True)
    env.close()


@families
def test_all_hyperparameters_at_once_pass_both(family: str) -> None:
    env = gym.make(hpo_env.ENV_ID, family=family, hyperparameters="all", **SMALL[family])
    check_with_gymnasium(env.unwrapped, skip_render_check=True)
    check_with_stable_baselines(env.unwrapped, warn=True)
    env.close()
