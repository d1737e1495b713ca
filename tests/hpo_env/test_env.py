"""The single environment: how it is found and made, snapshots, pictures."""

from __future__ import annotations

import subprocess
import sys

import gymnasium as gym
import numpy as np
import pytest

import hpo_env
from hpo_env.errors import ConfigurationError


def test_importing_registers_the_id_without_importing_torch() -> None:
    code = (
        "import sys, hpo_env, gymnasium; assert 'torch' not in sys.modules;"
        "print(gymnasium.spec(hpo_env.ENV_ID).entry_point)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "hpo_env.env:HPOControlEnv"


def test_a_module_prefix_imports_the_package() -> None:
    code = "import gymnasium; gymnasium.make('hpo_env:HPOControl-v0', family='quadratic')"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_spec_is_plain_data() -> None:
    assert hpo_env.ENV_ID in gym.spec(hpo_env.ENV_ID).to_json()


def test_a_misspelt_autoreset_mode_is_refused_with_those_there_are() -> None:
    with pytest.raises(ConfigurationError, match="'SameStep'"):
        gym.make("HPOControl-v0", family="quadratic", autoreset_mode="Never")


def test_a_snapshot_goes_back_in_time() -> None:
    env = gym.make("HPOControl-v0", family="quadratic").unwrapped
    env.reset(seed=0)
    held = env.snapshot()  # type: ignore[attr-defined]
    first = env.step(np.array([0.3], np.float32))
    observation = env.restore(held)  # type: ignore[attr-defined]
    assert observation[0] == -1.0
    second = env.step(np.array([0.3], np.float32))
    assert np.array_equal(first[0], second[0])
    assert first[1] == second[1]


def test_a_picture_shows_the_run_so_far() -> None:
    env = gym.make("HPOControl-v0", family="quadratic", render_mode="rgb_array")
    env.reset(seed=0)
    blank = env.render()
    for _ in range(3):
        env.step(np.array([0.5], np.float32))
    picture = env.render()
    assert isinstance(picture, np.ndarray)
    assert isinstance(blank, np.ndarray)
    assert picture.shape == (480, 640, 3)
    assert picture.dtype == np.uint8
    assert (picture != blank).mean() > 0.005
    env.close()
