from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from agents.evaluation.protocol import Results
from agents.evaluation.statistics import (
    bootstrap_mean,
    interquartile_mean,
    probability_of_improvement,
    summarize,
)
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.tasks.base import Task


def results(method: str, log_losses: list[float], names: str = "aabb", **changes: Any) -> Results:
    num = len(log_losses)
    losses = np.exp(np.array(log_losses))
    tasks = [Task(name=name, num_decisions=i + 1, initial=(1e-3,)) for i, name in enumerate(names)]
    given: dict[str, Any] = {
        "method": method,
        "tasks": tuple(tasks[:num]),
        "seeds": np.zeros(num, dtype=np.int64),
        "first_loss": np.ones(num),
        "last_loss": losses,
        "test_loss": losses,
        "test_metric": np.full(num, np.nan),
        "diverged": np.zeros(num, dtype=bool),
        "hyperparameters": {},
        "validation_loss": np.zeros((num, 3)),
    }
    return Results(**(given | changes))


def test_the_interquartile_mean_drops_a_quarter_at_each_end() -> None:
    values = np.array([9.0, -50.0, 1.0, 2.0, 3.0, 4.0, 70.0, 5.0])
    assert interquartile_mean(values) == pytest.approx((2 + 3 + 4 + 5) / 4)


def test_the_bootstrap_interval_of_one_stratum_is_the_textbook_one() -> None:
    values = np.random.default_rng(0).normal(2.0, 1.0, 400)
    interval = bootstrap_mean(values, np.zeros(400), np.arange(400))
    half_width = 1.96 * values.std() / np.sqrt(400)
    assert interval.estimate == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half_width, abs=0.01)
    assert interval.high == pytest.approx(values.mean() + half_width, abs=0.01)


def test_differences_between_data_sets_add_no_width() -> None:
    strata = np.array(["a"] * 10 + ["b"] * 10)
    values = np.where(strata == "a", 0.0, 100.0)
    interval = bootstrap_mean(values, strata, np.arange(20))
    assert (interval.low, interval.estimate, interval.high) == (50.0, 50.0, 50.0)


def test_repetitions_of_a_unit_add_no_certainty() -> None:
    values = np.random.default_rng(0).normal(size=30)
    once = bootstrap_mean(values, np.zeros(30), np.arange(30))
    tenfold = bootstrap_mean(np.repeat(values, 10), np.zeros(300), np.repeat(np.arange(30), 10))
    assert tenfold.high - tenfold.low == pytest.approx(once.high - once.low)


def test_strata_of_one_unit_are_pooled_so_that_they_do_not_look_certain() -> None:
    values = np.array([0.0, 1.0, 2.0, 3.0])
    singles = bootstrap_mean(values, np.array(list("abcd")), np.arange(4))
    assert singles == bootstrap_mean(values, np.zeros(4), np.arange(4))
    lone = bootstrap_mean(values, np.array(list("aaab")), np.arange(4))
    assert lone == bootstrap_mean(values, np.zeros(4), np.arange(4))


def test_one_unit_has_no_interval() -> None:
    interval = bootstrap_mean(np.array([1.0, 3.0]), np.zeros(2), np.zeros(2))
    assert interval.estimate == 2.0
    assert np.isnan([interval.low, interval.high]).all()


def test_the_interval_is_the_same_every_time() -> None:
    values = np.arange(9.0)
    first, second = (bootstrap_mean(values, values % 3, values) for _ in range(2))
    assert first == second


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(1), 0
    for _ in range(60):
        interval = bootstrap_mean(rng.normal(size=40), np.zeros(40), np.arange(40))
        hits += interval.low <= 0.0 <= interval.high
    assert 52 <= hits <= 60


@pytest.mark.parametrize(
    ("differences", "probability"), [([1.0, 1.0], 1.0), ([0.0, 0.0], 0.5), ([-1.0, 2.0], 0.5)]
)
def test_probability_of_improvement_counts_pairs(
    differences: list[float], probability: float
) -> None:
    assert probability_of_improvement(np.array(differences)) == probability


def test_a_summary_computed_by_hand() -> None:
    runs = {
        "schedule": results("schedule", [0.5, 0.1, 0.005, -0.4]),
        "controller": results("controller", [0.0, 0.2, 0.0, 0.0]),
    }
    controller, schedule = summarize(runs)
    assert (controller.method, controller.difference) == ("controller", None)
    assert controller.mean_log_test_loss == pytest.approx(0.05)
    assert schedule.mean_log_test_loss == pytest.approx(0.05125)
    assert schedule.difference is not None
    # differences 0.5, -0.1 on a; 0.005, -0.4 on b
    assert schedule.difference.estimate == pytest.approx(0.00125)
    assert (schedule.wins, schedule.ties, schedule.losses) == (1, 1, 2)
    assert schedule.probability_of_improvement == 0.5
    assert schedule.worst_task == "b"
    assert schedule.worst_difference == pytest.approx(-0.1975)
    assert schedule.diverged == 0.0


def test_divergence_counts_as_the_first_loss_times_e_to_the_5() -> None:
    wild = results("wild", [0.0, 0.0], diverged=np.array([True, False]))
    runs = {"controller": results("controller", [0.0, 0.0]), "wild": wild}
    summary = summarize(runs)[1]
    assert summary.mean_log_test_loss == pytest.approx(2.5)
    assert summary.diverged == 0.5


def test_the_reference_stands_first_and_the_best_next() -> None:
    losses = {"bad": 1.0, "good": -1.0, "controller": 0.0}
    runs = {name: results(name, [loss] * 4) for name, loss in losses.items()}
    assert [s.method for s in summarize(runs)] == ["controller", "good", "bad"]


def test_methods_on_other_runs_are_refused() -> None:
    runs = {"controller": results("controller", [0.0] * 4), "b": results("b", [0.0] * 4, "abab")}
    with pytest.raises(ConfigurationError, match="'controller' and 'b' did not run on the same"):
        summarize(runs)
    seeds = results("b", [0.0] * 4, seeds=np.ones(4, dtype=np.int64))
    with pytest.raises(ConfigurationError, match="the same tasks and seeds"):
        summarize({"controller": results("controller", [0.0] * 4), "b": seeds})


def test_a_missing_reference_is_named() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'controller'"):
        summarize({"controller": results("controller", [0.0])}, reference="controler")
