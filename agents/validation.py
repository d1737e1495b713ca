"""Meta-validation: one episode on each of a fixed set of validation tasks, without exploration.

The tasks and their seeds are the same at every checkpoint and in every run, so that scores are
paired and the choice of a checkpoint is not a choice of lucky tasks.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import VecEnv

from agents.moves import deterministic_moves
from agents.sb3_vec_env import unwrap
from hpo_env.reward import log_loss

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


def validate_policy(
    model: BaseAlgorithm, venv: VecEnv, *, seed: int = VALIDATION_SEED
) -> ValidationReport:
    """Score the deterministic policy.

    Args:
        model: An agent.
        venv: What `make_venv` made for the validation split, with continuous actions whatever the
            agent's are; it is reset.
        seed: Seed of lane 0; lane `i` gets `seed + i`.
    """
    lanes = unwrap(venv)
    venv.seed(seed)
    observations = venv.reset()
    assert venv.action_space.shape is not None
    num_lanes, (num_hyperparameters,) = venv.num_envs, venv.action_space.shape
    returns, losses = np.full(num_lanes, np.nan), np.full(num_lanes, np.nan)
    num_intervals = num_rolled_back = 0
    tasks = np.full(num_lanes, "", dtype=object)
    running = np.ones(num_lanes, dtype=bool)
    state, starts = None, np.ones(num_lanes, dtype=bool)
    while running.any():
        assert isinstance(observations, np.ndarray)
        moves, state = deterministic_moves(
            model, observations, num_hyperparameters, state=state, starts=starts
        )
        observations, _, starts, _ = venv.step(moves)
        step = lanes.last
        assert step is not None
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
