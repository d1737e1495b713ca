"""A comparison in a tracker: its figures as numbers, its table, its schedules."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from hpo_env.hyperparameters import Hyperparameter

from ..tracking.base import start_tracker
from .comparisons import comparison_markdown, draw_schedules, summary_json


def track_comparison(
    kind: str,
    folder: Path,
    frame: pd.DataFrame,
    *,
    config: Mapping[str, Any],
    leading: Hyperparameter,
) -> None:
    """Put a comparison into a tracker, as a run of its own.

    Args:
        kind: Name of the tracker.
        folder: Of the results; its name is that of the run.
        frame: One row a run, see `agents/comparing/records.py`.
        config: What was compared, plain data.
        leading: Whose schedules are drawn.
    """
    tracker = start_tracker(kind, folder.name, config, folder)
    for entry in summary_json(frame):
        prefix = f"comparison/{entry['suite']}/{entry['opponent']}"
        tracker.log_scalars(_numbers(prefix, entry), 0)
    tracker.log_text("comparison/tables", comparison_markdown(frame), 0)
    with tempfile.TemporaryDirectory() as scratch:
        picture = draw_schedules(frame, Path(scratch) / "schedules.png", leading)
        tracker.log_picture("comparison/schedules", picture.read_bytes(), 0)
    tracker.close(is_complete=True)


def _numbers(prefix: str, entry: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers of an entry by tag, intervals as their value and both ends."""
    numbers: dict[str, float] = {}
    for name, value in entry.items():
        if isinstance(value, Mapping):
            numbers |= _numbers(f"{prefix}/{name}", value)
        elif isinstance(value, int | float):
            numbers[f"{prefix}/{name}"] = float(value)
    return numbers
