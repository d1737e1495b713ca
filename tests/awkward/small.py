"""The awkward family as suites take it."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hpo_env.testing.under_test import FamilyUnderTest

from . import trainer


class Awkward(FamilyUnderTest):
    """By its address, wherever its folder is."""

    family: ClassVar[str] = f"{__package__}.family:AwkwardFamily"

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(trainer, "TEST_SHIFT", 7.0)
