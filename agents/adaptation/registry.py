"""The registry of meta-learning algorithms; one is imported when it is first asked for.

One outside of this package is asked for by its address, `module:Class`.
"""

from __future__ import annotations

from hpo_env.addresses import load_class
from hpo_env.errors import ConfigurationError

from ..learners.settings import Settings
from .base import Algorithm

_CLASSES = {
    "maml": "maml:MAML",
    "first_order_maml": "maml:FirstOrderMAML",
    "reptile": "reptile:Reptile",
    "imaml": "imaml:ImplicitMAML",
    "meta_sgd": "meta_sgd:MetaSGD",
    "proto_maml": "proto_maml:ProtoMAML",
    "leo": "leo:LatentEmbeddingOptimization",
    "memory": "memory:MemoryAugmentedNetwork",
    "matching": "matching:MatchingNetworks",
    "prototypical": "prototypical:PrototypicalNetworks",
}

ALGORITHMS: dict[str, str] = {name: f"{__package__}.{place}" for name, place in _CLASSES.items()}
"""Name of each algorithm, and where it is: `module:Class`."""


def algorithm_class(name: str) -> type[Algorithm]:
    """Return the class of an algorithm.

    Args:
        name: A name of the registry, or `module:Class`.

    Raises:
        UnknownNameError: There is no algorithm of that name; the nearest are suggested.
        ConfigurationError: The address leads nowhere, or to something that is no algorithm.
    """
    base = "hpo_agents.adaptation.base.Algorithm"
    found: type[Algorithm] = load_class("algorithm", name, ALGORITHMS, Algorithm, base)
    where = f"algorithm {found.__module__}:{found.__qualname__}"
    for fact in ("name", "source"):
        if not getattr(found, fact, None):
            raise ConfigurationError(f"{where}: {fact} must be declared, and not be empty")
    kind = getattr(found, "settings", None)
    if not (isinstance(kind, type) and issubclass(kind, Settings)):
        raise ConfigurationError(
            f"{where}: settings must be declared, a dataclass that derives from "
            f"hpo_agents.learners.settings.Settings; got {kind}"
        )
    return found
