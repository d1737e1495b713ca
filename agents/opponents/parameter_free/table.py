"""Every parameter-free optimiser by name.

Adding one costs a file with a subclass of `Updater`, a line here, and its package in the test that
compares them.
"""

from __future__ import annotations

from hpo_env.errors import unknown_name
from hpo_env.networks.updaters import Updater

from .cocob import COCOB
from .d_adaptation import DAdaptationAdamW
from .dog import DoG
from .dowg import DoWG
from .prodigy import Prodigy
from .schedule_free import ScheduleFreeAdamW

UPDATERS: dict[str, Updater] = {
    "schedule_free": ScheduleFreeAdamW(),
    "prodigy": Prodigy(),
    "d_adaptation": DAdaptationAdamW(),
    "dog": DoG(),
    "dowg": DoWG(),
    "cocob": COCOB(),
}
"""The rule of each."""


def updater(name: str) -> Updater:
    """Look an optimiser up.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    if name not in UPDATERS:
        raise unknown_name("parameter-free optimiser", name, UPDATERS)
    return UPDATERS[name]
