"""Reinforcement through every command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

import pytest

from hpo_env.tasks.base import Engine
from hpo_env.tasks.registry import FAMILIES
from hpo_env.testing import FamilyUses

SMALL = "tests.hpo_env.tasks.reinforcement.small:SmallReinforcement"


class TestReinforcementInUse(FamilyUses):
    """On rollouts of a few steps, under the family's own name."""

    family: ClassVar[str] = "reinforcement"
    twin_engine: ClassVar[Engine] = "reference"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _line(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(FAMILIES, "reinforcement", SMALL)
            yield
