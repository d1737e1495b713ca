from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.evaluation.methods import Controlled, RandomMoves, Scheduled
from agents.evaluation.protocol import Results, lane_seed, make_tasks, run_method
from hpo_env.datasets import dataset_names
from hpo_env.env import HPOControlEnv
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family

OWN_RATE = Scheduled(name="own rate", base_schedule="cosine")
RATES = (1e-4, 1e-2, 1.0)


def quadratics(
    count: int = 3, rates: tuple[float, ...] | None = None, **options: Any
) -> list[Task]:
    return make_tasks(make_family("quadratic", **options), count, 0, initial_rates=rates)


def test_tasks_do_not_depend_on_how_many_are_drawn() -> None:
    assert quadratics(5)[:2] == quadratics(2)
    assert len(set(quadratics(5))) == 5


def test_tasks_are_spread_evenly_over_data_sets_and_architectures() -> None:
    tasks = make_tasks(make_family("supervised", split="test"), 24, 0)
    per_dataset = Counter(task.name for task in tasks)
    assert set(per_dataset) == set(dataset_names(split="test"))
    assert max(per_dataset.values()) <= 4
    per_architecture = Counter(task.architecture for task in tasks)  # type: ignore[attr-defined]
    assert len(per_architecture) >= 3


def test_each_task_is_repeated_at_every_initial_rate() -> None:
    tasks = quadratics(2, RATES)
    assert [task.initial[0] for task in tasks] == [*RATES, *RATES]
    assert tasks[1] == replace(tasks[0], initial=(1e-2,))
    assert tasks[0] == replace(quadratics(2)[0], initial=(1e-4,))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "at least 1 task"),
        ({"rates": ()}, "at least one rate"),
        ({"rates": (1e-2, 1e3)}, r"learning_rate must lie in \[1e-06, 100\]; got 1000"),
    ],
)
def test_impossible_tasks_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        quadratics(**arguments)


@pytest.mark.parametrize("arguments", [{"seeds": []}, {"tasks": []}, {"max_lanes": 0}])
def test_nothing_to_run_is_refused(arguments: dict[str, Any]) -> None:
    given: dict[str, Any] = {"tasks": quadratics(), "seeds": [0]} | arguments
    with pytest.raises(ConfigurationError, match="at least one task, one seed and one lane"):
        run_method(OWN_RATE, family="quadratic", **given)


def by_hand(task: Task, seed: int, **arguments: Any) -> dict[str, Any]:
    """Run one lane in the single environment, doing nothing."""
    env = HPOControlEnv(family=task.name, tasks=[task], **arguments)
    _, info = env.reset(seed=lane_seed(task, seed))
    record: dict[str, Any] = {"first": info["validation_loss"], "rates": [], "losses": []}
    over = False
    while not over:
        _, _, over, _, info = env.step(np.zeros(1, dtype=np.float32))
        record["rates"].append(info["hyperparameters"]["learning_rate"])
        record["losses"].append(info["validation_loss"])
    return record | info


def test_every_lane_equals_a_run_in_the_single_environment() -> None:
    tasks = [replace(task, num_decisions=5 + 3 * i) for i, task in enumerate(quadratics())]
    results = run_method(OWN_RATE, tasks, [0, 7], family="quadratic")
    assert len(results) == 6
    for e, (task, seed) in enumerate(zip(results.tasks, results.seeds, strict=True)):
        expected = by_hand(task, int(seed), base_schedule="cosine")
        n = task.num_decisions
        assert results.first_loss[e] == expected["first"]
        assert results.test_loss[e] == expected["test_loss"]
        assert results.last_loss[e] == expected["losses"][-1]
        assert results.validation_loss[e, :n].tolist() == expected["losses"]
        assert results.hyperparameters["learning_rate"][e, :n].tolist() == expected["rates"]
        assert np.isnan(results.validation_loss[e, n:]).all()
    assert results.seeds.tolist() == [0, 7] * 3


def assert_equal(one: Results, other: Results) -> None:
    assert one.tasks == other.tasks
    for name in ("seeds", "first_loss", "last_loss", "test_loss", "diverged", "validation_loss"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


def test_results_do_not_depend_on_how_many_lanes_run_at_once() -> None:
    tasks = [replace(t, num_decisions=4 + i) for i, t in enumerate(quadratics(5, RATES))]
    together = run_method(OWN_RATE, tasks, [0, 1], family="quadratic")
    in_chunks = run_method(OWN_RATE, tasks, [0, 1], family="quadratic", max_lanes=4)
    assert_equal(together, in_chunks)


def test_a_method_runs_the_same_way_twice() -> None:
    method = RandomMoves(base_schedule="constant", hyperparameters=None)
    runs = [run_method(method, quadratics(4), [0], family="quadratic") for _ in range(2)]
    assert_equal(*runs)
    assert len(np.unique(runs[0].hyperparameters["learning_rate"][:, :3])) > 6


def test_repetitions_at_other_rates_share_weights_and_minibatches() -> None:
    results = run_method(OWN_RATE, quadratics(2, RATES), [0, 1], family="quadratic")
    firsts = results.first_loss.reshape(2, len(RATES), 2)
    np.testing.assert_array_equal(firsts, firsts[:, :1].repeat(len(RATES), axis=1))
    assert len(np.unique(results.units)) == 4
    same_units = results.units.reshape(2, len(RATES), 2)
    assert (same_units == same_units[:, :1]).all()


def test_a_controller_that_does_nothing_equals_its_base_schedule(
    constant_policy: Callable[..., Policy],
) -> None:
    policy = constant_policy(schedule="cosine")
    tasks = quadratics(3, (1e-4, 1e-3))  # from which nothing diverges, so the guard has no say
    controlled = run_method(Controlled(policy=policy), tasks, [0], family="quadratic")
    assert_equal(controlled, run_method(OWN_RATE, tasks, [0], family="quadratic"))


def test_a_controller_moves_the_rate(constant_policy: Callable[..., Policy]) -> None:
    tasks = quadratics(1, (1e-4,), num_decisions=4)
    policy = constant_policy(move=0.5)  # half of a factor of 100, on the logarithm
    results = run_method(Controlled(policy=policy), tasks, [0], family="quadratic")
    rates = results.hyperparameters["learning_rate"][0]
    np.testing.assert_allclose(rates[:3], [1e-3, 1e-2, 1e-1])


def test_a_policy_for_other_hyperparameters_is_refused(
    constant_policy: Callable[..., Policy],
) -> None:
    policy = constant_policy()
    (rate,) = policy.space.hyperparameters
    other = replace(policy, space=HyperparameterSpace([replace(rate, max_step=4.0)]))
    with pytest.raises(ConfigurationError, match="train it again on this family"):
        run_method(Controlled(policy=other), quadratics(), [0], family="quadratic")


def test_equal_runs_are_run_once() -> None:
    seen: list[tuple[int, int]] = []
    tasks = quadratics(2, RATES, num_decisions=5)
    fixed = Scheduled(name="fixed", base_schedule="constant", rate=0.1)
    results = run_method(
        fixed, tasks, [0], family="quadratic", on_progress=lambda *done: seen.append(done)
    )
    assert seen == [(2 * i, 10) for i in range(1, 6)]  # two runs of five decisions, not six
    losses = results.test_loss.reshape(2, len(RATES))
    np.testing.assert_array_equal(losses, losses[:, :1].repeat(len(RATES), axis=1))
    assert [task.initial[0] for task in results.tasks] == [*RATES, *RATES]


def test_divergence_has_a_fixed_price() -> None:
    wild = Scheduled(name="wild", base_schedule="constant", rate=100.0)
    results = run_method(wild, quadratics(2), [0], family="quadratic")
    assert results.diverged.all()
    np.testing.assert_allclose(results.log_test_loss, np.log(results.first_loss) + 5.0)
    np.testing.assert_allclose(results.log_last_loss, np.log(results.first_loss) + 5.0)
    assert np.isnan(results.last_loss).all()
    ends = (~np.isnan(results.validation_loss)).sum(axis=1)
    assert (ends < 40).all()


def test_no_finished_run_costs_more_than_divergence() -> None:
    results = run_method(OWN_RATE, quadratics(2), [0], family="quadratic")
    huge = replace(results, test_loss=np.array([1e30, np.inf]), diverged=np.zeros(2, dtype=bool))
    np.testing.assert_allclose(huge.log_test_loss, np.log(results.first_loss) + 5.0)


def test_a_diverged_lane_leaves_its_neighbours_alone() -> None:
    tasks = quadratics(1, (1e-2, 100.0, 1e-1))
    with_wild = run_method(OWN_RATE, tasks, [0], family="quadratic")
    without = run_method(OWN_RATE, [tasks[0], tasks[2]], [0], family="quadratic")
    assert with_wild.diverged.tolist() == [False, True, False]
    assert_equal(with_wild.take(np.array([0, 2])), without)


def test_taking_by_mask_and_by_index_agree() -> None:
    results = run_method(OWN_RATE, quadratics(4), [0], family="quadratic")
    mask = np.array([True, False, True, False])
    assert_equal(results.take(mask), results.take(np.array([0, 2])))
    assert results.take(mask).names.tolist() == ["quadratic"] * 2


def test_families_without_architectures_have_empty_names() -> None:
    results = run_method(OWN_RATE, quadratics(1), [0], family="quadratic")
    assert results.architectures.tolist() == results.optimizers.tolist() == [""]
    assert np.isnan(results.test_metric).all()
