"""How much of meta-training's time is environment.

PPO learns as `meta_train.py` has it, curves included, on the tasks of the train split, whose models
are MLPs. A second environment with the same seeds then takes the actions of each rollout again: the
same work, bit for bit, without an agent.
"""

from __future__ import annotations

import tempfile
import time
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.table import Table
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback

from agents.callbacks import LaneMetrics, tensorboard_logger
from agents.config import TrainConfig
from agents.factory import make_model, make_venv, segment_seed
from agents.meta_training import seed_segment
from agents.sb3_vec_env import unwrap
from benchmarks.speed.goals import Goal
from benchmarks.speed.options import Options

_NEVER = 2**62  # rollouts between the lines of Stable-Baselines3's own log
_POINT_STEPS = 2048
_WARM_UP_ROLLOUTS = 2  # until lanes have started their second episodes, each at its own time


class _Actions(BaseCallback):
    """Keeps the actions of a rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[NDArray[Any]] = []

    def _on_step(self) -> bool:
        self.taken.append(self.locals["clipped_actions"].copy())
        return True


def measure(options: Options) -> dict[str, Any]:
    """Measure rollouts with their updates of the agent, and without."""
    config = TrainConfig(
        steps=10**6, engine=options.engine, num_envs=options.agent_lanes, num_threads=1
    ).resolved()
    assert config.n_steps is not None
    steps = config.n_steps * config.num_envs
    venv, twin = (make_venv(config, split="train", num_envs=config.num_envs) for _ in range(2))
    model = make_model(config, venv)
    seed_segment(model, config.seed, segment=1)
    twin.seed(segment_seed(config.seed, 1))
    twin.reset()
    agent, alone = [], []
    with tempfile.TemporaryDirectory() as folder:
        logger = tensorboard_logger(folder, resumed_after=None)
        model.set_logger(logger)
        for _ in range(_WARM_UP_ROLLOUTS + options.repeats):
            started = time.process_time()
            actions = _rollout(model, steps)
            agent.append(steps / (time.process_time() - started))
            started = time.process_time()
            for action in actions:
                observations, *_ = unwrap(twin).lanes.step(action)
            alone.append(steps / (time.process_time() - started))
        logger.close()
    assert np.array_equal(observations, _last_observations(model, observations.shape[1]))
    venv.close()
    twin.close()
    pairs = list(zip(agent, alone, strict=True))[_WARM_UP_ROLLOUTS:]
    return {
        "lanes": config.num_envs,
        "agent_steps_per_second": median(a for a, _ in pairs),
        "env_steps_per_second": median(b for _, b in pairs),
        "share": median(a / b for a, b in pairs),
    }


def _rollout(model: BaseAlgorithm, steps: int) -> list[NDArray[Any]]:
    """Collect one rollout and learn from it; returns the actions `[N, H]` of each step."""
    kept = _Actions()
    curves = LaneMetrics(every_steps=_POINT_STEPS, report=lambda steps, mean_return: None)
    model.learn(steps, callback=[curves, kept], log_interval=_NEVER, reset_num_timesteps=False)
    return kept.taken


def _last_observations(model: BaseAlgorithm, num_public: int) -> NDArray[np.float32]:
    assert isinstance(model._last_obs, np.ndarray)
    return model._last_obs[:, :num_public]


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
