"""The results of a plan as a table of a comparison, which is what reports read."""

from __future__ import annotations

from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

import pandas as pd

from agents.comparing.results import scalar_rows
from agents.evaluation.comparison import Comparison
from agents.reporting.comparisons import plain, summary_json
from agents.reporting.frames import Reached, frame_of, rows_of
from agents.reporting.study import record_comparison
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class, make_family


def comparison_frame(comparison: Comparison) -> pd.DataFrame:
    """Turn the results of a plan into a table of one suite, named after the side of its tasks."""
    plan = comparison.plan
    family = make_family(plan.family, split=plan.split, **plan.options)
    names = [field.name for field in fields(Reached)]
    rows = []
    for opponent, results in comparison.results.items():
        reached = Reached(**{name: getattr(results, name) for name in names})
        rows += rows_of(opponent, plan.split, reached, family)
    return frame_of(rows)


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """Describe a comparison in plain data, every run included, so that all can be recomputed."""
    frame = comparison_frame(comparison)
    return {
        "plan": plain(asdict(comparison.plan)),
        "summary": summary_json(frame),
        "tuned": {name: plain(asdict(rates)) for name, rates in comparison.tuned.items()},
        "runs": scalar_rows(frame),
    }


def record_plan(comparison: Comparison, policy: Policy, folder: Path, *, title: str) -> Path:
    """Write the closing analysis of a comparison into a folder; returns the folder."""
    plan = comparison.plan
    options = family_class(plan.family).trainer_options
    return record_comparison(
        comparison_frame(comparison),
        policy,
        folder,
        tasks=comparison.results["controller"].tasks,
        title=title,
        family=plan.family,
        split=plan.split,
        seed=plan.seed,
        engine=plan.engine,
        device=plan.device,
        **{name: value for name, value in plan.options.items() if name in options},
    )
