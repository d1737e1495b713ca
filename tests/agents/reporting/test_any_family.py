"""Reports of families without what supervised learning has: labels, a learning rate, a metric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from agents import tags
from agents.comparing.records import label_names, to_frame
from agents.reporting.analysis import (
    ClosingAnalysis,
    analyse_policy,
    read_numbers,
    record_comparison,
    write_analysis,
)
from agents.reporting.comparisons import comparison_markdown, render_comparison, terminal_tables
from agents.reporting.frames import rows_of
from agents.reporting.projector import colours
from agents.reporting.runs import render_report
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.tasks.array import ArrayTrainer
from hpo_env.tasks.base import Engine, Task, TaskFamily, Trainer
from hpo_env.tasks.registry import family_class
from hpo_env.telemetry import Telemetry
from hpo_env.vector_env import HPOControlVectorEnv
from tests.agents.reporting.pages import parse

GAMES = ("chess", "go")


@dataclass(frozen=True, kw_only=True)
class Match(Task):
    """A game against an opponent of some strength."""

    opening: str

    @property
    def labels(self) -> Mapping[str, str]:
        return {"opening": self.opening}


class Matches(TaskFamily):
    """Regret halves where the share of exploration is near 0, to 0 at last; there is no metric."""

    name = "matches"
    hyperparameters: ClassVar = (
        Hyperparameter(
            name="share",
            low=-1.0,
            high=1.0,
            default=0.0,
            max_step=0.5,
            scale="linear",
            is_always_available=True,
        ),
        Hyperparameter(
            name="discount",
            low=0.0,
            high=0.999,
            default=0.9,
            max_step=2.0,
            scale="one_minus_log",
        ),
    )
    default_controlled = ("share", "discount")
    loss_floor = 1e-3
    updates_per_decision = 7

    def sample(self, rng: np.random.Generator) -> Match:
        return Match(
            name=str(rng.choice(GAMES)),
            num_decisions=6,
            initial=(float(rng.uniform(-1.0, 1.0)), 0.9),
            opening=str(rng.choice(["open", "closed"])),
        )

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        return MatchesTrainer(num_lanes)


class MatchesTrainer(ArrayTrainer):
    def __init__(self, num_lanes: int) -> None:
        super().__init__(loss=np.ones(num_lanes), first_loss=np.ones(num_lanes))

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        self.state["loss"][lanes] = 1.0
        telemetry = Telemetry.missing(len(lanes))
        telemetry.validation_loss[:] = 1.0
        return telemetry

    def _run_interval(self, values: NDArray[np.float64]) -> Telemetry:
        loss = self.state["loss"] * (0.2 + np.abs(values[:, 0]))
        self.state["loss"] = np.where(loss < 0.05, 0.0, loss)
        telemetry = Telemetry.missing(len(loss))
        telemetry.validation_loss[:] = self.state["loss"]
        return telemetry

    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        loss = self.state["loss"][lanes]
        return loss, np.full_like(loss, np.nan)


def address_of(name: str) -> str:
    return f"{Matches.__module__}:Matches" if name == "matches" else name


@pytest.fixture(params=["local_level", "matches"])
def lanes(request: pytest.FixtureRequest) -> HPOControlVectorEnv:
    return HPOControlVectorEnv(
        8,
        family=address_of(request.param),
        split="test",
        hyperparameters=family_class(address_of(request.param)).default_controlled,
    )


@pytest.fixture
def policy(lanes: HPOControlVectorEnv) -> Policy:
    """Make a policy that always moves down a little."""
    space = lanes.controlled
    shape: Any = (len(space), len(field_names(space.names)))
    return Policy(
        family=address_of(lanes.family.name),
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(np.zeros(shape, dtype=np.float32),),
        biases=(np.full(len(space), -0.1, dtype=np.float32),),
    )


@pytest.fixture
def analysis(policy: Policy, lanes: HPOControlVectorEnv) -> ClosingAnalysis:
    return analyse_policy(policy, lanes, title="anything", split="test", seed=0)


def test_an_analysis_has_every_picture_and_number(
    analysis: ClosingAnalysis, tmp_path: Path
) -> None:
    write_analysis(analysis, tmp_path, step=0)
    moved = analysis.policy.space.names
    names = {f"schedules_{name}" for name in moved}
    names |= {"regret", "importance", "dependence", "task_map"}
    assert {path.stem for path in (tmp_path / "figures").glob("*.svg")} == names
    numbers = read_numbers(tmp_path)
    assert numbers is not None
    assert [entry["opponent"] for entry in numbers["methods"]] == ["controller", "frozen"]
    assert np.isfinite(numbers["gain"]["mean"])
    assert np.isfinite(numbers["regret"]["values"]).all()
    page = parse(render_report(tmp_path))
    assert page.open == []
    assert page.headings == ["Anything"]


def test_tensorboard_has_updates_and_values_of_single_runs(
    analysis: ClosingAnalysis, tmp_path: Path
) -> None:
    write_analysis(analysis, tmp_path, step=0)
    family = analysis.controller.family
    for folder in (tmp_path / "held_out").iterdir():
        events = EventAccumulator(str(folder)).Reload()
        for name in analysis.policy.space.names:
            points = events.Scalars(tags.RUN_VALUE.format(hyperparameter=name))
            steps = np.diff([point.step for point in points])
            assert (steps == family.updates_per_decision).all()
    assert len(list((tmp_path / "held_out").iterdir())) == 8
    band = EventAccumulator(str(tmp_path / "methods" / "controller")).Reload()
    assert tags.SCHEDULE_LOSS.format(quantile="median") in band.Tags()["scalars"]


def test_points_are_coloured_by_the_labels_that_tasks_have(analysis: ClosingAnalysis) -> None:
    header, rows = colours(analysis.controller, analysis.base)
    labels = list(analysis.controller.tasks[0].labels)
    assert header == ["family", "task", "gain", *labels, "start", "gain in log loss"]
    assert len(rows) == 8
    for task, row in zip(analysis.controller.tasks, rows, strict=True):
        assert row[1] == task.name
        assert row[3 : 3 + len(labels)] == list(task.labels.values())


def table_of(analysis: ClosingAnalysis) -> pd.DataFrame:
    reached = {"controller": analysis.controller, "other": analysis.base}
    family = analysis.controller.family
    return to_frame([r for n, x in reached.items() for r in rows_of(n, "test", x, family)])


def test_a_comparison_has_a_page_markdown_and_terminal_tables(analysis: ClosingAnalysis) -> None:
    frame = table_of(analysis)
    labels = tuple(analysis.controller.tasks[0].labels)
    assert label_names(frame) == labels
    meta = {"title": "any", "hyperparameters": analysis.policy.space.to_json()}
    text = render_comparison(frame, meta)
    page = parse(text)
    assert page.open == []
    assert text.count("<svg") == 4
    assert page.headings[-2:] == ["Learned schedules", "Cost"]
    leading = analysis.controller.family.leading()
    assert f"What is set for the {leading}" in text
    assert "learning" not in text.replace("Learned", "")
    assert "**controller**" in comparison_markdown(frame)
    assert len(terminal_tables(frame, lambda label, value: None)) == 1 + len(labels)


def test_a_comparison_of_any_family_is_recorded(
    analysis: ClosingAnalysis, policy: Policy, tmp_path: Path
) -> None:
    tasks = analysis.controller.tasks
    record_comparison(table_of(analysis), policy, tmp_path, tasks=tasks, title="again")
    numbers = read_numbers(tmp_path)
    assert numbers is not None
    assert [entry["opponent"] for entry in numbers["methods"]] == ["controller", "other"]
    assert (tmp_path / "methods" / "other").is_dir()
