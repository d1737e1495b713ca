"""The contract of a learner, as a test class that the learner's author subclasses.

    class TestMine(LearnerContract):
        learners = ("my_package.mine:Mine",)
        settings = {"my_package.mine:Mine": {"buffer_size": 500}}

It trains each learner for two short segments on a family, `quadratic` being the fastest, in each
action mode that it names. A rule that is broken fails a test of its name.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.policy_file import load

from ..checkpoints import Position, load_checkpoint, save_checkpoint
from ..config import TrainConfig
from ..export import export_policy
from ..factory import make_env, make_learner
from ..learners.base import Learner, State
from ..learners.registry import learner_class
from ..learners.stepping import LaneStep, Stepper
from ..run_folder import run_prefix

_TOLERANCE = 1e-4  # float32 in torch and in numpy


class Onlooker:
    """A watcher that counts."""

    def __init__(self) -> None:
        self.num_steps: list[int] = []
        self.num_lanes: list[int] = []
        self.rolled_out_at: list[int] = []
        self.recorded: dict[str, float] = {}

    def record(self, tag: str, value: float) -> None:
        """Keep a measurement."""
        self.recorded[tag] = value

    def stepped(self, step: LaneStep, num_steps: int) -> None:
        """Count a step of all lanes."""
        self.num_steps.append(num_steps)
        self.num_lanes.append(len(step.ended))

    def rolled_out(self, num_steps: int) -> None:
        """Count a rollout."""
        self.rolled_out_at.append(num_steps)


class LearnerContract:
    """All rules. Each learner is trained in each of its action modes."""

    learners: ClassVar[tuple[str, ...]] = ()
    """Names of the registry, or addresses."""

    settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """What a learner is told so that it learns in a hundred steps, by learner."""

    family: ClassVar[str] = "quadratic"
    """What it learns on."""

    num_envs: ClassVar[int] = 8
    num_decisions: ClassVar[int] = 5
    segment_steps: ClassVar[int] = 80
    """Environment steps of a segment; two are trained."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every rule on each learner, in each of its action modes."""
        if "config" in metafunc.fixturenames:
            cases = [(n, mode) for n in self.learners for mode in learner_class(n).action_modes]
            metafunc.parametrize("config", cases, ids="-".join, indirect=True)

    @pytest.fixture
    def config(self, request: pytest.FixtureRequest, tmp_path: Path) -> TrainConfig:
        """Return the resolved configuration of the run under test."""
        agent, action_mode = request.param
        return TrainConfig.of(
            family=self.family,
            agent=agent,
            action_mode=action_mode,
            num_envs=self.num_envs,
            num_decisions=self.num_decisions,
            steps=2 * self.segment_steps,
            segment_steps=self.segment_steps,
            validation_lanes=4,
            run_dir=tmp_path,
            **self.settings.get(agent, {}),
        ).resolved()

    def test_its_settings_are_plain_data_and_its_name_is_one(self, config: TrainConfig) -> None:
        """Folders are named after it, and `config.json` describes it."""
        assert config.learner.name in run_prefix(config)
        assert TrainConfig.from_json(json.loads(json.dumps(config.to_json()))) == replace(
            config, run_dir=TrainConfig().run_dir
        )

    def test_a_setting_that_it_does_not_read_is_refused(self, config: TrainConfig) -> None:
        """A typing error must not go unnoticed."""
        with pytest.raises(ConfigurationError, match="does not read sense_of_humour; it reads"):
            config.with_values(sense_of_humour=1)

    def test_equal_seeds_learn_the_same_and_others_do_not(self, config: TrainConfig) -> None:
        """Weights after two segments, bit for bit."""
        first, second = (whole_run(config).state() for _ in range(2))
        assert_equal_states(first, second)
        other = whole_run(replace(config, seed=config.seed + 1)).state()
        assert any(not np.array_equal(other[name], first[name]) for name in first)

    def test_it_takes_the_steps_that_it_is_given_and_no_more(self, config: TrainConfig) -> None:
        """The budget of a segment is kept exactly, and the watcher sees every step."""
        learner, done = build(config), 0
        for segment, bound in enumerate(config.segment_bounds(), start=1):
            watcher = Onlooker()
            learner.seed(segment)
            learner.learn(bound, watcher)
            assert learner.num_steps == bound
            expected = list(range(done + config.num_envs, bound + 1, config.num_envs))
            assert watcher.num_steps == expected
            assert watcher.num_lanes == [config.num_envs] * len(expected)
            assert watcher.rolled_out_at
            assert set(watcher.rolled_out_at) <= set(expected)
            assert all(np.isscalar(value) for value in watcher.recorded.values())
            done = bound

    def test_a_killed_run_goes_on_bit_for_bit(self, config: TrainConfig, tmp_path: Path) -> None:
        """A segment is a function of the checkpoint before it; nothing else survives."""
        learner = build(config)
        train_segment(learner, config, 1)
        path = save_checkpoint(tmp_path, learner, Position(segment=1))
        train_segment(learner, config, 2)

        resumed = build(config)
        train_segment(resumed, config, 1)  # what it had learned on the way must not matter
        train_segment(resumed, config, 2)
        load_checkpoint(path, resumed)
        assert resumed.num_steps == config.segment_bounds()[0]
        train_segment(resumed, config, 2)
        assert_equal_states(resumed.state(), learner.state())

        fresh = build(config)
        load_checkpoint(path, fresh)
        train_segment(fresh, config, 2)
        assert_equal_states(fresh.state(), learner.state())

    def test_its_state_is_a_copy_in_plain_data(self, config: TrainConfig) -> None:
        """Learning on must not reach into a state that was taken before."""
        learner = build(config)
        train_segment(learner, config, 1)
        state = learner.state()
        assert all(isinstance(value, np.ndarray | int | float) for value in state.values())
        before = {name: np.copy(value) for name, value in state.items()}
        train_segment(learner, config, 2)
        assert_equal_states(state, before)
        assert any(not np.array_equal(value, before[n]) for n, value in learner.state().items())

    def test_a_state_of_another_shape_is_refused(self, config: TrainConfig) -> None:
        """It says so by an error that a checkpoint explains."""
        learner = build(config)
        array = next(n for n, value in learner.state().items() if np.ndim(value) == 2)
        broken = learner.state() | {array: np.zeros((1, 1), dtype=np.float32)}
        with pytest.raises((KeyError, RuntimeError, ValueError)):
            learner.load(broken)

    def test_its_moves_are_in_range_repeatable_and_change_nothing(
        self, config: TrainConfig
    ) -> None:
        """Scoring a checkpoint must not disturb the learning."""
        learner = whole_run(config)
        before = learner.state()
        first, second = (episode(learner, config)[1] for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert (np.abs(first) <= 1.0).all()
        assert_equal_states(learner.state(), before)

    def test_its_policy_makes_its_moves(self, config: TrainConfig, tmp_path: Path) -> None:
        """The policy file does over an episode what the learner does."""
        learner = whole_run(config)
        if learner.no_policy is not None:
            assert learner.no_policy.strip()
            return
        policy = learner.policy({"note": "contract"})
        assert policy.metadata["note"] == "contract"
        assert policy.base_schedule == config.base_schedule
        loaded = load(export_policy(policy, learner.moves, tmp_path / "policy"))
        observations, moves = episode(learner, config)
        state = loaded.start(observations.shape[1])
        found = []
        for seen in observations:
            move, _, state = loaded.step(seen, state)
            found.append(move)
        np.testing.assert_allclose(np.stack(found), moves, atol=_TOLERANCE)

    def test_any_number_of_lanes_can_be_decided_for(self, config: TrainConfig) -> None:
        """It is scored on other lanes than it learns in."""
        learner = build(config)
        num_fields = len(env_of(config).observation_docs)
        for num_lanes in (1, 3):
            observations = np.zeros((num_lanes, num_fields), dtype=np.float32)
            moves, _ = learner.moves(observations, None, np.ones(num_lanes, dtype=bool))
            assert moves.shape[0] == num_lanes


def env_of(config: TrainConfig) -> Any:
    """Build the lanes to learn in."""
    return make_env(config, split="train", num_envs=config.num_envs)


def build(config: TrainConfig) -> Learner:
    """Build an untrained learner."""
    return make_learner(config, env_of(config))


def train_segment(learner: Learner, config: TrainConfig, segment: int) -> None:
    """Train one segment as meta-training does."""
    learner.seed(segment)
    learner.learn(config.segment_bounds()[segment - 1], Onlooker())


def whole_run(config: TrainConfig) -> Learner:
    """Build a learner, and train all of its segments."""
    learner = build(config)
    for segment in range(1, len(config.segment_bounds()) + 1):
        train_segment(learner, config, segment)
    return learner


def episode(
    learner: Learner, config: TrainConfig
) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Let a learner act on validation tasks: observations `[T, N, D]` and moves `[T, N, H]`."""
    lanes = Stepper(make_env(config, split="validation", num_envs=4))
    observations = lanes.reset([7, 8, 9, 10])
    state, starts = None, np.ones(4, dtype=bool)
    seen, made = [], []
    assert config.num_decisions is not None
    for _ in range(config.num_decisions):
        moves, state = learner.moves(observations, state, starts)
        seen.append(observations.copy())
        made.append(moves)
        observations, *_ = lanes.step(moves)
        starts = np.zeros(4, dtype=bool)
    return np.stack(seen), np.stack(made)


def assert_equal_states(one: Mapping[str, Any], other: Mapping[str, Any] | State) -> None:
    """Compare states bit for bit; the first difference is named."""
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)
