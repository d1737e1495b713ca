"""Contract suites: what every plug-in must keep to, as test classes that its author subclasses too.

    from hpo_env.testing import FamilyContract

    class TestGames(FamilyContract):
        family = "my_package.games:GameFamily"
        options = {"num_levels": 2}

pytest finds the subclass and runs every rule on it; a rule that is broken is named with the value
that broke it. Each suite is imported when it is first asked for, and all of them need pytest.

- AlgorithmContract: a meta-learning algorithm.
- FamilyContract: a task family, its tasks, its trainer and its environment.
- OpponentContract: an opponent of a comparison, on a family.
- LearnerContract: what meta-trains a policy.
- HostContract: what a controller steers.
- SituationContract: what becomes of the user's values in a training that is repeated, interrupted,
  resumed, blind, spoiled, or written to by others.
- ParityContract: a policy sees and does in a family's host what it saw and did in training.
- FamilyUses: a family through every command, from meta-training to deployment.
"""

from __future__ import annotations

from typing import Any

from hpo_env.addresses import load_address
from hpo_env.errors import MissingExtraError

SUITES: dict[str, str] = {
    "AlgorithmContract": "hpo_agents.testing.adaptation:AlgorithmContract",
    "FamilyContract": "hpo_env.testing.families:FamilyContract",
    "FamilyUnderTest": "hpo_env.testing.under_test:FamilyUnderTest",
    "FamilyUses": "hpo_agents.testing.uses:FamilyUses",
    "HostContract": "hpo_env.testing.hosts:HostContract",
    "LearnerContract": "hpo_agents.testing.learners:LearnerContract",
    "OpponentContract": "hpo_agents.testing.opponents:OpponentContract",
    "ParityContract": "hpo_env.testing.parity:ParityContract",
    "SituationContract": "hpo_env.testing.situations:SituationContract",
}
"""Where each suite is: addresses, as the environment must not import the agents."""


def __getattr__(name: str) -> Any:
    if name not in SUITES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return load_address("contract suite", SUITES[name])
    except ModuleNotFoundError as error:
        if error.name != "pytest":
            raise
        raise MissingExtraError(
            f"{name} is a suite of tests and needs pytest; install it with: pip install pytest"
        ) from error


def __dir__() -> list[str]:
    return sorted([*globals(), *SUITES])
