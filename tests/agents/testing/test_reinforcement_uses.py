"""Reinforcement through every command."""

from __future__ import annotations

from typing import Any, ClassVar

from hpo_env.tasks.base import Engine
from hpo_env.testing import FamilyUses


class TestReinforcementInUse(FamilyUses):
    """On rollouts of a few steps."""

    family: ClassVar[str] = "reinforcement"
    options: ClassVar[dict[str, Any]] = {"shape": (2, 32, 1)}
    twin_engine: ClassVar[Engine] = "reference"
