"""Pictures and closing analysis of one suite of a comparison, from its table."""

from __future__ import annotations

from pathlib import Path

from agents.analysis import study
from agents.comparing.comparison import Compared, Comparison
from agents.evaluation import figures
from agents.evaluation.comparison import as_comparison
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class


def draw_schedules(comparison: Comparison, compared: Compared, suite: str, path: Path) -> Path:
    """Draw what the controller sets from each start, and the losses that follow."""
    results = as_comparison(comparison, compared.frame, suite).results
    return figures.draw_schedules(results, path, space=family_class(comparison.family)().space)


def record_comparison(
    comparison: Comparison,
    compared: Compared,
    suite: str,
    policy: Policy,
    folder: Path,
    *,
    title: str = "",
) -> Path:
    """Write the closing analysis of a suite into a folder; returns the folder."""
    old = as_comparison(comparison, compared.frame, suite)
    return study.record_comparison(old, policy, folder, title=title)
