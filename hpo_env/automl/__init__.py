"""Boosting on tables whose hyperparameters are set while it grows: `fit`, and no search.

from hpo_env.automl import ControlledBoostingClassifier

model = ControlledBoostingClassifier().fit(frame, labels)
"""

from hpo_env.automl.estimators import ControlledBoostingClassifier, ControlledBoostingRegressor
from hpo_env.automl.explaining import Explanation

__all__ = ["ControlledBoostingClassifier", "ControlledBoostingRegressor", "Explanation"]
