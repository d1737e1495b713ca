"""The suites are found in one place, whoever's they are, and say what they need."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hpo_env import testing

AWKWARD = Path(__file__).parents[2] / "awkward"


@pytest.mark.parametrize("name", testing.SUITES)
def test_every_suite_is_found_by_its_name(name: str) -> None:
    suite = getattr(testing, name)
    assert suite.__name__ == name
    assert suite.__doc__
    assert name in dir(testing)


def test_there_is_nothing_else() -> None:
    with pytest.raises(AttributeError, match="'FamilyContracts'"):
        testing.FamilyContracts  # noqa: B018


def test_without_pytest_the_suites_say_how_to_get_it() -> None:
    code = (
        "import sys; sys.modules['pytest'] = None\n"
        "from hpo_env import testing\n"
        "from hpo_env.errors import MissingExtraError\n"
        "try:\n"
        "    testing.FamilyContract\n"
        "except MissingExtraError as error:\n"
        "    print(error)\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert "FamilyContract is a suite of tests and needs pytest" in result.stdout


def test_the_environment_needs_no_suite() -> None:
    code = "import sys, hpo_env.vector_env; assert 'hpo_env.testing' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_an_outsiders_family_is_checked_in_a_folder_of_its_own(tmp_path: Path) -> None:
    shutil.copytree(AWKWARD, tmp_path / "games")
    (tmp_path / "test_games.py").write_text(
        "from hpo_env.testing import FamilyContract\n\n\n"
        "class TestGames(FamilyContract):\n"
        "    family = 'games.family:AwkwardFamily'\n\n\n"
        "class TestLongGames(FamilyContract):\n"
        "    family = 'games.family:AwkwardFamily'\n"
        "    options = {'rounds': 0}\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "neighbours"]
    result = subprocess.run(
        [*command, "--rootdir", str(tmp_path), "test_games.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert "1 failed, 1 passed" in result.stdout, result.stdout + result.stderr
    assert "rounds must be a positive integer; got 0" in result.stdout
