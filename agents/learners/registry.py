"""The registry of learners; one is imported when it is first asked for.

A learner outside of this package is asked for by its address, `module:Class`.
"""

from __future__ import annotations

from hpo_env.addresses import check_name, load_class
from hpo_env.errors import ConfigurationError

from .base import Learner
from .settings import Settings

_CLASSES = {
    "ppo": "sb3:PPO",
    "a2c": "sb3:A2C",
    "sac": "sb3:SAC",
    "td3": "sb3:TD3",
    "dqn": "sb3:DQN",
    "tqc": "sb3:TQC",
    "recurrent_ppo": "sb3:RecurrentPPO",
    "ars": "ars:AugmentedRandomSearch",
}

LEARNERS: dict[str, str] = {name: f"{__package__}.{place}" for name, place in _CLASSES.items()}
"""Name of each learner, and where it is: `module:Class`."""


def learner_class(name: str) -> type[Learner]:
    """Return the class of a learner.

    Args:
        name: A name of the registry, or `module:Class`.

    Raises:
        UnknownNameError: There is no learner of that name; the nearest are suggested.
        ConfigurationError: The address leads nowhere, or to something that is no learner.
    """
    base = "hpo_agents.learners.base.Learner"
    found: type[Learner] = load_class("agent", name, LEARNERS, Learner, base)
    _check_declarations(found)
    return found


def check_learner(name: str) -> None:
    """Check a name without importing anything.

    Raises:
        UnknownNameError: It is neither registered nor an address; the nearest are suggested.
    """
    check_name("agent", name, LEARNERS)


def _check_declarations(learner: type[Learner]) -> None:
    where = f"agent {learner.__module__}:{learner.__qualname__}"
    if not getattr(learner, "name", None):
        raise ConfigurationError(f"{where}: name must be declared, and not be empty")
    kind = getattr(learner, "settings", None)
    if not (isinstance(kind, type) and issubclass(kind, Settings)) or kind is Settings:
        raise ConfigurationError(
            f"{where}: settings must be declared, a dataclass that derives from "
            f"settings.Settings; got {kind}"
        )
    modes = learner.action_modes
    if not modes or not set(modes) <= {"discrete", "continuous"}:
        raise ConfigurationError(
            f"{where}: action_modes must be some of 'discrete' and 'continuous'; got {modes}"
        )
