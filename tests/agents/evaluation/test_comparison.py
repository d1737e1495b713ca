from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from agents.evaluation.comparison import Comparison, Plan, compare
from agents.evaluation.methods import METHODS
from agents.reporting.comparisons import draw_schedules, terminal_tables
from agents.reporting.plans import comparison_frame, comparison_json
from agents.reporting.schedules import over_progress
from hpo_env.errors import UnknownNameError
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class, make_family

MakePolicy = Callable[..., Policy]


@pytest.fixture
def quadratic(constant_policy: MakePolicy) -> Comparison:
    """Every method of the registry on a few quadratics."""
    plan = Plan(
        family="quadratic",
        num_tasks=3,
        num_seeds=2,
        num_tuning_tasks=4,
        methods=tuple(METHODS),
        initial_rates=(1e-3, 1e-1),
    )
    return compare(constant_policy(), plan)


@pytest.fixture
def supervised(constant_policy: MakePolicy) -> Comparison:
    plan = Plan(
        num_tasks=3,
        methods=("constant", "initial"),
        initial_rates=(1e-3, 1e-2),
        engine="eager",
        options={"num_decisions": 3, "updates_per_decision": 2, "dataset": "digits"},
    )
    return compare(constant_policy("supervised", schedule="cosine"), plan)


def shown(renderable: Any, width: int = 120) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(renderable)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_every_method_of_the_registry_runs(quadratic: Comparison) -> None:
    assert next(iter(quadratic.results)) == "controller"
    assert set(quadratic.results) == set(METHODS)
    for name, results in quadratic.results.items():
        assert results.method == name
        assert len(results) == 3 * 2 * 2
        assert np.isfinite(results.log_test_loss).all()
    assert set(quadratic.tuned) == {"constant", "cosine", "one_cycle"}


def test_the_default_rate_is_the_familys(quadratic: Comparison) -> None:
    rates = quadratic.results["constant"].hyperparameters["learning_rate"]
    assert (rates == 0.1).all()


def test_tuned_schedules_run_at_the_tuned_rate(quadratic: Comparison) -> None:
    rates = quadratic.results["constant_tuned"].hyperparameters["learning_rate"]
    assert (rates == quadratic.tuned["constant"].overall).all()


def test_stages_are_told_with_their_progress(constant_policy: MakePolicy) -> None:
    seen: dict[str, tuple[int, int]] = {}

    def note(stage: str, done: int, total: int) -> None:
        assert done > seen.get(stage, (0, 0))[0]
        seen[stage] = (done, total)

    plan = Plan(family="quadratic", num_tasks=1, num_tuning_tasks=1, methods=("cosine_tuned",))
    compare(constant_policy(), plan, on_stage=note)
    assert list(seen) == ["running controller", "tuning cosine", "running cosine_tuned"]
    assert all(done == total for done, total in seen.values())


def test_an_unknown_method_is_refused_before_anything_runs() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'cosine_tuned'"):
        Plan(methods=("cosin_tuned",))


def test_the_table_shows_every_method(quadratic: Comparison) -> None:
    (table,) = terminal_tables(comparison_frame(quadratic), lambda label, value: None)
    text = shown(table)
    for name in (*METHODS, "test: 12 runs an opponent, 1 tasks", "div.", "95 % interval"):
        assert name in text


def test_the_table_fits_a_terminal_of_80_columns(quadratic: Comparison) -> None:
    (table,) = terminal_tables(comparison_frame(quadratic))
    assert "…" not in shown(table, width=80)


def test_the_json_holds_every_run_so_that_the_summary_can_be_recomputed(
    quadratic: Comparison,
) -> None:
    data = json.loads(json.dumps(comparison_json(quadratic), allow_nan=False))
    assert len(data["runs"]) == 12 * len(METHODS)
    assert data["summary"][0]["opponent"] == "controller"
    for summary in data["summary"]:
        losses = [r["log_test_loss"] for r in data["runs"] if r["opponent"] == summary["opponent"]]
        assert summary["mean_log_test_loss"] == pytest.approx(np.mean(losses))
    assert data["plan"]["num_tasks"] == 3
    assert data["tuned"]["cosine"]["overall"] == quadratic.tuned["cosine"].overall


def test_labels_are_told_apart_by_whether_training_saw_them(supervised: Comparison) -> None:
    family, frame = family_class("supervised"), comparison_frame(supervised)
    _, by_architecture, by_optimizer = terminal_tables(frame, family.has_trained_on)
    results = supervised.results["controller"]
    for table, label, seen in (
        (by_architecture, "architecture", "no"),  # test tasks have architectures of their own
        (by_optimizer, "optimizer", "yes"),
    ):
        text = shown(table, width=80)
        assert "…" not in text
        assert all(task.labels[label] in text for task in results.tasks)
        cells = [line.split("│") for line in text.splitlines() if line.startswith("│")]
        assert {line[2].strip() for line in cells} == {seen}


def test_accuracy_is_reported_where_there_is_one(supervised: Comparison) -> None:
    metric = supervised.results["constant"].test_metric
    assert ((metric >= 0.0) & (metric <= 1.0)).all()
    json.dumps(comparison_json(supervised), allow_nan=False)


# ------------------------------------------------------------------------------------------ figures


def test_runs_of_different_lengths_are_put_on_one_axis() -> None:
    nan = np.nan
    curves = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, nan, nan]])
    short = over_progress(curves)
    assert short.shape == (2, 60)
    assert short[0, ::15].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert short[1, ::15].tolist() == [5.0, 5.0, 6.0, 6.0]


def pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)


@pytest.mark.parametrize("rates", [(1e-3, 1e-1), (1e-3, 1e1), None], ids=["two", "wild", "drawn"])
def test_a_picture_is_drawn(
    constant_policy: MakePolicy, tmp_path: Path, rates: tuple[float, ...] | None
) -> None:
    plan = Plan(
        family="quadratic",
        num_tasks=12,
        methods=("cosine_tuned",),
        num_tuning_tasks=2,
        initial_rates=rates,
    )
    comparison = compare(constant_policy(), plan)
    (rate,) = make_family("quadratic").space.hyperparameters
    path = draw_schedules(comparison_frame(comparison), tmp_path / "new" / "a.png", rate)
    image = pixels(path)
    assert image.ndim == 3
    assert len(np.unique(image.reshape(-1, 4), axis=0)) > 20  # more than an empty frame


def test_what_was_not_run_is_not_drawn(quadratic: Comparison, tmp_path: Path) -> None:
    frame = comparison_frame(quadratic)
    (rate,) = make_family("quadratic").space.hyperparameters
    draw_schedules(frame[frame["opponent"] == "controller"], tmp_path / "alone.png", rate)
    draw_schedules(frame, tmp_path / "both.png", rate)
    assert not np.array_equal(pixels(tmp_path / "alone.png"), pixels(tmp_path / "both.png"))
