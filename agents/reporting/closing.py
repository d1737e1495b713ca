"""What a comparison of a policy ends with: tables, a picture, numbers, a closing analysis."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from hpo_env.tasks.registry import family_class

from ..comparing.comparison import Compared, Comparison
from ..comparing.results import scalar_rows
from . import analysis, comparisons


def suite_rows(compared: Compared, suite: str) -> pd.DataFrame:
    """Return the rows of one suite."""
    return compared.frame[compared.frame["suite"] == suite]


def draw_schedules(comparison: Comparison, compared: Compared, suite: str, path: Path) -> Path:
    """Draw what the controller sets from each start, and the losses that follow."""
    family = family_class(comparison.family)
    known = {h.name: h for h in family.hyperparameters}[family.leading()]
    return comparisons.draw_schedules(suite_rows(compared, suite), path, known)


def record_comparison(
    comparison: Comparison, compared: Compared, suite: str, folder: Path, *, title: str = ""
) -> Path:
    """Write the closing analysis of a suite into a folder; returns the folder."""
    protocol, family = comparison.protocol, family_class(comparison.family)
    (chosen,) = (known for known in comparison.suites if known.name == suite)
    options = {**protocol.options, **chosen.options}
    return analysis.record_comparison(
        suite_rows(compared, suite),
        comparison.policy,
        folder,
        tasks=[instance.task for instance in comparison.instances(suite)],
        title=title,
        family=comparison.family,
        split=options.get("split", "train"),
        seed=protocol.seed,
        engine=protocol.engine,
        device=protocol.device,
        **{name: options[name] for name in family.trainer_options if name in options},
    )


def to_json(comparison: Comparison, compared: Compared) -> dict[str, Any]:
    """Describe a comparison in plain data, every run included, so that all can be recomputed."""
    return {
        "family": comparison.family,
        "suites": [asdict(suite) for suite in comparison.suites],
        "extent": asdict(comparison.protocol),
        "left_out": {name: list(needs) for name, needs in comparison.left_out.items()},
        "summary": comparisons.summary_json(compared.frame),
        "prepared": compared.prepared,
        "runs": scalar_rows(compared.frame),
    }
