"""Environments: the kernel follows the rules in NumPy, and those follow Gymnasium, step by step."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from hpo_env.datasets.base import Split
from hpo_env.seeding import stream
from hpo_env.tasks.reinforcement.environments.base import MAX_PHYSICS, Random
from hpo_env.tasks.reinforcement.environments.registry import NUMBER, TYPE, TYPES, types_of
from hpo_env.tasks.reinforcement.native.kernel import Kernel

EACH = [(kind.name, physics) for kind in TYPES for physics in kind.physics]
NUM_STEPS = 60


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel()


def draw_action(kind: Any, rng: Any) -> Any:
    if kind.rules.is_discrete:
        return np.array([rng.integers(kind.rules.num_outputs)], dtype=np.float32)
    drawn = rng.uniform(kind.rules.low, kind.rules.high, kind.rules.num_outputs)
    return drawn.astype(np.float32)


@pytest.mark.parametrize(("name", "physics"), EACH)
def test_the_kernel_follows_the_rules_from_every_state(
    kernel: Any, name: Any, physics: Any
) -> None:
    kind, rng = TYPE[name], stream(3, name, physics)
    numbers = np.zeros(MAX_PHYSICS, dtype=np.float32)
    numbers[: len(kind.physics[physics])] = kind.physics[physics]
    plain = kind.rules(kind.physics[physics], Random(41))
    state, random = plain.state.copy(), np.array([41], dtype=np.uint64)
    plain.reset()
    seen = kernel.reset_environment(NUMBER[name], numbers, state, random)
    for _ in range(NUM_STEPS):
        np.testing.assert_allclose(state, plain.state, rtol=2e-5, atol=2e-5)
        np.testing.assert_allclose(seen, plain.observe(), rtol=2e-5, atol=2e-5)
        assert int(random[0]) == plain.random.state
        assert seen.dtype == plain.observe().dtype == np.float32
        state[:] = plain.state  # from the same place: what is chaotic does not run away
        action = draw_action(kind, rng)
        reward, is_end = plain.step(action)
        seen, paid, over = kernel.step_environment(NUMBER[name], numbers, state, action, random)
        assert paid == pytest.approx(reward, rel=2e-5, abs=2e-5)
        assert over == is_end
        if is_end:
            plain.reset()
            seen = kernel.reset_environment(NUMBER[name], numbers, state, random)


class InGymnasium:
    """How Gymnasium's own environment is put into a state, and what its state is."""

    def __init__(self, name: str) -> None:
        kind = TYPE[name]
        rules = {"FrozenLake-v1": {"is_slippery": False}}.get(kind.gymnasium, {})
        self.env: Any = gym.make(kind.gymnasium, **rules).unwrapped
        self.env.reset(seed=0)
        self.is_place = kind.rules.state_size == 1
        self.takes_number = kind.rules.is_discrete

    def put(self, state: Any) -> None:
        if self.is_place:
            self.env.s = int(state[0])
        else:
            self.env.state = state.astype(np.float64)
            self.env.steps_beyond_terminated = None  # of the pole on a cart: nothing has ended yet

    def step(self, action: Any) -> Any:
        given = int(action[0]) if self.takes_number else action
        seen, reward, is_end, _, _ = self.env.step(given)
        if self.is_place:
            seen = np.eye(self.env.observation_space.n)[seen]
        return seen, float(reward), is_end


LIKE_GYMNASIUM = [kind.name for kind in TYPES if kind.gymnasium]


@pytest.mark.parametrize("name", LIKE_GYMNASIUM)
def test_the_usual_physics_are_gymnasiums_own(name: Any) -> None:
    kind, rng = TYPE[name], stream(5, name)
    physics = next(iter(kind.physics.values()))
    if name == "frozen_lake":
        physics = (0.0, *physics[1:])  # where nothing is drawn, steps can be compared
    plain, original = kind.rules(physics, Random(9)), InGymnasium(name)
    plain.reset()
    num_ends = 0
    for _ in range(800):
        action = draw_action(kind, rng)
        original.put(plain.state)
        seen, reward, is_end = original.step(action)
        paid, over = plain.step(action)
        np.testing.assert_allclose(plain.observe(), seen, rtol=1e-5, atol=2e-5)
        assert paid == pytest.approx(reward, rel=1e-5, abs=1e-5)
        assert over == is_end
        num_ends += is_end
        if is_end:
            plain.reset()
    if name not in ("pendulum", "mountain_car", "mountain_car_continuous", "acrobot", "cliff"):
        assert num_ends > 0


@pytest.mark.parametrize("name", LIKE_GYMNASIUM)
def test_spaces_and_time_limits_are_gymnasiums_own(name: Any) -> None:
    kind = TYPE[name]
    spec = gym.spec(kind.gymnasium)
    env = gym.make(kind.gymnasium)
    if spec.max_episode_steps is not None:
        assert kind.rules.max_steps == spec.max_episode_steps
    space: Any = env.action_space
    if kind.rules.is_discrete:
        assert kind.rules.num_outputs == space.n
    else:
        assert space.shape == (kind.rules.num_outputs,)
        assert (kind.rules.low, kind.rules.high) == (space.low[0], space.high[0])


@pytest.mark.parametrize("name", ["mountain_car", "mountain_car_continuous", "acrobot", "cliff"])
def test_the_end_is_gymnasiums_own(name: str) -> None:
    """Where random play does not get in a test: from states one step before."""
    kind, original = TYPE[name], InGymnasium(name)
    before = {
        "mountain_car": [0.49, 0.03],
        "mountain_car_continuous": [0.44, 0.03],
        "acrobot": [3.0, 0.1, 0.2, 0.1],
        "cliff": [35.0],
    }[name]
    plain = kind.rules(next(iter(kind.physics.values())), Random(1))
    plain.state[:] = before
    original.put(plain.state)
    action = np.array([0.5 if not kind.rules.is_discrete else 2], dtype=np.float32)
    _, reward, is_end = original.step(action)
    found = plain.step(action)
    assert found[0] == pytest.approx(reward, abs=1e-5)
    assert found[1] == is_end
    assert is_end


def test_the_cliff_is_gymnasiums_own() -> None:
    original = InGymnasium("cliff")
    plain = TYPE["cliff"].rules((12.0, 0.0), Random(1))
    plain.reset()
    original.put(plain.state)
    seen, reward, is_end = original.step(np.array([1]))
    assert plain.step(np.array([1.0])) == (reward, is_end) == (-100.0, False)
    assert np.array_equal(plain.observe(), seen)


def test_sides_hold_types() -> None:
    sides = {split: {kind.name for kind in types_of(split)} for split in _SPLITS}
    assert len(sides["train"]) >= 29
    assert len(sides["validation"]) == 5
    assert "acrobot" in sides["test"]
    assert sum(len(names) for names in sides.values()) == len({*TYPE}) == len(TYPES)


_SPLITS: tuple[Split, ...] = ("train", "validation", "test")
