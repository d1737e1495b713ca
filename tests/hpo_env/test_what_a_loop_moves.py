"""What the shipped policy moves in a loop: all that is there."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo_env import Controller
from hpo_env.controller import ZOO, shipped_smaller
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.restriction import restrict
from tests.hpo_env.controlled_runs import random_policy

SHIPPED = load(ZOO / "supervised")
CONTROLLER = Controller(SHIPPED)
SIX = SHIPPED.space.names
RATE, DECAY, MOMENTUM, *_ = SIX


def loop(kind: Callable[..., torch.optim.Optimizer], **options: float) -> torch.optim.Optimizer:
    return kind(nn.Linear(2, 1).parameters(), lr=1e-3, **options)


def moved(optimizer: torch.optim.Optimizer, **options: Any) -> tuple[str, ...]:
    run = CONTROLLER.attach(optimizer, total_steps=30, validate=lambda: 1.0, **options)
    assert tuple(run.values) == tuple(run.decisions[0].moves) == run.policy.space.names
    return run.policy.space.names


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (loop(torch.optim.AdamW), (RATE, DECAY, MOMENTUM)),
        (loop(torch.optim.Adam), (RATE, MOMENTUM)),  # its weight decay is 0
        (loop(torch.optim.SGD), (RATE, MOMENTUM)),
        (loop(torch.optim.SGD, weight_decay=1e-4), (RATE, DECAY, MOMENTUM)),
        (loop(torch.optim.RMSprop, momentum=0.5), (RATE, MOMENTUM)),
        (loop(torch.optim.RMSprop), (RATE,)),  # it makes no buffers later
        (loop(torch.optim.Adagrad, weight_decay=1e-4), (RATE, DECAY)),
    ],
)
def test_of_a_plain_loop_what_its_optimiser_has(
    optimizer: torch.optim.Optimizer, names: tuple[str, ...]
) -> None:
    assert moved(optimizer) == names


@pytest.mark.parametrize(
    ("rate", "names"), [(0.3, (RATE, MOMENTUM, "dropout")), (0.0, (RATE, MOMENTUM))]
)
def test_the_dropout_of_a_model_that_has_some(rate: float, names: tuple[str, ...]) -> None:
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(rate))
    assert moved(loop(torch.optim.Adam), model=model) == names


def test_what_is_bound_and_a_clip_that_is_asked_for() -> None:
    bind = {"dropout": lambda rate: None, "label_smoothing": lambda value: None}
    optimizer = loop(torch.optim.AdamW)
    assert moved(optimizer, bind=bind, initial={"gradient_clip": 1.0}) == SIX
    assert moved(loop(torch.optim.Adagrad), initial={"gradient_clip": 1.0}) == (RATE, SIX[-1])


def test_the_rate_of_a_scheduler_that_starts_at_0() -> None:
    optimizer = loop(torch.optim.AdamW)
    warm_up = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(step / 10, 1.0))
    assert moved(optimizer, base_schedule=warm_up) == (RATE, DECAY, MOMENTUM)


def test_without_torch_what_is_bound() -> None:
    bind = {"learning_rate": lambda rate: None, "dropout": lambda rate: None}
    run = CONTROLLER.drive(
        bind,
        initial={"learning_rate": 0.1, "dropout": 0.0},
        total_steps=30,
        validate=lambda: 1.0,
    )
    assert run.policy.space.names == (RATE, "dropout")


def test_it_decides_as_the_policy_of_what_there_is() -> None:
    part = Controller(restrict(SHIPPED, (RATE, MOMENTUM)))
    whole, small = (
        c.attach(loop(torch.optim.Adam), total_steps=30, validate=lambda: 1.0).decisions[0]
        for c in (CONTROLLER, part)
    )
    assert whole.moves == small.moves


def test_a_smaller_policy_decides_in_a_loop_of_just_its_hyperparameters() -> None:
    large, small = random_policy(SIX), random_policy([RATE, DECAY, MOMENTUM])
    both = Controller(large, [small])
    run = both.attach(loop(torch.optim.AdamW), total_steps=30, validate=lambda: 1.0)
    assert run.policy is small
    run = both.attach(loop(torch.optim.Adam), total_steps=30, validate=lambda: 1.0)
    expected = restrict(large, (RATE, MOMENTUM))
    np.testing.assert_array_equal(run.policy.weights[0], expected.weights[0])


def test_of_two_policies_the_larger_decides_where_there_is_more() -> None:
    large = random_policy(SIX)
    both = Controller(large, [random_policy([RATE, DECAY, MOMENTUM])])
    model = nn.Sequential(nn.Linear(2, 1), nn.Dropout(0.3))
    optimizer = torch.optim.Adam(model.parameters())
    run = both.attach(optimizer, total_steps=30, validate=lambda: 1.0, model=model)
    expected = restrict(large, (RATE, MOMENTUM, "dropout"))
    np.testing.assert_array_equal(run.policy.weights[0], expected.weights[0])


THREE = (RATE, DECAY, MOMENTUM)
SHORT = random_policy(THREE, seed=1)
LONG = replace(random_policy(THREE, seed=2), min_interval_updates=20)


@pytest.mark.parametrize("order", [(SHORT, LONG), (LONG, SHORT)])
@pytest.mark.parametrize(
    ("total_steps", "num_decisions", "decides"),
    [
        (30, 30, SHORT),
        (599, 30, SHORT),
        (600, 30, LONG),
        (600, 31, SHORT),
        (3, 30, SHORT),  # an update is an interval
        (100_000, 30, LONG),
        (None, 30, SHORT),
    ],
)
def test_of_two_policies_of_the_same_the_length_of_intervals_decides(
    order: tuple[Policy, Policy], total_steps: int | None, num_decisions: int, decides: Policy
) -> None:
    controller = Controller(random_policy(SIX), order)
    run = controller.attach(
        loop(torch.optim.AdamW),
        total_steps=total_steps,
        num_decisions=num_decisions,
        validate=lambda: 1.0,
    )
    assert run.policy is decides


def test_a_run_keeps_the_policy_that_it_began_with_also_when_it_is_resumed_as_a_longer_one() -> (
    None
):
    controller = Controller(random_policy(SIX), [SHORT, LONG])

    def attached(total_steps: int, state: Any = None) -> Any:
        return controller.attach(
            loop(torch.optim.AdamW), total_steps=total_steps, validate=lambda: 1.0, state=state
        )

    run = attached(80)  # of 8 decisions
    assert run.policy is SHORT
    run.extend(800)
    assert run.policy is SHORT
    resumed = attached(800, run.state_dict())
    assert resumed.policy is SHORT
    assert attached(800).policy is LONG
    state = attached(80).state_dict()
    del state["decider"]["interval_updates"]  # of an earlier version
    assert attached(80, state).policy is SHORT


def test_a_policy_of_long_intervals_alone_decides_always() -> None:
    controller = Controller(LONG)
    run = controller.attach(loop(torch.optim.AdamW), total_steps=30, validate=lambda: 1.0)
    assert run.policy is LONG


def test_a_smaller_policy_of_something_else_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="momentum"):
        Controller(random_policy([RATE]), [random_policy([RATE, MOMENTUM])])
    with pytest.raises(ConfigurationError, match=r"'cosine'.*'constant'"):
        Controller(random_policy(SIX), [random_policy([RATE], base_schedule="constant")])


def test_the_shipped_policy_has_met_every_choice_in_meta_training() -> None:
    assert SHIPPED.metadata["config"]["availability"] == 0.0


def test_a_name_brings_the_smaller_policies_and_a_folder_itself_alone() -> None:
    whole, *smaller = Controller.from_pretrained("supervised").policies
    assert [p.space.names for p in smaller] == [
        load(ZOO / name).space.names for name in shipped_smaller("supervised")
    ]
    assert whole.space.names == SIX
    assert len(Controller.from_pretrained(ZOO / "supervised").policies) == 1
