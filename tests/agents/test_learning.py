"""PPO finds the known answer of the noisy quadratic; in full: benchmarks/known_answers.py."""

from __future__ import annotations

from pathlib import Path

from agents.config import TrainConfig
from agents.meta_training import meta_train
from agents.opponents.ablations import PolicyOpponent
from agents.opponents.base import Instance, Opponent
from agents.opponents.drawing import make_tasks
from agents.opponents.known_answers import drop_share
from agents.opponents.lanes import Workload
from agents.opponents.schedules import Scheduled
from hpo_env.policy_file import load
from hpo_env.tasks.quadratic import QuadraticFamily

INITIAL_RATES = (1e-5, 1e-3, 1e-1, 1e1)


def shares(opponent: Opponent, num_tasks: int) -> list[float]:
    """The share of the best schedule's drop, by initial rate."""
    found = []
    for rate in INITIAL_RATES:
        tasks = make_tasks(QuadraticFamily(split="test"), num_tasks, 0, starts=(rate,))
        instances = [Instance(task=task, seed=0) for task in tasks]
        outcomes = opponent.run(Workload(family="quadratic"), instances, {})
        found.append(drop_share(instances, outcomes))
    return found


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
    assert min(shares(PolicyOpponent(name="controller", policy=policy), 32)) >= 0.9


def test_leaving_the_rate_alone_does_not() -> None:
    for schedule in ("constant", "cosine"):
        idle = Scheduled(name=schedule, schedule=schedule, is_default=False)
        assert min(shares(idle, 8)) < 0.1
