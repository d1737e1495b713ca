from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from agents.comparing.records import read_records, write_records
from agents.reporting.comparisons import render_comparison
from agents.statistics.aggregate import summarise_suite
from agents.statistics.pairing import pair_runs
from hpo_env.errors import UnknownNameError
from tests.agents.reporting.pages import Page, parse
from tests.agents.statistics.tables import frame_of, row


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


def test_page_has_every_part(page: Page, text: str) -> None:
    suite = [
        "Middle half, regret and worst cases",
        "Regret by task",
        "Anytime performance",
        "Performance profiles",
        "Learned schedules",
    ]
    assert page.headings == [
        "All suites",
        "Suite: interpolation",
        *suite,
        "Suite: extrapolation",
        *suite,
        "Trials-equivalent",
        "Cost",
    ]
    assert text.count("<svg") == 8
    assert text.count("<figcaption>") == 8
    assert "<title>Quick &amp; small</title>" in text
    assert page.tables[-1][1:] == [["seed", "3"], ["preset", "quick"]]


def test_rows_stand_by_what_was_measured_and_none_is_left_out(
    page: Page, table: pd.DataFrame
) -> None:
    shown = page.tables[1][1:]
    assert {cells[0] for cells in shown} == set(table["opponent"])
    losses = [float(cells[2]) for cells in shown]
    assert losses == sorted(losses)
    assert [cells[0] for cells in shown].index("controller") > 0  # a loss is a loss


def test_numbers_are_those_of_the_summary(page: Page, table: pd.DataFrame) -> None:
    summaries = {s.opponent: s for s in summarise_suite(pair_runs(table)[0])}
    for cells in page.tables[1][1:]:
        summary = summaries[cells[0]]
        assert float(cells[2]) == pytest.approx(summary.mean, abs=5e-4)
        if summary.against is None:
            assert cells[3:7] == ["", "", "", ""]
            continue
        difference = summary.against.difference
        found = [float(x) for x in re.findall(r"[+-]\d+\.\d+", cells[3])]
        expected = [difference.value, difference.runs.low, difference.runs.high]
        np.testing.assert_allclose(found, expected, atol=5e-4)
        sets = [float(x) for x in re.findall(r"[+-]\d+\.\d+", cells[4])]
        expected = [difference.data_sets.low, difference.data_sets.high]
        np.testing.assert_allclose(sets, expected, atol=5e-4)


def test_a_table_read_from_a_file_gives_the_same_page(
    table: pd.DataFrame, text: str, tmp_path: Path
) -> None:
    write_records(table, tmp_path / "records.parquet")
    meta = {"title": "Quick & small", "seed": 3, "preset": "quick"}
    assert render_comparison(read_records(tmp_path / "records.parquet"), meta) == text


def test_the_smallest_comparison_has_a_page() -> None:
    page = parse(render_comparison(frame_of(row("controller", [(1.0, 1.0)])), {}))
    assert page.open == []
    assert "All suites" not in page.headings
    assert "Trials-equivalent" not in page.headings


def test_runs_that_all_diverged_have_a_page() -> None:
    nan = float("nan")
    wild = [
        row(
            name,
            [(nan, nan)],
            trial_intervals=[1],
            validation_loss=np.full(4, nan),
            seed=seed,
        )
        for name in ("controller", "constant")
        for seed in (0, 1)
    ]
    page = parse(render_comparison(frame_of(*wild), {}))
    assert {cells[-1] for cells in page.tables[0][1:]} == {"100 %"}


def test_what_lacks_runs_is_named() -> None:
    rows = [row("controller", [(1.0, 1.0)], seed=s) for s in (0, 1)]
    text = render_comparison(frame_of(*rows, row("slow", [(1.0, 1.0)])), {})
    assert "left out, as runs are missing" in text
    assert "slow on interpolation" in text


def test_names_are_escaped() -> None:
    rows = [row("controller", [(1.0, 1.0)]), row("<b>&", [(1.0, 1.0)], suite="interpolation")]
    text = render_comparison(frame_of(*rows), {"note": "<i>"})
    assert "<b>" not in text
    assert "&lt;b&gt;&amp;" in text
    assert "&lt;i&gt;" in text


def test_without_the_controller_there_is_no_report() -> None:
    with pytest.raises(UnknownNameError, match="'controller'"):
        render_comparison(frame_of(row("cosine", [(1.0, 1.0)])), {})
