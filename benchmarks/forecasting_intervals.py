"""Reads the quantiles of a policy's intervals off series that are not held out.

    python benchmarks/forecasting_intervals.py hpo_env/zoo/forecasting

Writes `intervals.json` beside the policy: how many of a series' own scales its errors are, by
season, steps ahead and length of history, on the training and validation series at drawn origins
and on the panel of long series.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray

from benchmarks.forecasting import Panel, panel_of, steered
from benchmarks.forecasting_panel import panel_like_m3
from hpo_env.forecasting.intervals import Quantiles, error_scale
from hpo_env.forecasting.pretrained import INTERVALS_FILE
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.seeding import stream
from hpo_env.tasks.base import Split
from hpo_env.tasks.forecasting.family import ForecastingFamily

_NUM_AHEAD = 24
_DRAWN: dict[Split, int] = {"train": 3000, "validation": 1000}


@dataclass(frozen=True, kw_only=True)
class Config:
    """Fit the quantiles of intervals.

    Args:
        policy: Folder of the policy.
    """

    policy: tyro.conf.Positional[Path]


def main(config: Config) -> None:
    """Fit and write."""
    policy = load(config.policy)
    rng = stream(0, "intervals")
    tasks = []
    for split, num in _DRAWN.items():
        family = ForecastingFamily(split=split)
        tasks += family.tasks() + [family.sample(rng) for _ in range(num)]
    panels = (panel_of(tasks, sees_all=False), panel_like_m3())
    periods, scores, num_errors = map(
        np.concatenate, zip(*(scored(data, policy) for data in panels), strict=True)
    )
    quantiles = Quantiles.fit(periods, scores, num_errors)
    (config.policy / INTERVALS_FILE).write_text(json.dumps(quantiles.to_json()))
    for fewest, part in {0: quantiles, **quantiles.longer}.items():
        print(fewest, {period: len(rows) for period, rows in part.table.items()})


def scored(
    data: Panel, policy: Policy
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Return seasons `[N]`, errors in scales `[N, _NUM_AHEAD]` and known one-step errors `[N]`."""
    found = steered(data, [policy])
    scale = np.array([walk.prepared.scale for walk in data.walks])[:, None]
    widths = error_scale(found.recent_errors, found.num_errors)
    size = np.abs(data.actual - found.forecasts) / np.maximum(widths, 1e-9 * scale)
    scores = np.full((len(size), _NUM_AHEAD), np.nan)
    scores[:, : size.shape[1]] = size[:, :_NUM_AHEAD]
    return np.array([w.prepared.period for w in data.walks]), scores, found.num_errors[:, 0]


if __name__ == "__main__":
    main(tyro.cli(Config))
