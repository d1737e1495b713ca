"""The contract of a task family, as a test class that the family's author subclasses.

    class TestGames(FamilyContract):
        family = "my_package.games:GameFamily"
        options = {"num_levels": 2}

        def mislead(self, monkeypatch):  # optional: see `FamilyUnderTest.mislead`
            monkeypatch.setattr(games, "TEST_LEVELS", (7, 8))

A rule that is broken fails a test of its name, with a message of the rule and the value.
"""

from __future__ import annotations

from hpo_env.testing.environments import EnvironmentRules
from hpo_env.testing.tasks import TaskRules
from hpo_env.testing.trainers import TrainerRules


class FamilyContract(TaskRules, TrainerRules, EnvironmentRules):
    """All rules: what the family declares and draws, its trainer, and its environment."""
