"""Where boosting begins when a policy says where: settings tuned on the training tables.

`benchmarks/automl_tuning.py` has found them, for 200 rounds of which the best counts. One setting
that is good on average is the opponent to beat: a policy's moves are corrections of it.
"""

from __future__ import annotations

from hpo_env.starts import LearnedStart, StartCase
from hpo_env.tasks.automl.space import LIBRARY_NAMES

LARGE = 1000
"""Rows that train, from which a table counts as large."""


def _values(*values: float) -> dict[str, float]:
    return dict(zip(LIBRARY_NAMES, values, strict=True))


_SMALL_REGRESSION = _values(0.0622, 7, 5, 0.6161, 0.7817, 0.6851)

LEARNED_START = LearnedStart(
    cases=(
        StartCase(kind="regression", max_size=LARGE, values=_SMALL_REGRESSION),
        StartCase(kind="regression", values=_values(0.1016, 12, 7, 0.3439, 0.9113, 0.7354)),
        StartCase(
            kind="binary", max_size=LARGE, values=_values(0.074, 3, 32, 0.4646, 0.6999, 0.6127)
        ),
        StartCase(kind="binary", values=_values(0.038, 10, 3, 0.2416, 0.8284, 0.589)),
        StartCase(kind="multiclass", values=_values(0.0551, 7, 8, 0.863, 0.7532, 0.6877)),
        StartCase(values=_SMALL_REGRESSION),
    )
)
