"""The benchmark runs, and writes what it prints. How fast anything is, is not tested."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.speed import agent, matmul, models, shards, start_up
from benchmarks.speed.goals import Goal
from benchmarks.speed.options import PART_NAMES, Options
from benchmarks.speed.timing import measure_in_turn, ratio
from benchmarks.speed.workloads import Workload, environment
from benchmarks.throughput import PARTS, main
from hpo_env.errors import ConfigurationError

TINY = Options(
    engine="eager",
    updates=2,
    lanes=4,
    models=("mlp_32x2_relu",),
    model_lanes=2,
    agent_lanes=2,
    shard_lanes=2,
    lane_counts=(16,),
    start_up_engines=("eager",),
    repeats=1,
    seconds=0.001,
)


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = result["rows"]
    return rows


def test_every_part_can_be_asked_for() -> None:
    assert tuple(PARTS) == PART_NAMES


def test_numbers_are_measured_written_and_drawn(tmp_path: Path) -> None:
    path, plot = tmp_path / "new" / "throughput.json", tmp_path / "new" / "throughput.svg"
    result = main(replace(TINY, only=("models", "lanes"), json=path, plot=plot))
    written = json.loads(path.read_text())
    assert list(written["parts"]) == ["models", "lanes"]
    assert written["parts"] == result["parts"]
    (row,) = rows_of(written["parts"]["lanes"])
    # A lane holds 1,024 training, 512 validation and 512 test rows of 28 float32 features.
    assert row["bytes_per_lane"] > 2048 * 28 * 4
    assert {"processor", "cores", "torch"} <= set(written["machine"])
    assert "mlp_32x2_relu" in plot.read_text()


def test_a_plot_needs_its_parts() -> None:
    with pytest.raises(ConfigurationError, match="lanes"):
        main(replace(TINY, only=("models",), plot=Path("never.svg")))


def test_ratios_of_one_round_are_those_of_the_speeds() -> None:
    rows = rows_of(models.measure(TINY))
    assert len(rows) == 3
    for row in rows:
        assert row["ratio"] == row["environment"] / row["sequential"]
        assert row["share_of_trainer"] == row["environment"] / row["trainer"]
        assert row["updates_per_second"] == 2 * row["environment"]


def test_ways_are_measured_in_turn_after_one_round_that_does_not_count() -> None:
    order: list[str] = []

    def way(name: str) -> float:
        order.append(name)
        return 1.0

    ways = {"a": lambda: way("a"), "b": lambda: way("b")}
    rates = measure_in_turn(ways, repeats=2, seconds=0.0)
    assert order == ["a", "b"] * 3
    assert {name: len(rate) for name, rate in rates.items()} == {"a": 2, "b": 2}


def test_a_ratio_is_the_median_of_the_rounds() -> None:
    assert ratio({"a": [1.0, 4.0, 9.0], "b": [1.0, 2.0, 3.0]}, "a", "b") == 2.0


def test_all_knobs_are_in_force_in_the_environment() -> None:
    workload = dict(models.workloads(TINY))["MLP 64-64-64-10, all knobs"]
    env = environment(workload, "eager")
    *_, info = env.step(np.zeros(env.action_space.shape or (), dtype=np.float32))
    used = info["hyperparameters"]
    assert used["batch_size"].tolist() == [16, 32, 64, 128]
    for name, value in {"dropout": 0.1, "label_smoothing": 0.1, "gradient_clip": 1.0}.items():
        np.testing.assert_allclose(used[name], value)
    assert env.controlled.names == env.space.names


def test_operations_of_a_step_are_those_counted_by_hand() -> None:
    # 1,024 training and 512 validation rows of 28 features in, 128, 128, and 3 classes out.
    workload = Workload(
        model="mlp_128x2_relu", dataset="pitch_result", lanes=1, updates=1, batch_sizes=(128,)
    )
    forwards = 2 * (28 * 128 + 128 * 128 + 128 * 3)
    assert matmul.step_operations(workload) == (
        128 * (3 * forwards - 2 * 28 * 128) + 512 * forwards
    )


def test_the_share_of_the_multiplication_rate_is_measured_for_every_minibatch() -> None:
    result = matmul.measure(TINY)
    assert [row["batch_size"] for row in rows_of(result)] == [64, 128, 256]
    (goal,) = matmul.goals(result)
    assert goal.measured == rows_of(result)[1]["share"] > 0.0


def test_the_twin_repeats_what_the_agent_did() -> None:
    result = agent.measure(TINY)  # asserts that both end with the same observations
    assert result["share"] == result["agent_steps_per_second"] / result["env_steps_per_second"]


def test_two_workers_are_compared_with_one() -> None:
    result = shards.measure(TINY)
    (goal,) = shards.goals(result)
    one, two = (row["steps_per_second"] for row in rows_of(result))
    assert goal.measured == two / one


def test_a_start_is_timed_to_the_first_step(tmp_path: Path) -> None:
    seconds = start_up.start("eager", tmp_path)
    assert seconds["first_step"] > seconds["library"] >= 0.0


def test_warm_starts_find_what_the_cold_one_has_built(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(engine: str, cache: Path) -> dict[str, float]:
        built = cache / "library"
        seconds = 1.0 if built.exists() else 5.0
        built.touch()
        return {"library": seconds, "first_step": 2.0 * seconds}

    monkeypatch.setattr(start_up, "start", start)
    result = start_up.measure(replace(TINY, repeats=3))
    (row,) = rows_of(result)
    assert row["cold"] == {"library": 5.0, "first_step": 10.0}
    assert row["warm"] == {"library": 1.0, "first_step": 2.0}
    assert [goal.measured for goal in start_up.goals(result)] == [2.0]


def test_a_start_that_fails_is_no_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(RuntimeError, match="'eager' failed"):
        start_up.start("eager", tmp_path)


@pytest.mark.parametrize(("is_least", "is_reached"), [(True, False), (False, True)])
def test_goals_have_a_side(is_least: bool, is_reached: bool) -> None:
    goal = Goal(what="speed", measured=1.0, bound=2.0, is_least=is_least)
    assert goal.is_reached is is_reached
