"""All types of environment, in the order of the kernel's table, each on one side for good.

A side holds types and not physics: what a policy is judged on is another thing to learn. Training
and validation hold no sibling of a type on which results are measured but of the acrobot's
mechanics, which every list of small environments is full of.
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo_env.tasks.base import Split
from hpo_env.tasks.reinforcement.environments import classic, games, grids, motion
from hpo_env.tasks.reinforcement.environments.base import EnvironmentType
from hpo_env.tasks.reinforcement.environments.long_types import JOURNEYS

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
            "usual": (9.8, 1.0, 1.0, 1.0, 5.0),
            "strong": (9.8, 1.0, 1.0, 1.0, 8.0),
            "little gravity": (6.0, 1.0, 1.0, 1.0, 4.0),
            "light": (9.8, 0.8, 0.7, 0.7, 4.0),
        },
        split="validation",
    ),
    EnvironmentType(
        name="point_mass",
        help="bring a mass to a target and hold it there",
        rules=motion.PointMass,
        physics={
            "usual": (2.0, 0.5, 0.0, 1.0),
            "weak": (0.7, 0.3, 0.0, 1.0),
            "slippery": (3.0, 0.0, 0.0, 1.0),
            "gusty": (2.0, 0.5, 1.0, 1.0),
            "wide": (2.0, 0.5, 0.2, 4.0),
        },
    ),
    EnvironmentType(
        name="point_goal",
        help="find a target that alone pays",
        rules=motion.PointGoal,
        physics={
            "usual": (2.0, 1.0, 0.0, 1.5, 0.3),
            "small": (2.0, 1.0, 0.0, 1.5, 0.15),
            "wide": (2.5, 1.0, 0.0, 3.0, 0.4),
            "gusty": (2.0, 1.0, 1.5, 1.5, 0.25),
            "slippery": (2.0, 0.1, 0.0, 2.0, 0.3),
        },
    ),
    EnvironmentType(
        name="regulator",
        help="hold an unstable linear system at 0",
        rules=motion.Regulator,
        physics={
            "usual": (1.02, 0.4, 0.4, 0.05),
            "stable": (0.95, 0.6, 0.4, 0.1),
            "unstable": (1.1, 0.5, 0.6, 0.05),
            "weak": (1.02, 0.3, 0.2, 0.03),
            "noisy": (1.0, 0.4, 0.5, 0.25),
        },
    ),
    EnvironmentType(
        name="reacher",
        help="bring the tip of two driven links to a target",
        rules=motion.Reacher,
        physics={
            "usual": (10.0, 1.0, 1.0),
            "weak": (5.0, 1.0, 1.0),
            "short": (10.0, 1.0, 0.5),
            "slippery": (8.0, 0.2, 1.0),
        },
        split="validation",
    ),
    EnvironmentType(
        name="spring_chain",
        help="push the first of three masses on springs until the last stands at a target",
        rules=motion.SpringChain,
        physics={
            "usual": (2.0, 0.4, 1.0),
            "soft": (0.8, 0.4, 0.8),
            "stiff": (6.0, 0.4, 1.2),
            "slippery": (2.0, 0.1, 0.8),
            "strong": (2.0, 0.6, 2.5),
        },
    ),
    EnvironmentType(
        name="tanks",
        help="set a pump so that the lower of two tanks follows a level",
        rules=motion.Tanks,
        physics={
            "usual": (2.0, 1.0, 0.0, 1.0),
            "slow pump": (2.0, 1.0, 0.0, 0.15),
            "noisy": (2.0, 1.0, 0.02, 1.0),
            "strong pump": (5.0, 1.0, 0.0, 0.5),
            "fast drain": (4.0, 2.0, 0.005, 0.5),
        },
    ),
    EnvironmentType(
        name="ball_on_beam",
        help="keep a ball on a beam by tilting it",
        rules=motion.BallOnBeam,
        physics={
            "usual": (9.8, 1.0, 0.0),
            "fast beam": (9.8, 3.0, 0.0),
            "little gravity": (4.0, 1.0, 0.0),
            "gusty": (9.8, 1.5, 3.0),
            "much gravity": (20.0, 1.5, 0.0),
        },
    ),
    EnvironmentType(
        name="frozen_lake",
        help="cross ice past holes",
        rules=grids.FrozenLake,
        physics={
            "usual": (1.0 / 3.0, 6304.0),
            "firm": (0.0, 6304.0),
            "less slippery": (0.1, 6304.0),
            "other holes": (0.1, 9264.0),
            "few holes": (0.2, 1056.0),
        },
        gymnasium="FrozenLake-v1",
    ),
    EnvironmentType(
        name="cliff",
        help="go along a cliff without falling",
        rules=grids.Cliff,
        physics={
            "usual": (12.0, 0.0),
            "short": (6.0, 0.0),
            "slippery": (8.0, 0.1),
            "long and slippery": (12.0, 0.05),
        },
        gymnasium="CliffWalking-v1",
    ),
    EnvironmentType(
        name="deep_sea",
        help="dive along a diagonal of which only the last step pays",
        rules=grids.DeepSea,
        physics={
            "size 4": (4.0, 11.0),
            "size 5": (5.0, 12.0),
            "size 6": (6.0, 13.0),
            "size 7": (7.0, 14.0),
            "size 8": (8.0, 15.0),
            "size 10": (10.0, 16.0),
        },
    ),
    EnvironmentType(
        name="river_swim",
        help="swim upstream, where much is paid seldom",
        rules=grids.RiverSwim,
        physics={
            "usual": (6.0, 0.35, 0.6, 0.005),
            "short": (4.0, 0.35, 0.6, 0.005),
            "long": (8.0, 0.6, 0.35, 0.005),
            "tempting": (6.0, 0.5, 0.45, 0.05),
            "easy": (8.0, 0.8, 0.15, 0.01),
        },
    ),
    EnvironmentType(
        name="random_table",
        help="find the states that pay where steps lead at random",
        rules=grids.RandomTable,
        physics={
            "first": (1.0, 0.2, 0.0),
            "second": (2.0, 0.2, 0.1),
            "third": (3.0, 0.1, 0.0),
            "fourth": (4.0, 0.3, 0.3),
            "fifth": (5.0, 0.15, 0.5),
            "sixth": (6.0, 0.2, 1.0),
        },
    ),
    EnvironmentType(
        name="four_rooms",
        help="find the goal in four rooms",
        rules=grids.FourRooms,
        physics={
            "usual": (1.0, 0.0),
            "wandering goal": (0.0, 0.0),
            "slippery": (1.0, 0.2),
        },
        split="validation",
    ),
    EnvironmentType(
        name="key_and_door",
        help="fetch a key, then go to the door",
        rules=grids.KeyAndDoor,
        physics={
            "usual": (5.0, 0.3, 0.01),
            "small": (4.0, 0.3, 0.01),
            "large": (7.0, 0.3, 0.01),
            "free steps": (5.0, 0.3, 0.0),
            "worthless key": (5.0, 0.0, 0.01),
        },
    ),
    EnvironmentType(
        name="context_bandit",
        help="choose the arm that eight numbers tell",
        rules=grids.ContextBandit,
        physics={
            "first": (1.0, 1.0),
            "second": (2.0, 0.7),
            "third": (3.0, 0.3),
            "fourth": (4.0, 0.1),
        },
    ),
    EnvironmentType(
        name="catch",
        help="catch a falling ball",
        rules=games.Catch,
        physics={"usual": (0.0,), "drifting": (0.3,), "drifting more": (0.7,)},
    ),
    EnvironmentType(
        name="bricks",
        help="hit bricks with a ball, and do not miss it",
        rules=games.Bricks,
        physics={
            "usual": (3.0, 2.0),
            "narrow": (3.0, 1.0),
            "one row": (1.0, 2.0),
            "wide": (2.0, 3.0),
        },
    ),
    EnvironmentType(
        name="dodge",
        help="keep away from falling blocks",
        rules=games.Dodge,
        physics={"usual": (0.2,), "few": (0.1,), "many": (0.35,), "crowded": (0.6,)},
    ),
    EnvironmentType(
        name="crossing",
        help="cross five lanes of cars, and again",
        rules=games.Crossing,
        physics={
            "usual": (0.05, 0.03, 0.25),
            "slow": (0.03, 0.02, 0.3),
            "long cars": (0.05, 0.03, 0.4),
            "fast": (0.1, 0.05, 0.3),
        },
        split="validation",
    ),
    EnvironmentType(
        name="gather",
        help="gather things while somebody gives chase",
        rules=games.Gather,
        physics={
            "usual": (0.4, 1.0),
            "slow chaser": (0.2, 1.0),
            "fast chaser": (0.6, 1.0),
            "nobody": (0.0, 0.0),
            "costly": (0.4, 5.0),
        },
    ),
    EnvironmentType(
        name="squash",
        help="play a ball against a wall",
        rules=games.Squash,
        physics={
            "usual": (0.08, 0.2, 0.08),
            "fast": (0.15, 0.25, 0.12),
            "small paddle": (0.06, 0.1, 0.08),
            "slow paddle": (0.06, 0.2, 0.04),
        },
    ),
    *JOURNEYS,
)

NUMBER: Mapping[str, int] = {kind.name: k for k, kind in enumerate(TYPES)}
"""Place of each type in the kernel's table."""

TYPE: Mapping[str, EnvironmentType] = {kind.name: kind for kind in TYPES}


def types_of(split: Split) -> tuple[EnvironmentType, ...]:
    """Return the types on a side, in order."""
    return tuple(kind for kind in TYPES if kind.split == split)
