from __future__ import annotations

import numpy as np
import pytest

from agents.statistics.pairing import mean_by, pair_runs
from hpo_env.errors import ConfigurationError, UnknownNameError
from tests.agents.statistics.tables import frame_of, row

ONE = [(1.0, 1.0)]


def test_runs_are_lined_up_whatever_their_order_in_the_table() -> None:
    rates = (0.1, 0.01, 0.001)
    rows = [row("controller", [(r, 2 * r)], start=r) for r in rates]
    rows += [row("cosine", [(r, 3 * r)], start=r) for r in rates]
    shuffled = frame_of(*rows).sample(frac=1.0, random_state=3)
    (runs,) = pair_runs(shuffled)
    assert runs.opponents == ("controller", "cosine")
    test = runs.values("test_loss")
    np.testing.assert_allclose(test[1] / test[0], 1.5)
    np.testing.assert_allclose(runs.keys("start"), test[0] / 2)


def test_an_opponent_that_lacks_a_run_is_named_and_left_out() -> None:
    rows = [row(name, ONE, seed=s) for name in ("controller", "whole") for s in (0, 1)]
    (runs,) = pair_runs(frame_of(*rows, row("half", ONE, seed=0)))
    assert runs.opponents == ("controller", "whole")
    assert runs.left_out == ("half",)


def test_suites_are_apart_and_stand_in_the_order_in_which_they_come() -> None:
    rows = [row("controller", ONE, suite=s) for s in ("deeper", "mine", "wider", "interpolation")]
    found = [runs.suite for runs in pair_runs(frame_of(*rows))]
    assert found == ["deeper", "mine", "wider", "interpolation"]


def test_a_run_that_is_there_twice_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"once; 'controller' has .* twice"):
        pair_runs(frame_of(row("controller", ONE), row("controller", ONE)))


def test_a_missing_reference_and_an_empty_table_are_refused() -> None:
    with pytest.raises(UnknownNameError, match="in suite 'interpolation' 'controller'"):
        pair_runs(frame_of(row("cosine", ONE)))
    with pytest.raises(ConfigurationError, match="must have rows"):
        pair_runs(frame_of())


def test_tasks_are_named_by_what_tells_them_apart() -> None:
    rows = [
        row("controller", ONE, task=d, **{"label.architecture": a, "label.optimizer": "sgd"})
        for d, a in (("wine", "mlp"), ("wine", "attention"), ("iris", "mlp"))
    ]
    (runs,) = pair_runs(frame_of(*rows))
    assert set(runs.tasks) == {"wine · mlp", "wine · attention", "iris · mlp"}
    (runs,) = pair_runs(frame_of(*(row("controller", ONE, task=d) for d in ("a", "b"))))
    assert set(runs.tasks) == {"a", "b"}
    rows = [row("controller", ONE, task=d, **{"label.architecture": d * 2}) for d in ("a", "b")]
    assert set(pair_runs(frame_of(*rows))[0].tasks) == {"a", "b"}


def test_a_run_is_counted_whole_where_the_reference_diverged_half_way() -> None:
    nan = float("nan")
    half = row("controller", [(nan, nan)], trial_intervals=[2])
    (runs,) = pair_runs(frame_of(half, row("search", ONE * 3)))
    assert half["num_updates"] == 20
    assert runs.updates_per_run.tolist() == [40.0]
    assert runs.runs_spent.tolist() == [[0.5], [3.0]]


def test_means_by_group() -> None:
    names, means = mean_by(np.array([[1.0, 2.0, 6.0], [0.0, 1.0, 2.0]]), np.array(list("xyy")))
    assert names == ("x", "y")
    assert means.tolist() == [[1.0, 4.0], [0.0, 1.5]]
