"""Whatever the environment is given, it works or raises an error of ours that says why."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np

import hpo_env  # noqa: F401 - registers the environment
from hpo_env.env import HPOControlEnv
from hpo_env.errors import HPOControlError
from hpo_env.lanes_env import ActionMode
from hpo_env.vector_env import HPOControlVectorEnv
from tests.fuzzing.inputs import VALUES, generators, in_time, pick

FITTING: dict[str, tuple[Any, ...]] = {
    "family": ("quadratic", "local_level", "supervised"),
    "split": ("train", "validation", "test"),
    "hyperparameters": (None, "all", ["learning_rate"], ("momentum", "learning_rate")),
    "num_decisions": (1, 3, np.int64(2)),
    "action_mode": ("continuous", "discrete", "joint"),
    "base_schedule": ("constant", "cosine", "one_cycle"),
    "on_divergence": (None, "roll_back", "cut", "end"),
    "availability": (0.0, 0.5, 1),
    "learned_start": (0.0, 0),
    "engine": ("auto", "eager"),
    "device": ("cpu",),
    "autoreset_mode": ("SameStep", "NextStep", "Disabled", gym.vector.AutoresetMode.DISABLED),
    "render_mode": (None,),
    "dataset": ("digits", None),
    "model": ("mlp_32x2_relu", None),
    "optimizer": ("sgd", None),
    "updates_per_decision": (1, 2),
    "augmented": (0.0, 1.0),
    "initial": ({"learning_rate": 0.01}, {"learning_rate": (0.01, 0.1)}),
    "target": (None,),
    "kind": (None,),
    "decimal": (".",),
    "missing": ((), "?"),
    "dates": ((), {}),
    "architectures": (None, "test"),
    "tasks": (None,),
    "colour": (),
}
"""Arguments, and values that fit some family."""

Generator = np.random.Generator


def anything(rng: Generator, fitting: tuple[Any, ...]) -> Any:
    """Choose a value that fits, or any other; sets and objects too, which no file holds."""
    if fitting and rng.random() < 0.5:
        return pick(rng, fitting)
    return pick(rng, (*VALUES, {"learning_rate"}, object(), np.nan, np.zeros(3), b"x", 1j))


def arguments(rng: Generator) -> dict[str, Any]:
    names = rng.choice([*FITTING], size=rng.integers(1, 4), replace=False)
    usual = {"family": pick(rng, ("quadratic", "quadratic", "supervised")), "engine": "eager"}
    if usual["family"] == "supervised":
        usual |= {"updates_per_decision": 1}
    return usual | {str(name): anything(rng, FITTING[name]) for name in names}


def test_arguments() -> None:
    made = 0
    HPOControlEnv(dataset="digits", engine="eager")  # what is imported and read once
    for rng in generators(0.5):
        given = arguments(rng)
        num_envs: Any = anything(rng, (1, 2, 3))
        if isinstance(num_envs, int) and num_envs > 100:
            continue
        is_single = rng.random() < 0.5
        env: HPOControlEnv | HPOControlVectorEnv
        with suppress(HPOControlError):
            with in_time((num_envs, given)):
                env = (
                    HPOControlEnv(**given) if is_single else HPOControlVectorEnv(num_envs, **given)
                )
            if any(type(value) is int and value > 100 for value in given.values()):
                continue  # it can be had, and takes as long as it says
            env.reset(seed=0)
            observation, *_ = env.step(env.action_space.sample())
            assert env.observation_space.contains(observation), given
            made += 1
    assert made


def refusal(call: Callable[[], object]) -> str:
    """Return the words of an error of ours, or nothing; any other is a failure."""
    try:
        call()
    except HPOControlError as error:
        return str(error)
    return ""


def test_actions_seeds_and_options() -> None:
    modes: tuple[ActionMode, ...] = ("continuous", "discrete", "joint")
    lanes = [HPOControlVectorEnv(2, family="quadratic", action_mode=mode) for mode in modes]
    single = [HPOControlEnv(family="quadratic", action_mode=mode) for mode in modes]
    env: Any
    for env in (*lanes, *single):
        env.reset(seed=0)
    for rng in generators(0.5):
        env = pick(rng, [*lanes, *single])
        is_single = isinstance(env, HPOControlEnv)
        seed = anything(rng, (None, 0, 1, [1, 2], (None, 3)))
        mask = anything(rng, (None, np.array([True, False])))
        options: Any = anything(rng, (None, {}, {"reset_mask": mask}, {"tasks": [None] * 2}))
        options = anything(rng, ({"tasks": options},)) if rng.random() < 0.2 else options
        usual = env.action_space.sample()
        action = anything(rng, (usual, usual, np.zeros((1, 1)), np.zeros(2, int), [[0], [9]]))
        before = env.lanes.snapshot() if is_single else env.snapshot()
        with in_time((seed, options, action)):
            refused = [
                refusal(partial(env.reset, seed=seed, options=options)),
                refusal(partial(env.step, action)),
            ]
        assert not (is_single and any("lane" in words for words in refused)), refused
        env.restore(before)
