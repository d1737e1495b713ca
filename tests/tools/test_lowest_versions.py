"""The lowest versions that are tested are those that pyproject.toml promises."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.lowest_versions import lowest, main

TEXT = """
[project]
dependencies = ["numpy>=1.26,<3", "bare", "safetensors>=0.5.1"]
[project.optional-dependencies]
a = ["pandas>=2.2"]
b = ["hpo-control[a,c]", "psycopg[binary]>=3.2"]
c = ["scipy>=1.14"]
d = ["scipy>=1.9", "hpo-control[c]"]
"""


@pytest.fixture
def pyproject(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text(TEXT)
    return tmp_path / "pyproject.toml"


def test_bounds_of_the_package_and_of_extras_within_extras(pyproject: Path) -> None:
    always = {"numpy": "1.26", "safetensors": "0.5.1"}
    assert lowest([], pyproject) == always
    assert lowest(["a"], pyproject) == always | {"pandas": "2.2"}
    everything = always | {"pandas": "2.2", "scipy": "1.14", "psycopg": "3.2"}
    assert lowest(["b"], pyproject) == everything


def test_of_two_bounds_the_higher_one_holds(pyproject: Path) -> None:
    assert lowest(["d"], pyproject)["scipy"] == "1.14"
    assert lowest(["c", "d"], pyproject) == lowest(["d", "c"], pyproject)


def test_an_extra_that_is_not_there_is_an_error(pyproject: Path) -> None:
    with pytest.raises(KeyError):
        lowest(["e"], pyproject)


def test_it_prints_constraints_of_pip(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.argv", ["lowest_versions.py", "train"])
    main()
    lines = capsys.readouterr().out.splitlines()
    assert all(line.count("==") == 1 for line in lines)
    assert {"torch", "gymnasium", "stable-baselines3"} <= {line.split("==")[0] for line in lines}
