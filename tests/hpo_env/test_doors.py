"""What comes in by a door of the environment is right, or refused in words that help."""

from __future__ import annotations

import copy
import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

import hpo_env
from agents.learners.actions import JointActions
from agents.learners.vec_env import SB3VecEnv
from hpo_env.env import HPOControlEnv
from hpo_env.errors import ActionError, ConfigurationError, HPOControlError, UnknownArgumentError
from hpo_env.sharding import make_vector_env
from hpo_env.vector_env import HPOControlVectorEnv

COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda env: pickle.loads(pickle.dumps(env))}
KINDS: dict[str, dict[str, Any]] = {
    "native": {"dataset": "concrete", "model": "mlp_32x2_relu", "engine": "auto"},
    "eager": {"dataset": "digits", "model": "cnn_8x8", "engine": "eager"},
    "reference": {"dataset": "concrete", "model": "mlp_32x2_relu", "engine": "reference"},
    "quadratic": {"family": "quadratic"},
    "local level": {"family": "local_level"},
}
copied = pytest.mark.parametrize("how", COPIES)
of_every_kind = pytest.mark.parametrize("kind", KINDS)


# --- arguments and names --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"num_decisions": 2.5}, r"num_decisions must be a whole number.*2\.5"),
        ({"num_decisions": "2"}, r"num_decisions must be a whole number.*'2'"),
        ({"num_decisions": True}, "num_decisions must be a whole number"),
        ({"updates_per_decision": 2.5}, r"updates_per_decision must be a whole number"),
        ({"hyperparameters": {"learning_rate", "momentum"}}, "a set has no order, write a list"),
        ({"hyperparameters": frozenset({"momentum"})}, "a set has no order, write a list"),
        ({"hyperparameters": {"learning_rate": 1}}, "must be a list or a tuple of names"),
        ({"hyperparameters": [1]}, "must be a list or a tuple of names"),
        ({"availability": float("nan")}, r"availability must lie in \[0, 1\]"),
        ({"tasks": [3]}, "tasks must be tasks"),
        ({"device": 1.5}, "device"),
    ],
)
def test_what_would_be_rounded_sorted_or_guessed_is_refused(
    given: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        gym.make_vec("HPOControl-v0", num_envs=1, vectorization_mode="vector_entry_point", **given)


def test_a_fraction_of_a_lane_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_envs must be a whole number"):
        HPOControlVectorEnv(2.0)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("frameskip", None),
        ("num_decision", "num_decisions"),
        ("action_mod", "action_mode"),
        ("datasett", "dataset"),
        ("render_fps", None),
    ],
)
@pytest.mark.parametrize("family", ["supervised", "quadratic"])
def test_an_unknown_keyword_is_a_type_error_too(family: str, name: str, near: str | None) -> None:
    if family == "quadratic" and near == "dataset":
        near = None
    unknown: dict[str, Any] = {name: 1}
    for error in (TypeError, ConfigurationError, UnknownArgumentError):
        with pytest.raises(error, match=f"got an unexpected keyword argument '{name}'") as raised:
            gym.make("HPOControl-v0", family=family, **unknown)
    if near is not None:
        assert f"did you mean '{near}'" in str(raised.value)


# --- one row a lane, always -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "actions"),
    [
        ("continuous", np.zeros((1, 1))),
        ("continuous", np.zeros((2, 1))),
        ("continuous", np.zeros((4, 1))),
        ("continuous", np.zeros((3, 2))),
        ("continuous", np.zeros(1)),
        ("continuous", np.zeros(3)),
        ("continuous", np.array(0.0)),
        ("continuous", np.array([["0"]] * 3)),
        ("discrete", np.zeros((1, 1), int)),
        ("discrete", np.zeros(3, int)),
        ("joint", np.zeros(1, int)),
        ("joint", np.array(0)),
    ],
)
@pytest.mark.parametrize("num_workers", [0, 2])
def test_one_action_is_never_spread_over_the_lanes(
    mode: str, actions: Any, num_workers: int
) -> None:
    env = make_vector_env(3, num_workers=num_workers, family="quadratic", action_mode=mode)
    try:
        env.reset(seed=0)
        with pytest.raises(ActionError):
            env.step(actions)
    finally:
        env.close()


@pytest.mark.parametrize(
    ("source", "target"),
    [([0], [0, 1]), ([0, 1], [2]), ([0], [3]), ([-1], [0]), ([0, 1], [2, 2]), ([0.5], [1])],
)
def test_one_snapshot_is_never_spread_over_the_lanes(source: list[int], target: list[int]) -> None:
    env = HPOControlVectorEnv(3, family="quadratic")
    env.reset(seed=0)
    before = env.snapshot()
    with pytest.raises(ConfigurationError):
        env.fork(source, target)
    assert np.array_equal(env.snapshot()["arrays"]["_loss"], before["arrays"]["_loss"])


@pytest.mark.parametrize("seed", [-1, 1.5, "1", True, [0, 1], [0, 1, -2], [0, 1, 2.5]])
def test_what_is_no_seed_is_refused(seed: Any) -> None:
    with pytest.raises(ConfigurationError, match="seed"):
        HPOControlVectorEnv(3, family="quadratic").reset(seed=seed)


# --- the single environment -----------------------------------------------------------------------


def single() -> HPOControlEnv:
    return HPOControlEnv(family="quadratic", num_decisions=1)


@pytest.mark.parametrize(
    "call",
    [
        lambda env: env.step(np.zeros(2)),
        lambda env: env.step(np.zeros((1, 1))),
        lambda env: env.step(np.array([np.nan])),
        lambda env: env.step(None),
        lambda env: (env.step(np.zeros(1)), env.step(np.zeros(1))),
        lambda env: env.reset(options={"tasks": [None, None]}),
        lambda env: env.reset(options=3),
        lambda env: env.reset(seed=-1),
        lambda env: HPOControlEnv(family="quadratic", tasks=[]),
        lambda env: HPOControlEnv(family="quadratic", num_envs=2),
        lambda env: single().step(np.zeros(1)),
    ],
)
def test_errors_of_a_single_environment_do_not_speak_of_lanes(
    call: Callable[[HPOControlEnv], object],
) -> None:
    env = single()
    env.reset(seed=0)
    with pytest.raises(HPOControlError) as raised:
        call(env)
    assert "lane" not in str(raised.value)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("mode", ["SameStep", "NextStep"])
def test_every_entry_of_info_has_its_mask(mode: str, num_workers: int) -> None:
    env = make_vector_env(
        3, num_workers=num_workers, family="quadratic", num_decisions=2, autoreset_mode=mode
    )
    try:
        infos = [env.reset(seed=0)[1]]
        infos += [env.step(env.action_space.sample())[4] for _ in range(3)]
    finally:
        env.close()
    for info in infos:
        assert info["_hyperparameters"].all()
        for owner in (info, info["hyperparameters"], info.get("final_info", {})):
            names = [name for name in owner if not name.startswith("_")]
            assert all(owner[f"_{name}"].shape == (3,) for name in names)


# --- equal twins ----------------------------------------------------------------------------------


def outcomes(env: Any, actions: list[Any]) -> list[Any]:
    return [[np.asarray(part) for part in env.step(action)[:3]] for action in actions]


def assert_equal(one: list[Any], other: list[Any]) -> None:
    for mine, its in zip(one, other, strict=True):
        for a, b in zip(mine, its, strict=True):
            assert np.array_equal(a, b)


@of_every_kind
@copied
@pytest.mark.parametrize("steps", [None, 0, 2])
def test_a_copy_goes_on_as_the_environment_does(how: str, kind: str, steps: int | None) -> None:
    env = gym.make("HPOControl-v0", num_decisions=4, **KINDS[kind])
    if steps is not None:
        env.reset(seed=0)
        outcomes(env, [env.action_space.sample() for _ in range(steps)])
    twin = COPIES[how](env)
    if steps is None:
        assert np.array_equal(env.reset(seed=5)[0], twin.reset(seed=5)[0])
    actions = [env.action_space.sample() for _ in range(2)]
    assert np.array_equal(actions[0], twin.action_space.sample())
    assert_equal(outcomes(env, actions), outcomes(twin, actions))
    assert np.array_equal(env.reset()[0], twin.reset()[0])  # the streams of tasks go on alike


@of_every_kind
@copied
def test_a_copy_is_not_the_environment(how: str, kind: str) -> None:
    env = HPOControlVectorEnv(2, num_decisions=4, **KINDS[kind])
    env.reset(seed=0)
    twin, plain = COPIES[how](env), HPOControlVectorEnv(2, num_decisions=4, **KINDS[kind])
    plain.reset(seed=0)
    ones, shape = np.ones((2, len(env.controlled))), (2, len(env.controlled))
    outcomes(twin, [ones] * 3)
    actions = [np.zeros(shape)] * 2
    assert_equal(outcomes(env, actions), outcomes(plain, actions))


@copied
@pytest.mark.parametrize("kind", ["native", "quadratic"])
def test_a_copy_of_the_adapter_of_stable_baselines_goes_on(how: str, kind: str) -> None:
    lanes = HPOControlVectorEnv(3, num_decisions=3, action_mode="discrete", **KINDS[kind])
    env = JointActions(SB3VecEnv(lanes))
    env.reset()
    env.step(np.array([0, 1, 2]))
    twin = COPIES[how](env)
    actions = [np.array([k, 0, 4]) for k in range(4)]
    assert_equal(outcomes(env, actions), outcomes(twin, actions))


def test_lanes_in_other_processes_have_no_copy() -> None:
    env = make_vector_env(2, num_workers=2, family="quadratic")
    try:
        with pytest.raises(ConfigurationError, match=r"snapshot\(\) and restore\(\)"):
            copy.deepcopy(env)
    finally:
        env.close()


# --- forked children ------------------------------------------------------------------------------

FORKED = """
import gymnasium as gym, hpo_env, torch

def make():
    return gym.make("HPOControl-v0", dataset="digits", num_decisions=2, engine={engine!r})

torch.set_num_threads(2)
torch.exp(torch.randn(3_000_000)).sum()  # the pool of threads is there from now on
env = make()
env.reset(seed=0)
env.step(env.action_space.sample())
lanes = gym.vector.AsyncVectorEnv([make] * 2, context="fork")
lanes.reset(seed=0)
for _ in range(3):
    lanes.step(lanes.action_space.sample())
lanes.close()
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.parametrize("engine", ["auto", "eager", "reference"])
def test_forked_children_of_a_process_that_used_the_environment_do_not_hang(engine: str) -> None:
    free = {name: value for name, value in os.environ.items() if "NUM_THREADS" not in name}
    done = subprocess.run(
        [sys.executable, "-c", FORKED.format(engine=engine)],
        env=free,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.stdout == "done\n", done.stderr


def test_the_environment_is_registered_once() -> None:
    assert gym.registry[hpo_env.ENV_ID].vector_entry_point is not None
