from __future__ import annotations

from pathlib import Path

import pytest

from agents.commands import load_command
from hpo_env.datasets import dataset_names
from hpo_env.errors import DatasetError, UnknownNameError

main = load_command("data")


def test_every_data_set_is_listed_with_its_side(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list"])
    lines = capsys.readouterr().out.splitlines()
    assert {line.split()[1] for line in lines} == set(dataset_names())
    sides = [line.split()[0] for line in lines]
    assert list(dict.fromkeys(sides)) == ["train", "validation", "test"]


def test_the_list_can_be_narrowed_to_a_kind(capsys: pytest.CaptureFixture[str]) -> None:
    main(["list", "--kind", "regression"])
    names = {line.split()[1] for line in capsys.readouterr().out.splitlines()}
    assert names == set(dataset_names(kind="regression"))


def test_a_data_set_is_described(capsys: pytest.CaptureFixture[str]) -> None:
    main(["describe", "digits"])
    text = capsys.readouterr().out
    for words in ("rows            1797", "features        64", "0: 178", "split           test"):
        assert words in text


def test_an_unknown_data_set_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'digits'"):
        main(["describe", "digts"])


def test_a_good_file_is_described_with_how_to_use_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    rows = "\n".join(f"{i},{i % 7},{'yes' if i % 3 else 'no'}" for i in range(60))
    path.write_text(f"a,b,bought\n{rows}\n")
    main(["check", str(path), "--target", "bought"])
    text = capsys.readouterr().out
    for words in ("classification", "60", "no: 20", "yes: 40", f"dataset={path} target=bought"):
        assert words in text


def test_check_prints_a_line_a_column_and_what_is_suspicious(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "mine.csv"
    rows = "\n".join(
        f"{i},{'?' if i == 7 else i * i % 31},2026-01-{i % 28 + 1:02},{'NA' if i % 3 else 'US'}"
        for i in range(60)
    )
    path.write_text(f"id,power,day,land\n{rows}\n")
    with pytest.raises(DatasetError, match=r"power.*missing=.*day.*dates=.*written --missing"):
        main(["check", str(path), "--target", "land"])
    main(["check", str(path), "--target", "land", "--missing", "?", "--dates", "day"])
    captured = capsys.readouterr()
    assert f"reading {path}" in captured.err
    lines = [line.split() for line in captured.out.splitlines()]
    for words in (
        "id whole number 0 to 59 → a number",
        "WARNING: it may be a row number or an ID",
        "power whole number 0 to 28; 1 missing → a number",
        "day date 2026-01-01T00:00:00 to 2026-01-28T00:00:00 → a number",
        "land text 2 levels: NA (40), US (20) → target, 2 classes",
    ):
        assert any(" ".join(line).startswith(words) for line in lines), words
    assert '\'missing=["?"]\' \'dates={"day": "ISO8601"}\'' in captured.out


def test_kind_and_formats_can_be_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("day,y\n" + "".join(f"{i % 28 + 1}.1.2026,{i % 5}\n" for i in range(60)))
    main(["check", str(path), "--target", "y", "--kind", "regression", "--dates", "day=%d.%m.%Y"])
    text = capsys.readouterr().out
    assert "target, a number" in text
    assert "kind=regression" in text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n3,4\n5,6\n", "no column 'bought' to predict"),
        ("", "mine.csv"),
        ("a,bought\n" + "".join(f"{i},yes\n" for i in range(40)), "bought"),
        ("a,bought\n1,yes\n", "mine.csv"),
    ],
    ids=["no_target", "empty", "one_class", "one_row"],
)
def test_a_bad_file_is_refused_with_the_reason(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(content)
    with pytest.raises(DatasetError, match=message):
        main(["check", str(path), "--target", "bought"])
