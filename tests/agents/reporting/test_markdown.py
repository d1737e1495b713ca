from __future__ import annotations

import pandas as pd

from agents.reporting.comparisons import comparison_markdown
from tests.agents.statistics.tables import frame_of, row


def tables_in(text: str) -> list[list[list[str]]]:
    blocks = [b.splitlines() for b in text.split("\n\n") if b.startswith("|")]
    return [[[c.strip() for c in line.strip("|").split(" | ")] for line in b] for b in blocks]


def test_there_is_a_table_a_suite_and_one_of_trials(table: pd.DataFrame) -> None:
    found = tables_in(comparison_markdown(table))
    assert len(found) == 3
    for block in found:
        assert len({len(cells) for cells in block}) == 1
        assert set(block[1]) == {"---", "---:"}
    assert [cells[1] for cells in found[2][2:]] == ["optuna_tpe", "random_search"] * 2


def test_every_method_has_its_row_and_the_controller_stands_where_it_belongs(
    table: pd.DataFrame,
) -> None:
    rows = tables_in(comparison_markdown(table))[0][2:]
    names = [cells[0].strip("*") for cells in rows]
    assert set(names) == set(table["opponent"])
    losses = [float(cells[2].strip("*")) for cells in rows]
    assert losses == sorted(losses)
    assert rows[names.index("controller")][0] == "**controller**"


def test_a_loss_is_written_like_a_win() -> None:
    rows = [
        row(name, [(1.0, loss)], seed=seed)
        for name, loss in (("controller", 2.0), ("better", 1.0), ("worse", 3.0))
        for seed in (0, 1)
    ]
    better, controller, worse = tables_in(comparison_markdown(frame_of(*rows)))[0][2:]
    assert better[3] == "-0.693 [-0.693, -0.693]"
    assert better[4:7] == ["–", "0.00 [0.00, 0.00]", "0 / 0 / 2"]
    assert worse[3] == "+0.405 [+0.405, +0.405]"
    assert worse[6] == "2 / 0 / 0"
    assert controller[2] == "**0.693**"


def test_what_lacks_runs_is_named_and_bars_in_names_do_not_break_the_table() -> None:
    rows = [row(n, [(1.0, 1.0)], seed=s) for n in ("controller", "a|b") for s in (0, 1)]
    text = comparison_markdown(frame_of(*rows, row("slow", [(1.0, 1.0)])))
    assert "incomplete and left out: slow" in text
    assert "a\\|b" in text
