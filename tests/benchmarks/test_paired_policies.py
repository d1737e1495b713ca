"""Policies are compared on the same tasks, and those with a scope decide within it alone."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.paired_policies import Ends, main, table
from hpo_env.policy_file import save
from hpo_env.scope import Scope
from tests.hpo_env.controlled_runs import fixed_policy

THREE = ("learning_rate", "weight_decay", "momentum")


def test_differences_are_those_of_pairs_by_the_length_of_intervals() -> None:
    updates = np.array([5, 15, 15, 60])
    before = Ends(log_losses=np.zeros(4), updates=updates, share=np.zeros(4))
    found = np.array([0.0, 0.1, -0.3, -0.2])
    after = Ends(log_losses=found, updates=updates, share=np.array([0.0, 0.5, 1.0, 0.5]))
    rows = table(before, after).splitlines()[2:]
    assert rows == [
        "| all | 4 | -0.1000 | 0.0913 | 50% | 50% |",
        "| 0 to 7 | 1 | +0.0000 | nan | 0% | 0% |",
        "| 12 to 19 | 2 | -0.1000 | 0.2000 | 50% | 75% |",
        "| 50 to 99 | 1 | -0.2000 | nan | 100% | 50% |",
    ]


def test_another_policy_decides_always_or_after_the_intervals_of_its_scope(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    general, other = fixed_policy(0.0, THREE), fixed_policy(0.5, THREE)
    wide = Scope(min_interval_updates=5, max_loss_gap=1e3, max_change_per_update=1e3)
    never = Scope(min_interval_updates=100, max_loss_gap=1e3, max_change_per_update=1e3)
    folders = {
        "general": general,
        "always": other,
        "wide": replace(other, scope=wide),
        "never": replace(other, scope=never),
    }
    for name, policy in folders.items():
        save(policy, tmp_path / name)
    main(
        general=str(tmp_path / "general"),
        others=tuple(str(tmp_path / name) for name in folders),
        num_tasks=3,
        num_decisions=4,
        family_options={"modalities": "tables", "clock": "wide", "most_effort": 1.0},
    )
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("| all")]
    cells = [[cell.strip() for cell in line.split("|")[2:-1]] for line in lines]
    itself, always, within, not_once = cells
    assert itself == ["3", "+0.0000", "0.0000", "0%", "100%"]
    assert not_once == ["3", "+0.0000", "0.0000", "0%", "0%"]
    assert (always[4], within[4]) == ("100%", "75%")  # nothing is known before the first interval
    assert len({always[1], within[1], "+0.0000"}) == 3
