"""Inputs that one in ten thousand random ones is like: each ends as every other of its kind."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from agents.family_options import parse_family_options
from hpo_env.control.schedule_file import read_schedule
from hpo_env.datasets.column_summary import summarize_columns
from hpo_env.datasets.dresses import find_dresses
from hpo_env.datasets.files import open_table
from hpo_env.datasets.reading import Reading
from hpo_env.env import HPOControlEnv
from hpo_env.errors import ConfigurationError

DEEP = "[" * 100_000


@pytest.mark.parametrize("option", ["decimal", "thousands"])
def test_an_array_is_no_mark(option: str) -> None:
    with pytest.raises(ConfigurationError, match=option):
        Reading.of(**{option: np.zeros(3)})  # type: ignore[arg-type]


def test_an_array_is_no_device() -> None:
    with pytest.raises(ConfigurationError, match="device must be the name of a torch device"):
        HPOControlEnv(family="quadratic", device=np.zeros(3))


def test_a_single_environment_does_not_speak_of_lanes() -> None:
    env = HPOControlEnv(family="quadratic")
    with pytest.raises(ConfigurationError, match="one entry, a task or None"):
        env.reset(options={"tasks": "a"})


def test_a_list_is_no_kind() -> None:
    with pytest.raises(ConfigurationError, match="kind must be a name"):
        HPOControlEnv(dataset="digits", kind=["regression"])


def test_a_nan_that_signals_is_missing(tmp_path: Path) -> None:
    x = np.arange(80.0).reshape(40, 2)
    x.view(np.uint64)[3, 1] = 0x7FF0000000000001
    np.savez(tmp_path / "t.npz", x=x, y=np.arange(40.0))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = open_table(tmp_path / "t.npz")
        dataset = table.dataset(target="y")
        lines = list(summarize_columns(table, dataset, "y"))
    assert np.isnan(dataset.x[3, 1])
    assert np.isfinite(np.delete(dataset.x, 3, axis=0)).all()
    assert len(lines) == 3


def test_a_long_text_is_no_number_in_a_dress() -> None:
    short, long = "1" * 99 + "D", "1" * 100 + "D"  # patterns go to and fro in what is longer
    assert set(find_dresses([f"{short[1:]}1", f"{long}1"], [0, 1])) == {0}


def test_what_is_too_deep_for_json_is_a_text() -> None:
    assert parse_family_options([f"a={DEEP}"]) == {"a": DEEP}


def test_a_schedule_that_is_too_deep_is_none(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(DEEP)
    with pytest.raises(ConfigurationError, match="not a schedule"):
        read_schedule(path)
