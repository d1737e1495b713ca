from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from agents.opponents.base import Instance, Opponent, Outcome, Prepared
from agents.opponents.drawing import make_tasks
from agents.opponents.driving import run_once
from agents.opponents.known_answers import (
    KalmanGain,
    drop_share,
    local_level_error_ratios,
)
from agents.opponents.lanes import Lanes, Workload
from agents.opponents.schedules import Scheduled
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Task
from hpo_env.tasks.local_level import kalman_gain
from hpo_env.tasks.quadratic import UPDATES_PER_DECISION, QuadraticTask, optimal_rates
from hpo_env.tasks.registry import make_family
from hpo_env.tasks.schedule_law import ScheduleLawTask
from hpo_env.tasks.schedule_law import optimal_rates as best_course

OWN = Scheduled(name="own", schedule="constant", is_default=False)


def decision_rates(task: Task) -> list[float]:
    assert isinstance(task, QuadraticTask)
    rates: list[float] = (
        optimal_rates(task)[0].reshape(-1, UPDATES_PER_DECISION).mean(axis=1).tolist()
    )
    return rates


def instances(
    family: str, count: int, starts: tuple[float, ...] | None = None, split: str = "train"
) -> list[Instance]:
    tasks = make_tasks(make_family(family, split=split), count, 0, starts=starts)
    return [Instance(task=task, seed=0) for task in tasks]


def reached(opponent: Opponent, given: Sequence[Instance], family: str) -> list[Outcome]:
    return opponent.run(Workload(family=family), given, {})


@dataclass(frozen=True, kw_only=True)
class Optimal(Opponent):
    """The closed-form rates, averaged over each decision."""

    name: str = "optimal"

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        def start(lanes: Lanes) -> object:
            rates = np.array([decision_rates(instance.task) for instance in lanes.instances])
            return lambda lanes, telemetry: rates[:, [int(lanes.interval.max())]]

        return run_once(workload, instances, start)  # type: ignore[arg-type]


def test_the_optimal_rates_reach_the_optimal_drop() -> None:
    given = instances("quadratic", 100, split="test")
    share = drop_share(given, reached(Optimal(), given, "quadratic"))
    assert share == pytest.approx(1.0, abs=0.03)


def test_the_best_course_of_the_law_has_the_whole_drop_and_others_less() -> None:
    given = instances("schedule_law", 4, (1e-4,), split="test")
    assert 0.3 < drop_share(given, reached(OWN, given, "schedule_law")) < 0.99

    @dataclass(frozen=True, kw_only=True)
    class Best(Optimal):
        def run(
            self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
        ) -> list[Outcome]:
            def start(lanes: Lanes) -> object:
                task = lanes.instances[0].task
                assert isinstance(task, ScheduleLawTask)
                rates = best_course(task)[0]
                return lambda lanes, telemetry: rates[[[int(lanes.interval.max())]]]

            alone = [run_once(workload, [one], start) for one in instances]  # type: ignore[arg-type]
            return [outcome for (outcome,) in alone]

    assert drop_share(given, reached(Best(), given, "schedule_law")) == pytest.approx(1.0)


def test_a_rate_that_moves_nothing_has_no_share_in_the_drop() -> None:
    given = instances("quadratic", 5, (1e-6,))
    share = drop_share(given, reached(OWN, given, "quadratic"))
    assert share == pytest.approx(0.0, abs=0.01)


def test_the_kalman_gain_is_its_own_measure_and_others_do_worse() -> None:
    given = instances("local_level", 20, (1.0,), split="test")
    oracle = reached(KalmanGain(), given, "local_level")
    gains = [kalman_gain(instance.task.noise_ratio) for instance in given]  # type: ignore[attr-defined]
    np.testing.assert_allclose([o.hyperparameters["smoothing"][-1] for o in oracle], gains)
    assert (local_level_error_ratios(given, oracle, oracle) == 1.0).all()
    others = reached(OWN, given, "local_level")
    assert np.exp(np.log(local_level_error_ratios(given, others, oracle)).mean()) > 1.1


def test_runs_of_other_families_are_refused() -> None:
    quadratic, level = instances("quadratic", 1), instances("local_level", 1)
    on_quadratic = reached(OWN, quadratic, "quadratic")
    on_level = reached(OWN, level, "local_level")
    with pytest.raises(ConfigurationError, match="'quadratic' and 'schedule_law'"):
        drop_share(level, on_level)
    with pytest.raises(ConfigurationError, match="'local_level' only"):
        local_level_error_ratios(quadratic, on_quadratic, on_quadratic)
