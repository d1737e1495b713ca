"""Policies of boosting in LightGBM and XGBoost: all that a loop of theirs can move."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo_env.control.run import Run
from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.boosting import Labels, constant_losses
from hpo_env.policy import Policy
from hpo_env.starts import LearnedStart, StartCase
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.host import train as train_twin
from hpo_env.tasks.automl.lightgbm_boosters import library_parameters
from hpo_env.tasks.automl.problem import problem_of
from hpo_env.tasks.automl.space import LEAST_ROWS, LIBRARY_NAMES, MOST, to_lightgbm
from hpo_env.testing.policies import linear_policy, steady_policy
from tests.hpo_env.integrations.host_data import rows

lightgbm = pytest.importorskip("lightgbm")
xgboost = pytest.importorskip("xgboost")

pytestmark = pytest.mark.filterwarnings("ignore")

ROUNDS = 40
SAFE = {"verbose": -1, "num_threads": 1, "feature_pre_filter": False}


def policy(make: Callable[..., Policy] = linear_policy, **options: Any) -> Policy:
    return make("automl", LIBRARY_NAMES, base_schedule="constant", **options)


def train_lightgbm(controller: Controller, params: Mapping[str, Any], **options: Any) -> Any:
    from hpo_env.integrations.lightgbm import HPOControl

    x, y, vx, vy = rows()
    data = lightgbm.Dataset(x, y)
    control = HPOControl(controller, **options)
    model = lightgbm.train(
        {"objective": "binary", **SAFE, **params},
        data,
        ROUNDS,
        valid_sets=[data.create_valid(vx, vy)],
        callbacks=control.callbacks(),
    )
    return model, control.run


def train_xgboost(controller: Controller, params: Mapping[str, Any], **options: Any) -> Any:
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, vx, vy = rows()
    evals = [(xgboost.DMatrix(x, y), "train"), (xgboost.DMatrix(vx, vy), "validation")]
    callback = HPOControlCallback(controller, total_steps=ROUNDS, evals=evals, **options)
    model = xgboost.train(
        {"objective": "binary:logistic", "nthread": 1, **params},
        evals[0][0],
        ROUNDS,
        evals=evals,
        verbose_eval=False,
        callbacks=[callback],
    )
    return model, callback.run


TRAIN = {"lightgbm": train_lightgbm, "xgboost": train_xgboost}


# --------------------------------------------------------------------------- what is written counts


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_every_hyperparameter_takes_effect_through_all_of_its_range_and_back(library: str) -> None:
    script = Path(__file__).with_name("walking.py")
    command = [sys.executable, "-c", "import runpy, sys; sys.argv = sys.argv[1:]; "]
    command[-1] += "sys.path.insert(0, '.'); runpy.run_path(sys.argv[0], run_name='__main__')"
    done = subprocess.run(
        [*command, str(script), library],
        capture_output=True,
        text=True,
        check=False,
        cwd=Path(__file__).parents[3],
    )
    assert done.returncode == 0, done.stderr
    walks = {one["name"]: one for one in map(json.loads, done.stdout.splitlines())}
    assert tuple(walks) == LIBRARY_NAMES
    # The first tree of LightGBM is stored with its shrinkage already applied.
    there = {n: (np.array(w["written"][1:]), np.array(w["shown"][1:])) for n, w in walks.items()}
    written, shown = there["learning_rate"]
    np.testing.assert_allclose(shown, written, rtol=1e-5)
    written, shown = there["num_leaves"]
    np.testing.assert_array_equal(shown, written)
    written, shown = there["min_data_in_leaf"]
    assert (shown >= written).all()
    assert shown[written < 1.5].max() < 32.0
    written, shown = there["row_fraction"]
    np.testing.assert_allclose(shown, written, atol=0.04)
    written, shown = there["column_fraction"]
    assert (shown <= written + 0.5 / 20).all()  # whole columns of 20
    assert shown[written > 0.9].min() > 0.2
    written, shown = there["lambda_l2"]
    at = {size: shown[np.isclose(written, size)] for size in (0.1, 10.0, 100.0)}
    assert at[100.0].max() < at[10.0].min()
    assert at[10.0].max() < at[0.1].min()


def test_a_callback_of_lightgbm_sees_and_does_what_was_seen_and_done_in_training() -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    family = AutomlFamily(num_decisions=8, rounds_per_decision=3)
    task = replace(family.sample(np.random.default_rng(3)), knows_training_loss=True)
    controller = Controller(policy())
    twin = train_twin(family, task, 5, controller)

    problem = problem_of(task)
    parameters = library_parameters(problem, 5)
    initial = dict(zip(family.space.names, task.initial, strict=True))
    parameters |= to_lightgbm({name: initial[name] for name in LIBRARY_NAMES})
    data = lightgbm.Dataset(
        problem.train.x,
        problem.train.y,
        categorical_feature=np.flatnonzero(problem.is_categorical).tolist(),
    )
    control = HPOControl(controller, num_decisions=8)
    lightgbm.train(
        parameters,
        data,
        24,
        valid_sets=[data.create_valid(problem.validation.x, problem.validation.y)],
        callbacks=control.callbacks(),
    )
    assert control.run is not None
    assert len(control.run.decisions) == len(twin.decisions) == 8
    for ours, theirs in zip(control.run.decisions, twin.decisions, strict=True):
        assert ours.observation == pytest.approx(theirs.observation, abs=1e-4)
        assert ours.values == pytest.approx(theirs.values, rel=1e-6)
    assert len({decision.values["num_leaves"] for decision in twin.decisions}) > 2


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_policy_sees_the_same_of_a_run_in_both_libraries(library: str) -> None:
    _, run = TRAIN[library](Controller(policy(steady_policy)), {})
    first = run.decisions[0].observation
    x, y, _, _ = rows()
    assert (first["has_validation"], first["is_classification"]) == (1.0, 1.0)
    assert first["rows"] == pytest.approx(np.clip(np.log(len(x) / 1000) / 3.0, -1, 1))
    assert first["columns"] == pytest.approx(np.clip(np.log(x.shape[1] / 20) / 2.5, -1, 1))
    shares = constant_losses("binary", Labels(y=np.asarray(y, dtype=np.float64)))
    last = run.decisions[-1].observation
    assert last["train_fall"] > 0.0
    assert last["gap"] != 0.0
    assert shares[0] == pytest.approx(np.log(2.0), abs=0.05)
    assert run.policy.space.names == LIBRARY_NAMES
    assert len(run.decisions) == 20  # of 40 rounds


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_what_was_found_is_given_back(library: str) -> None:
    found = {
        "lightgbm": {"eta": 0.2, "num_leaves": 9, "bagging_fraction": 0.8, "bagging_freq": 2},
        "xgboost": {"eta": 0.25, "max_depth": 4, "subsample": 0.75},
    }[library]
    model, run = TRAIN[library](Controller(policy(steady_policy, level=1.0)), found)
    assert run.values["num_leaves"] == 128.0
    if library == "lightgbm":
        there = {**model.params, "eta": model.params["learning_rate"]}
    else:
        config = json.loads(model.save_config())["learner"]["gradient_booster"]
        there = {name: float(config["tree_train_param"][name]) for name in found}
        assert config["tree_train_param"]["grow_policy"] == "depthwise"
    assert {name: there[name] for name in found} == found


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_a_learned_start_goes_by_what_the_library_trains(library: str) -> None:
    start = LearnedStart(
        cases=(
            StartCase(kind="regression", values={"learning_rate": 0.02, "num_leaves": 5.0}),
            StartCase(kind="binary", values={"learning_rate": 0.03, "num_leaves": 6.0}),
            StartCase(values={"learning_rate": 0.04, "num_leaves": 7.0}),
        )
    )
    still = replace(policy(steady_policy), learned_start=start)
    _, run = TRAIN[library](Controller(still), {"eta": 0.3})
    assert (run.values["learning_rate"], run.values["num_leaves"]) == pytest.approx((0.03, 6.0))
    _, run = TRAIN[library](Controller(still), {"eta": 0.3}, start="user")
    assert run.values["learning_rate"] == pytest.approx(0.3)


def test_the_scikit_learn_interface_of_lightgbm_is_steered_too() -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    x, y, vx, vy = rows()
    control = HPOControl(Controller(policy()))
    model = lightgbm.LGBMClassifier(
        n_estimators=ROUNDS, subsample=0.8, subsample_freq=1, min_child_samples=1, verbosity=-1
    )
    model.fit(x, y, eval_set=[(vx, vy)], callbacks=control.callbacks())
    assert control.run is not None
    assert control.run.is_over
    assert control.run.policy.space.names == LIBRARY_NAMES
    assert control.run.decisions[0].observation["train_fall"] == 0.0
    assert control.run.decisions[-1].observation["train_fall"] > 0.0


def test_the_scikit_learn_interface_of_xgboost_is_steered_too() -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, vx, vy = rows()
    callback = HPOControlCallback(Controller(policy()), total_steps=ROUNDS)
    model = xgboost.XGBClassifier(n_estimators=ROUNDS, n_jobs=1, callbacks=[callback])
    model.fit(x, y, eval_set=[(x, y), (vx, vy)], verbose=False)
    assert callback.run is not None
    assert callback.run.is_over
    seen = callback.run.decisions[0].observation  # without evals= nothing is known of the data
    assert (seen["has_validation"], seen["rows"]) == (-1.0, 0.0)
    assert callback.run.decisions[-1].observation["has_validation"] == 1.0


def test_a_run_that_was_saved_goes_on() -> None:
    from hpo_env.integrations.lightgbm import HPOControl

    x, y, vx, vy = rows()
    data = lightgbm.Dataset(x, y, free_raw_data=False)
    others = data.create_valid(vx, vy)
    params = {"objective": "binary", **SAFE}
    control = HPOControl(Controller(policy()))

    def stop(env: Any) -> None:
        if env.iteration == 9:
            raise lightgbm.callback.EarlyStopException(9, [])

    stop.order = 30  # type: ignore[attr-defined]
    callbacks = [*control.callbacks(), stop]
    half = lightgbm.train(params, data, ROUNDS, valid_sets=[others], callbacks=callbacks)
    assert control.run is not None
    resumed = HPOControl(Controller(policy()), state=control.run.state_dict())
    lightgbm.train(
        params,
        data,
        ROUNDS - 10,
        valid_sets=[others],
        init_model=half,
        callbacks=resumed.callbacks(),
    )
    assert resumed.run is not None
    assert resumed.run.is_over
    assert len(resumed.run.decisions) == 20
    # As text: where there was no loss, NaN is there, which equals nothing.
    assert repr(resumed.run.decisions[:5]) == repr(control.run.decisions[:5])


# ------------------------------------------------------------------------------- what cannot be had


def heard(library: str, params: Mapping[str, Any]) -> tuple[Run[Any], str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ControllerWarning)
        _, run = TRAIN[library](Controller(policy(steady_policy)), params)
    ours = [str(one.message) for one in caught if one.category is ControllerWarning]
    assert len(ours) == len(set(ours)), "said once"
    return run, " ".join(ours)


@pytest.mark.parametrize(
    ("library", "params", "missing", "message"),
    [
        ("lightgbm", {"feature_pre_filter": True}, {"min_data_in_leaf"}, "feature_pre_filter=Fal"),
        ("lightgbm", {"data_sample_strategy": "goss"}, {"row_fraction"}, ""),
        ("lightgbm", {"boosting": "goss"}, {"row_fraction"}, ""),
        (
            "lightgbm",
            {"pos_bagging_fraction": 0.5, "neg_bagging_fraction": 0.9, "bagging_freq": 1},
            {"row_fraction"},
            "",
        ),
        ("xgboost", {"tree_method": "exact"}, {"num_leaves"}, ""),
    ],
)
def test_what_a_training_does_not_let_be_moved_is_left_alone(
    library: str, params: Mapping[str, Any], missing: set[str], message: str
) -> None:
    run, said = heard(library, params)
    assert set(LIBRARY_NAMES) - set(run.policy.space.names) == missing
    assert message in said


@pytest.mark.parametrize(
    ("params", "expected", "message"),
    [
        ({"bagging_fraction": 0.3, "bagging_freq": 1}, LEAST_ROWS, "bagging_fraction=0.3 is raise"),
        ({"subsample": 0.4, "subsample_freq": 1}, LEAST_ROWS, "bagging_fraction=0.4 is raised"),
        ({"bagging_fraction": 0.3}, MOST, ""),  # without a frequency there is no bagging
        ({"bagging_fraction": 0.7, "bagging_freq": 5}, 0.7, ""),
        ({}, MOST, ""),
    ],
)
def test_shares_of_rows_that_lightgbm_would_crash_on_are_clipped_and_said(
    params: Mapping[str, Any], expected: float, message: str
) -> None:
    run, said = heard("lightgbm", params)
    assert run.values["row_fraction"] == expected
    assert message in said
    assert bool(message) == ("bagging_fraction" in said)


@pytest.mark.parametrize(
    ("library", "params", "message"),
    [
        ("lightgbm", {"boosting": "dart"}, "boosting='gbdt' must be used, as 'dart'"),
        (
            "lightgbm",
            {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.6},
            "boosting='gbdt' must be used, as 'rf'",
        ),
        ("lightgbm", {"metric": "auc"}, "the last metric must be a loss.*got 'auc'"),
        ("xgboost", {"booster": "dart"}, "booster='gbtree' must be used, as 'dart'"),
        ("xgboost", {"booster": "gblinear"}, "booster='gbtree' must be used, as 'gblinear'"),
        ("xgboost", {"num_parallel_tree": 4}, "a forest of 4 trees a round"),
        ("xgboost", {"eval_metric": "auc"}, "the last metric must be a loss.*got 'auc'"),
    ],
)
def test_boostings_that_no_policy_was_trained_on_are_refused(
    library: str, params: Mapping[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        TRAIN[library](Controller(policy(steady_policy)), params)


def test_rankings_are_refused() -> None:
    from hpo_env.integrations.lightgbm import HPOControl
    from hpo_env.integrations.xgboost import HPOControlCallback

    x, y, _, _ = rows()
    control = HPOControl(Controller(policy(steady_policy)))
    with pytest.raises(ConfigurationError, match="objective='lambdarank' ranks"):
        lightgbm.train(
            {"objective": "lambdarank", **SAFE},
            lightgbm.Dataset(x, y, group=[len(x)]),
            ROUNDS,
            callbacks=control.callbacks(),
        )
    callback = HPOControlCallback(Controller(policy(steady_policy)), total_steps=ROUNDS)
    data = xgboost.DMatrix(x, y)
    data.set_group([len(x)])
    with pytest.raises(ConfigurationError, match="objective='rank:ndcg' ranks"):
        xgboost.train({"objective": "rank:ndcg"}, data, ROUNDS, callbacks=[callback])


def test_an_unknown_number_of_rounds_is_refused() -> None:
    from hpo_env.integrations.xgboost import HPOControlCallback

    with pytest.raises(ConfigurationError, match=r"the number of rounds must be known.*total_step"):
        HPOControlCallback(Controller(policy(steady_policy)))


# ------------------------------------------------------------------------------ the best constant's


@pytest.mark.parametrize(
    ("target", "train", "weight", "other", "expected"),
    [
        ("regression", [0.0, 2.0], None, [1.0, 4.0], [1.0, np.sqrt(4.5)]),
        ("regression", [0.0, 2.0], [3.0, 1.0], [0.5], [np.sqrt(0.75), 0.0]),
        ("binary", [0.0, 0.0, 0.0, 1.0], None, [1.0], [0.5623351446, np.log(4.0)]),
        ("multiclass", [0.0, 1.0, 2.0, 2.0], None, [2.0, 1.0], [1.0397207708, 1.5 * np.log(2.0)]),
    ],
)
def test_the_losses_of_the_best_constant(
    target: Any, train: list[float], weight: Any, other: list[float], expected: list[float]
) -> None:
    sides = (
        Labels(y=np.array(train), weight=None if weight is None else np.array(weight)),
        Labels(y=np.array(other)),
        None,
    )
    assert constant_losses(target, *sides) == pytest.approx([*expected, None])


def test_without_training_rows_there_is_no_constant() -> None:
    assert constant_losses("binary", None, Labels(y=np.zeros(3))) == [None, None]
