"""Types with long episodes, on some of which the values that are good on short ones are wrong.

Some physics pay little for the way and much for how it ends ("paid late").
"""

from __future__ import annotations

from hpo_env.tasks.reinforcement.environments import journeys, loads
from hpo_env.tasks.reinforcement.environments.base import EnvironmentType

JOURNEYS: tuple[EnvironmentType, ...] = (
    EnvironmentType(
        name="docking",
        help="bring a spacecraft in orbit to another's port, gently",
        rules=journeys.Docking,
        physics={
            "usual": (40.0, 100.0, 0.1, 0.06, 0.1, 0.1, 0.05, 0.002),
            "paid late": (8.0, 100.0, 0.1, 0.06, 0.1, 0.1, 0.05, 0.002),
            "gentle": (40.0, 100.0, 0.1, 0.06, 0.1, 0.06, 0.05, 0.001),
            "costly fuel": (20.0, 50.0, 0.1, 0.06, 0.1, 0.1, 0.2, 0.002),
            "unsteady": (40.0, 100.0, 0.1, 0.08, 0.12, 0.12, 0.05, 0.008),
            "fast orbit": (40.0, 100.0, 0.2, 0.1, 0.1, 0.1, 0.05, 0.002),
        },
    ),
    EnvironmentType(
        name="parking",
        help="drive a car into a bay between two others",
        rules=journeys.Parking,
        physics={
            "usual": (40.0, 100.0, 0.4, 0.5, 2.0, 0.95, 0.2, 0.05),
            "paid late": (8.0, 100.0, 0.4, 0.5, 2.0, 1.0, 0.25, 0.05),
            "narrow bay": (40.0, 100.0, 0.4, 0.5, 2.0, 0.8, 0.2, 0.02),
            "long car": (40.0, 100.0, 0.6, 0.5, 2.0, 1.0, 0.25, 0.05),
            "sluggish": (40.0, 100.0, 0.4, 0.2, 0.7, 0.95, 0.2, 0.05),
            "slippery": (20.0, 50.0, 0.4, 0.5, 2.0, 0.95, 0.2, 0.2),
        },
    ),
    EnvironmentType(
        name="trailer",
        help="back a truck with a trailer to a ramp",
        rules=journeys.Trailer,
        physics={
            "usual": (40.0, 100.0, 0.5, 0.7, 0.15, 0.1, 0.01),
            "paid late": (8.0, 100.0, 0.5, 0.7, 0.15, 0.1, 0.01),
            "short trailer": (40.0, 100.0, 0.5, 0.45, 0.15, 0.1, 0.01),
            "slow wheels": (40.0, 100.0, 0.5, 0.7, 0.15, 0.03, 0.01),
            "slow": (40.0, 100.0, 0.5, 0.7, 0.09, 0.1, 0.01),
            "bumpy": (20.0, 50.0, 0.4, 0.7, 0.15, 0.1, 0.04),
        },
    ),
    EnvironmentType(
        name="crane",
        help="lift a load over a stack and set it down behind it",
        rules=loads.Crane,
        physics={
            "usual": (40.0, 100.0, 0.5, 0.4, 0.5, 0.2, 9.8, 0.02),
            "paid late": (8.0, 100.0, 0.5, 0.4, 0.5, 0.2, 9.8, 0.02),
            "high stack": (40.0, 100.0, 0.5, 0.4, 0.8, 0.2, 9.8, 0.02),
            "weak": (40.0, 100.0, 0.25, 0.25, 0.5, 0.2, 9.8, 0.02),
            "little gravity": (20.0, 50.0, 0.4, 0.4, 0.5, 0.2, 4.0, 0.02),
            "windy": (40.0, 100.0, 0.5, 0.4, 0.5, 0.2, 9.8, 0.1),
        },
    ),
    EnvironmentType(
        name="plate",
        help="roll a ball through chambers of a plate past holes by tilting it",
        rules=loads.Plate,
        physics={
            "usual": (40.0, 100.0, 5.0, 4.0, 0.3, 0.07, 0.2),
            "paid late": (15.0, 100.0, 5.0, 4.0, 0.3, 0.07, 0.2),
            "large holes": (40.0, 100.0, 5.0, 4.0, 0.5, 0.11, 0.1),
            "slow plate": (40.0, 100.0, 5.0, 2.0, 0.4, 0.07, 0.2),
            "slippery": (20.0, 50.0, 4.0, 5.0, 0.1, 0.07, 0.2),
            "gusty": (40.0, 100.0, 5.0, 4.0, 0.4, 0.06, 0.8),
        },
    ),
    EnvironmentType(
        name="channel",
        help="steer a boat through a winding channel",
        rules=journeys.Channel,
        physics={
            "usual": (40.0, 100.0, 0.4, 1.5, 1.0, 0.4, 0.5, 0.0, 0.05),
            "paid late": (8.0, 100.0, 0.4, 1.5, 1.0, 0.4, 0.5, 0.0, 0.05),
            "narrow": (40.0, 100.0, 0.4, 1.5, 1.0, 0.28, 0.5, 0.0, 0.03),
            "sluggish": (40.0, 100.0, 0.4, 1.2, 2.5, 0.45, 0.4, 0.0, 0.03),
            "upstream": (20.0, 50.0, 0.5, 1.5, 1.0, 0.4, 0.5, -0.15, 0.05),
            "gusty": (40.0, 100.0, 0.4, 1.5, 1.0, 0.4, 0.5, 0.0, 0.2),
        },
        split="validation",
    ),
)
"""In the order of the kernel's table, whose end they are."""
