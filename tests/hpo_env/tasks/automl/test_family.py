"""Boosting as a family: its tables, its splits, and what the loss of a run is."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.datasets import dataset_info
from hpo_env.datasets.base import Split
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.tasks.automl.family import AutomlFamily
from hpo_env.tasks.automl.problem import prepare
from hpo_env.tasks.automl.tables import table_names
from hpo_env.tasks.automl.task import Part
from hpo_env.vector_env import HPOControlVectorEnv

SPLITS: tuple[Split, ...] = ("train", "validation", "test")


def test_no_source_of_a_table_lies_on_two_sides() -> None:
    sides: dict[str, set[str]] = {}
    for split in SPLITS:
        for name in table_names(split):
            sides.setdefault(dataset_info(name).source, set()).add(split)
    assert not {source for source, found in sides.items() if len(found) > 1}


def test_there_are_enough_tables_for_results_and_large_ones_among_them() -> None:
    tasks = AutomlFamily(split="test").tasks()
    assert len(tasks) >= 20
    assert sum(task.num_rows >= 5000 for task in tasks) >= 8
    assert {task.target for task in tasks} == {"regression", "binary", "multiclass"}


@pytest.mark.parametrize("split", SPLITS)
def test_categories_and_missing_cells_are_on_every_side(split: Split) -> None:
    problems = [prepare(task.part) for task in AutomlFamily(split=split).tasks()[:12]]
    assert any(problem.is_categorical.any() for problem in problems)
    assert any(np.isnan(problem.train.x).any() for problem in problems)


def test_rows_are_split_once_and_classes_in_proportion() -> None:
    problem = prepare(Part("british_election", 3, 600, 9))
    sizes = [len(side) for side in problem.sides]
    assert sum(sizes) == 600
    shares = [np.bincount(side.y.astype(int), minlength=3) / len(side) for side in problem.sides]
    assert np.abs(shares[0] - shares[2]).max() < 0.02


def test_a_regression_target_is_scaled_by_training_rows() -> None:
    problem = prepare(Part("ames_houses", 3, 600, 9))
    assert problem.train.y.mean() == pytest.approx(0.0, abs=1e-9)
    assert problem.train.y.std() == pytest.approx(1.0)
    assert problem.test.y.std() != 1.0


def test_the_loss_of_a_run_is_that_of_its_best_round() -> None:
    """It never rises, whatever the rounds do, and no reward is negative."""
    family = AutomlFamily(num_decisions=12, rounds_per_decision=5)
    one = family._task("mortgage_denial", 1, 0, 0)
    start = dict(zip(family.space.names, one.initial, strict=True))
    start |= {"learning_rate": 0.5, "num_leaves": 64.0, "min_data_in_leaf": 1.0}
    wild = replace(one, initial=tuple(start.values()))
    env = HPOControlVectorEnv(1, family="automl", tasks=[wild])
    observation, info = env.reset(seed=0)
    losses, above = [info["validation_loss"][0]], []
    column = list(env.observation_docs).index("above_best_round")
    for _ in range(11):
        observation, reward, _, _, info = env.step(np.zeros((1, 6), np.float32))
        losses.append(info["validation_loss"][0])
        above.append(observation[0, column])
        assert reward[0] >= 0.0
        assert reward[0] == pytest.approx(np.log(losses[-2] / losses[-1]), abs=1e-6)
    assert max(above) > 0.9  # the rounds got worse, the run did not


def test_a_loop_without_training_loss_shows_none() -> None:
    family = AutomlFamily()
    one = replace(family.sample(np.random.default_rng(0)), knows_training_loss=False)
    env = HPOControlVectorEnv(1, family="automl", tasks=[one])
    env.reset(seed=0)
    observation, *_ = env.step(np.zeros((1, 6), np.float32))
    names = list(env.observation_docs)
    silent = ("train_change", "train_fall", "gap", "wide_gap", "gap_change", "generalisation_gap")
    assert [observation[0, names.index(name)] for name in silent] == [0.0] * len(silent)
    assert observation[0, names.index("has_training")] == -1.0


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"rounds_per_decision": 0}, ConfigurationError, "rounds_per_decision"),
        ({"table": "digits"}, UnknownNameError, "digits"),
        ({"split": "test", "table": "leafs"}, UnknownNameError, "leaves"),
    ],
)
def test_options_out_of_range_are_named(options: Any, error: Any, said: str) -> None:
    with pytest.raises(error, match=said):
        AutomlFamily(**options)


def test_other_engines_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="compiled"):
        AutomlFamily().make_trainer(1, engine="compiled", device="cpu")
    trainer = AutomlFamily(num_decisions=1).make_trainer(1, engine="reference", device="cpu")
    task = AutomlFamily(num_decisions=1)._task("diabetes", 0, 0, 2)
    trainer.reset(np.array([0]), [task], [0])
    stage = np.array([[*task.initial[:-1], 0.5]])
    with pytest.raises(ConfigurationError, match="linear_shrinkage must be 0"):
        trainer.advance(stage)
