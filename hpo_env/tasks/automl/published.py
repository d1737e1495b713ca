"""Settings that others recommend for boosting on tables, as near as the family's ranges come.

- `lightgbm_slow`: a learning rate of 0.03 and else LightGBM's defaults, as many recipes have it.
- `tabarena_lightgbm`: what TabArena runs as the default of LightGBM, which is AutoGluon's: a rate
  of 0.05 (autogluon.tabular, models/lgb/hyperparameters/parameters.py; tabarena,
  models/lightgbm/hpo.py).
- `lightgbm_td`: the defaults that were tuned on many tables, for classes and for numbers
  (Holzmüller, Grinsztajn and Steinwart, "Better by default", 2024; pytabkit,
  models/sklearn/default_params.py).
"""

from __future__ import annotations

from collections.abc import Mapping

from hpo_env.starts import LearnedStart, StartCase
from hpo_env.tasks.automl.space import MOST

PUBLISHED: Mapping[str, LearnedStart] = {
    "lightgbm_slow": LearnedStart(cases=(StartCase(values={"learning_rate": 0.03}),)),
    "tabarena_lightgbm": LearnedStart(cases=(StartCase(values={"learning_rate": 0.05}),)),
    "lightgbm_td": LearnedStart(
        cases=(
            StartCase(
                kind="regression",
                values={
                    "learning_rate": 0.05,
                    "num_leaves": 100.0,
                    "min_data_in_leaf": 3.0,
                    "row_fraction": 0.7,
                    "column_fraction": MOST,
                },
            ),
            StartCase(
                values={
                    "learning_rate": 0.04,
                    "num_leaves": 50.0,
                    "min_data_in_leaf": 40.0,
                    "row_fraction": 0.75,
                    "column_fraction": MOST,
                }
            ),
        )
    ),
}
"""By name of the opponent that keeps it; cases by what is predicted."""
