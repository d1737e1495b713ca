"""Values that a run starts with: those of Stable-Baselines3, those of a search, and any.

Axes: `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.starts import LearnedStart, Problem, StartCase
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.space import CONTROLLED, DQN_CONTROLLED, ENTROPY_FLOOR, NAMES
from hpo_env.tasks.reinforcement.task import Algorithm

Start = Literal["default", "tuned", "random", "mixed"]

DEFAULTS: Mapping[Algorithm, Mapping[str, float]] = {
    "ppo": {},
    "a2c": {"learning_rate": 7e-4, "gae_lambda": 0.999},  # SB3's own is 1, off this axis's end
    "dqn": {"learning_rate": 1e-4, "batch_size": 32, "max_grad_norm": 10.0},
}
"""Stable-Baselines3's defaults where they are not those of the space."""


def _values(*values: float, copied: float = 10_000) -> dict[str, float]:
    return dict(zip(CONTROLLED, values, strict=True)) | {"target_update_interval": copied}


LEARNED_START = LearnedStart(
    cases=(
        StartCase(kind=DISCRETE, values=_values(1.74e-3, 0.9824, 0.9552, 3.39e-3, 0.4, 9)),
        StartCase(kind=CONTINUOUS, values=_values(2.29e-3, 0.972, 0.9847, 1.63e-3, 0.396, 8)),
        # A2C has no clip range and no epochs: what stands there is read by nobody.
        StartCase(kind="a2c", values=_values(4.02e-3, 0.9786, 0.9486, 2.65e-4, 0.2, 1)),
        # Nor has DQN what policy gradients have.
        StartCase(kind="dqn", values=_values(2e-3, 0.98, 0.95, ENTROPY_FLOOR, 0.2, 10, copied=250)),
        StartCase(values=_values(2.17e-3, 0.9856, 0.97, 6.75e-4, 0.362, 7)),
    ),
    is_default=False,
)
"""Where runs begin when the policy says where: what `benchmarks/reinforcement_tuning.py` found on
the training types, a clip range of .466 cut to the end of its axis. The last, of which the search
began, is for algorithms that are neither. On validation types the policy does as well from
Stable-Baselines3's defaults."""

_SHARES: Mapping[Start, float] = {"default": 0.35, "tuned": 0.4, "random": 0.25}
"""Of mixed starts: users come with defaults, with what they have tuned, and with anything."""

_NUM_FIRST = NAMES.index("target_update_interval")
"""Hyperparameters that are drawn for every algorithm; one that came later is drawn for DQN alone,
so that tasks of the others stay what they were."""

_NEAR = 0.5  # standard deviation of half of the tuned starts, in whole steps: users' own differ


def draw_start(
    rng: np.random.Generator,
    start: Start,
    algorithm: Algorithm,
    problem: Problem,
    space: HyperparameterSpace,
) -> NDArray[np.float64]:
    """Draw initial values `[H]`.

    Args:
        rng: Where they are drawn from.
        start: Which.
        algorithm: Of the task.
        problem: What a learned start goes by.
        space: All hyperparameters of the family.
    """
    kind = start
    if start == "mixed":
        kind = tuple(_SHARES)[int(rng.choice(len(_SHARES), p=tuple(_SHARES.values())))]
    values = default_values(algorithm, space)
    if kind == "default":
        return values
    is_dqn = algorithm == "dqn"
    moved = [space.index(name) for name in (DQN_CONTROLLED if is_dqn else CONTROLLED)]
    count = len(space) if is_dqn else _NUM_FIRST
    shift = np.zeros(len(space))
    if kind == "tuned":
        for name, value in LEARNED_START.values_for(problem).items():
            values[space.index(name)] = value
        if start == "tuned" or rng.random() < 0.5:
            return values
        shift[:count] = _NEAR * space.steps[:count] * rng.standard_normal(count)
    else:
        low, high, own = space.to_axis(np.stack([space.low, space.high, values]))
        shift[:count] = rng.uniform(low[:count], high[:count]) - own[:count]
        if not is_dqn:  # whose minibatches of a thousand would cost as much as thirty of its runs
            moved.append(space.index("batch_size"))
    drawn = space.values(values, shift)
    values[moved] = drawn[moved]
    return values


def default_values(algorithm: Algorithm, space: HyperparameterSpace) -> NDArray[np.float64]:
    """Return what Stable-Baselines3 starts an algorithm with `[H]`."""
    values = space.defaults.copy()
    for name, value in DEFAULTS[algorithm].items():
        values[space.index(name)] = value
    return values
