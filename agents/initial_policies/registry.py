"""The registry of meta-training's algorithms; one is imported when it is first asked for.

`joint` is the usual one: the agent learns from all tasks together. The others learn where an agent
should start that is to be adapted to one data set; they make their updates by PPO's objective.
"""

from __future__ import annotations

from hpo_env.addresses import load_address
from hpo_env.errors import ConfigurationError, unknown_name

from ..learners.base import Learner
from ..learners.registry import check_learner, learner_class

JOINT = "joint"

_CLASSES = {
    "reptile": "reptile:ReptilePolicy",
    "maml": "maml:MAMLPolicy",
    "first_order_maml": "maml:FirstOrderMAMLPolicy",
    "imaml": "imaml:ImplicitMAMLPolicy",
    "meta_sgd": "meta_sgd:MetaSGDPolicy",
}

ALGORITHMS: dict[str, str | None] = {JOINT: None} | {
    name: f"{__package__}.{place}" for name, place in _CLASSES.items()
}
"""Name of each algorithm, and where it is: `module:Class`; None for the agent itself."""

_AGENT = "ppo"


def check_algorithm(algorithm: str, agent: str) -> None:
    """Check an algorithm and the agent that is to be trained by it, without importing anything.

    Raises:
        UnknownNameError: One of them is in no registry; the nearest are suggested.
        ConfigurationError: The algorithm makes no updates of that agent.
    """
    check_learner(agent)
    if algorithm not in ALGORITHMS:
        raise unknown_name("algorithm", algorithm, ALGORITHMS)
    if algorithm != JOINT and agent != _AGENT:
        raise ConfigurationError(
            f"algorithm {algorithm!r} makes the updates of agent {_AGENT!r}; got agent={agent!r}: "
            f"leave it out, or take algorithm={JOINT!r}"
        )


def trained_class(algorithm: str, agent: str) -> type[Learner]:
    """Return the class of what learns.

    Args:
        algorithm: A name of the registry.
        agent: A name of the registry of learners, or `module:Class`.

    Raises:
        UnknownNameError: One of them is in no registry; the nearest are suggested.
        ConfigurationError: See `check_algorithm` and `learner_class`.
    """
    check_algorithm(algorithm, agent)
    place = ALGORITHMS[algorithm]
    if place is None:
        return learner_class(agent)
    found = load_address("algorithm", place)
    assert isinstance(found, type)
    assert issubclass(found, Learner)
    return found
