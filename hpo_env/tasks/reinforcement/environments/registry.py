"""All types of environment, in the order of the kernel's table, each on one side for good.

A side holds types and not physics: what a policy is judged on is another thing to learn. Training
and validation hold no sibling of a type on which results are measured but of the acrobot's
mechanics, which every list of small environments is full of.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo_env.tasks.base import Split
from hpo_env.tasks.reinforcement.environments import classic
from hpo_env.tasks.reinforcement.environments.base import EnvironmentType

TYPES: tuple[EnvironmentType, ...] = (
    EnvironmentType(
        name="cart_pole",
        help="keep a pole upright on a cart",
        rules=classic.CartPole,
        physics={
            "usual": (9.8, 1.0, 0.1, 0.5, 10.0),
            "long": (9.8, 1.0, 0.1, 1.5, 10.0),
            "short": (9.8, 1.0, 0.1, 0.25, 10.0),
            "heavy pole": (9.8, 1.0, 0.4, 0.5, 10.0),
            "weak": (9.8, 1.0, 0.1, 0.5, 5.0),
            "strong": (9.8, 1.0, 0.1, 0.5, 15.0),
            "heavy cart": (9.8, 2.0, 0.1, 0.5, 10.0),
            "much gravity": (19.6, 0.7, 0.15, 0.6, 12.0),
        },
        gymnasium="CartPole-v1",
    ),
    EnvironmentType(
        name="cart_pole_swing_up",
        help="swing a hanging pole up on a cart and keep it there",
        rules=classic.CartPoleSwingUp,
        physics={
            "usual": (9.8, 1.0, 0.2, 0.5, 12.0),
            "long": (9.8, 1.0, 0.2, 0.8, 12.0),
            "short": (9.8, 1.0, 0.2, 0.35, 12.0),
            "strong": (9.8, 1.0, 0.2, 0.5, 18.0),
            "weak": (9.8, 1.0, 0.2, 0.5, 8.0),
            "little gravity": (5.0, 1.0, 0.2, 0.5, 10.0),
        },
    ),
    EnvironmentType(
        name="mountain_car",
        help="get out of a valley by gathering speed",
        rules=classic.MountainCar,
        physics={
            "usual": (0.001, 0.0025, 0.0),
            "strong": (0.0015, 0.0025, 0.0),
            "stronger": (0.002, 0.0025, 0.0),
            "shallow": (0.001, 0.0015, 0.0),
            "shallower": (0.0012, 0.0014, 0.0),
            "fast at the goal": (0.0018, 0.0025, 0.02),
        },
        gymnasium="MountainCar-v0",
    ),
    EnvironmentType(
        name="mountain_car_continuous",
        help="get out of a valley with pushes that are paid for",
        rules=classic.MountainCarContinuous,
        physics={
            "usual": (0.0015, 0.0025, 0.0),
            "strong": (0.0022, 0.0025, 0.0),
            "stronger": (0.003, 0.0025, 0.0),
            "shallow": (0.0015, 0.0018, 0.0),
            "shallower": (0.0015, 0.0014, 0.0),
            "fast at the goal": (0.0025, 0.0025, 0.02),
        },
        gymnasium="MountainCarContinuous-v0",
    ),
    EnvironmentType(
        name="pendulum",
        help="swing a pendulum up with little torque",
        rules=classic.Pendulum,
        physics={
            "usual": (10.0, 1.0, 1.0, 1.0),
            "light": (10.0, 0.7, 1.0, 1.0),
            "strong": (10.0, 1.0, 1.0, 1.5),
            "stronger": (10.0, 1.0, 1.0, 2.0),
            "little gravity": (5.0, 1.0, 1.0, 1.0),
            "long": (10.0, 0.8, 1.3, 1.8),
        },
        gymnasium="Pendulum-v1",
    ),
    EnvironmentType(
        name="sparse_pendulum",
        help="swing a pendulum up, paid for while it stands",
        rules=classic.SparsePendulum,
        physics={
            "usual": (10.0, 1.0, 1.0, 3.0, 0.4),
            "strong": (10.0, 1.0, 1.0, 4.0, 0.4),
            "narrow": (10.0, 1.0, 1.0, 4.0, 0.2),
            "wide": (10.0, 1.0, 1.0, 3.0, 0.8),
            "little gravity": (6.0, 1.0, 1.0, 2.5, 0.4),
        },
    ),
    EnvironmentType(
        name="acrobot",
        help="swing the tip of two hanging links up",
        rules=classic.Acrobot,
        physics={
            "usual": (9.8, 1.0, 1.0, 1.0, 1.0),
            "little gravity": (7.5, 1.0, 1.0, 1.0, 1.0),
            "much gravity": (12.0, 1.0, 1.0, 1.0, 1.3),
            "light": (9.8, 1.0, 0.8, 0.8, 1.0),
            "heavy": (9.8, 1.0, 1.2, 1.1, 1.2),
            "long": (9.8, 1.2, 1.0, 1.0, 1.3),
            "weak": (9.8, 1.0, 1.0, 1.0, 0.75),
            "strong": (9.8, 1.0, 1.0, 1.0, 1.5),
        },
        split="test",
        gymnasium="Acrobot-v1",
    ),
    EnvironmentType(
        name="pendubot",
        help="swing two links up, driving the first joint",
        rules=classic.Pendubot,
        physics={
            "usual": (9.8, 1.0, 1.0, 1.0, 12.0),
            "strong": (9.8, 1.0, 1.0, 1.0, 18.0),
            "weak": (9.8, 1.0, 1.0, 1.0, 8.0),
            "light": (9.8, 0.8, 0.7, 0.7, 8.0),
        },
        split="validation",
    ),
)

NUMBER: Mapping[str, int] = {kind.name: k for k, kind in enumerate(TYPES)}
"""Place of each type in the kernel's table."""

TYPE: Mapping[str, EnvironmentType] = {kind.name: kind for kind in TYPES}


def types_of(split: Split) -> tuple[EnvironmentType, ...]:
    """Return the types on a side, in order."""
    return tuple(kind for kind in TYPES if kind.split == split)
