"""What is built installs in a fresh environment, beside another package `agents`, and works there.

The stand-in for openai-agents, the well-known package `agents`, is a wheel that is written here.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

import hpo_env
from hpo_env.policy_file import save
from tests.agents.opponents.policies import steady_policy

pytest.importorskip("hatchling", reason="packages are built with hatchling")

ROOT = Path(__file__).parents[2]
NEIGHBOUR = "neighbour-0.1-py3-none-any.whl"
PLUG_IN = '''"""An opponent of a user's own."""

from hpo_agents.opponents.schedules import default


def mine(name, setup):
    """The values that it was given, under another name."""
    return default(name, setup)
'''
PROGRAM = """
import gymnasium
import hpo_agents.opponents.base
import hpo_env
from hpo_env.testing import FamilyUses, LearnerContract, OpponentContract

env = gymnasium.make("HPOControl-v0", family="quadratic")
observation, _ = env.reset(seed=0)
assert env.observation_space.contains(observation)
print(hpo_env.Controller.from_pretrained("supervised").policy.family)
print(hpo_agents.opponents.base.__name__, LearnerContract.__module__)
"""


class Installed:
    """A fresh environment that lends the packages of this one, and none of this clone.

    Args:
        folder: Where it is made; with a space and a letter that is not ASCII in it.
        wheels: What is installed, in this order.
    """

    def __init__(self, folder: Path, wheels: Sequence[Path]) -> None:
        self.folder = folder
        venv.create(folder, with_pip=False)
        self.python = folder / "bin" / "python"
        packages = next(folder.glob("lib/python*/site-packages"))
        lent = [path for path in sys.path if path.endswith("site-packages")]
        (packages / "lent.pth").write_text("\n".join(lent), encoding="utf-8")
        pip = (sys.executable, "-m", "pip", "--python", str(self.python), "install", "--quiet")
        for wheel in wheels:
            subprocess.run([*pip, "--no-deps", "--no-index", wheel], check=True)

    def run(self, program: str, *words: str, cwd: Path, **variables: str) -> str:
        """Run a program of the environment; returns what it printed."""
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        done = subprocess.run(
            [self.folder / "bin" / program, *words],
            cwd=cwd,
            env=kept | variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The sdist, and the wheel that is made of it and of nothing else."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "--directory", str(folder), "--target"]
    subprocess.run([*build, "sdist"], cwd=ROOT, check=True, capture_output=True)
    (sdist,) = folder.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        # The default from Python 3.14 on; Debian's 3.11.2 does not know it yet.
        archive.extraction_filter = getattr(tarfile, "data_filter", None)
        archive.extractall(folder)
    clone = folder / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*build, "wheel"], cwd=clone, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    return sdist, wheel


@pytest.fixture(scope="module")
def neighbour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's distribution, whose import package is called `agents`."""
    path = tmp_path_factory.mktemp("neighbour") / NEIGHBOUR
    info = "neighbour-0.1.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("agents/__init__.py", "WHOSE = 'theirs'\n")
        wheel.writestr("agents/cli.py", "raise RuntimeError('theirs')\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: neighbour\nVersion: 0.1\n")
        wheel.writestr(
            f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        )
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture(scope="module", params=["before", "after"])
def installed(
    request: pytest.FixtureRequest,
    built: tuple[Path, Path],
    neighbour: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Installed:
    """With the neighbour installed before it, or after it."""
    _, wheel = built
    wheels = {"before": [neighbour, wheel], "after": [wheel, neighbour]}
    folder = tmp_path_factory.mktemp("installed") / f"an envirönment {request.param}"
    return Installed(folder, wheels[request.param])


def test_both_packages_carry_all_that_is_not_python(built: tuple[Path, Path]) -> None:
    sdist, wheel = built
    data = {
        path.relative_to(ROOT).as_posix()
        for path in (*ROOT.glob("hpo_env/**/*"), *ROOT.glob("agents/**/*"))
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert {"hpo_env/zoo/supervised/policy.safetensors", "agents/py.typed"} <= data
    in_wheel = set(zipfile.ZipFile(wheel).namelist())
    assert {name.replace("agents/", "hpo_agents/") for name in data} <= in_wheel
    with tarfile.open(sdist) as archive:
        in_sdist = {name.partition("/")[2] for name in archive.getnames()}
    others = {"meta_train.py", "docs/how-it-is-built.md", "tests/conftest.py", "CHANGELOG.md"}
    assert data | others <= in_sdist


def test_a_wheel_takes_no_name_that_is_not_ours(built: tuple[Path, Path]) -> None:
    tops = {name.partition("/")[0] for name in zipfile.ZipFile(built[1]).namelist()}
    assert tops == {"hpo_env", "hpo_agents", f"hpo_control-{hpo_env.__version__}.dist-info"}


def test_the_version_is_in_one_place() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["dynamic"] == ["version"]


def test_nothing_within_the_folder_calls_it_by_a_name() -> None:
    named = [
        f"{path.relative_to(ROOT)}:{number}"
        for path in ROOT.glob("agents/**/*.py")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if line.lstrip().startswith(("from agents", "import agents", "from hpo_agents"))
        or "'agents." in line.replace('"', "'")
    ]
    assert not named, "import relatively: the folder is called hpo_agents where it is installed"


def test_it_works_where_it_is_installed(installed: Installed, tmp_path: Path) -> None:
    assert "usage: hpo-control" in installed.run("hpo-control", "--help", cwd=tmp_path)
    printed = installed.run("python", "-W", "error", "-c", PROGRAM, cwd=tmp_path)
    learners = "hpo_agents.testing.learners"
    assert printed.split() == ["supervised", "hpo_agents.opponents.base", learners]


@pytest.mark.parametrize("installed", ["after"], indirect=True)
def test_processes_that_it_starts_find_it_too(installed: Installed, tmp_path: Path) -> None:
    (tmp_path / "plug_in.py").write_text(PLUG_IN, encoding="utf-8")
    save(steady_policy("quadratic", ("learning_rate",), level=0.5), tmp_path / "policy")
    little = ("--tasks", "1", "--seeds", "1", "--starts", "0.01", "--tuning-tasks", "1")
    opponents = ("--opponents", "plug_in:mine", "--num-workers", "1")
    command = ("hpo-control", "compare", "policy", *little, "--runs", "2", *opponents)
    printed = installed.run(*command, cwd=tmp_path, PYTHONPATH=str(tmp_path))
    assert "2 cells run" in printed


def test_the_neighbour_is_left_as_it_was(installed: Installed, tmp_path: Path) -> None:
    whose = installed.run("python", "-c", "import agents; print(agents.WHOSE)", cwd=tmp_path)
    assert whose.strip() == "theirs"
