"""A family costs one folder and one line, for every use: registered, and from outside."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from hpo_env.tasks.registry import FAMILIES
from hpo_env.testing import FamilyUses

FOLDER = Path(__file__).parents[2] / "awkward"


class TestRegistered(FamilyUses):
    """The folder, and the line in the registry."""

    family: ClassVar[str] = "awkward"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _line(cls) -> Iterator[None]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setitem(FAMILIES, "awkward", "tests.awkward.family:AwkwardFamily")
            yield


class TestFromOutside(FamilyUses):
    """The folder somewhere else, under another name, and no line at all."""

    family: ClassVar[str] = "elsewhere_games.family:AwkwardFamily"

    @pytest.fixture(scope="class", autouse=True)
    @classmethod
    def _package(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
        place = tmp_path_factory.mktemp("site")
        shutil.copytree(FOLDER, place / "elsewhere_games")
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(place)
            importlib.invalidate_caches()
            yield
        for name in [name for name in sys.modules if name.startswith("elsewhere_games")]:
            del sys.modules[name]
