"""How much of meta-training's time is environment.

PPO learns as `meta_train.py` has it, curves included, on the tasks of the train split, whose models
are MLPs. A second environment with the same seeds then takes the actions of each rollout again: the
same work, bit for bit, without an agent.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table

from agents.config import TrainConfig
from agents.factory import make_env
from agents.learners.base import segment_seed
from agents.learners.sb3 import PPO
from agents.learners.stepping import LaneStep
from agents.training_log import LaneMetrics, TrainingLog
from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options
from hpo_env.hyperparameters import LEVELS

_POINT_STEPS = 2048
_WARM_UP_ROLLOUTS = 2  # until lanes have started their second episodes, each at its own time


class _Actions(LaneMetrics):
    """Curves, as always, that keep the choices of a rollout beside them."""

    def __init__(self, log: TrainingLog, names: Sequence[str], num_steps: int) -> None:
        super().__init__(
            log,
            names,
            every_steps=_POINT_STEPS,
            num_steps=num_steps,
            report=lambda steps, mean_return: None,
        )
        self.taken: list[NDArray[Any]] = []

    def stepped(self, step: LaneStep, num_steps: int) -> None:
        super().stepped(step, num_steps)
        self.taken.append(np.searchsorted(LEVELS, step.moves))


def measure(options: Options) -> dict[str, Any]:
    """Measure rollouts with their updates of the agent, and without."""
    config = TrainConfig(
        steps=10**6, engine=options.engine, num_envs=options.agent_lanes, num_threads=1
    ).resolved()
    steps = config.settings.rollout_steps(config.num_envs)
    env, twin = (make_env(config, split="train", num_envs=config.num_envs) for _ in range(2))
    learner = PPO(config.settings, env, seed=config.seed, total_steps=config.segment_bounds()[-1])
    learner.seed(segment=1)
    twin.reset(seed=segment_seed(config.seed, 1))
    agent, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        log = TrainingLog(Path(folder), resumed_after=None)
        for _ in range(_WARM_UP_ROLLOUTS + options.repeats):
            started = time.process_time()
            watcher = _Actions(log, env.controlled.names, learner.num_steps)
            learner.learn(learner.num_steps + steps, watcher)
            agent.append(steps / (time.process_time() - started))
            started = time.process_time()
            for action in watcher.taken:
                observations, *_ = twin.step(action)
            alone.append(steps / (time.process_time() - started))
        log.close()
    assert np.array_equal(observations, _last_observations(learner, observations.shape[1]))
    env.close()
    twin.close()
    pairs = list(zip(agent, alone, strict=True))[_WARM_UP_ROLLOUTS:]
    return {
        "lanes": config.num_envs,
        "agent_steps_per_second": median(a for a, _ in pairs),
        "env_steps_per_second": median(b for _, b in pairs),
        "share": median(a / b for a, b in pairs),
    }


def _last_observations(learner: PPO, num_public: int) -> NDArray[np.float32]:
    last = learner.model._last_obs
    assert isinstance(last, np.ndarray)
    return last[:, :num_public]


def tables(result: dict[str, Any]) -> list[Table]:
    """Show both speeds."""
    table = Table(title=f"Meta-training with PPO, {result['lanes']} lanes, one thread")
    for heading in ("PPO, env steps/s", "environment alone, env steps/s", "share"):
        table.add_column(heading, justify="right")
    table.add_row(
        f"{result['agent_steps_per_second']:,.0f}",
        f"{result['env_steps_per_second']:,.0f}",
        f"{result['share']:.0%}",
    )
    return [table]


def goals(result: dict[str, Any]) -> list[Goal]:
    """Return the goal of the share."""
    what = "PPO meta-training steps over env steps"
    return [Goal(what=what, measured=result["share"], bound=0.8, unit="share")]
