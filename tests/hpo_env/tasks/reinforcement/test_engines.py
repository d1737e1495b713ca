"""The kernel's learners are those in NumPy, and both are what Stable-Baselines3 says they are."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel, set_num_threads
from hpo_env.tasks.reinforcement.reference import Reference
from hpo_env.tasks.reinforcement.space import NAMES

# An environment of each kind: discrete, continuous, with ends, with time limits, drawn at random.
SITUATIONS: dict[str, dict[str, Any]] = {
    "discrete": {"environment": "cart_pole"},
    "continuous": {"environment": "pendulum", "shape": (2, 110, 2)},
    "several dimensions": {"environment": "regulator"},
    "normalised": {"environment": "point_mass", "normalises": True, "shape": (3, 60, 2)},
    "normalised, ending": {"environment": "cart_pole", "normalises": True},
    "alone": {"environment": "river_swim", "shape": (1, 130, 1)},
    "stretched": {"environment": "cart_pole", "stretch": 3, "shape": (4, 40, 2)},
    "stretched, continuous": {"environment": "pendulum", "stretch": 4, "shape": (2, 450, 2)},
    "stretched, normalised": {"environment": "catch", "stretch": 2, "normalises": True},
    "wide": {"environment": "catch", "hidden": 64},
    "a2c": {"environment": "cart_pole", "algorithm": "a2c", "shape": (4, 8, 5)},
    "a2c, continuous": {"environment": "pendulum", "algorithm": "a2c", "shape": (4, 110, 1)},
}
OPTIONS: dict[str, Any] = {
    "shape": (4, 32, 2),
    "start": "default",
    "normalises": False,
    "algorithm": "ppo",
}
VALUES = {
    "learning_rate": 2e-3,
    "entropy": 0.01,
    "epochs": 3.0,
    "batch_size": 48.0,
    "reward_scale": 0.5,
    "max_grad_norm": 0.7,
}


def learner_of(name: str, seed: int = 3, **change: Any) -> Any:
    options = OPTIONS | SITUATIONS[name] | change
    family = ReinforcementFamily(**options)
    task = family.sample(np.random.default_rng(1))
    values = np.array(task.initial)
    for known, value in VALUES.items():
        values[NAMES.index(known)] = value
    return Learner(task, seed), values[None]


@pytest.fixture(scope="module")
def kernel() -> Kernel:
    return Kernel()


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_kernel_makes_the_same_rollouts_and_updates(kernel: Any, name: Any) -> None:
    """From the same memory: what is chaotic does not run away."""
    fast, values = learner_of(name)
    plain, _ = learner_of(name)
    twin = Reference()
    one, other = kernel.begin([fast], values), twin.begin([plain], values)
    for _ in range(2):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4, err_msg=name)
        assert np.array_equal(fast.counters, plain.counters)
        np.testing.assert_allclose(fast.numbers, plain.numbers, rtol=2e-3, atol=5e-4)
        fast.numbers[:] = plain.numbers
        one, other = kernel.advance([fast], values), twin.advance([plain], values)
    measured = dict(zip(COLUMNS, one[0], strict=True))
    assert measured["gradient_norm"] > 0.0
    assert measured["update_ratio"] > 1e-4


def test_threads_change_nothing(kernel: Any) -> None:
    measured = {}
    for num_threads in (1, 3):
        set_num_threads(num_threads)
        made = [learner_of(name) for name in ("discrete", "continuous", "normalised", "a2c")]
        learners, values = [m[0] for m in made], np.concatenate([m[1] for m in made])
        kernel.begin(learners, values)
        rows = kernel.advance(learners, values)
        played = kernel.evaluate(learners, 2, np.arange(4, dtype=np.uint64))
        measured[num_threads] = np.concatenate([rows, played], axis=1)
    set_num_threads(1)
    np.testing.assert_array_equal(measured[1], measured[3])


@pytest.mark.parametrize("name", ["discrete", "continuous", "normalised"])
def test_the_kernel_plays_the_same_episodes(kernel: Any, name: str) -> None:
    learner, values = learner_of(name)
    kernel.begin([learner], values)
    seeds = np.array([17], dtype=np.uint64)
    before = learner.numbers.copy(), learner.counters.copy()
    one, other = kernel.evaluate([learner], 3, seeds), Reference().evaluate([learner], 3, seeds)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)
    assert np.array_equal(learner.numbers, before[0]), "playing changes nothing"
    assert np.array_equal(learner.counters, before[1])


def test_advantages_are_those_that_are_computed_by_hand(kernel: Any) -> None:
    """Three steps, the second ends an episode: the discount and lambda of the update count."""
    from hpo_env.tasks.reinforcement.learning import targets_of

    learner, _ = learner_of("alone", shape=(1, 3, 1))
    learner.part("rewards")[:] = 1.0, 2.0, 4.0
    learner.part("values")[:] = 0.5, 0.25, 1.0
    learner.part("first")[:] = 1.0, 0.0, 1.0
    learner.part("starts")[:] = 0.0
    learner.part("last_values")[:] = 2.0
    advantages, returns = targets_of(learner, np.float32(0.5), np.float32(0.5))
    last = 4.0 + 0.5 * 2.0 - 1.0
    second = 2.0 - 0.25
    first = 1.0 + 0.5 * 0.25 - 0.5 + 0.25 * second
    assert advantages.tolist() == pytest.approx([first, second, last])
    assert returns.tolist() == pytest.approx([first + 0.5, second + 0.25, last + 1.0])


def test_an_episode_that_is_cut_is_worth_what_would_have_come(kernel: Any) -> None:
    """The reward of the cut step holds the value of where it was cut, and the discount of then."""
    learner, values = learner_of("continuous", shape=(1, 200, 1))
    values[0, NAMES.index("reward_scale")] = 1.0
    paid = {}
    for discount in (0.9, 0.95):
        again = Learner(learner.task, 3)
        values[0, NAMES.index("discount")] = discount
        kernel.begin([again], values)
        paid[discount] = again.part("rewards").copy()
    difference = paid[0.95] - paid[0.9]
    assert np.flatnonzero(difference).tolist() == [199]
    value = difference[199] / 0.05
    assert paid[0.9][199] - 0.9 * value == pytest.approx(paid[0.95][199] - 0.95 * value)


def test_what_is_learned_is_learned_from_what_was_collected_before(kernel: Any) -> None:
    """An update comes first and its rollout after it: with no rate, the policy stays."""
    learner, values = learner_of("discrete")
    kernel.begin([learner], values)
    weights = learner.part("weights").copy()
    values[0, NAMES.index("learning_rate")] = 0.0
    measured = dict(zip(COLUMNS, kernel.advance([learner], values)[0], strict=True))
    assert np.array_equal(learner.part("weights"), weights)
    assert measured["approx_kl"] == pytest.approx(0.0, abs=1e-6)
    assert measured["clip_fraction"] == 0.0


def test_normalising_changes_what_is_seen_and_not_what_is_told(kernel: Any) -> None:
    returns = {}
    for normalises in (False, True):
        learner, values = learner_of("continuous", normalises=normalises, shape=(2, 200, 1))
        measured = dict(zip(COLUMNS, kernel.begin([learner], values)[0], strict=True))
        returns[normalises] = measured["episode_return"]
        assert (np.abs(learner.part("rewards")[:50]).max() < 10.0) == normalises or not normalises
    assert returns[True] < -300.0  # a pendulum's own, and not a normalised one's
    assert returns[False] < -300.0


def test_hidden_layers_start_orthogonal() -> None:
    learner, _ = learner_of("wide")
    views = learner.views_of("weights")
    second = views["actor.second"].astype(np.float64)
    np.testing.assert_allclose(second @ second.T, 2.0 * np.eye(64), atol=1e-5)
    first = views["critic.first"].astype(np.float64)
    np.testing.assert_allclose(first @ first.T, 2.0 * np.eye(50), atol=1e-5)
    head = views["actor.head"][:, :3].astype(np.float64)
    np.testing.assert_allclose(head.T @ head, 1e-4 * np.eye(3), atol=1e-9)
    assert not views["actor.head"][:, 3:].any()


def test_a_task_tells_how_long_learn_has_to_run() -> None:
    task = replace(ReinforcementFamily().sample(np.random.default_rng(0)), num_decisions=7)
    assert task.total_steps == 7 * task.rollouts_per_decision * task.num_envs * task.num_steps
