from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from agents.opponents.ablations import PolicyOpponent, RandomMoves
from agents.opponents.base import Instance, Opponent, Outcome
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.schedules import Scheduled
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.by_hand import assert_same, run_by_hand
from tests.agents.opponents.searching import equal_outcomes

MakePolicy = Callable[..., Policy]
WORKLOAD = Workload(family="quadratic")
OWN_RATE = Scheduled(name="own rate", schedule="cosine", is_default=False)
STARTS = (1e-4, 1e-2, 1.0)


def quadratics(
    count: int = 3, starts: tuple[float, ...] | None = None, **options: Any
) -> list[Instance]:
    tasks = make_tasks(make_family("quadratic", **options), count, 0, starts=starts)
    return [Instance(task=task, seed=seed) for task in tasks for seed in (0, 7)]


def reached(opponent: Opponent, instances: list[Instance], **changes: Any) -> list[Outcome]:
    return opponent.run(replace(WORKLOAD, **changes), instances, {})


def of_lengths(instances: list[Instance]) -> list[Instance]:
    return [
        replace(instance, task=replace(instance.task, num_decisions=4 + i % 5))
        for i, instance in enumerate(instances)
    ]


def test_every_lane_equals_a_run_in_the_single_environment(constant_policy: MakePolicy) -> None:
    policy = constant_policy(move=0.3, schedule="cosine")
    instances = of_lengths(quadratics())
    for instance, outcome in zip(
        instances, reached(PolicyOpponent(name="c", policy=policy), instances), strict=True
    ):
        assert len(outcome.validation_loss) == instance.task.num_decisions
        found = run_by_hand(instance, policy.act, family="quadratic", base_schedule="cosine")
        assert_same(outcome, found)


@pytest.mark.parametrize("kind", [PolicyOpponent, RandomMoves])
def test_outcomes_do_not_depend_on_how_many_lanes_run_at_once(
    constant_policy: MakePolicy, kind: Any
) -> None:
    opponent = kind(name="x", policy=constant_policy(move=0.3))
    instances = of_lengths(quadratics(5, STARTS))
    together, in_chunks = (reached(opponent, instances, max_lanes=n) for n in (256, 4))
    assert all(equal_outcomes(*pair) for pair in zip(together, in_chunks, strict=True))


def test_random_moves_are_the_same_twice_and_differ_between_lanes(
    constant_policy: MakePolicy,
) -> None:
    opponent = RandomMoves(name="random", policy=constant_policy())
    one, other = (reached(opponent, quadratics(4)) for _ in range(2))
    assert all(equal_outcomes(*pair) for pair in zip(one, other, strict=True))
    rates = np.array([outcome.hyperparameters["learning_rate"][:3] for outcome in one])
    assert len(np.unique(rates)) > 6


def test_repetitions_from_other_starts_share_weights_and_minibatches() -> None:
    outcomes = reached(OWN_RATE, quadratics(2, STARTS))
    firsts = np.array([outcome.first_loss for outcome in outcomes]).reshape(2, len(STARTS), 2)
    np.testing.assert_array_equal(firsts, firsts[:, :1].repeat(len(STARTS), axis=1))


def test_a_controller_that_does_nothing_equals_its_base_schedule(
    constant_policy: MakePolicy,
) -> None:
    still = PolicyOpponent(name="c", policy=constant_policy(schedule="cosine"))
    instances = quadratics(3, (1e-4, 1e-3))  # nothing diverges from these: the guard has no say
    pairs = zip(reached(still, instances), reached(OWN_RATE, instances), strict=True)
    assert all(equal_outcomes(*pair) for pair in pairs)


def test_a_controller_moves_the_rate(constant_policy: MakePolicy) -> None:
    # Half of a factor of 100, on the logarithm.
    opponent = PolicyOpponent(name="c", policy=constant_policy(move=0.5))
    outcome = reached(opponent, quadratics(1, (1e-4,), num_decisions=4))[0]
    rates = outcome.hyperparameters["learning_rate"]
    np.testing.assert_allclose(rates[:3], [1e-3, 1e-2, 1e-1])


def test_a_policy_for_other_hyperparameters_is_refused(constant_policy: MakePolicy) -> None:
    policy = constant_policy()
    (rate,) = policy.space.hyperparameters
    other = replace(policy, space=HyperparameterSpace([replace(rate, max_step=4.0)]))
    with pytest.raises(ConfigurationError, match="train it again on this family"):
        reached(PolicyOpponent(name="c", policy=other), quadratics())


def test_divergence_has_a_fixed_price() -> None:
    for outcome in reached(OWN_RATE, quadratics(2, (100.0,))):
        assert outcome.diverged
        assert outcome.log_test_loss() == pytest.approx(np.log(outcome.first_loss) + 5.0)
        assert outcome.log_last_loss() == pytest.approx(np.log(outcome.first_loss) + 5.0)
        assert np.isnan(outcome.last_loss)
        assert np.isfinite(outcome.validation_loss).sum() < 39


def test_no_finished_run_costs_more_than_divergence() -> None:
    for outcome in reached(OWN_RATE, quadratics(1)):
        for huge in (1e30, np.inf):
            changed = replace(outcome, test_loss=huge)
            assert changed.log_test_loss() == pytest.approx(np.log(outcome.first_loss) + 5.0)


def test_losses_below_the_familys_floor_are_as_good_as_it() -> None:
    outcome = reached(OWN_RATE, quadratics(1))[0]
    assert replace(outcome, test_loss=0.0).log_test_loss(1e-3) == pytest.approx(np.log(1e-3))


def test_a_diverged_lane_leaves_its_neighbours_alone() -> None:
    instances = quadratics(1, (1e-2, 100.0, 1e-1))
    with_wild = reached(OWN_RATE, instances)
    assert [outcome.diverged for outcome in with_wild] == [False, False, True, True, False, False]
    without = reached(OWN_RATE, instances[:2] + instances[4:])
    for pair in zip(with_wild[:2] + with_wild[4:], without, strict=True):
        assert equal_outcomes(*pair)
