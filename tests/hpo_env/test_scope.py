"""Where a policy decides in place of another: the scope, and runs that enter and leave it."""

from __future__ import annotations

import copy
import json
import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo_env import Controller
from hpo_env.control.explain import explain
from hpo_env.control.run import ControllerWarning, Run
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.restriction import restrict
from hpo_env.scope import Scope
from tests.hpo_env.controlled_runs import fixed_policy, random_policy
from tests.hpo_env.remembering import remembering

SIX = (
    "learning_rate",
    "weight_decay",
    "momentum",
    "dropout",
    "label_smoothing",
    "gradient_clip",
)
THREE = SIX[:3]
SCOPE = Scope(min_interval_updates=20, max_loss_gap=0.1, max_change_per_update=0.005)
GENERAL = fixed_policy(0.25, THREE)
LONG = replace(fixed_policy(-0.5, THREE), scope=SCOPE)


@pytest.mark.parametrize(
    ("updates", "train", "validation", "expected"),
    [
        (20, 1.0, 1.1, True),
        (20, 1.0, 0.91, True),
        (20, 1.0, 0.9, False),  # at the start of a run
        (20, 1.0, 1.11, False),
        (19, 1.0, 1.0, False),
        (500, 2.0, 2.1, True),
        (500, math.nan, 1.0, False),
        (500, 1.0, math.nan, False),
        (500, 1.0, math.inf, False),
        (500, math.inf, math.inf, False),
        (500, 0.0, 0.0, False),
        (500, -1.0, -2.0, False),  # a loss that goes below 0 has no logarithm
        (0, math.nan, 1.0, False),  # before the first interval
    ],
)
def test_what_lies_in_a_scope(
    updates: int, train: float, validation: float, expected: bool
) -> None:
    assert (
        SCOPE.contains(updates, train_loss=train, validation_loss=validation, change=0.0)
        is expected
    )


@pytest.mark.parametrize(
    ("change", "expected"),
    [(-0.1, True), (0.1, True), (-0.11, False), (0.11, False), (math.nan, False)],
)
def test_a_loss_that_falls_fast_or_has_jumped_is_in_no_scope(change: float, expected: bool) -> None:
    assert SCOPE.contains(20, train_loss=1.0, validation_loss=1.0, change=change) is expected
    assert SCOPE.contains(40, train_loss=1.0, validation_loss=1.0, change=2 * change) is expected


@pytest.mark.parametrize(
    ("updates", "train", "validation", "expected"),
    [
        (20, 1.0, 1.11, True),
        (20, 1.0, 1.1, False),
        (20, 1.0, 0.5, False),  # the training loss is a mean over the interval
        (19, 1.0, 2.0, False),
        (20, 1.0, math.inf, False),
        (20, math.nan, 1.0, False),
        (0, math.nan, 1.0, False),
    ],
)
def test_what_leads_out_of_a_scope_for_good(
    updates: int, train: float, validation: float, expected: bool
) -> None:
    assert SCOPE.is_left(updates, train_loss=train, validation_loss=validation) is expected


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"min_interval_updates": 0}, "min_interval_updates must be a whole number from 1 on"),
        ({"min_interval_updates": 1.5}, "got 1.5"),
        ({"min_interval_updates": True}, "got True"),
        ({"max_loss_gap": math.nan}, "max_loss_gap must be a finite number above 0"),
        ({"max_loss_gap": 0.0}, "got 0.0"),
        ({"max_loss_gap": "0.1"}, "got '0.1'"),
        (
            {"max_change_per_update": math.inf},
            "max_change_per_update must be a finite number above 0",
        ),
        ({"other": 1}, "a scope must have"),
    ],
)
def test_entries_that_are_no_scope_are_refused(entries: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Scope.from_json(SCOPE.to_json() | entries)
    assert Scope.from_json(json.loads(json.dumps(SCOPE.to_json()))) == SCOPE


def steered(
    policies: tuple[Policy, ...],
    total_steps: int | None,
    losses: tuple[float | None, float | None] = (1.0, 1.0),
    state: Any = None,
    steps: int | None = None,
) -> Run[Any]:
    """Go through a run whose training and validation losses are always the same, or not there."""
    train, validation = losses
    optimizer = torch.optim.AdamW(nn.Linear(2, 1).parameters(), lr=1e-3)
    run = Controller(policies[0], policies[1:]).attach(
        optimizer,
        total_steps=total_steps,
        num_decisions=8,
        # A new object each time: the one before would be an old result.
        validate=None if validation is None else lambda: validation * 1.0,
        state=state,
    )
    for _ in range(steps or total_steps or 0):
        run.step(train)
    return run


def who_decided(run: Run[Any]) -> str:
    """Say for each decision whose move was made: general (g), or scoped (s)."""
    return "".join("s" if d.moves["momentum"] < 0.0 else "g" for d in run.decisions)


@pytest.mark.parametrize("order", [(GENERAL, LONG), (random_policy(SIX), LONG, GENERAL)])
@pytest.mark.parametrize(
    ("total_steps", "losses", "expected"),
    [
        (160, (1.0, 1.0), "gsssssss"),  # nothing is known before the first interval
        (159, (1.0, 1.0), "ggssssss"),  # the first has 19
        (152, (1.0, 1.0), "gggggggg"),
        (160, (1.0, 1.2), "gggggggg"),
        (160, (1.0, 0.8), "gggggggg"),
        (160, (None, 1.0), "gggggggg"),
        (160, (1.0, None), "gggggggg"),
    ],
)
def test_a_policy_decides_after_the_intervals_of_its_scope(
    order: tuple[Policy, ...],
    total_steps: int,
    losses: tuple[float | None, float | None],
    expected: str,
) -> None:
    run = steered(order, total_steps, losses)
    assert who_decided(run) == expected
    assert [d.in_scope for d in run.decisions] == [who == "s" for who in expected]
    assert run.policy is GENERAL


def test_a_run_without_an_end_enters_the_scope_when_its_intervals_have_grown() -> None:
    run = steered((GENERAL, LONG), None, steps=1200)
    decided = who_decided(run)
    starts = [d.step for d in run.decisions]
    lengths = np.diff([0, *starts])
    assert decided == "".join("s" if n >= 20 else "g" for n in lengths)
    assert {"g", "s"} == set(decided)


def test_a_run_that_is_resumed_goes_the_way_of_one_that_was_not_interrupted() -> None:
    def decided(run: Run[Any]) -> list[Any]:
        return [(d.step, d.moves, d.in_scope) for d in run.decisions]

    whole = steered((GENERAL, LONG), 160)
    for steps in (40, 50):  # between two intervals, and within one
        half = steered((GENERAL, LONG), 160, steps=steps)
        state = copy.deepcopy(half.state_dict())
        rest = steered((GENERAL, LONG), 160, state=state, steps=160 - steps)
        assert decided(rest) == decided(whole)


def going(losses: list[float], steps: int = 160, state: Any = None) -> Run[Any]:
    """Go through intervals of 20 updates with these validation losses; training losses are 1."""
    coming = iter(losses[len(losses) + -steps // 20 :] if state else losses)
    run = Controller(GENERAL, [LONG]).attach(
        torch.optim.AdamW(nn.Linear(2, 1).parameters(), lr=1e-3),
        total_steps=160,
        num_decisions=8,
        validate=lambda: next(coming) * 1.0,
        state=state,
    )
    for _ in range(steps):
        run.step(1.0)
    return run


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ([1.0, 0.8, 0.8, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "ggggssss"),  # below, then a jump: not yet
        ([1.0, 1.0, 1.0, 1.2, 1.0, 1.0, 1.0, 1.0, 1.0], "gssggggg"),  # above: no more
        ([1.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "ggssssss"),  # a fast fall
    ],
)
def test_a_run_that_left_the_scope_stays_out_of_it_also_when_it_is_resumed(
    losses: list[float], expected: str
) -> None:
    assert who_decided(going(losses)) == expected
    for steps in range(20, 160, 20):
        state = copy.deepcopy(going(losses, steps).state_dict())
        assert who_decided(going(losses, 160 - steps, state)) == expected


@pytest.mark.parametrize(
    ("losses", "expected", "failed"),
    [
        ([1.0, 1.0, 1.0, 1.6, 1.0, 1.0, 1.0, 1.0, 1.0], "gssggggg", [3]),  # it decided: taken back
        ([1.0, 1.0, 1.0, 1.4, 1.0, 1.0, 1.0, 1.0, 1.0], "gssggggg", []),
        ([1.0, 1.7, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0], "gggggggg", []),  # the general one had
    ],
)
def test_what_is_spoilt_in_the_scope_is_taken_back_also_when_it_is_resumed(
    losses: list[float], expected: str, failed: list[int]
) -> None:
    def told(run: Run[Any]) -> tuple[str, list[int]]:
        return who_decided(run), [d.interval for d in run.decisions if d.reason == "guard"]

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "the training diverged", ControllerWarning)
        assert told(going(losses)) == (expected, failed)
        for steps in (*range(20, 160, 20), 50):
            state = copy.deepcopy(going(losses, steps).state_dict())
            assert told(going(losses, 160 - steps, state)) == (expected, failed)


def test_weights_of_before_a_spoilt_interval_return() -> None:
    model = nn.Linear(2, 1)
    losses = iter([1.0, 1.0, 1.0, 1.6, 1.0])
    run = Controller(GENERAL, [LONG]).attach(
        torch.optim.AdamW(model.parameters(), lr=1e-3),
        total_steps=160,
        num_decisions=8,
        validate=lambda: next(losses) * 1.0,
    )
    at_starts, rates = [], []
    for step in range(80):
        if step % 20 == 0:
            at_starts.append(model.weight.detach().clone())
            rates.append(run.values["learning_rate"])
        with torch.no_grad():
            model.weight += 1.0
        if step == 59:
            with pytest.warns(ControllerWarning, match="diverged in interval 2.*rolled back"):
                run.step(1.0)
        else:
            run.step(1.0)
    assert torch.equal(at_starts[3], at_starts[2])
    assert not torch.equal(at_starts[2], at_starts[1])
    assert rates[3] == pytest.approx(rates[2] / 4.0, rel=0.5)


def test_a_state_of_before_there_were_scopes_is_read() -> None:
    state = steered((GENERAL,), 160, steps=40).state_dict()
    for decision in state["decisions"]:
        del decision["in_scope"]
    run = steered((GENERAL, LONG), 160, state=state, steps=120)
    assert who_decided(run) == "gggsssss"


def test_what_decided_is_what_explains() -> None:
    general, scoped = random_policy(THREE), replace(random_policy(THREE, seed=2), scope=SCOPE)
    run = steered((general, scoped), 160, (1.0, 0.95))
    for interval, policy in ((0, general), (1, scoped)):
        decision = run.decisions[interval]
        seen = np.array([[decision.observation[field] for field in policy.fields]])
        assert list(decision.moves.values()) == policy.act(seen)[0].tolist()
        explained = run.explain(interval=interval)
        assert explained.reasons == explain(policy, [decision], 8).reasons
        assert ("the policy of such intervals" in str(explained)) == (policy is scoped)
    assert explain(general, [run.decisions[1]], 8).reasons != run.explain(interval=1).reasons


def test_alone_it_decides_always() -> None:
    assert who_decided(steered((LONG,), 8)) == "ssssssss"
    assert not any(d.in_scope for d in steered((LONG,), 160).decisions)


def test_where_less_can_be_moved_the_largest_decides_and_not_the_scoped() -> None:
    controller = Controller(GENERAL, [LONG])
    optimizer = torch.optim.Adam(nn.Linear(2, 1).parameters())  # no weight decay
    run = controller.attach(optimizer, total_steps=160, num_decisions=8, validate=lambda: 1.0)
    expected = restrict(GENERAL, ("learning_rate", "momentum"))
    np.testing.assert_array_equal(run.policy.weights[0], expected.weights[0])
    for _ in range(160):
        run.step(1.0)
    assert not any(d.in_scope for d in run.decisions)


@pytest.mark.parametrize(
    ("policies", "message"),
    [
        ((GENERAL, LONG, LONG), "one policy may have a scope; got 2"),
        ((GENERAL, remembering(LONG, 2)), "neither may have a memory"),
        ((remembering(GENERAL, 2), LONG), "neither may have a memory"),
        ((GENERAL, replace(LONG, loss_floor=1e-3)), "losses from 1e-12 on; got .* 0.001"),
        (
            (GENERAL, replace(fixed_policy(0.1, THREE[::-1]), scope=SCOPE)),
            "must read the observation",
        ),
    ],
)
def test_what_cannot_take_turns_is_refused(policies: tuple[Policy, ...], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        Controller(policies[0], policies[1:])
