from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from torch.utils.tensorboard import SummaryWriter

from agents.cli import main
from agents.reporting.analysis import ANALYSIS
from agents.reporting.layout import training_panels
from agents.reporting.runs import render_report
from agents.reporting.style import INK, inline_svg
from agents.reporting.tensorboard import write_text
from agents.run_folder import read_commands
from tests.agents.reporting.pages import Page, parse


@pytest.fixture(scope="module")
def text(run: Path) -> str:
    return render_report(run)


@pytest.fixture(scope="module")
def page(text: str) -> Page:
    return parse(text)


def test_page_is_well_formed_and_ids_are_unique(page: Page) -> None:
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)


def test_page_needs_no_network_and_runs_nothing(page: Page, text: str) -> None:
    for address in page.addresses:
        assert address.startswith(("#", "data:image/png;base64,")), address[:60]
    assert "<script" not in text
    assert "<link" not in text
    assert not re.search(r"url\((?!#)|@import", text)


def test_every_reference_inside_a_picture_has_its_target(page: Page, text: str) -> None:
    referred = {a[1:] for a in page.addresses if a.startswith("#")}
    referred |= set(re.findall(r"url\(#([^)]+)\)", text))
    assert referred <= set(page.ids)


def test_page_holds_training_evaluation_and_settings(page: Page, text: str) -> None:
    assert page.headings == [
        "Meta-training",
        *training_panels(["learning_rate"]),
        "Meta-validation tasks, at the end of meta-training",
        "Quadratic, test tasks",
    ]
    for words in ("cosine_tuned", "Where it wins", "What the policy looks at", "Configuration"):
        assert words in text
    assert "prefers-color-scheme: dark" in text
    assert "@media print" in text


def test_a_controlled_run_has_a_report_of_its_own(runs: Path) -> None:
    text = render_report(runs / "mine")
    assert "The run" in text
    assert text.count("<svg") == 4


def test_command_writes_where_it_is_told(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "deep" / "mine.html"
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(run), "--out", str(out)])
    assert out.read_text().startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("command", ["report", "dashboard"])
def test_a_folder_without_events_is_named(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([command, str(tmp_path)])
    assert "holds no TensorBoard events yet" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main([command, str(tmp_path / "nothing")])
    assert "no folder" in capsys.readouterr().err


def test_inlined_ink_follows_the_page() -> None:
    svg = (
        '<?xml version="1.0"?>\n<svg width="10pt" height="5pt" xmlns="x" viewBox="0 0 10 5">'
        f'<g id="a" style="fill: {INK.lower()}"/><use href="#a"/></svg>'
    )
    got = inline_svg(svg, prefix="p", title="t")
    assert got.startswith('<svg viewBox="0 0 10 5" role="img" aria-label="t"')
    assert '<g id="p-a" style="fill: currentColor"/><use href="#p-a"/>' in got


def test_the_analysis_of_an_older_version_is_read(run: Path, tmp_path: Path) -> None:
    older = json.loads((run / ANALYSIS).read_text())
    for entry in older["methods"]:
        entry["method"] = entry.pop("opponent")
        for name in ("suite", "runs_spent"):
            del entry[name]
    (tmp_path / ANALYSIS).write_text(json.dumps(older))
    (table, *_) = parse(render_report(tmp_path)).tables
    assert [row[0] for row in table] == ["opponent", "controller", "frozen"]


def test_command_lines_that_are_not_utf_8_are_shown(tmp_path: Path) -> None:
    assert read_commands(tmp_path) is None
    (tmp_path / "command.txt").write_bytes(b"hpo-control train \xff\n")
    assert read_commands(tmp_path) == r"hpo-control train \xff"
    with SummaryWriter(str(tmp_path)) as writer:
        write_text(writer, "command", "\udcff")
