"""`hpo-control fit` on a user's table."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents.cli import main
from hpo_env.policy_file import save
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.testing.policies import linear_policy

pytest.importorskip("lightgbm")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(linear_policy("automl", LIBRARY_NAMES, base_schedule="constant"), tmp_path / "policy")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"row": range(300), "size": rng.normal(size=300)})
    frame["town"] = rng.choice(["a", "b"], 300)
    frame["price"] = (10.0 * frame["size"] + 5.0 * (frame["town"] == "b")).round(3)
    frame["sold"] = np.where(frame["size"] > 0.0, "yes", "no")
    frame.loc[::9, "town"] = None
    frame.iloc[:250].to_csv(tmp_path / "data.csv", index=False)
    frame.to_csv(tmp_path / "utf16.csv", index=False, encoding="utf-16")
    frame.iloc[250:].drop(columns=["price", "sold"]).to_csv(tmp_path / "new.csv", index=False)
    return tmp_path


def run(folder: Path, *words: object) -> object:
    with pytest.raises(SystemExit) as end:
        main(["fit", *map(str, words), "--policy", str(folder / "policy")])
    return end.value.code


def test_classes_are_predicted_with_how_likely_they_are(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, course = folder / "made" / "out.csv", folder / "course.csv"
    files = (folder / "data.csv", "--target", "sold", "--new", folder / "new.csv", "--out", out)
    assert run(folder, *files, "--drop", "row", "price", "--course", course) == 0
    found = pd.read_csv(out)
    assert ((found["size"] > 0.0) == (found["predicted"] == "yes")).mean() > 0.9
    np.testing.assert_allclose(found["likely yes"] + found["likely no"], 1.0)
    assert "learning_rate" in pd.read_csv(course).columns
    said = capsys.readouterr().out
    assert "classification: log loss" in said
    assert "note: there are 50 validation rows" in said
    assert "50 rows predicted" in said


def test_numbers_are_predicted_from_a_parquet_file_too(folder: Path) -> None:
    pytest.importorskip("pyarrow")
    pd.read_csv(folder / "data.csv").to_parquet(folder / "data.parquet")
    out = folder / "out.csv"
    files = (folder / "data.parquet", "--target", "price", "--new", folder / "new.csv")
    assert run(folder, *files, "--drop", "row", "sold", "--out", out) == 0
    found = pd.read_csv(out)
    assert np.corrcoef(found["predicted"], found["size"])[0, 1] > 0.8


def test_semicolons_and_rows_without_a_target_are_understood(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    frame = pd.read_csv(folder / "data.csv").rename(columns={"sold": "is it sold?"})
    frame.loc[:9, "is it sold?"] = None
    frame.to_csv(folder / "other.csv", index=False, sep=";")
    files = (folder / "other.csv", "--target", "is it sold?", "--new", folder / "new.csv")
    assert run(folder, *files, "--drop", "row", "price", "--out", folder / "out.csv") == 0
    assert "10 rows without 'is it sold?' are left out" in capsys.readouterr().out
    assert set(pd.read_csv(folder / "out.csv")["predicted"]) == {"yes", "no"}


def test_decimal_commas_are_numbers_where_it_is_said_and_no_texts_where_not(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A file as spreadsheets of many countries write it; as categories all would be lost."""
    for name in ("data", "new"):
        frame = pd.read_csv(folder / f"{name}.csv")
        frame.to_csv(folder / f"{name}_comma.csv", index=False, sep=";", decimal=",")
    files = (folder / "data_comma.csv", "--target", "price", "--new", folder / "new_comma.csv")
    rest = ("--drop", "row", "sold", "--out", folder / "out.csv")
    mixed = (folder / "data.csv", "--target", "price", "--new", folder / "new_comma.csv")
    for words, where in ((files[:3], "data_comma.csv"), (mixed, "new_comma.csv")):
        assert run(folder, *words, *rest) == 2
        said = " ".join(capsys.readouterr().err.split())
        assert f"{where}: column 'size' would be texts though it is mostly numbers" in said
        assert "Give --decimal ," in said
    assert run(folder, *files, *rest, "--decimal", ",") == 0
    found = pd.read_csv(folder / "out.csv")
    assert np.corrcoef(found["predicted"], found["size"])[0, 1] > 0.8


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("none.csv", "--target", "sold"), "none.csv: cannot be read as a table"),
        (("utf16.csv", "--target", "sold"), "utf16.csv: .*UTF-16.*Save it as UTF-8"),
        (("data.csv", "--target", "sole"), "unknown column of .*'sole': did you mean 'sold'"),
        (("data.csv", "--target", "sold", "--drop", "rows"), "'rows': did you mean 'row'"),
        (("data.csv", "--target", "row", "--new", "new.csv"), r"columns \['price', 'sold'\] must"),
        (("data.csv", "--target", "sold", "--time-budget", "0"), "time_budget must be a number"),
    ],
)
def test_what_cannot_be_used_is_named(
    folder: Path, words: tuple[str, ...], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(folder / word) if word.endswith(".csv") else word for word in words]
    assert run(folder, *given) == 2
    said = capsys.readouterr().err
    assert re.search(message, said), said
