"""Real agents of Stable-Baselines3: defaults, rl-zoo's setting, a learned start, a controller.

    python benchmarks/reinforcement_sb3.py --policy reinforcement --seeds 8 --out runs.jsonl
    python benchmarks/reinforcement_sb3.py --policy my/policy --environments CartPole-v1 --share 0.1

Each run is PPO with Stable-Baselines3's defaults ("default"), with the setting that rl-zoo ships
for the environment ("zoo", hyperparams/ppo.yml), with the learned start of the family, kept
("learned"), with the defaults and the callback ("controller"; begun at the learned start or at the
defaults, as the policy has it), with the callback begun at the learned start ("from learned"), or
with the callback and the epochs left alone ("epochs kept"). All make the same steps. What counts
are the returns of training episodes, as a user sees them: the area is their mean over the whole
run, every part of it weighing the same, the final value that over its last tenth. Finished runs
stay in the file and are not made again.

LunarLander needs `pip install 'gymnasium[box2d]'`, games of MinAtar `pip install minatar`: what is
not there is asked for before anything is trained.
"""

from __future__ import annotations

import importlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, get_args

import gymnasium as gym
import numpy as np
import torch
import tyro
from gymnasium import spaces
from numpy.typing import NDArray
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.utils import LinearSchedule
from stable_baselines3.common.vec_env import VecEnv, VecNormalize

from hpo_env.errors import MissingExtraError
from hpo_env.integrations.sb3 import HPOControlCallback
from hpo_env.starts import Problem
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.space import CONTROLLED, IN_SB3
from hpo_env.tasks.reinforcement.starts import LEARNED_START

Array = NDArray[np.float64]
Kind = Literal["default", "zoo", "learned", "controller", "from learned", "epochs kept"]

CALLBACK: Mapping[Kind, Mapping[str, Any]] = {
    "controller": {},
    "from learned": {"start": "learned"},
    "epochs kept": {"hyperparameters": [name for name in CONTROLLED if name != "epochs"]},
}
"""Options of the callback, of the kinds that have one."""

NUM_BINS = 50
"""Parts of a run in which returns are meaned; one in which no episode ends has that before it."""


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What rl-zoo trains an environment with, where it is not Stable-Baselines3's default.

    Args:
        num_envs: Environments side by side.
        normalises: Whether `VecNormalize` stands around them.
        arguments: Of the agent. "lin_x" falls in a line from x to 0.
    """

    num_envs: int = 1
    normalises: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Known:
    """An environment, for how long it is trained, and rl-zoo's setting.

    Args:
        steps: Steps of a run.
        zoo: None where rl-zoo has none.
    """

    steps: int
    zoo: Setting | None = None


ENVIRONMENTS: Mapping[str, Known] = {
    "CartPole-v1": Known(
        steps=100_000,
        zoo=Setting(
            num_envs=8,
            arguments={
                "n_steps": 32,
                "batch_size": 256,
                "gae_lambda": 0.8,
                "gamma": 0.98,
                "n_epochs": 20,
                "learning_rate": "lin_0.001",
                "clip_range": "lin_0.2",
            },
        ),
    ),
    "Acrobot-v1": Known(
        steps=300_000,
        zoo=Setting(
            num_envs=16,
            normalises=True,
            arguments={"n_steps": 256, "gae_lambda": 0.94, "n_epochs": 4},
        ),
    ),
    "MountainCar-v0": Known(
        steps=500_000,
        zoo=Setting(
            num_envs=16,
            normalises=True,
            arguments={"n_steps": 16, "gae_lambda": 0.98, "n_epochs": 4},
        ),
    ),
    "Pendulum-v1": Known(
        steps=100_000,
        zoo=Setting(
            num_envs=4,
            arguments={
                "n_steps": 1024,
                "gamma": 0.9,
                "learning_rate": 1e-3,
                "use_sde": True,
                "sde_sample_freq": 4,
            },
        ),
    ),
    "LunarLander-v3": Known(
        steps=500_000,
        zoo=Setting(
            num_envs=16,
            arguments={
                "n_steps": 1024,
                "gae_lambda": 0.98,
                "gamma": 0.999,
                "n_epochs": 4,
                "ent_coef": 0.01,
            },
        ),
    ),
    "MinAtar/Breakout-v1": Known(steps=500_000),
    "MinAtar/SpaceInvaders-v1": Known(steps=500_000),
}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Train real agents.

    Args:
        policy: Name of a shipped policy, or a folder.
        environments: Ids; all by default.
        kinds: What to run.
        seeds: Runs of each, from seed 0 on.
        share: Of the usual steps.
        num_envs: Environments side by side of default and controller; Stable-Baselines3's own is 1.
        out: Where finished runs are kept, a line each.
    """

    policy: str = "reinforcement"
    environments: tuple[str, ...] = tuple(ENVIRONMENTS)
    kinds: tuple[Kind, ...] = ("default", "zoo", "learned", "controller")
    seeds: int = 8
    share: float = 1.0
    num_envs: int = 1
    out: Path = Path("reinforcement_sb3.jsonl")


class AsNumbers(gym.ObservationWrapper[NDArray[np.float32], Any, Any]):
    """MinAtar's planes of truth values as one vector."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        assert env.observation_space.shape is not None
        size = int(np.prod(env.observation_space.shape))
        self.observation_space = spaces.Box(0.0, 1.0, (size,), np.float32)

    def observation(self, observation: Any) -> NDArray[np.float32]:
        """Flatten."""
        return np.asarray(observation, dtype=np.float32).ravel()


def make_envs(name: str, setting: Setting, seed: int) -> VecEnv:
    """Make the environments of a run."""
    is_game = name.startswith("MinAtar/")
    if is_game and name not in gym.registry:
        require("minatar.gym", name, "minatar").register_envs()
    wrapper = AsNumbers if is_game else None
    envs = make_vec_env(name, setting.num_envs, seed=seed, wrapper_class=wrapper)
    return VecNormalize(envs) if setting.normalises else envs


def require(module: str, name: str, package: str) -> ModuleType:
    """Import what an environment needs.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{name} needs {module}, which cannot be imported ({error}): pip install '{package}'"
        ) from error


def make_agent(name: str, setting: Setting, seed: int) -> PPO:
    """Make the agent of a run."""
    arguments = {key: _scheduled(value) for key, value in setting.arguments.items()}
    envs = make_envs(name, setting, seed)
    return PPO("MlpPolicy", envs, seed=seed, device="cpu", **arguments)


def learned_arguments(name: str) -> dict[str, Any]:
    """Return what the family's learned start sets of PPO, by the kind of an environment's actions.

    The names are those of the agent's arguments.
    """
    envs = make_envs(name, Setting(), 0)
    kind = DISCRETE if isinstance(envs.action_space, spaces.Discrete) else CONTINUOUS
    envs.close()
    values = LEARNED_START.values_for(Problem(kind=kind))
    named = {IN_SB3[known]: value for known, value in values.items()}
    rate, epochs = named.pop("lr_schedule"), round(named.pop("n_epochs"))
    return named | {"learning_rate": rate, "n_epochs": epochs}


def _scheduled(value: Any) -> Any:
    if isinstance(value, str) and value.startswith("lin_"):
        return LinearSchedule(float(value.removeprefix("lin_")), 0.0, 1.0)
    return value


class Returns(BaseCallback):
    """Returns of the episodes of a run, by the step at which they ended."""

    def __init__(self) -> None:
        super().__init__()
        self.steps: list[int] = []
        self.returns: list[float] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.steps.append(self.num_timesteps)
                self.returns.append(float(info["episode"]["r"]))
        return True

    def curve(self, total_steps: int) -> Array:
        """Return the mean return in each part of the run `[NUM_BINS]`, NaN before the first."""
        bins = np.minimum((np.array(self.steps) - 1) * NUM_BINS // total_steps, NUM_BINS - 1)
        returns, means, last = np.array(self.returns), np.full(NUM_BINS, np.nan), np.nan
        for k in range(NUM_BINS):
            inside = returns[bins == k]
            means[k] = last = inside.mean() if len(inside) else last
        return means


def train(config: Config, name: str, kind: Kind, seed: int) -> dict[str, Any]:
    """Train once, and return what is kept of it."""
    known = ENVIRONMENTS[name]
    steps = max(int(known.steps * config.share), 1)
    setting = known.zoo if kind == "zoo" and known.zoo else Setting(num_envs=config.num_envs)
    if kind == "learned":
        setting = replace(setting, arguments=learned_arguments(name))
    agent, returns = make_agent(name, setting, seed), Returns()
    callbacks: list[BaseCallback] = [returns]
    if kind in CALLBACK:
        callbacks.append(HPOControlCallback(config.policy, **CALLBACK[kind]))
    start = time.process_time()
    agent.learn(steps, callback=callbacks)
    curve = returns.curve(steps)
    return {
        "environment": name,
        "kind": kind,
        "seed": seed,
        "steps": steps,
        "area": float(np.nanmean(curve)),
        "final": float(np.nanmean(curve[-NUM_BINS // 10 :])),
        "seconds": time.process_time() - start,
        "curve": [round(float(value), 4) for value in curve],
        "values": callbacks[1].run.values if kind in CALLBACK else {},  # type: ignore[attr-defined]
    }


def finished(file: Path) -> list[dict[str, Any]]:
    """Read the runs that are kept."""
    if not file.exists():
        return []
    return [json.loads(line) for line in file.read_text().splitlines()]


def print_table(rows: Sequence[Mapping[str, Any]], environments: Sequence[str]) -> None:
    """Print the mean of each kind on each environment, with the standard error of seeds."""
    print(f"\n{'environment':26s}{'kind':12s}{'runs':>5s}{'area':>20s}{'final':>20s}")
    for name in environments:
        for kind in get_args(Kind):
            found = [r for r in rows if (r["environment"], r["kind"]) == (name, kind)]
            if found:
                cells = [_mean([row[what] for row in found]) for what in ("area", "final")]
                print(f"{name:26s}{kind:12s}{len(found):5d}{cells[0]:>20s}{cells[1]:>20s}")


def _mean(values: Sequence[float]) -> str:
    error = np.std(values, ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.nan
    return f"{np.mean(values):.1f} +- {error:.1f}"


def main(config: Config) -> None:
    """Make the runs that are not there yet, and print what all have come to."""
    torch.set_num_threads(1)
    for name in config.environments:
        if name.startswith("LunarLander"):
            require("Box2D", name, "gymnasium[box2d]")
        make_envs(name, Setting(), 0).close()
    keys = ("environment", "kind", "seed", "steps")
    done = {tuple(row[key] for key in keys) for row in finished(config.out)}
    for seed in range(config.seeds):
        for name in config.environments:
            for kind in config.kinds:
                steps = max(int(ENVIRONMENTS[name].steps * config.share), 1)
                is_missing = kind == "zoo" and ENVIRONMENTS[name].zoo is None
                if is_missing or (name, kind, seed, steps) in done:
                    continue
                row = train(config, name, kind, seed)
                with config.out.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(f"{name} {kind} {seed}: area {row['area']:.1f}, final {row['final']:.1f}")
    print_table(finished(config.out), config.environments)


if __name__ == "__main__":
    main(tyro.cli(Config))
