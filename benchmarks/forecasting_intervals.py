"""Reads the quantiles of a policy's intervals off series that are not held out.

    python benchmarks/forecasting_intervals.py hpo_env/zoo/forecasting

Writes `intervals.json` beside the policy: how many of a series' own scales its errors are, by
season and steps ahead, on the training and validation series at drawn origins.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from hpo_env.forecasting.intervals import Quantiles, error_scale
from hpo_env.forecasting.pretrained import INTERVALS_FILE
from hpo_env.policy_file import load
from hpo_env.seeding import stream
from hpo_env.tasks.base import Split
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.steering import kernel_or_twin, steer, with_season
from hpo_env.tasks.forecasting.trainer import walk_of_task

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
    walks = [walk_of_task(task) for task in tasks]
    found = steer(
        walks,
        family.space,
        [policy],
        num_ahead=_NUM_AHEAD,
        initial=np.array([start_of(walk.prepared.period) for walk in walks]),
        kernel=kernel_or_twin(),
    )
    future = np.full((len(walks), _NUM_AHEAD), np.nan)
    for row, walk in zip(future, walks, strict=True):
        row[: len(walk.future)] = walk.future
    scale = np.array([walk.prepared.scale for walk in walks])[:, None]
    size = np.abs(with_season(future, walks) * scale - found.forecasts)
    widths = error_scale(found.errors, found.num_errors)
    scores = size / np.maximum(widths, 1e-9 * scale)
    periods = np.array([walk.prepared.period for walk in walks])
    quantiles = Quantiles.fit(periods, scores)
    (config.policy / INTERVALS_FILE).write_text(json.dumps(quantiles.to_json()))
    print({period: len(rows) for period, rows in quantiles.table.items()})


if __name__ == "__main__":
    main(tyro.cli(Config))
