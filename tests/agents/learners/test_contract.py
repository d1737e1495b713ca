"""Every registered learner keeps the contract."""

from __future__ import annotations

from typing import ClassVar

from agents.learners.registry import LEARNERS
from agents.testing.learners import LearnerContract

SMALL_BUFFER = {
    "learning_starts": 24,
    "buffer_size": 60,
    "batch_size": 16,
    "gradient_steps": 1,
}


class TestRegisteredLearners(LearnerContract):
    learners = tuple(LEARNERS)
    settings: ClassVar = {
        "ppo": {"n_steps": 5},
        "a2c": {"n_steps": 5},
        "recurrent_ppo": {"n_steps": 5, "n_epochs": 1},
        **{agent: SMALL_BUFFER for agent in ("sac", "td3", "tqc", "dqn")},
    }
