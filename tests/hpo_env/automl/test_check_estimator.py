"""The estimators keep to scikit-learn's contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor

_SPLIT = "rows are set aside at random, so that two rows of weight 1 are not one of weight 2"
_NOT_MET = {
    "check_sample_weight_equivalence_on_dense_data": _SPLIT,
    "check_sample_weight_equivalence_on_sparse_data": _SPLIT,
}

_ESTIMATORS = [
    kind(library=library, n_estimators=10)
    for library in ("lightgbm", "xgboost")
    for kind in (ControlledBoostingClassifier, ControlledBoostingRegressor)
]


@pytest.mark.filterwarnings("ignore")
@parametrize_with_checks(_ESTIMATORS, expected_failed_checks=lambda estimator: _NOT_MET)
def test_what_scikit_learn_asks_of_an_estimator(
    estimator: Any, check: Callable[[Any], None]
) -> None:
    check(estimator)
