"""PPO finds the known answer of the noisy quadratic; in full: benchmarks/known_answers.py."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from agents.config import TrainConfig
from agents.evaluation.known_answers import quadratic_drop_share
from agents.evaluation.methods import Controlled, Scheduled
from agents.evaluation.protocol import Results, make_tasks, run_method
from agents.meta_training import meta_train
from hpo_env.policy_file import load
from hpo_env.tasks.quadratic import QuadraticFamily

INITIAL_RATES = (1e-5, 1e-3, 1e-1, 1e1)


def shares(results: Results) -> list[float]:
    """The share of the best schedule's drop, by initial rate."""
    rates = results.initial(0)
    return [quadratic_drop_share(results.take(np.flatnonzero(rates == r))) for r in INITIAL_RATES]


def test_ppo_comes_within_a_tenth_of_the_best_schedule_from_any_initial_rate(
    tmp_path: Path,
) -> None:
    config = TrainConfig(
        family="quadratic",
        steps=120_000,
        segment_steps=15_360,
        num_envs=64,
        validation_lanes=64,
        run_dir=tmp_path,
        progress="quiet",
    )
    policy = load(meta_train(config) / "policy")
    tasks = make_tasks(QuadraticFamily(split="test"), 32, 0, initial_rates=INITIAL_RATES)
    learned = run_method(Controlled(policy=policy), tasks, [0], family="quadratic")
    assert min(shares(learned)) >= 0.9


def test_leaving_the_rate_alone_does_not() -> None:
    tasks = make_tasks(QuadraticFamily(split="test"), 8, 0, initial_rates=INITIAL_RATES)
    for schedule in ("constant", "cosine"):
        method = Scheduled(name=schedule, base_schedule=schedule)
        idle = run_method(method, tasks, [0], family="quadratic")
        assert min(shares(idle)) < 0.1
