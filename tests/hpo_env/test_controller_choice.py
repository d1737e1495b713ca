"""Which policy decides in a loop: the largest that has nothing masked there."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from hpo_env import Controller
from hpo_env.control.decider import choose_policy
from hpo_env.controller import ALTERNATIVES, ZOO
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from tests.agents.opponents.policies import steady_policy

SIX = load(ZOO / "supervised").space.names
POLICIES = [steady_policy("supervised", SIX[:count]) for count in (6, 3, 2, 1, 6)]
ALL, OPTIMIZER, TWO, RATE, MASKED = POLICIES
EVERYTHING = dict.fromkeys(SIX, 0.1)


def chosen(values: dict[str, float], bound: Sequence[str] = ()) -> Policy:
    return choose_policy(POLICIES, values, bound=bound)


def test_where_all_can_be_moved_the_largest_decides() -> None:
    assert chosen(EVERYTHING) is ALL


@pytest.mark.parametrize(
    ("missing", "policy"), [(n, TWO if n == "momentum" else OPTIMIZER) for n in SIX[2:]]
)
def test_where_one_is_missing_the_largest_that_is_whole_decides(
    missing: str, policy: Policy
) -> None:
    assert chosen({n: v for n, v in EVERYTHING.items() if n != missing}) is policy


def test_a_weight_decay_of_0_cannot_be_moved_and_a_dropout_of_0_can() -> None:
    assert chosen(EVERYTHING | {"weight_decay": 0.0}) is RATE
    assert chosen(EVERYTHING | {"dropout": 0.0}) is ALL


def test_what_is_bound_is_moved_under_a_mask_of_the_rest() -> None:
    values = {"learning_rate": 0.1, "dropout": 0.1}
    assert chosen(values) is RATE
    assert chosen(values, bound=["dropout"]) is MASKED


def test_where_nothing_fits_the_last_decides() -> None:
    assert chosen({"momentum": 0.9}) is MASKED


def test_a_policy_without_alternatives_decides_everywhere() -> None:
    only = Controller(ALL)
    assert only.policy_for({"learning_rate": 0.1}) is ALL
    assert only.policy_for({"learning_rate": 0.1}, bound=["dropout"]) is ALL


def loop(kind: type[torch.optim.Optimizer], **options: float) -> torch.optim.Optimizer:
    return kind(torch.nn.Linear(2, 1).parameters(), lr=1e-3, **options)


CONTROLLER = Controller(ALL, POLICIES[1:])
SHIPPED = Controller.from_pretrained("supervised")


@pytest.mark.parametrize(
    ("optimizer", "moved"),
    [
        (loop(torch.optim.AdamW), SIX[:3]),
        (loop(torch.optim.Adam), SIX[:1]),  # its weight decay is 0
        (loop(torch.optim.SGD, weight_decay=1e-4), SIX[:3]),
        (loop(torch.optim.RMSprop, momentum=0.5, weight_decay=1e-4), SIX[:3]),
        (loop(torch.optim.RMSprop, weight_decay=1e-4), SIX[:2]),  # makes no buffers later
        (loop(torch.optim.Adagrad, weight_decay=1e-4), SIX[:2]),
    ],
)
def test_a_plain_loop_gets_the_policy_of_what_its_optimiser_has(
    optimizer: torch.optim.Optimizer, moved: tuple[str, ...]
) -> None:
    run = SHIPPED.attach(optimizer, total_steps=30, validate=lambda: 1.0)
    assert run.policy.space.names == moved


def test_a_loop_that_binds_the_rest_gets_all_of_it() -> None:
    run = CONTROLLER.attach(
        loop(torch.optim.AdamW),
        total_steps=30,
        validate=lambda: 1.0,
        bind={"dropout": lambda rate: None, "label_smoothing": lambda value: None},
        initial={"gradient_clip": 1.0},
    )
    assert run.policy is ALL


def test_a_clip_that_is_asked_for_is_moved() -> None:
    run = CONTROLLER.attach(
        loop(torch.optim.AdamW),
        total_steps=30,
        validate=lambda: 1.0,
        initial={"gradient_clip": 1.0},
    )
    assert run.policy is MASKED


def test_a_scheduler_that_starts_at_0_has_a_rate_to_move() -> None:
    optimizer = loop(torch.optim.AdamW)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1.0))
    run = CONTROLLER.attach(optimizer, total_steps=30, validate=lambda: 1.0, base_schedule=warm_up)
    assert run.policy is OPTIMIZER


def test_a_loop_without_torch_gets_the_policy_of_what_it_binds() -> None:
    run = CONTROLLER.drive(
        {"learning_rate": lambda rate: None},
        initial={"learning_rate": 0.1},
        total_steps=30,
        validate=lambda: 1.0,
    )
    assert run.policy is RATE


@pytest.mark.parametrize("name", ALTERNATIVES)
def test_the_alternatives_of_a_shipped_policy_are_shipped(name: str) -> None:
    controller = Controller.from_pretrained(name)
    *whole, masked = controller.alternatives
    sizes = [len(p.space) for p in (controller.policy, *whole)]
    assert sizes == sorted(sizes, reverse=True)
    assert len(controller.alternatives) == len(ALTERNATIVES[name]) > 0
    assert masked.space.names == controller.policy.space.names
    assert masked.metadata["config"]["availability"] == 0.0  # it has met every mask
    # A folder is what it is: nothing stands in for somebody's own policy.
    assert Controller.from_pretrained(ZOO / name).alternatives == ()
