"""What libraries are told keeps away from what breaks them."""

from typing import Any

import pytest

from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES, to_lightgbm, to_xgboost


@pytest.mark.parametrize("share", [0.0, 0.5, 0.7, 0.999, 1.0, 3.0])
def test_shares_stay_where_lightgbm_takes_them_between_rounds(share: float) -> None:
    told = to_lightgbm({"row_fraction": share, "column_fraction": share})
    assert 0.51 <= told["bagging_fraction"] <= 0.999
    assert told["bagging_freq"] == 1
    assert told["feature_fraction"] <= 0.999


@pytest.mark.parametrize("name", LIBRARY_NAMES)
def test_every_hyperparameter_of_a_loop_is_told_to_both(name: Any) -> None:
    known = next(h for h in HYPERPARAMETERS if h.name == name)
    for value in (known.low, known.default, known.high):
        assert to_lightgbm({name: value})
        assert to_xgboost({name: value}, "binary")


def test_whole_numbers_are_told_as_such() -> None:
    assert to_lightgbm({"num_leaves": 30.7}) == {"num_leaves": 31}
    assert to_xgboost({"num_leaves": 30.7}, "regression") == {"max_leaves": 31}
