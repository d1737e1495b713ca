"""What every family's environment must do, over lanes, seeds, autoreset modes and snapshots."""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode

from hpo_env.errors import ActionError, ConfigurationError, UnknownNameError
from hpo_env.schedules import SCHEDULES, interval_factors
from hpo_env.tasks.registry import FAMILIES
from hpo_env.vector_env import HPOControlVectorEnv
from tests.hpo_env.families import SMALL

families = pytest.mark.parametrize("family", FAMILIES)
action_modes = pytest.mark.parametrize("action_mode", ["continuous", "discrete"])


def make(family: str, num_envs: int, **change: Any) -> HPOControlVectorEnv:
    return HPOControlVectorEnv(num_envs, family=family, **(SMALL[family] | change))


def draw_actions(env: HPOControlVectorEnv, count: int, seed: int = 0) -> list[np.ndarray]:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


@families
@action_modes
def test_observations_lie_in_their_space_and_rewards_are_finite(
    family: str, action_mode: str
) -> None:
    env = make(family, 3, action_mode=action_mode)
    observations, _ = env.reset(seed=0)
    assert env.observation_space.contains(observations)
    for actions in draw_actions(env, 10):
        observations, rewards, terminated, truncated, _ = env.step(actions)
        assert env.observation_space.contains(observations)
        assert np.isfinite(rewards).all()
        assert terminated.dtype == bool
        assert not truncated.any()


@families
@action_modes
def test_lane_i_is_the_single_environment_with_seed_s_plus_i(family: str, action_mode: str) -> None:
    lanes = make(family, 3, action_mode=action_mode, autoreset_mode="Disabled")
    first, _ = lanes.reset(seed=11)
    actions = draw_actions(lanes, 4)
    steps = [lanes.step(a) for a in actions[:1]]
    while not steps[-1][2].any() and len(steps) < 4:
        steps.append(lanes.step(actions[len(steps)]))
    for lane in range(3):
        single = gym.make("HPOControl-v0", family=family, action_mode=action_mode, **SMALL[family])
        observation, _ = single.reset(seed=11 + lane)
        assert np.array_equal(observation, first[lane])
        for taken, (observations, rewards, terminated, _, info) in zip(
            actions, steps, strict=False
        ):
            observation, reward, over, _, single_info = single.step(taken[lane])
            np.testing.assert_allclose(observation, observations[lane], atol=1e-5)
            assert reward == pytest.approx(rewards[lane], abs=1e-6)
            assert over == terminated[lane]
            assert single_info["validation_loss"] == pytest.approx(info["validation_loss"][lane])


@families
def test_the_same_seed_gives_the_same_episode_and_another_seed_another(family: str) -> None:
    def run(seed: int) -> np.ndarray:
        env = make(family, 2)
        seen = [env.reset(seed=seed)[0]]
        seen += [env.step(actions)[0] for actions in draw_actions(env, 6)]
        return np.stack(seen)

    assert np.array_equal(run(5), run(5))
    assert not np.array_equal(run(5), run(6))


@families
def test_a_second_reset_with_the_seed_repeats_the_first(family: str) -> None:
    env = make(family, 2)
    first, info = env.reset(seed=3)
    env.step(draw_actions(env, 1)[0])
    again, info_again = env.reset(seed=3)
    assert np.array_equal(first, again)
    assert np.array_equal(info["validation_loss"], info_again["validation_loss"])


@families
def test_a_reset_without_seed_starts_another_task(family: str) -> None:
    env = make(family, 2)
    first, _ = env.reset(seed=3)
    again, _ = env.reset()
    assert not np.array_equal(first, again)


@families
def test_the_rewards_of_an_episode_add_up_to_the_log_ratio_of_its_losses(family: str) -> None:
    env = make(family, 4)
    _, info = env.reset(seed=2)
    first, total, over = info["validation_loss"].copy(), np.zeros(4), np.zeros(4, dtype=bool)
    num_finished = 0
    for actions in draw_actions(env, SMALL[family]["num_decisions"]):
        _, rewards, terminated, _, info = env.step(actions)
        total[~over] += rewards[~over]
        for lane in np.flatnonzero(terminated & ~over):
            final = info["final_info"]
            finished = not final["diverged"][lane]
            num_finished += finished
            drop = np.log(first[lane] / final["validation_loss"][lane]) if finished else -5.0
            assert total[lane] == pytest.approx(drop, abs=1e-6)
        over |= terminated
    assert over.all()
    assert num_finished >= 1


@families
@pytest.mark.parametrize("base_schedule", SCHEDULES)
def test_doing_nothing_keeps_the_base_schedule_to_the_last_bit(
    family: str, base_schedule: str
) -> None:
    num_decisions = SMALL[family]["num_decisions"]
    env = make(
        family, 2, base_schedule=base_schedule, autoreset_mode="Disabled", on_divergence="end"
    )
    _, info = env.reset(seed=4)
    zero = np.zeros(env.action_space.shape, np.float32)
    initial = np.array([task.initial for task in env.tasks])
    for k in range(num_decisions):
        _, _, terminated, _, info = env.step(zero)
        factors = interval_factors(base_schedule, np.full(2, k), np.full(2, num_decisions))
        base = env.space.base(initial, factors)
        used = np.stack([info["hyperparameters"][name] for name in env.space.names], axis=1)
        assert np.array_equal(used, base)
        if terminated.any():
            break


@families
def test_same_step_hands_over_the_last_observation_and_test_results(family: str) -> None:
    env = make(family, 2)
    env.reset(seed=0)
    zero = np.zeros(env.action_space.shape, np.float32)
    for _ in range(SMALL[family]["num_decisions"]):
        observations, _, terminated, _, info = env.step(zero)
        if terminated.any():
            break
    lane = int(np.flatnonzero(terminated)[0])
    assert info["_final_obs"][lane]
    assert info["final_obs"][lane][0] > observations[lane][0] == -1.0  # progress starts again
    final = info["final_info"]
    assert final["_test_loss"][lane]
    assert np.isfinite(final["test_loss"][lane])
    assert final["task"][lane]
    assert "test_loss" not in info


@families
def test_next_step_ignores_the_action_after_the_end(family: str) -> None:
    env = make(family, 2, autoreset_mode=AutoresetMode.NEXT_STEP, num_decisions=2)
    env.reset(seed=0)
    zero = np.zeros(env.action_space.shape, np.float32)
    env.step(zero)
    observations, _, terminated, _, info = env.step(zero)
    assert terminated.all()
    assert info["_test_loss"].all()
    observations, rewards, terminated, _, info = env.step(zero + 1)
    assert not rewards.any()
    assert not terminated.any()
    assert (observations[:, 0] == -1.0).all()
    assert not env.step(zero)[2].any()


@families
def test_disabled_wants_a_reset_of_the_lanes_that_are_over(family: str) -> None:
    env = make(family, 2, autoreset_mode="Disabled", num_decisions=1)
    env.reset(seed=0)
    zero = np.zeros(env.action_space.shape, np.float32)
    observations = env.step(zero)[0]
    with pytest.raises(ConfigurationError, match=r"lanes \[0, 1\] are over"):
        env.step(zero)
    mask = np.array([True, False])
    restarted, info = env.reset(options={"reset_mask": mask})
    assert np.array_equal(restarted[1], observations[1])
    assert restarted[0][0] == -1.0
    assert np.array_equal(info["_validation_loss"], mask)


@families
def test_a_snapshot_replays_bit_for_bit_in_place_and_in_another_lane(family: str) -> None:
    env = make(family, 2)
    env.reset(seed=9)
    actions = draw_actions(env, 8)
    env.step(actions[0])
    held = env.snapshot([0])
    expected = [env.step(a)[:3] for a in actions[1:]]
    env.restore(held, [0])
    for a, (observations, rewards, terminated) in zip(actions[1:], expected, strict=True):
        again = env.step(a)
        assert np.array_equal(again[0][0], observations[0])
        assert again[1][0] == rewards[0]
        assert again[2][0] == terminated[0]
    env.restore(held, [1])
    for a, (observations, rewards, _) in zip(actions[1:], expected, strict=True):
        again = env.step(np.roll(a, 1, axis=0))
        assert np.array_equal(again[0][1], observations[0])
        assert again[1][1] == rewards[0]


@families
def test_results_are_fresh_arrays_at_every_call(family: str) -> None:
    env = make(family, 2)
    observations, info = env.reset(seed=0)
    stepped, rewards, _, _, next_info = env.step(draw_actions(env, 1)[0])
    assert not np.shares_memory(observations, stepped)
    assert not np.shares_memory(info["validation_loss"], next_info["validation_loss"])
    before = rewards.copy()
    env.step(draw_actions(env, 1)[0])
    assert np.array_equal(before, rewards)


@families
def test_given_tasks_are_run_as_they_are(family: str) -> None:
    tasks = [make(family, 1).family.sample(np.random.default_rng(k)) for k in range(2)]
    env = make(family, 2, tasks=tasks)
    env.reset(seed=0)
    assert env.tasks == tasks


def test_gymnasium_makes_the_vector_environment_itself() -> None:
    env = gym.make_vec("HPOControl-v0", num_envs=2, family="quadratic")
    assert isinstance(env.unwrapped, HPOControlVectorEnv)


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"num_envs": 0}, ConfigurationError, "num_envs must be at least 1; got 0"),
        ({"family": "quadratics"}, UnknownNameError, "did you mean 'quadratic'"),
        ({"split": "tset"}, UnknownNameError, "did you mean 'test'"),
        ({"hyperparameters": ["learning_rat"]}, UnknownNameError, "did you mean 'learning_rate'"),
        ({"action_mode": "discret"}, UnknownNameError, "did you mean 'discrete'"),
        ({"base_schedule": "cosinus"}, UnknownNameError, "did you mean 'cosine'"),
        ({"engine": "eagre"}, UnknownNameError, "did you mean 'eager'"),
        ({"engine": "compiled"}, ConfigurationError, "'auto' or 'eager'"),
        ({"autoreset_mode": "Never"}, ConfigurationError, "'SameStep'"),
        ({"render_mode": "human"}, ConfigurationError, "'rgb_array'"),
        ({"num_decisions": 0}, ConfigurationError, "positive"),
        ({"tasks": []}, ConfigurationError, "one task a lane"),
        ({"colour": "red"}, ConfigurationError, "colour"),
    ],
)
def test_bad_arguments_are_named_with_what_is_allowed(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        HPOControlVectorEnv(**({"num_envs": 1, "family": "quadratic"} | arguments))


def test_bad_calls_are_named() -> None:
    env = HPOControlVectorEnv(2, family="quadratic")
    with pytest.raises(ConfigurationError, match="before step"):
        env.step(np.zeros((2, 1)))
    with pytest.raises(ConfigurationError, match="first reset"):
        env.reset(options={"reset_mask": np.array([True, False])})
    with pytest.raises(ConfigurationError, match="one seed a lane"):
        env.reset(seed=[1])
    env.reset(seed=[1, None])
    with pytest.raises(ConfigurationError, match="reset_mask"):
        env.reset(options={"reset_mask": np.array([1, 0])})
    with pytest.raises(ActionError, match="finite"):
        env.step(np.array([[0.0], [np.nan]]))


def test_a_list_of_seeds_seeds_each_lane_on_its_own() -> None:
    pair, swapped = (HPOControlVectorEnv(2, family="quadratic") for _ in range(2))
    a, _ = pair.reset(seed=[3, 8])
    b, _ = swapped.reset(seed=[8, 3])
    assert np.array_equal(a, b[::-1])


def test_all_hyperparameters_can_be_asked_for() -> None:
    env = HPOControlVectorEnv(1, family="supervised", hyperparameters="all", engine="eager")
    assert env.controlled.names == env.space.names
    alone = HPOControlVectorEnv(1, family="supervised", hyperparameters="momentum", engine="eager")
    assert alone.controlled.names == ("momentum",)


def test_without_a_render_mode_there_is_a_warning_and_no_picture() -> None:
    env = HPOControlVectorEnv(1, family="quadratic")
    with pytest.warns(UserWarning, match="rgb_array"):
        assert env.render() is None
