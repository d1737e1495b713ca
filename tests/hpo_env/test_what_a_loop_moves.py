"""What the shipped policy moves in a loop: all that is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo_env import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.policy_file import load
from hpo_env.restriction import restrict
from hpo_env.shipped import ZOO, shipped_smaller
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
