"""Estimators of boosting under a policy: what they learn from, and what they say."""

from __future__ import annotations

import pickle
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from hpo_env.automl import ControlledBoostingClassifier, ControlledBoostingRegressor, boosters
from hpo_env.automl.boosters import BOOSTERS
from hpo_env.automl.linear_start import LinearStart
from hpo_env.control.schedule_file import read_schedule
from hpo_env.errors import (
    ConfigurationError,
    ControllerWarning,
    DatasetError,
    PolicyFileError,
    UnknownNameError,
)

LIBRARIES = tuple(BOOSTERS)
FEW = pytest.mark.filterwarnings("ignore:there are .* validation rows")
pytestmark = FEW


def numbers(num_rows: int = 300, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(num_rows, 5))
    return x, 100.0 + 30.0 * (x[:, 0] + x[:, 1] * x[:, 2]) + rng.normal(size=num_rows)


def table(num_rows: int = 400, seed: int = 0) -> tuple[pd.DataFrame, pd.Series]:
    """Draw a table whose target hangs on a category, a text, a truth value and a gap."""
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {
            "size": np.where(rng.random(num_rows) < 0.3, np.nan, rng.normal(size=num_rows)),
            "town": pd.Categorical(rng.choice(["a", "b", "c", "d"], num_rows)),
            "colour": rng.choice(["red", "green", "blue"], num_rows).astype(object),
            "is_new": rng.random(num_rows) < 0.5,
            "count": pd.array(rng.integers(0, 9, num_rows), dtype="Int64"),
        }
    )
    frame.loc[rng.random(num_rows) < 0.1, "colour"] = None
    frame.loc[rng.random(num_rows) < 0.1, "count"] = pd.NA
    score = (
        2.0 * frame["size"].isna()
        + frame["town"].isin(["b", "d"])
        + 1.5 * (frame["colour"] == "red")
        - frame["is_new"]
        + 0.3 * rng.normal(size=num_rows)
    )
    return frame, (score > 1.2).map({True: "yes", False: "no"})


# ----------------------------------------------------------------------------------- what it learns


@pytest.mark.parametrize("library", LIBRARIES)
def test_tables_are_taken_as_they_come(library: str) -> None:
    x, y = table()
    model = ControlledBoostingClassifier(library=library, n_estimators=60, random_state=0)
    model.fit(x.iloc[:300], y.iloc[:300])
    shares = model.predict_proba(x.iloc[300:])
    assert model.classes_.tolist() == ["no", "yes"]
    assert model.score(x.iloc[300:], y.iloc[300:]) > 0.8
    np.testing.assert_allclose(shares.sum(axis=1), 1.0)
    assert list(model.feature_names_in_) == list(x.columns)
    assert model.is_refitted_


@pytest.mark.parametrize("library", LIBRARIES)
def test_regressions_are_in_the_targets_own_units(library: str) -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(library=library, n_estimators=60, random_state=0)
    model.fit(x[:200], y[:200])
    assert abs(model.predict(x[200:]).mean() - 100.0) < 10.0
    assert model.score(x[200:], y[200:]) > 0.4
    scaled = clone(model).fit(x[:200], 1000.0 * y[:200] - 7.0)
    np.testing.assert_allclose(
        scaled.predict(x[200:]), 1000.0 * model.predict(x[200:]) - 7.0, rtol=1e-3
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_more_than_two_classes(library: str) -> None:
    x, score = numbers()
    y = np.digitize(score, [80.0, 120.0])
    model = ControlledBoostingClassifier(library=library, n_estimators=40, random_state=0)
    assert model.fit(x[:200], y[:200]).predict_proba(x[200:]).shape == (100, 3)
    assert model.score(x[200:], y[200:]) > 0.5


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_of_weight_0_are_not_there(library: str) -> None:
    x, y = numbers()
    weight = np.ones(300)
    weight[200:] = 0.0
    y = np.where(weight > 0.0, y, 1e6)
    model = ControlledBoostingRegressor(library=library, n_estimators=20, random_state=0)
    weighted = model.fit(x, y, sample_weight=weight).predict(x)
    without = clone(model).fit(x[:200], y[:200], sample_weight=np.ones(200)).predict(x)
    np.testing.assert_allclose(weighted, without, rtol=1e-6)


@pytest.mark.parametrize("library", LIBRARIES)
def test_rows_that_count_more_are_learned_more_from(library: str) -> None:
    x, _ = numbers()
    y = np.where(np.arange(300) % 2 == 0, 0.0, 1.0)  # nothing in x tells
    weight = np.where(y == 1.0, 9.0, 1.0)
    model = ControlledBoostingRegressor(library=library, n_estimators=10, random_state=0)
    assert 0.8 < model.fit(x, y, sample_weight=weight).predict(x).mean() < 1.0


def test_columns_of_codes_can_be_named() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(0, 8, (1600, 2)).astype(float)
    y = (x[:, 0] % 2 == 0).astype(int)  # hard as a number, easy as a category
    told = ControlledBoostingClassifier(
        n_estimators=20, categorical_features=[0], random_state=0, initial={"num_leaves": 4}
    )
    assert told.fit(x, y).score(x, y) > 0.95
    assert told._columns.is_categorical.tolist() == [True, False]


# ---------------------------------------------------------------------------------- where it begins


def slope(num_rows: int = 300) -> tuple[Any, Any, Any]:
    """Draw numbers with gaps and a column of codes; the target is linear in them, and weights."""
    rng = np.random.default_rng(0)
    x = pd.DataFrame(
        {
            "a": rng.normal(size=num_rows),
            "b": np.where(rng.random(num_rows) < 0.2, np.nan, 1000.0 * rng.normal(size=num_rows)),
            "town": pd.Categorical(rng.choice(["x", "y", "z"], num_rows)),
        }
    )
    y = 5.0 * x["a"] + x["b"].fillna(2000.0) / 500.0 + 3.0 * (x["town"] == "y")
    return x, y + 0.1 * rng.normal(size=num_rows), rng.uniform(0.5, 2.0, num_rows)


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize("num_classes", [1, 2, 3])
def test_a_slope_is_learned_sooner_from_a_linear_start(library: str, num_classes: int) -> None:
    x, y, weight = slope()
    kind: Any = ControlledBoostingRegressor
    if num_classes > 1:
        kind = ControlledBoostingClassifier
        y = np.digitize(y, np.quantile(y, np.arange(1, num_classes) / num_classes))
    scores = []
    for share in (0.0, 0.75):
        model = kind(library=library, n_estimators=12, linear_start=share, random_state=0)
        model.set_params(refit=False).fit(
            x[:200], y[:200], weight[:200], X_val=x[200:], y_val=y[200:]
        )
        assert model.explain().shares == (share,)
        scores.append(model.best_score_)
        # What is predicted has the start in it, as what the library measures.
        assert model.best_score_ == pytest.approx(model.losses_[model.n_iter_ - 1, 1], rel=1e-4)
    assert scores[1] < 0.8 * scores[0]


def test_a_linear_start_that_is_no_better_than_a_constant_is_left_out() -> None:
    x, y, _ = slope()
    model = ControlledBoostingRegressor(n_estimators=4, random_state=0)
    model.fit(x[:200], y[:200], X_val=x[200:], y_val=2.0 * y[:200].mean() - y[200:])
    assert model.explain().shares == (0.0,)
    assert "begins at a constant" in str(model.explain())


def test_a_table_that_is_too_wide_begins_at_a_constant_and_says_so() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 301))
    model = ControlledBoostingRegressor(n_estimators=2, random_state=0).fit(x, x[:, 0])
    assert model.explain().shares == (0.0,)
    assert any("300 features, and the columns make 301" in note for note in model.notes_)


@pytest.mark.parametrize("name", ["monotone_constraints", "interaction_constraints"])
def test_what_is_demanded_of_the_model_is_not_broken_by_a_linear_start(name: str) -> None:
    x, y, _ = slope()
    value: Any = np.array([-1, 0, 0]) if name.startswith("mono") else [[0, 1], [2]]
    model = ControlledBoostingRegressor(
        n_estimators=4, library_params={name: value}, random_state=0
    ).fit(x, y)
    assert model.explain().shares == (0.0,)


# --------------------------------------------------------------------------------- how it is fitted


def test_validation_rows_may_be_given() -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=20, random_state=0, refit=False)
    model.fit(x[:200], y[:200], X_val=x[200:], y_val=y[200:])
    found = (model.predict(x[200:]) - y[200:]) / y[:200].std()
    assert model.best_score_ == pytest.approx(np.sqrt(np.mean(found**2)), rel=1e-5)
    assert model.best_score_ == pytest.approx(model.losses_[model.n_iter_ - 1, 1], rel=1e-5)
    assert model.n_iter_ == model.losses_[:, 1].argmin() + 1
    assert not model.is_refitted_


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_refit_is_the_course_on_all_rows(library: str) -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(
        library=library, n_estimators=30, n_replays=1, random_state=3
    ).fit(x, y)
    rows = model.course_
    assert rows[0]["step"] == 0
    assert len({row["num_leaves"] for row in rows}) > 2
    all_rows = _all_rows(model, x, y)
    begins = LinearStart.of(model._goal, all_rows, 0.75)
    assert begins is not None
    booster = BOOSTERS[library](
        model._goal,
        all_rows.beginning_at(begins.margin(all_rows.x)),
        None,
        seed=model._fit.runs[0].seed,
    )
    due = {int(row["step"]): row for row in rows}
    for made in range(model.n_iter_):
        if made in due:
            booster.write({n: v for n, v in due[made].items() if n != "step"})
        booster.update()
    scores = booster.scores(booster.model(), x, model.n_iter_, model._goal, begins.margin(x))[:, 0]
    np.testing.assert_allclose(model.predict(x), scores * y.std() + y.mean(), rtol=1e-4)


def _all_rows(model: Any, x: Any, y: Any) -> Any:
    """Return the rows in the order of the refit: those that trained, then those that validated."""
    from hpo_env.automl.rows import Rows, split

    rows = Rows(x=x, y=(y - y.mean()) / y.std())
    rng = np.random.default_rng(model._fit.runs[0].seed)
    train, validation = split(rows, 0.2, rng, is_stratified=False)
    assert (len(train), len(validation)) == (240, 60)
    return train.and_also(validation)


def test_the_same_seed_gives_the_same_model_and_another_another() -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=20, random_state=1)
    first, again = clone(model).fit(x, y).predict(x), clone(model).fit(x, y).predict(x)
    np.testing.assert_array_equal(first, again)
    other = clone(model).set_params(random_state=2).fit(x, y).predict(x)
    assert not np.array_equal(first, other)
    threads = clone(model).set_params(n_jobs=2).fit(x, y).predict(x)
    np.testing.assert_allclose(first, threads, rtol=1e-9)


def test_runs_with_the_same_validation_rows_are_no_worse_than_the_best_of_them() -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=30, n_runs=4, random_state=0)
    model.fit(x[:240], y[:240], X_val=x[240:], y_val=y[240:])
    assert len(model.weights_) == len(model._fit.runs) == 4
    assert model.weights_.sum() == pytest.approx(1.0)
    assert model.best_score_ <= min(run.best_loss for run in model._fit.runs) * (1 + 1e-6)
    starts = {run.schedule[0]["num_leaves"] for run in model._fit.runs}
    assert len(starts) > 1
    assert [not m for m in model._fit.models] == [w == 0.0 for w in model.weights_]
    assert model.is_refitted_


@pytest.mark.parametrize("library", LIBRARIES)
def test_several_runs_have_other_validation_rows_each_and_weigh_the_same(library: str) -> None:
    x, y = table()
    model = ControlledBoostingClassifier(
        library=library, n_estimators=20, n_runs=3, random_state=0
    ).fit(x[:300], y[:300])
    runs, models = model._fit.runs, model._fit.models
    assert model.weights_.tolist() == pytest.approx([1 / 3] * 3)
    assert model.best_score_ == pytest.approx(np.mean([run.best_loss for run in runs]))
    assert len({run.losses[0][1] for run in runs}) == 3
    assert model.is_refitted_
    cells = model._columns.read(x[300:])
    assert [len(replays) for replays in models] == [1, 1, 1]
    said = [one.outputs(cells) for replays in models for one in replays]
    np.testing.assert_allclose(model.predict_proba(x[300:]), np.mean(said, axis=0))
    assert model.score(x[300:], y[300:]) > 0.75


@pytest.mark.parametrize("library", LIBRARIES)
def test_training_losses_that_nobody_sees_are_not_measured(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = numbers()
    kind = BOOSTERS[library]
    model = ControlledBoostingRegressor(library=library, n_estimators=60, random_state=0).fit(x, y)
    is_measured = np.isfinite(model.losses_[:, 0])
    ends = [decision.step - 1 for decision in model._fit.runs[0].decisions[1:]]
    assert np.flatnonzero(is_measured).tolist() == [*ends, 59]
    measured = kind.losses
    monkeypatch.setattr(kind, "losses", lambda booster, *, of_training: measured(booster))
    all_measured = clone(model).fit(x, y)
    assert np.isfinite(all_measured.losses_).all()
    np.testing.assert_array_equal(all_measured.losses_[is_measured], model.losses_[is_measured])
    for ours, theirs in zip(
        model._fit.runs[0].decisions, all_measured._fit.runs[0].decisions, strict=True
    ):
        assert ours.observation == theirs.observation
        assert ours.values == theirs.values


def test_a_time_budget_is_kept_to_and_said() -> None:
    x, y = numbers(2000)
    model = ControlledBoostingRegressor(n_estimators=100_000, time_budget=1.0, random_state=0)
    before = time.monotonic()
    model.fit(x, y)
    assert time.monotonic() - before < 10.0  # without it, minutes
    assert any("time_budget leaves time for" in note for note in model.notes_)
    assert 1 <= model.n_iter_ < 100_000


def test_it_begins_where_it_was_asked_to() -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=10, initial={"learning_rate": 0.03})
    model.set_params(random_state=0).fit(x, y)
    assert 0.03 / 2.5 <= model.course_[0]["learning_rate"] <= 0.03 * 2.5


@pytest.mark.parametrize("library", LIBRARIES)
def test_what_was_learned_survives_a_pickle(library: str) -> None:
    x, y = table()
    model = ControlledBoostingClassifier(library=library, n_estimators=10, n_runs=2).fit(x, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(again.predict_proba(x), model.predict_proba(x))
    assert str(again.explain()) == str(model.explain())


def test_the_course_is_explained_and_saved(tmp_path: Path) -> None:
    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=20, random_state=0).fit(x, y)
    told = str(model.explain())
    assert "run 1: weight 1.00, begins at 0.75 of a linear model, cut off after" in told
    assert f"after {model.n_iter_} rounds" in told
    assert "learning_rate:" in told
    assert "validation rows" in told
    for ending in ("json", "csv"):
        path = model.save_schedule(tmp_path / f"course.{ending}")
        assert read_schedule(path) == model.course_


def test_a_progress_bar_says_how_far_it_has_come(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = numbers()
    ControlledBoostingRegressor(n_estimators=10, random_state=0, progress_bar=True).fit(x, y)
    said = capsys.readouterr().err
    assert "run 1 of 1 [########################] 10/10 rounds, validation loss" in said
    assert "refit 1 of 4 [########################]" in said
    assert "refit 4 of 4 [########################]" in said
    assert said.endswith("\n")


# -------------------------------------------------------------------------------------- interrupted


class Interrupting:
    """Presses Ctrl-C at an update."""

    def __init__(self, at: int) -> None:
        self.left = at

    def __call__(self, update: Callable[[Any], None]) -> Callable[[Any], None]:
        def updated(booster: Any) -> None:
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt
            update(booster)

        return updated


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    ("asked", "at", "message", "weights"),
    [
        (1, 8, "fit was interrupted in run 1", [1.0]),
        (2, 8, "fit was interrupted in run 1", [1.0]),
        (2, 21, "fit was interrupted in run 2", [1.0]),
        (2, 25, "fit was interrupted in run 2", [1.0, 0.0]),
        (1, 22, "the refit was interrupted", [1.0]),
        (2, 42, "the refit was interrupted", [0.5, 0.5]),
    ],
)
def test_ctrl_c_leaves_a_usable_model(
    library: str,
    asked: int,
    at: int,
    message: str,
    weights: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = BOOSTERS[library]
    monkeypatch.setattr(kind, "update", Interrupting(at)(kind.update))
    x, y = numbers()
    model = ControlledBoostingRegressor(library=library, n_estimators=20, random_state=0)
    model.set_params(n_runs=asked)
    with pytest.warns(ControllerWarning, match=message):
        model.fit(x, y)
    assert model.weights_.tolist() == weights
    assert not model.is_refitted_
    assert model.score(x, y) > 0.0
    assert any(message in note for note in model.notes_)


def test_ctrl_c_before_there_is_a_model_is_ctrl_c(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = boosters.LightGBMBooster
    monkeypatch.setattr(kind, "update", Interrupting(1)(kind.update))
    x, y = numbers()
    model = ControlledBoostingRegressor(n_estimators=20)
    with pytest.raises(KeyboardInterrupt):
        model.fit(x, y)
    assert not hasattr(model, "n_iter_")


# --------------------------------------------------------------------------------------- bad input


CLASSES = np.arange(300) % 2


def fit(x: Any = None, y: Any = None, *, classifier: bool = False, **settings: Any) -> Any:
    kind = ControlledBoostingClassifier if classifier else ControlledBoostingRegressor
    given, target = numbers()
    target = CLASSES if classifier else target
    model = kind(**{"n_estimators": 4, "random_state": 0, **settings})
    return model.fit(given if x is None else x, target if y is None else y)


def with_cell(value: Any) -> Any:
    x, _ = numbers()
    x[7, 2] = value
    return x


X, Y = numbers()


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        (
            {"y": np.zeros(300), "classifier": True},
            DatasetError,
            "two classes; got one class",
        ),
        ({"y": np.full(300, 3.0)}, DatasetError, "y must vary; all 300 targets are 3"),
        ({"y": np.where(Y > 100, np.nan, Y)}, DatasetError, "y must not be missing; got NaN in 1"),
        ({"y": np.where(Y > 100, np.inf, Y)}, DatasetError, "y must be finite; got an infinity"),
        (
            {"y": np.array(["a", None] * 150, dtype=object), "classifier": True},
            DatasetError,
            "y must not be missing; got NaN in 150",
        ),
        ({"y": np.array(["a", "b"] * 150)}, DatasetError, "y must hold numbers for a regressor"),
        (
            {"x": with_cell(np.inf)},
            DatasetError,
            r"column '2' must be finite.*row 7",
        ),
        (
            {"x": pd.DataFrame(with_cell(-np.inf), columns=list("abcde"))},
            DatasetError,
            "column 'c' must be finite or missing; got -inf",
        ),
        ({"x": X[:4], "y": Y[:4]}, DatasetError, "at least 5 rows must be there.*X_val and y_val"),
        (
            {"x": X[:6], "y": np.arange(6), "classifier": True},
            DatasetError,
            "every class must have two rows",
        ),
        (
            {"x": pd.DataFrame({"when": pd.date_range("2020-01-01", periods=300)})},
            DatasetError,
            "column 'when' must hold numbers or categories; got times",
        ),
        ({"n_estimators": 0}, ConfigurationError, "n_estimators must be at least 1; got 0"),
        ({"n_estimators": None}, ConfigurationError, "n_estimators must be"),
        ({"n_runs": 0}, ConfigurationError, "n_runs must be at least 1; got 0"),
        ({"n_runs": 1.5}, ConfigurationError, "n_runs must be"),
        ({"n_replays": 0}, ConfigurationError, "n_replays must be at least 1; got 0"),
        ({"n_replays": 1.5}, ConfigurationError, "n_replays must be"),
        (
            {"validation_fraction": 1.0},
            ConfigurationError,
            "validation_fraction must lie in",
        ),
        ({"linear_start": 1.5}, ConfigurationError, "linear_start must be a share .* got 1.5"),
        ({"linear_start": None}, ConfigurationError, "linear_start must be a share"),
        ({"linear_start": np.nan}, ConfigurationError, "linear_start must be a share"),
        ({"time_budget": 0}, ConfigurationError, "time_budget must be a number of seconds above 0"),
        (
            {"time_budget": -1.0},
            ConfigurationError,
            "time_budget must be a number",
        ),
        (
            {"time_budget": np.nan},
            ConfigurationError,
            "time_budget must be a number",
        ),
        ({"n_jobs": 0}, ConfigurationError, "n_jobs must be a whole number other than 0"),
        ({"library": "catboost"}, UnknownNameError, "unknown library 'catboost'"),
        ({"policy": "nowhere"}, PolicyFileError, "'nowhere' is neither a folder nor a policy"),
        ({"start": "learnt"}, UnknownNameError, "unknown start 'learnt'"),
        ({"start": "learned"}, ConfigurationError, "needs a policy with a learned start"),
        (
            {"start": "learned", "initial": {"learning_rate": 0.1}},
            ConfigurationError,
            "contradict each other",
        ),
        ({"initial": {"rate": 0.1}}, UnknownNameError, "unknown hyperparameter 'rate'"),
        ({"initial": {"learning_rate": 7.0}}, ConfigurationError, "initial learning_rate must lie"),
        (
            {"categorical_features": ["age"]},
            ConfigurationError,
            "name columns of X.*got 'age'",
        ),
        ({"library_params": 3}, ConfigurationError, "library_params must be a mapping"),
        (
            {"library_params": {"boosting": "dart"}},
            ConfigurationError,
            "boosting='gbdt' must be used, as 'dart'",
        ),
        (
            {"library_params": {"boosting_type": "rf"}},
            ConfigurationError,
            "boosting='gbdt' must be used, as 'rf'",
        ),
        (
            {"library_params": {"objective": "lambdarank"}},
            ConfigurationError,
            "objective='lambdarank' ranks",
        ),
        ({"library_params": {"metric": "auc"}}, ConfigurationError, "metric='auc' is no loss"),
        (
            {"library_params": {"objective": "poisson"}},
            ConfigurationError,
            "train by squared errors or log loss",
        ),
        (
            {"library_params": {"reg_lambda": 3.0}},
            ConfigurationError,
            r"'reg_lambda', which is steered: give where it begins as initial=\{'lambda_l2': 3.0\}",
        ),
        (
            {"library": "xgboost", "library_params": {"booster": "dart"}},
            ConfigurationError,
            "booster='gbtree' must be used, as 'dart'",
        ),
        (
            {"library": "xgboost", "library_params": {"num_parallel_tree": 5}},
            ConfigurationError,
            "num_parallel_tree=1 must be used",
        ),
        (
            {"library": "xgboost", "library_params": {"objective": "rank:ndcg"}},
            ConfigurationError,
            "objective='rank:ndcg' ranks",
        ),
        (
            {"library": "xgboost", "library_params": {"eta": 0.1}},
            ConfigurationError,
            r"'eta', which is steered.*initial=\{'learning_rate': 0.1\}",
        ),
    ],
)
def test_bad_input_is_named(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        fit(**arguments)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"X_val": X}, "X_val and y_val must both be given"),
        ({"sample_weight_val": np.ones(3)}, "sample_weight_val needs X_val and y_val"),
        ({"sample_weight": np.ones(3)}, "a number for each of the 300 rows"),
        ({"sample_weight": -np.ones(300)}, "finite numbers from 0 on"),
        ({"X_val": X, "y_val": np.full(300, 5)}, r"y_val must hold classes of y; got \[5\]"),
    ],
)
def test_rows_beside_x_and_y_are_checked(given: Any, message: str) -> None:
    model = ControlledBoostingClassifier(n_estimators=4)
    with pytest.raises((ConfigurationError, DatasetError), match=message):
        model.fit(X, CLASSES, **given)


@pytest.mark.filterwarnings("default")
def test_what_is_odd_is_warned_about() -> None:
    x, y = table(300)
    x["always"] = 1.0
    model = ControlledBoostingClassifier(n_estimators=4, random_state=0)
    with pytest.warns(ControllerWarning) as caught:
        model.fit(x, y)
    said = " ".join(str(one.message) for one in caught)
    assert "columns ['always'] never vary in training" in said
    assert "there are 60 validation rows, fewer than 200" in said
    x["town"] = "elsewhere"
    with pytest.warns(ControllerWarning, match="columns 'town' hold levels that were not seen"):
        model.predict(x)


def test_enough_rows_and_known_levels_are_not_warned_about() -> None:
    x, y = table(1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ControlledBoostingClassifier(n_estimators=4, random_state=0).fit(x, y).predict(x)
