"""The controller in LightGBM and XGBoost."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError
from tests.hpo_env.controlled_runs import random_policy
from tests.hpo_env.integrations.host_data import rows

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the hosts themselves

ROUNDS = 16


@pytest.fixture
def lightgbm() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("lightgbm")


@pytest.fixture
def xgboost() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("xgboost")


def train_lightgbm(lightgbm: Any, control: Any, **options: Any) -> Any:
    x, y, vx, vy = rows()
    data = lightgbm.Dataset(x, y)
    params = {"objective": "binary", "verbose": -1, "num_threads": 1, "eta": 0.2} | options
    return lightgbm.train(
        params,
        data,
        ROUNDS,
        valid_sets=[data, data.create_valid(vx, vy)],
        valid_names=["training", "validation"],
        callbacks=control.callbacks(),
    )


def test_every_tree_of_lightgbm_has_the_shrinkage_that_was_written(lightgbm: Any) -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    control = HPOControl(Controller(random_policy(["learning_rate"])))
    model = train_lightgbm(lightgbm, control)
    assert control.run is not None
    used = [tree["shrinkage"] for tree in model.dump_model()["tree_info"]]
    written = [d.values["learning_rate"] for d in control.run.decisions for _ in range(2)]
    # The first tree is stored with its shrinkage already applied.
    assert used[1:] == pytest.approx(written[1:], rel=1e-5)
    assert len(set(written)) > 4
    seen = control.run.decisions[2].observation
    assert (seen["has_validation"], seen["has_training"], seen["has_gradient"]) == (1, 1, -1)
    assert 0.2 * 0.25 <= written[0] <= 0.2 * 4


def test_lightgbms_cross_validation_is_refused(lightgbm: Any) -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    x, y, _, _ = rows()
    control = HPOControl(Controller(random_policy(["learning_rate"])))
    with pytest.raises(ConfigurationError, match=r"use lightgbm\.train"):
        lightgbm.cv(
            {"objective": "binary", "verbose": -1, "num_threads": 1},
            lightgbm.Dataset(x, y),
            3,
            callbacks=control.callbacks(),
        )


def train_xgboost(xgboost: Any, *callbacks: Any, metric: str = "logloss") -> Any:
    x, y, vx, vy = rows()
    data, validation = xgboost.DMatrix(x, y), xgboost.DMatrix(vx, vy)
    params = {"objective": "binary:logistic", "nthread": 1, "eta": 0.2, "eval_metric": metric}
    evals = [(data, "train"), (validation, "validation")]
    return xgboost.train(
        params, data, ROUNDS, evals=evals, verbose_eval=False, callbacks=list(callbacks)
    )


def test_every_tree_of_xgboost_has_the_shrinkage_that_was_written(xgboost: Any) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback, read_rate

    class Recorder(xgboost.callback.TrainingCallback):
        used: list[float] = []  # noqa: RUF012

        def before_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
            self.used.append(read_rate(model))
            return False

    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=ROUNDS)
    train_xgboost(xgboost, callback, Recorder())
    assert callback.run is not None
    assert callback.run.is_over
    written = [d.values["learning_rate"] for d in callback.run.decisions for _ in range(2)]
    assert Recorder.used == pytest.approx(written, rel=1e-6)
    assert len(set(written)) > 4
    assert callback.run.decisions[2].observation["has_validation"] == 1.0


def test_a_score_in_place_of_a_loss_is_refused(xgboost: Any) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=ROUNDS)
    with pytest.raises(ConfigurationError, match=r"must be a loss.*got 'auc'"):
        train_xgboost(xgboost, callback, metric="auc")


def test_the_names_of_the_data_sets_do_not_tell_lightgbm_which_trains(lightgbm: Any) -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    x, y, vx, vy = rows()
    data = lightgbm.Dataset(x, y)
    control = HPOControl(Controller(random_policy(["learning_rate"])))
    evaluated: dict[str, Any] = {}
    lightgbm.train(
        {"objective": "binary", "verbose": -1, "num_threads": 1},
        data,
        ROUNDS,
        valid_sets=[data, data.create_valid(vx, vy)],
        valid_names=["train", "valid"],
        callbacks=[*control.callbacks(), lightgbm.record_evaluation(evaluated)],
    )
    assert control.run is not None
    last, seen = control.run.decisions[-1], ROUNDS - 3
    assert last.validation_loss == evaluated["valid"]["binary_logloss"][seen]
    losses = evaluated["train"]["binary_logloss"][seen - 1 : seen + 1]
    assert last.train_loss == pytest.approx(sum(losses) / 2)


@pytest.mark.parametrize(
    ("evaluated", "has_training", "has_validation"),
    [
        (["train", "validation"], 1.0, 1.0),
        (["validation", "training"], 1.0, 1.0),
        (["validation_0", "validation_1"], 1.0, 1.0),
        (["train"], 1.0, -1.0),
        (["validation_0"], -1.0, 1.0),
    ],
)
def test_xgboosts_data_sets_are_told_apart(
    xgboost: Any, evaluated: list[str], has_training: float, has_validation: float
) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, _, _ = rows()
    data = xgboost.DMatrix(x, y)
    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=ROUNDS)
    xgboost.train(
        {"objective": "binary:logistic", "nthread": 1},
        data,
        ROUNDS,
        evals=[(data, name) for name in evaluated],
        verbose_eval=False,
        callbacks=[callback],
    )
    assert callback.run is not None
    seen = callback.run.decisions[-1].observation
    assert (seen["has_training"], seen["has_validation"]) == (has_training, has_validation)


@pytest.mark.parametrize("metric", [None, "auc"])
def test_lightgbm_without_a_loss_is_refused_at_the_first_tree(
    lightgbm: Any, metric: str | None
) -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    x, y, vx, vy = rows()
    data = lightgbm.Dataset(x, y)
    control = HPOControl(Controller(random_policy(["learning_rate"])))
    with pytest.raises(ConfigurationError, match=r"must be a loss.*Give eval_set="):
        lightgbm.train(
            {"objective": "binary", "verbose": -1, "num_threads": 1, "metric": metric or ""},
            data,
            ROUNDS,
            valid_sets=None if metric is None else [data.create_valid(vx, vy)],
            callbacks=control.callbacks(),
        )
    assert control.run is not None
    assert control.run.num_steps == 0


def test_xgboost_without_a_loss_is_refused_at_the_first_tree(xgboost: Any) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, _, _ = rows()
    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=ROUNDS)
    model = xgboost.XGBClassifier(n_estimators=ROUNDS, n_jobs=1, callbacks=[callback])
    with pytest.raises(ConfigurationError, match=r"got no evaluation. Give eval_set="):
        model.fit(x, y)


@pytest.mark.parametrize("booster", ["dart", "gblinear"])
def test_boosters_without_trees_that_are_shrunk_once_are_refused(
    xgboost: Any, booster: str
) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, _, _ = rows()
    data = xgboost.DMatrix(x, y)
    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=ROUNDS)
    with pytest.raises(ConfigurationError, match=f"booster='gbtree' must be used, as '{booster}'"):
        xgboost.train(
            {"objective": "binary:logistic", "nthread": 1, "booster": booster},
            data,
            ROUNDS,
            evals=[(data, "train")],
            verbose_eval=False,
            callbacks=[callback],
        )


@pytest.mark.parametrize("kind", ["dart", "rf"])
def test_trees_of_lightgbm_that_are_not_shrunk_once_are_refused(lightgbm: Any, kind: str) -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    options = {"boosting": kind, "bagging_freq": 1, "bagging_fraction": 0.5}
    control = HPOControl(Controller(random_policy(["learning_rate"])))
    with pytest.raises(ConfigurationError, match=f"boosting='gbdt' must be used, as '{kind}'"):
        train_lightgbm(lightgbm, control, **options)


def test_xgboosts_cross_validation_is_refused(xgboost: Any) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, _, _ = rows()
    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=ROUNDS)
    with pytest.raises(ConfigurationError, match=r"use xgboost\.train"):
        xgboost.cv(
            {"objective": "binary:logistic", "nthread": 1},
            xgboost.DMatrix(x, y),
            ROUNDS,
            callbacks=[callback],
        )


def test_a_training_that_is_shorter_than_was_said_is_named(xgboost: Any) -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    callback = HPOControlCallback(Controller(random_policy(["learning_rate"])), total_steps=99)
    with pytest.warns(ControllerWarning, match=f"ended after {ROUNDS} of total_steps=99"):
        train_xgboost(xgboost, callback)
