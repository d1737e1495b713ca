"""Speed of the learners beside Stable-Baselines3's on the same work, one thread each.

    OMP_NUM_THREADS=1 python benchmarks/reinforcement_speed.py

Both run in turn on Gymnasium's own environment or its equal, with the same net, rollouts and
hyperparameters (those of Stable-Baselines3). Counted are environment steps a second of processor
time, learning included; the ratio is taken of each pair of runs and the median reported.

Writes `speed.csv` (a row a case) into the output folder.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from stable_baselines3 import A2C, PPO
from stable_baselines3.common.env_util import make_vec_env

from hpo_env.tasks.reinforcement.environments.registry import TYPE
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel
from hpo_env.tasks.reinforcement.task import Algorithm


@dataclass(frozen=True, kw_only=True)
class Config:
    """Measure speed.

    Args:
        pairs: Runs of both, in turn.
        updates: Of Stable-Baselines3 in each; the kernel makes forty times as many.
        out: Where the table goes.
    """

    pairs: int = 5
    updates: int = 3
    out: Path = Path("benchmarks/results/reinforcement")


@dataclass(frozen=True, kw_only=True)
class Case:
    """What both do.

    Args:
        environment: A type that is Gymnasium's.
        algorithm: "ppo" or "a2c".
        hidden: Units of each hidden layer.
        num_envs: Environments side by side.
        num_steps: Steps of each in a rollout.
    """

    environment: str
    algorithm: Algorithm
    hidden: int
    num_envs: int
    num_steps: int

    @property
    def rollout(self) -> int:
        """Steps of a rollout."""
        return self.num_envs * self.num_steps


CASES = (
    *(
        Case(environment=name, algorithm="ppo", hidden=hidden, num_envs=envs, num_steps=steps)
        for name in ("cart_pole", "pendulum", "acrobot")
        for hidden in (32, 64)
        for envs, steps in ((8, 128), (1, 2048))
    ),
    Case(environment="cart_pole", algorithm="a2c", hidden=64, num_envs=16, num_steps=5),
)

_MORE = 40


def kernel_run(case: Case) -> Callable[[int], None]:
    """Return a function that makes so many updates on the kernel."""
    kind = TYPE[case.environment]
    family = ReinforcementFamily(
        split=kind.split,
        environment=kind.name,
        physics=next(iter(kind.physics)),
        algorithm=case.algorithm,
        hidden=case.hidden,
        shape=(case.num_envs, case.num_steps, 1),
        start="default",
        normalises=False,
    )
    kernel, task = Kernel(), family.sample(np.random.default_rng(0))
    learner, values = Learner(task, 0), family.defaults(task)[None]
    kernel.begin([learner], values)

    def run(updates: int) -> None:
        for _ in range(updates):
            kernel.advance([learner], values)

    return run


def sb3_run(case: Case) -> Callable[[int], None]:
    """Return a function that makes so many updates with Stable-Baselines3."""
    kind: dict[Algorithm, Any] = {"ppo": PPO, "a2c": A2C}
    model = kind[case.algorithm](
        "MlpPolicy",
        make_vec_env(TYPE[case.environment].gymnasium, case.num_envs, seed=0),
        n_steps=case.num_steps,
        device="cpu",
        policy_kwargs={"net_arch": [case.hidden, case.hidden]},
    )

    def run(updates: int) -> None:
        model.learn(updates * case.rollout, reset_num_timesteps=False)

    return run


def steps_a_second(run: Callable[[int], None], updates: int, rollout: int) -> float:
    """Measure environment steps a second of processor time."""
    start = time.process_time()
    run(updates)
    return updates * rollout / (time.process_time() - start)


def measure(case: Case, config: Config) -> dict[str, Any]:
    """Run both in turn, after one update each that does not count."""
    ours, theirs = kernel_run(case), sb3_run(case)
    ours(1)
    theirs(1)
    updates = config.updates * max(1, 1024 // case.rollout)
    pairs = np.array(
        [
            (
                steps_a_second(ours, _MORE * updates, case.rollout),
                steps_a_second(theirs, updates, case.rollout),
            )
            for _ in range(config.pairs)
        ]
    )
    ratios = pairs[:, 0] / pairs[:, 1]
    kernel, sb3 = np.median(pairs, axis=0)
    return {
        **asdict(case),
        "kernel_steps": round(float(kernel)),
        "sb3_steps": round(float(sb3)),
        "ratio": round(float(np.median(ratios)), 1),
        "ratio_low": round(float(ratios.min()), 1),
        "ratio_high": round(float(ratios.max()), 1),
    }


def main(config: Config) -> None:
    """Measure all cases."""
    torch.set_num_threads(1)
    rows = []
    for case in CASES:
        rows.append(measure(case, config))
        print(rows[-1], flush=True)
    config.out.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows).to_csv(config.out / "speed.csv", index=False)


if __name__ == "__main__":
    main(tyro.cli(Config))
