"""One call takes a name or a path."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from hpo_env.datasets import load, load_dataset
from hpo_env.errors import DatasetError, UnknownNameError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "mine.npz"
    np.savez(file, x=np.arange(40.0)[:, None], y=np.arange(40) % 4)
    return file


def test_a_name_gives_the_named_data_set() -> None:
    assert load("digits") is load_dataset("digits")


def test_a_path_gives_the_file_as_text_or_as_path(path: Path) -> None:
    assert load(path, "y").name == load(str(path), target="y").name == "mine.npz"


def test_kind_reaches_the_file(path: Path) -> None:
    assert load(path, "y").kind == "classification"
    assert load(path, "y", kind="regression").kind == "regression"


def test_a_name_wins_over_a_folder_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load("digits").name == "digits"


def test_a_file_needs_a_target(path: Path) -> None:
    with pytest.raises(DatasetError, match=r"mine\.npz: a file needs a target.*target='label'"):
        load(path)


def test_a_named_data_set_takes_no_target() -> None:
    with pytest.raises(DatasetError, match="'digits' has a target of its own; got target='y'"):
        load("digits", "y")


def test_a_path_that_leads_nowhere_is_reported_as_a_file() -> None:
    with pytest.raises(DatasetError, match="no such file"):
        load("nowhere/mine.csv", "y")


def test_anything_else_is_an_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'concrete'"):
        load("concret")
