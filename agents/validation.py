"""Meta-validation: one episode on each of a fixed set of validation tasks, without exploration.

The tasks and their seeds are the same at every checkpoint and in every run, so that scores are
paired and the choice of a checkpoint is not a choice of lucky tasks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from hpo_env.reward import log_loss
from hpo_env.seeding import lane_seeds

from .learners.base import Learner
from .learners.stepping import Env, Stepper

VALIDATION_SEED = 1_000_000
"""Lane `i` of every meta-validation has this seed plus `i`."""


@dataclass(frozen=True, kw_only=True)
class ValidationReport:
    """How well a policy does on the validation tasks.

    Args:
        score: Mean return of the episodes: the mean fall of the log validation loss. Higher is
            better; checkpoints are chosen by it.
        rolled_back: Share of the decision intervals that the guard took back.
        final_loss: Validation loss at the end by data set, the geometric mean over episodes.
    """

    score: float
    rolled_back: float
    final_loss: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        """Describe the report in plain data."""
        return asdict(self)


def validate_policy(learner: Learner, env: Env, *, seed: int = VALIDATION_SEED) -> ValidationReport:
    """Score the deterministic policy.

    Args:
        learner: What acts.
        env: What `make_env` made for the validation split, with continuous actions whatever the
            learner's are; it is reset.
        seed: Seed of lane 0; lane `i` gets `seed + i`.
    """
    lanes, num_lanes = Stepper(env), env.num_envs
    observations = lanes.reset(lane_seeds(seed, num_lanes))
    returns, losses = np.full(num_lanes, np.nan), np.full(num_lanes, np.nan)
    num_intervals = num_rolled_back = 0
    tasks = np.full(num_lanes, "", dtype=object)
    running = np.ones(num_lanes, dtype=bool)
    state, starts = None, np.ones(num_lanes, dtype=bool)
    while running.any():
        moves, state = learner.moves(observations, state, starts)
        observations, *_ = lanes.step(moves)
        step = lanes.last
        assert step is not None
        starts = step.ended
        num_intervals += int(running.sum())
        num_rolled_back += int(step.rolled_back[running].sum())
        first = step.ended & running  # lanes that end early go on with an episode nobody counts
        if first.any():
            assert step.tasks is not None
            returns[first], losses[first] = step.returns[first], step.validation_loss[first]
            tasks[first] = step.tasks[first]
            running &= ~first
    final = {
        str(name): float(np.exp(log_loss(losses[tasks == name]).mean()))
        for name in np.unique(tasks.astype(str))
    }
    return ValidationReport(
        score=float(returns.mean()),
        rolled_back=num_rolled_back / num_intervals,
        final_loss=final,
    )
