"""The numbers behind the pictures, where the right answer is known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.custom_scalar.layout_pb2 import Layout

from agents import tags
from agents.commands.dashboard import gather
from agents.reporting.analysis import read_numbers
from agents.reporting.importance import partial_dependence, permutation_importance, strongest
from agents.reporting.projector import embed, gains
from agents.reporting.recording import Recording, record, still
from agents.reporting.schedules import by_task, words_of
from agents.statistics.pairing import pair_runs
from hpo_env.control.decider import Decision
from hpo_env.hyperparameters import LEVELS
from hpo_env.integrations.tensorboard import decision_scalars
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class
from hpo_env.vector_env import HPOControlVectorEnv
from tests.agents.statistics.tables import frame_of, row


@pytest.fixture
def proportional() -> Policy:
    """Make a policy whose action is half of the field "drop"."""
    space = family_class("quadratic")().space
    fields = field_names(space.names)
    weight = np.zeros((1, len(fields)), dtype=np.float32)
    weight[0, fields.index("drop")] = 0.5
    return Policy(
        family="quadratic",
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(weight,),
        biases=(np.zeros(1, dtype=np.float32),),
    )


@pytest.fixture
def seen(proportional: Policy) -> Any:
    return np.random.default_rng(0).uniform(-1.0, 1.0, (500, len(proportional.fields)))


def test_only_the_field_that_is_read_is_important(proportional: Policy, seen: Any) -> None:
    importance = permutation_importance(proportional, seen)
    place = proportional.fields.index("drop")
    # |u - v| / 2 of two independent draws from [-1, 1] has the mean 1/3.
    assert importance[place, 0] == pytest.approx(1.0 / 3.0, abs=0.03)
    assert np.delete(importance, place, axis=0).max() == 0.0
    assert strongest(proportional, importance, 1) == ["drop"]


def test_partial_dependence_of_a_proportional_policy_is_its_slope(
    proportional: Policy, seen: Any
) -> None:
    shown = partial_dependence(proportional, seen, "drop")
    np.testing.assert_allclose(shown.actions[:, 0], 0.5 * shown.points, atol=1e-6)
    flat = partial_dependence(proportional, seen, "progress")
    assert np.ptp(flat.actions) == pytest.approx(0.0, abs=1e-9)


def test_runs_are_grouped_by_task_and_where_there_is_one_by_their_start() -> None:
    several = [row("controller", [(1.0, 1.0)], task=name, unit=name) for name in ("b", "a")]
    (runs,) = pair_runs(frame_of(*several))
    assert words_of(by_task(runs)).tolist() == ["a", "b"]
    alone = [row("controller", [(1.0, 1.0)], start=r) for r in (1e-3, 1e-1)]
    (runs,) = pair_runs(frame_of(*alone))
    assert words_of(by_task(runs)).tolist() == ["from 0.001", "from 0.1"]


@pytest.fixture
def lanes() -> HPOControlVectorEnv:
    return HPOControlVectorEnv(
        5, family="quadratic", num_decisions=6, action_mode="discrete", base_schedule="cosine"
    )


def test_recordings_of_one_seed_are_paired_and_standing_still_keeps_the_base_schedule(
    lanes: HPOControlVectorEnv,
) -> None:
    first = record(lanes, still(lanes), seed=3)
    second = record(lanes, still(lanes), seed=3)
    assert first.tasks == second.tasks
    np.testing.assert_array_equal(first.validation_loss, second.validation_loss)
    rates = first.hyperparameters["learning_rate"]
    np.testing.assert_allclose(rates[:, 0], [task.initial[0] for task in first.tasks], rtol=0.2)
    steps = np.diff(rates, axis=1)
    assert (steps[np.isfinite(steps)] < 0.0).all()  # not finite: after a run that diverged
    np.testing.assert_array_equal(gains(first, second), 0.0)


def test_recorded_moves_are_those_that_were_decided(lanes: HPOControlVectorEnv) -> None:
    rng = np.random.default_rng(0)
    decided = []

    def act(observations: Any) -> Any:
        decided.append(rng.choice(LEVELS, (5, 1)))
        return decided[-1]

    recording = record(lanes, act, seed=0)
    running = np.isfinite(recording.moves)
    expected = np.stack(decided, axis=1)
    np.testing.assert_array_equal(recording.moves[running], expected[running])
    assert len(recording.seen) == running.sum()


def test_tasks_are_embedded_at_one_scale_and_without_holes(lanes: HPOControlVectorEnv) -> None:
    recording: Recording = record(lanes, still(lanes), seed=0)
    table = embed(recording)
    assert table.shape == (5, 3 * len(recording.fields))
    assert np.isfinite(table).all()
    assert np.abs(table).max() <= 3.0
    np.testing.assert_allclose(table.mean(axis=0), 0.0, atol=1e-9)


def test_controlled_runs_and_held_out_tasks_have_the_same_tags() -> None:
    decision = Decision(
        interval=0,
        step=0,
        reason="policy",
        observation={},
        moves={"learning_rate": 0.5},
        values={"learning_rate": 1e-3},
        train_loss=1.0,
        validation_loss=1.0,
    )
    written = decision_scalars(decision, has_observations=False)
    assert written[tags.RUN_VALUE.format(hyperparameter="learning_rate")] == 1e-3
    assert written[tags.RUN_MOVE.format(hyperparameter="learning_rate")] == 0.5


def test_closing_analysis_leaves_pictures_and_numbers(run: Path) -> None:
    numbers = read_numbers(run)
    assert numbers is not None
    assert [entry["opponent"] for entry in numbers["methods"]] == ["controller", "frozen"]
    assert set(numbers["importance"]) == set(field_names(["learning_rate"]))
    for name in ("schedules_learning_rate", "regret", "importance", "dependence", "task_map"):
        assert (run / "figures" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert "<svg" in (run / "figures" / f"{name}.svg").read_text()


def test_one_run_is_shown_where_it_is_and_several_by_their_names(tmp_path: Path) -> None:
    first, second = tmp_path / "a" / "run", tmp_path / "b" / "run"
    for folder in (first, second, tmp_path / "scratch"):
        folder.mkdir(parents=True)
    (first / "config.json").write_text("{}")
    assert gather([first], tmp_path / "scratch") == first
    assert gather([first, second], tmp_path / "scratch") == tmp_path / "scratch"
    assert (tmp_path / "scratch" / "run").resolve() == first
    assert (tmp_path / "scratch" / "run-2").resolve() == second


def test_a_users_run_gets_the_layout_that_it_has_not(runs: Path, tmp_path: Path) -> None:
    folder = gather([runs / "mine"], tmp_path)
    assert (folder / "mine").is_dir()
    events = EventAccumulator(str(folder / "layout")).Reload()
    (content,) = events.PluginTagToContent("custom_scalars")
    layout = Layout.FromString(events.Tensors(content)[0].tensor_proto.string_val[0])
    titles = [chart.title for category in layout.category for chart in category.chart]
    assert "learning_rate in force" in titles
    assert "guard in force" not in titles
