"""Reinforcement through every command."""

from __future__ import annotations

from typing import ClassVar

from hpo_env.tasks.base import Engine
from hpo_env.testing import FamilyUses


class TestReinforcementInUse(FamilyUses):
    """On rollouts of a few steps."""

    family: ClassVar[str] = "tests.hpo_env.tasks.reinforcement.small:SmallReinforcement"
    twin_engine: ClassVar[Engine] = "reference"
