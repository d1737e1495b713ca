"""Training curves of the kernel's learners beside those of Stable-Baselines3's.

    OMP_NUM_THREADS=1 python benchmarks/reinforcement_curves.py

Both learn Gymnasium's own environment, or its equal, under Stable-Baselines3's hyperparameters. A
curve is the mean return of the episodes that ended in each rollout; shown is the mean over seeds
with its standard error, and the largest distance of both in standard errors of their difference.

Writes `curves.csv` (a row an environment and rollout) into the output folder.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env

from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.environments.registry import TYPE
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare training curves.

    Args:
        environments: Types that are Gymnasium's.
        seeds: Runs of Stable-Baselines3; the kernel makes eight times as many.
        rollouts: Of each run.
        num_envs: Environments side by side.
        num_steps: Steps of each in a rollout.
        hidden: Units of each hidden layer.
        out: Where the table goes.
    """

    environments: tuple[str, ...] = ("cart_pole", "acrobot")
    seeds: int = 8
    rollouts: int = 20
    num_envs: int = 8
    num_steps: int = 256
    hidden: int = 32
    out: Path = Path("benchmarks/results/reinforcement")


class _Returns(BaseCallback):
    """Keeps the mean return of the episodes that ended in each rollout."""

    def __init__(self) -> None:
        super().__init__()
        self.curve: list[float] = []
        self._ended: list[float] = []

    def _on_step(self) -> bool:
        infos: list[dict[str, Any]] = self.locals["infos"]
        self._ended += [info["episode"]["r"] for info in infos if "episode" in info]
        return True

    def _on_rollout_end(self) -> None:
        self.curve.append(float(np.mean(self._ended)) if self._ended else np.nan)
        self._ended = []


def sb3_curves(name: str, config: Config) -> Array:
    """Train with Stable-Baselines3; returns `[seeds, rollouts]`."""
    curves = []
    for seed in range(config.seeds):
        watch = _Returns()
        model = PPO(
            "MlpPolicy",
            make_vec_env(TYPE[name].gymnasium, config.num_envs, seed=seed),
            n_steps=config.num_steps,
            policy_kwargs={"net_arch": [config.hidden, config.hidden]},
            seed=seed,
            device="cpu",
        )
        model.learn(config.rollouts * config.num_envs * config.num_steps, callback=watch)
        curves.append(watch.curve)
    return np.array(curves)


def kernel_curves(name: str, config: Config) -> Array:
    """Train on the kernel; returns `[8 * seeds, rollouts]`."""
    kind = TYPE[name]
    family = ReinforcementFamily(
        split=kind.split,
        environment=name,
        physics=next(iter(kind.physics)),
        hidden=config.hidden,
        shape=(config.num_envs, config.num_steps, 1),
        algorithm="ppo",
        start="default",
        normalises=False,
    )
    kernel, task = Kernel(), family.sample(np.random.default_rng(0))
    learners = [Learner(task, seed) for seed in range(8 * config.seeds)]
    values = np.tile(family.defaults(task), (len(learners), 1))
    rows = [kernel.begin(learners, values)]
    rows += [kernel.advance(learners, values) for _ in range(config.rollouts - 1)]
    return np.stack([row[:, COLUMNS.index("episode_return")] for row in rows], axis=1)


def compared(name: str, config: Config) -> pd.DataFrame:
    """Return means and standard errors of both, a row a rollout."""
    both = {"kernel": kernel_curves(name, config), "sb3": sb3_curves(name, config)}
    columns: dict[str, Any] = {"environment": name, "rollout": np.arange(1, config.rollouts + 1)}
    for who, curves in both.items():
        columns[who] = np.nanmean(curves, axis=0)
        count = np.isfinite(curves).sum(axis=0)
        columns[f"{who}_error"] = np.nanstd(curves, axis=0, ddof=1) / np.sqrt(count)
    frame = pd.DataFrame(columns)
    error = np.hypot(frame["kernel_error"], frame["sb3_error"])
    frame["distance"] = (frame["kernel"] - frame["sb3"]) / error
    return frame


def main(config: Config) -> None:
    """Compare all environments."""
    torch.set_num_threads(1)
    frames = []
    for name in config.environments:
        frames.append(compared(name, config))
        print(frames[-1].round(2).to_string(), flush=True)
        size = frames[-1]["distance"].abs()
        print(f"{name}: distance mean {size.mean():.2f}, largest {size.max():.2f}", flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    pd.concat(frames).round(3).to_csv(config.out / "curves.csv", index=False)


if __name__ == "__main__":
    main(tyro.cli(Config))
