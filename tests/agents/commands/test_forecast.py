"""`hpo-control forecast` on a user's file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from agents.cli import main
from hpo_env.forecasting.intervals import LEVELS
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.policy_file import save
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.layout import FEATURES


@pytest.fixture
def folder(tmp_path: Path) -> Any:
    space = ForecastingFamily().space
    size = len(field_names(space.names)) + len(FEATURES)
    policy = Policy(
        family="forecasting",
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(np.full((len(space), size), 0.01, dtype=np.float32),),
        biases=(np.zeros(len(space), dtype=np.float32),),
        features=tuple(FEATURES),
    )
    save(policy, tmp_path / "policy")
    table = {"1": [LEVELS.tolist()] * 2}
    (tmp_path / "policy" / "intervals.json").write_text(json.dumps(table))
    return tmp_path


def write_table(path: Path, bad: bool = False) -> None:
    rng = np.random.default_rng(0)
    ds = pd.date_range("2015-01-01", periods=60, freq="MS")
    frames = [
        pd.DataFrame({"unique_id": key, "ds": ds, "y": 100.0 + np.cumsum(rng.normal(size=60))})
        for key in ("a", "b")
    ]
    if bad:
        frames[1] = frames[1].drop(index=30)
    pd.concat(frames).to_csv(path, index=False)


def run(*words: Any) -> Any:
    with pytest.raises(SystemExit) as end:
        main(["forecast", *map(str, words)])
    return end.value.code


def test_a_file_becomes_forecasts_and_a_picture(
    folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(folder / "data.csv")
    out = folder / "made" / "forecasts.csv"
    options = ("--horizon", 12, "--out", out, "--policy", folder / "policy")
    assert run(folder / "data.csv", *options) == 0
    found = pd.read_csv(out)
    assert len(found) == 24
    assert found["ds"].iloc[0].startswith("2020-01-01")
    assert {"ControlledForecaster-lo-80", "ControlledForecaster-hi-95"} <= set(found.columns)
    assert out.with_suffix(".png").stat().st_size > 10_000
    assert "2 series, 12 steps ahead" in capsys.readouterr().out


def test_a_series_with_a_gap_is_named_and_left_out(
    folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    write_table(folder / "data.csv", bad=True)
    out = folder / "forecasts.csv"
    options = ("--horizon", 3, "--out", out, "--policy", folder / "policy")
    assert run(folder / "data.csv", *options) == 0
    assert set(pd.read_csv(out)["unique_id"]) == {"a"}
    assert "left out: b: the times must follow one another" in capsys.readouterr().out


def test_a_file_that_is_not_there_is_named(folder: Any, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(folder / "none.csv", "--horizon", 3, "--policy", folder / "policy") == 2
    assert "none.csv" in capsys.readouterr().err


def test_a_file_without_identities_is_one_series(folder: Any) -> None:
    write_table(folder / "data.csv")
    frame = pd.read_csv(folder / "data.csv")
    frame[frame.unique_id == "a"].drop(columns="unique_id").to_csv(folder / "one.csv", index=False)
    out = folder / "forecasts.csv"
    options = ("--horizon", 3, "--out", out, "--policy", folder / "policy")
    assert run(folder / "one.csv", *options) == 0
    assert set(pd.read_csv(out)["unique_id"]) == {"one"}
