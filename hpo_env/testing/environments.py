"""Rules for the environment of a family: spaces, seeds, autoreset modes, rewards and snapshots.

Axes: `N` lanes, `H` controlled hyperparameters.
"""

from __future__ import annotations

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env as check_with_gymnasium
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

import hpo_env
from hpo_env.errors import ConfigurationError
from hpo_env.reward import bounded_log_loss, log_loss
from hpo_env.schedules import SCHEDULES, interval_factors
from hpo_env.testing.under_test import NUM_DECISIONS, FamilyUnderTest
from hpo_env.vector_env import HPOControlVectorEnv

action_modes = pytest.mark.parametrize("action_mode", ["continuous", "discrete"])


class EnvironmentRules(FamilyUnderTest):
    """`HPOControl-v0` of the family keeps to Gymnasium's contract and to its own."""

    # ------------------------------------------------------------------ spaces and their checkers

    @action_modes
    def test_gymnasium_finds_no_fault(self, action_mode: str) -> None:
        """Its own checker passes."""
        env = self._make_single(action_mode=action_mode)
        check_with_gymnasium(env.unwrapped)
        env.close()

    @action_modes
    def test_stable_baselines_finds_no_fault(self, action_mode: str) -> None:
        """Its own checker passes, if it is installed."""
        checker = pytest.importorskip("stable_baselines3.common.env_checker")
        env = self._make_single(action_mode=action_mode)
        checker.check_env(env.unwrapped, warn=True)
        env.close()

    def test_all_hyperparameters_at_once_pass_both(self) -> None:
        """Not only those that an agent has by default."""
        checker = pytest.importorskip("stable_baselines3.common.env_checker")
        env = self._make_single(hyperparameters="all")
        check_with_gymnasium(env.unwrapped, skip_render_check=True)
        checker.check_env(env.unwrapped, warn=True)
        env.close()

    @action_modes
    def test_observations_lie_in_their_space_and_rewards_are_finite(self, action_mode: str) -> None:
        """Through more than one episode."""
        env = self.make_env(3, action_mode=action_mode)
        observations, _ = env.reset(seed=0)
        assert env.observation_space.contains(observations), f"outside: {observations}"
        for actions in draw_actions(env, 10):
            observations, rewards, terminated, truncated, _ = env.step(actions)
            assert env.observation_space.contains(observations), f"outside: {observations}"
            assert np.isfinite(rewards).all(), f"rewards must be finite; got {rewards}"
            assert terminated.dtype == bool
            assert not truncated.any(), "truncated is never set"

    @pytest.mark.parametrize("direction", [-1.0, 1.0])
    def test_pushing_everything_to_an_end_stays_in_the_space(self, direction: float) -> None:
        """Whether runs fail there or not."""
        env = self.make_env(3, hyperparameters="all")
        env.reset(seed=1)
        push = np.full(env.action_space.shape or (), direction, np.float32)
        for _ in range(2 * NUM_DECISIONS):
            observations, rewards, *_, info = env.step(push)
            assert env.observation_space.contains(observations), f"outside: {observations}"
            assert np.isfinite(rewards).all(), f"rewards must be finite; got {rewards}"
            for name, values in info["hyperparameters"].items():
                if not name.startswith("_"):
                    known = env.space.hyperparameters[env.space.index(name)]
                    inside = (known.low <= values) & (values <= known.high)
                    assert inside.all(), f"{name} must stay in its range; got {values}"

    # ---------------------------------------------------------------------------------- seeds

    @action_modes
    def test_lane_i_is_the_single_environment_with_seed_s_plus_i(self, action_mode: str) -> None:
        """Whatever the other lanes do."""
        lanes = self.make_env(3, action_mode=action_mode, autoreset_mode="Disabled")
        first, _ = lanes.reset(seed=11)
        actions = draw_actions(lanes, NUM_DECISIONS)
        steps = [lanes.step(actions[0])]
        while not steps[-1][2].any() and len(steps) < NUM_DECISIONS:
            steps.append(lanes.step(actions[len(steps)]))
        for lane in range(3):
            single = self._make_single(action_mode=action_mode)
            observation, _ = single.reset(seed=11 + lane)
            assert np.array_equal(observation, first[lane])
            for taken, (observations, rewards, terminated, _, info) in zip(
                actions, steps, strict=False
            ):
                observation, reward, over, _, single_info = single.step(taken[lane])
                np.testing.assert_allclose(observation, observations[lane], atol=1e-5)
                assert reward == pytest.approx(rewards[lane], abs=1e-6)
                assert over == terminated[lane]
                loss = single_info["validation_loss"]
                assert loss == pytest.approx(info["validation_loss"][lane])

    def test_the_same_seed_gives_the_same_episode_and_another_seed_another(self) -> None:
        """Observations, bit for bit."""

        def run(seed: int) -> NDArray[np.float32]:
            env = self.make_env(2)
            seen = [env.reset(seed=seed)[0]]
            seen += [env.step(actions)[0] for actions in draw_actions(env, 6)]
            return np.stack(seen)

        assert np.array_equal(run(5), run(5)), "the same seed must give the same episode"
        assert not np.array_equal(run(5), run(6)), "another seed must give another episode"

    def test_a_second_reset_with_the_seed_repeats_the_first(self) -> None:
        """Also after steps in between."""
        env = self.make_env(2)
        first, info = env.reset(seed=3)
        env.step(draw_actions(env, 1)[0])
        again, info_again = env.reset(seed=3)
        assert np.array_equal(first, again)
        assert np.array_equal(info["validation_loss"], info_again["validation_loss"])

    def test_a_reset_without_seed_starts_another_task(self) -> None:
        """The generators go on."""
        env = self.make_env(2)
        first, _ = env.reset(seed=3)
        again, _ = env.reset()
        assert not np.array_equal(first, again)

    def test_given_tasks_are_run_as_they_are(self) -> None:
        """For paired comparisons."""
        tasks = [self.make_family().sample(np.random.default_rng(k)) for k in range(2)]
        env = self.make_env(2, tasks=tasks)
        env.reset(seed=0)
        assert env.tasks == tasks

    # --------------------------------------------------------------- rewards and doing nothing

    def test_the_rewards_of_an_episode_add_up_to_the_log_ratio_of_its_losses(self) -> None:
        """With the family's own floor below, and the bound of a diverged run above."""
        env = self.make_env(4)
        floor = env.family.loss_floor
        _, info = env.reset(seed=2)
        first, total, over = info["validation_loss"].copy(), np.zeros(4), np.zeros(4, dtype=bool)
        num_finished = 0
        for actions in draw_actions(env, NUM_DECISIONS):
            _, rewards, terminated, _, info = env.step(actions)
            total[~over] += rewards[~over]
            ended = np.flatnonzero(terminated & ~over)
            if len(ended):
                final = {name: info["final_info"][name] for name in ("validation_loss", "diverged")}
                last = bounded_log_loss(
                    final["validation_loss"],
                    first_loss=first,
                    diverged=final["diverged"].astype(bool),
                    floor=floor,
                )
                num_finished += int((~final["diverged"][ended]).sum())
                expected = (log_loss(first, floor) - last)[ended]
                assert total[ended] == pytest.approx(expected, abs=1e-6), (
                    f"rewards must add up to log(first / last) = {expected}; got {total[ended]}"
                )
            over |= terminated
        assert over.all()
        assert num_finished >= 1, "at least one small run must finish, or this shows nothing"

    @pytest.mark.parametrize("base_schedule", SCHEDULES)
    def test_doing_nothing_keeps_the_base_schedule_to_the_last_bit(
        self, base_schedule: str
    ) -> None:
        """As read back from where the values are used."""
        env = self.make_env(
            2, base_schedule=base_schedule, autoreset_mode="Disabled", on_divergence="end"
        )
        env.reset(seed=4)
        initial = np.array([task.initial for task in env.tasks])
        for k in range(NUM_DECISIONS):
            _, _, terminated, _, info = env.step(nothing(env))
            factors = interval_factors(base_schedule, np.full(2, k), np.full(2, NUM_DECISIONS))
            base = env.space.base(initial, factors)
            used = np.stack([info["hyperparameters"][name] for name in env.space.names], axis=1)
            assert np.array_equal(used, base), (
                f"doing nothing must keep the base schedule {base_schedule!r}: interval {k} used "
                f"{used.tolist()} in place of {base.tolist()}"
            )
            if terminated.any():
                break

    # --------------------------------------------------------------------- information and ends

    def test_info_holds_python_scalars_and_test_results_at_the_end_only(self) -> None:
        """Of the single environment; what the family does not measure is not there."""
        env = self._make_single()
        _, info = env.reset(seed=1)
        lanes: Any = env.unwrapped
        telemetry = self.make_trainer(1).reset(np.array([0]), lanes.lanes.tasks, [0])
        measured = ["validation_loss"]
        measured += [] if np.isnan(telemetry.train_loss[0]) else ["train_loss"]
        for name in measured:
            assert isinstance(info[name], float), f"{name} must be a float; got {info.get(name)!r}"
        over = False
        while not over:
            assert "test_loss" not in info
            _, reward, over, _, info = env.step(np.zeros(env.action_space.shape or (), np.float32))
            assert isinstance(reward, float)
            assert all(isinstance(v, float) for v in info["hyperparameters"].values())
        assert isinstance(info["test_loss"], float)
        assert isinstance(info["diverged"], bool)

    def test_same_step_hands_over_the_last_observation_and_test_results(self) -> None:
        """In `final_obs` and `final_info`."""
        env = self.make_env(2)
        env.reset(seed=0)
        for _ in range(NUM_DECISIONS):
            observations, _, terminated, _, info = env.step(nothing(env))
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

    def test_next_step_ignores_the_action_after_the_end(self) -> None:
        """The step resets instead."""
        env = self.make_env(2, autoreset_mode=AutoresetMode.NEXT_STEP, num_decisions=2)
        env.reset(seed=0)
        zero = nothing(env)
        env.step(zero)
        observations, _, terminated, _, info = env.step(zero)
        assert terminated.all()
        assert info["_test_loss"].all()
        observations, rewards, terminated, _, info = env.step(zero + 1)
        assert not rewards.any()
        assert not terminated.any()
        assert (observations[:, 0] == -1.0).all()
        assert not env.step(zero)[2].any()

    def test_disabled_wants_a_reset_of_the_lanes_that_are_over(self) -> None:
        """And resets none besides."""
        env = self.make_env(2, autoreset_mode="Disabled", num_decisions=1)
        env.reset(seed=0)
        observations = env.step(nothing(env))[0]
        with pytest.raises(ConfigurationError, match=r"lanes \[0, 1\] are over"):
            env.step(nothing(env))
        mask = np.array([True, False])
        restarted, info = env.reset(options={"reset_mask": mask})
        assert np.array_equal(restarted[1], observations[1])
        assert restarted[0][0] == -1.0
        assert np.array_equal(info["_validation_loss"], mask)

    # ------------------------------------------------------------------- snapshots and aliasing

    def test_an_environments_snapshot_replays_in_place_and_in_another_lane(self) -> None:
        """Bit for bit, through the end of an episode and the next."""
        env = self.make_env(2)
        env.reset(seed=9)
        actions = draw_actions(env, 2 * NUM_DECISIONS)
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

    def test_results_are_fresh_arrays_at_every_call(self) -> None:
        """What a caller keeps stays as it was."""
        env = self.make_env(2)
        observations, info = env.reset(seed=0)
        stepped, rewards, _, _, next_info = env.step(draw_actions(env, 1)[0])
        assert not np.shares_memory(observations, stepped)
        assert not np.shares_memory(info["validation_loss"], next_info["validation_loss"])
        before = rewards.copy()
        env.step(draw_actions(env, 1)[0])
        assert np.array_equal(before, rewards)

    # ------------------------------------------------------------------------------ the insides

    def _make_single(self, **change: Any) -> gym.Env[Any, Any]:
        assert self.family_class.name  # broken declarations are named before Gymnasium wraps them
        return gym.make(hpo_env.ENV_ID, **self.env_arguments(**change))


def draw_actions(env: HPOControlVectorEnv, count: int, seed: int = 0) -> list[NDArray[Any]]:
    """Draw actions of all lanes, `count` arrays of shape `[N, H]`."""
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def nothing(env: HPOControlVectorEnv) -> NDArray[np.float32]:
    """Return the continuous action that does nothing `[N, H]`."""
    return np.zeros(env.action_space.shape or (), np.float32)
