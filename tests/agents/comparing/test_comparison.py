"""A whole comparison in this process: who takes part, what it says, what is run once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from quadratic_opponents import NEAR

from agents.comparing.comparison import (
    Comparison,
    check_trainer_options,
    chosen_suites,
    make_comparison,
    run_here,
)
from agents.comparing.matrix import EvaluationProtocol
from agents.comparing.records import COLUMNS, label_names
from agents.comparing.running import ComparisonProgress, IncompleteComparisonError
from agents.comparing.schedules import SCHEDULES, compare_schedules
from agents.comparing.store import MemoryStore
from agents.opponents.base import Setup
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.tasks.base import Suite
from tests.agents.opponents.policies import steady_policy

STARTS = (1e-3, 1e-1)


def quadratic(names: tuple[str, ...] = SCHEDULES, **changes: Any) -> Comparison:
    usual: dict[str, Any] = {"num_tasks": 3, "num_seeds": 2, "num_tuning_tasks": 4}
    protocol = EvaluationProtocol(**(usual | {"starts": STARTS} | changes))
    policy = steady_policy("quadratic", ("learning_rate",))
    return compare_schedules(policy, "quadratic", [NEAR], protocol, names=names)


def test_every_opponent_has_a_row_for_every_run() -> None:
    comparison = quadratic()
    compared = run_here(comparison)
    fitting = [name for name in SCHEDULES if not name.endswith("_per_optimizer")]
    counts = compared.frame.groupby("opponent").size().to_dict()
    assert counts == {"controller": 12, **dict.fromkeys(fitting, 12)}
    assert np.isfinite(compared.frame["log_test_loss"]).all()
    assert list(compared.frame.columns) == list(COLUMNS)  # quadratics have no labels
    assert set(compared.prepared) == {"constant_tuned", "cosine_tuned", "one_cycle_tuned"}
    assert set(comparison.left_out) == set(SCHEDULES) - set(fitting)
    assert comparison.remarks[0] == (
        "left out: cosine_per_optimizer needs label optimizer, which family 'quadratic' does not "
        "offer"
    )


def test_opponents_run_at_what_they_are_named_after() -> None:
    compared = run_here(quadratic())
    by_opponent = dict(list(compared.frame.groupby("opponent")))
    tuned = compared.prepared["constant_tuned"]["overall"]["learning_rate"]
    for name, rate in (("default", 0.1), ("constant_tuned", tuned)):
        rates = np.stack([h["learning_rate"] for h in by_opponent[name]["hyperparameters"]])
        assert (rates == rate).all()


def test_a_family_with_labels_has_a_column_for_each() -> None:
    suite = Suite(
        name="short",
        help="",
        options={"split": "test", "dataset": "leaves", "num_decisions": 2},
    )
    protocol = EvaluationProtocol(
        num_tasks=2,
        num_seeds=1,
        num_tuning_tasks=2,
        starts=(1e-3,),
        options={"updates_per_decision": 1},
    )
    policy = steady_policy("supervised", ("learning_rate",))
    names = ("cosine_per_optimizer",)
    comparison = compare_schedules(policy, "supervised", [suite], protocol, names=names)
    frame = run_here(comparison).frame
    assert not comparison.left_out
    assert label_names(frame) == ("architecture", "optimizer")
    assert set(frame["task"]) == {"leaves"}
    assert (frame["num_updates"] == 2).all()


def test_what_is_in_the_store_is_not_run_again() -> None:
    store, seen = MemoryStore(), []

    def note(progress: ComparisonProgress) -> None:
        seen.append(progress.num_cells)

    first = run_here(quadratic(("frozen",)), store=store, on_progress=note).frame
    count = len(seen)
    second = run_here(quadratic(("frozen", "default")), store=store, on_progress=note).frame
    assert seen[count:] == [6]  # the cells of `default` alone
    kept = second[second["opponent"] != "default"].reset_index(drop=True)
    assert kept["test_loss"].tolist() == first["test_loss"].tolist()


def test_equal_tasks_are_one_run() -> None:
    comparison = quadratic(("frozen",), num_tasks=2)
    twice = [*comparison.instances("near"), *comparison.instances("near")]
    assert len(twice) == 2 * len(set(twice)) == 2 * 8


def test_an_opponent_that_raises_is_named() -> None:
    policy = steady_policy("quadratic", ("learning_rate",))
    protocol = EvaluationProtocol(num_tasks=1, num_seeds=1, num_tuning_tasks=1, starts=None)
    setup = Setup(policy=policy, hyperparameters=("learning_rate",))
    comparison = make_comparison(
        "quadratic", [NEAR], ["quadratic_opponents:broken"], protocol, setup
    )
    with pytest.raises(IncompleteComparisonError, match=r"broken on near.*no such luck"):
        run_here(comparison)


def test_suites_are_the_familys() -> None:
    chosen = chosen_suites("supervised", ("wider", "interpolation", "wider"))
    assert [suite.name for suite in chosen] == ["wider", "interpolation"]
    with pytest.raises(UnknownNameError, match="did you mean 'interpolation'"):
        chosen_suites("supervised", ("interpolatoin",))
    with pytest.raises(ConfigurationError, match="at least one"):
        chosen_suites("supervised", ())


def test_options_that_say_which_tasks_are_drawn_are_the_suites_own() -> None:
    check_trainer_options("supervised", {"updates_per_decision": 3})
    with pytest.raises(UnknownNameError, match="option of the trainers"):
        check_trainer_options("supervised", {"dataset": "digits"})
