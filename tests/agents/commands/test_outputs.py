"""What cannot be written is refused before the work, and what is written is whole."""

from __future__ import annotations

from pathlib import Path

import pytest

from agents.commands import load_command
from agents.commands.outputs import check_file, check_folder
from hpo_env.errors import ConfigurationError, RunFolderError

BAD = {
    "a folder": "folder",
    "below a file": "file/out.json",
    "too long": "n" * 300,
    "nearly too long": "n" * 250,
    "NUL": "a\0b",
    "a pipe": "pipe",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    import os

    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("kept")
    os.mkfifo(tmp_path / "pipe")
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_a_file_that_cannot_be_written_is_refused(name: str, place: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        check_file(place / BAD[name])


@pytest.mark.parametrize("name", ["below a file", "too long", "NUL"])
def test_a_folder_that_cannot_be_made_is_refused(name: str, place: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written"):
        check_folder(place / BAD[name])


def test_a_check_leaves_nothing_and_changes_nothing(place: Path) -> None:
    before = sorted(place.iterdir())
    check_file(place / "new.json")
    check_file(place / "file")
    check_folder(place / "folder")
    assert sorted(place.iterdir()) == before
    assert (place / "file").read_text() == "kept"


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "{0}/folder"],
        ["--figure", "{0}/out.docx"],
        ["--figure", "{0}/folder"],
        ["--analysis", "{0}/file"],
        ["--json", "{0}/out.png", "--figure", "{0}/out.png"],
    ],
)
def test_evaluate_looks_at_its_outputs_before_it_even_loads_the_policy(
    words: list[str], place: Path
) -> None:
    arguments = [word.format(place) for word in words]
    with pytest.raises(ConfigurationError):
        load_command("evaluate")(["no such policy", *arguments])


def test_report_of_a_folder_of_runs_names_them_and_writes_nothing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "held_out").mkdir(parents=True)
        (tmp_path / name / "events.out.tfevents.1").write_bytes(b"")
        (tmp_path / name / "held_out" / "events.out.tfevents.1").write_bytes(b"")
    with pytest.raises(RunFolderError, match=r"is no run, but holds some.*one, \S*two\."):
        load_command("report")([str(tmp_path)])
    assert not (tmp_path / "report.html").exists()
