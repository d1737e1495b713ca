"""The doctor finds what is there, what is missing and what mends it, and needs no extra itself."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from agents.commands import doctor
from agents.commands.doctor import Finding

ROOT = Path(__file__).parents[3]
DECLARED = [
    "numpy<3,>=1.26",
    "torch>=2.8",
    "tyro>=0.9; extra == 'train'",
    "matplotlib>=3; extra == 'plots'",
    "matplotlib>=3; extra == 'all'",
    "tyro>=0.9; extra == 'all'",
    *(f"{name}; extra == 'dev'" for name in ("matplotlib>=3", "tyro>=0.9", "ruff")),
    *(f"{name}; extra == 'more-opponents'" for name in ("matplotlib>=3", "tyro>=0.9", "rich")),
]


@pytest.fixture(autouse=True)
def _declared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "requires", lambda _: DECLARED)


def missing(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    def look_up(name: str) -> str:
        if name in names:
            raise PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr(doctor, "version", look_up)


def only(monkeypatch: pytest.MonkeyPatch, *findings: Finding) -> None:
    monkeypatch.setattr(doctor, "LOOKS", (lambda: iter(findings),))


def test_where_all_is_well_nothing_is_to_be_done(capsys: pytest.CaptureFixture[str]) -> None:
    doctor.main([])
    printed = capsys.readouterr().out
    assert printed.endswith("0 faults\n")
    for what in ("numpy", "compiler", "supervised", "[train]", "[plots]"):
        assert f"ok     {what}" in printed
    assert "[all]" not in printed  # the sum of others
    assert "[dev]" not in printed  # of no use to users
    assert "[more-opponents]" in printed, "it brings one that no other does"


def test_a_missing_extra_is_a_note_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    missing(monkeypatch, "matplotlib")
    found = {finding.what: finding for finding in doctor.extras()}
    assert found["[train]"].state == "ok"
    assert found["[plots]"].state == "note"
    assert found["[plots]"].said == "matplotlib is not installed"
    assert found["[plots]"].do.startswith("pip install 'hpo-control[plots]'")


def test_a_missing_dependency_is_a_fault_and_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    missing(monkeypatch, "torch")
    monkeypatch.setattr(doctor, "LOOKS", (doctor.dependencies,))
    with pytest.raises(SystemExit) as info:
        doctor.main([])
    assert info.value.code == 1
    assert "FAULT  torch" in capsys.readouterr().out


def test_a_note_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    only(monkeypatch, Finding(what="threads", state="note", said="two"))
    doctor.main([])


@pytest.mark.parametrize(
    ("requirement", "said"),
    [
        ("torch>=2.8,<3", ""),
        ("torch<3,>=2.8", ""),
        ("torch>=99", "not >=99"),
        ("torch<1", "not <1"),
        ("torch", ""),
    ],
)
def test_versions_are_held_against_both_bounds(requirement: str, said: str) -> None:
    assert doctor.unmet(requirement).endswith(said)
    assert bool(doctor.unmet(requirement)) == bool(said)


@pytest.mark.parametrize("compiler", ["no-such-compiler", "false"])
def test_a_compiler_that_does_not_compile_is_a_fault(
    compiler: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CXX", compiler)
    monkeypatch.setenv("HPO_CONTROL_CACHE", str(tmp_path))
    found = {finding.what: finding for finding in doctor.kernels()}
    assert found["supervised"].state == "fault"
    assert compiler in found["supervised"].said
    assert "quadratic" not in found  # it has no kernel


def test_a_clone_that_is_not_installed_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(_: str) -> list[str]:
        raise PackageNotFoundError

    monkeypatch.setattr(doctor, "requires", look_up)
    (note,) = (finding for finding in doctor.machine() if finding.state == "note")
    assert note.do.startswith("pip install --editable")


def test_it_answers_without_any_extra() -> None:
    absent = "sys.modules.update(dict.fromkeys(('tyro', 'rich', 'torch', 'matplotlib')))"
    program = f"import sys; {absent}; from agents.cli import main; main(['doctor', '--help'])"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Exit code 0" in done.stdout
