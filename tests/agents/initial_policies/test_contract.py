"""Every algorithm of meta-training that learns an initial policy keeps the contract of learners."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.config import TrainConfig
from agents.initial_policies.registry import ALGORITHMS, JOINT
from agents.testing.learners import LearnerContract

LEARNED = tuple(name for name in ALGORITHMS if name != JOINT)
CASES = [(name, "discrete") for name in LEARNED] + [("meta_sgd", "continuous")]


class TestAlgorithms(LearnerContract):
    """The rules of every learner; continuous actions once, as all share how they act."""

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        if "config" in metafunc.fixturenames:
            metafunc.parametrize("config", CASES, ids="-".join, indirect=True)

    @pytest.fixture
    def config(self, request: pytest.FixtureRequest, tmp_path: Path) -> TrainConfig:
        algorithm, action_mode = request.param
        return TrainConfig.of(
            family=self.family,
            algorithm=algorithm,
            action_mode=action_mode,
            num_envs=self.num_envs,
            num_decisions=self.num_decisions,
            steps=2 * self.segment_steps,
            segment_steps=self.segment_steps,
            validation_lanes=4,
            run_dir=tmp_path,
            n_steps=5,
            lanes_per_data_set=4,
        ).resolved()
