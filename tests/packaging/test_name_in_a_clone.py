"""`hpo_agents` in a clone: the folder's modules under the name that a wheel gives them."""

from __future__ import annotations

import importlib
import pickle
import pkgutil
import subprocess
import sys
from pathlib import Path

import pytest

import agents
from agents.opponents.registry import OPPONENTS, find_maker
from hpo_env.addresses import load_address

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    "module", [module.name for module in pkgutil.iter_modules(agents.__path__, "agents.")]
)
def test_a_module_is_one_under_both_names(module: str) -> None:
    theirs = importlib.import_module(module.replace("agents", "hpo_agents", 1))
    assert theirs is importlib.import_module(module)
    assert theirs.__name__ == module
    assert theirs.__spec__ is not None
    assert theirs.__spec__.name == module


def test_what_is_deep_in_the_folder_is_one_too() -> None:
    deep = "opponents.parameter_free.table"
    assert importlib.import_module(f"hpo_agents.{deep}") is sys.modules[f"agents.{deep}"]


@pytest.mark.parametrize("name", ["pbt", "prodigy"])
def test_addresses_lead_to_the_same(name: str) -> None:
    address = OPPONENTS[name].replace("agents", "hpo_agents", 1)
    maker = load_address("opponent", address)
    assert maker is find_maker(name)
    assert pickle.loads(pickle.dumps(maker)) is maker


def test_what_is_not_there_is_missed_by_the_name_that_was_asked_for() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"'hpo_agents\.nothing'"):
        importlib.import_module("hpo_agents.nothing")


@pytest.fixture
def neighbour(tmp_path: Path) -> Path:
    """A folder with somebody else's package `agents`, to stand first on the path."""
    (tmp_path / "agents").mkdir()
    (tmp_path / "agents" / "__init__.py").write_text("", encoding="utf-8")
    return tmp_path


def run(program: str, *path: Path) -> subprocess.CompletedProcess[str]:
    lines = [f"import sys; sys.path[:0] = {[str(folder) for folder in path]}", program]
    command = [sys.executable, "-P", "-c", "\n".join(lines)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


def test_the_folder_goes_before_another_package_of_its_name(neighbour: Path) -> None:
    done = run("import hpo_agents.tags; print(hpo_agents.tags.__file__)", neighbour, ROOT)
    assert done.stdout.strip() == str(ROOT / "agents" / "tags.py"), done.stderr


def test_another_package_that_has_been_imported_is_not_replaced(neighbour: Path) -> None:
    done = run("import agents, hpo_agents", neighbour, ROOT)
    assert "ImportError: another package 'agents' has been imported before" in done.stderr
    assert "pip install" in done.stderr
