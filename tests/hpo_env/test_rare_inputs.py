"""Inputs that one in ten thousand random ones is like: each ends as every other of its kind."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest

from agents.family_options import parse_family_options
from hpo_env.control.schedule_file import read_schedule
from hpo_env.datasets.narrowing import narrow
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
        HPOControlEnv(family="quadratic", device=np.zeros(3))  # type: ignore[arg-type]


def test_a_single_environment_does_not_speak_of_lanes() -> None:
    env = HPOControlEnv(family="quadratic")
    with pytest.raises(ConfigurationError, match="one entry, a task or None"):
        env.reset(options={"tasks": "a"})


def test_a_nan_that_signals_is_missing() -> None:
    values = np.array([0x3FF0000000000000, 0x7FF0000000000001], np.uint64).view(np.float64)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        narrowed, _ = narrow(values, name="x")
    np.testing.assert_array_equal(narrowed, np.array([1.0, np.nan], np.float32))


def test_what_is_too_deep_for_json_is_a_text() -> None:
    assert parse_family_options([f"a={DEEP}"]) == {"a": DEEP}


def test_a_schedule_that_is_too_deep_is_none(tmp_path: Path) -> None:
    path = tmp_path / "schedule.json"
    path.write_text(DEEP)
    with pytest.raises(ConfigurationError, match="not a schedule"):
        read_schedule(path)
