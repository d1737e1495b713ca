"""A policy that says in how long runs it moves a hyperparameter leaves it alone in longer ones."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import HPOControlError
from hpo_env.limits import moved_in
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.restriction import restrict
from hpo_env.shipped import shipped
from tests.hpo_env.controlled_runs import Training, random_policy

NAMES = ("learning_rate", "weight_decay")
DECAY = {"weight_decay": 6}


def policy_for_short_runs(most: Any = DECAY) -> Policy:
    return replace(random_policy(NAMES), most_decisions=most)


def run_of(policy: Policy, num_decisions: int, **options: Any) -> tuple[Run[Any], dict[str, Any]]:
    """Return a user's finished run, and the param group that it has left."""
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=1e-3, weight_decay=1e-2)
    run = Controller(policy).attach(
        optimizer,
        num_decisions=num_decisions,
        validate=training.validate,
        **{"total_steps": 2 * num_decisions} | options,
    )
    decays = []
    for step in range(2 * num_decisions):
        training.train(optimizer, run, range(step, step + 1))
        decays.append(optimizer.param_groups[0]["weight_decay"])
    return run, {"moves_decay": len(set(decays)) > 1}


@pytest.mark.parametrize(("num_decisions", "is_moved"), [(5, True), (6, True), (7, False)])
def test_what_is_for_short_runs_is_moved_in_no_longer_ones(
    num_decisions: int, is_moved: bool
) -> None:
    run, found = run_of(policy_for_short_runs(), num_decisions)
    assert found == {"moves_decay": is_moved}
    assert all(("weight_decay" in decision.values) == is_moved for decision in run.decisions)


def test_a_long_run_is_that_of_the_part_of_the_policy() -> None:
    policy = policy_for_short_runs()
    ours, theirs = (run_of(p, 9)[0] for p in (policy, restrict(policy, ["learning_rate"])))
    for one, other in zip(ours.decisions, theirs.decisions, strict=True):
        assert repr(one) == repr(other)


def test_a_short_run_does_not_know_of_it() -> None:
    ours, theirs = (run_of(p, 6)[0] for p in (policy_for_short_runs(), random_policy(NAMES)))
    for one, other in zip(ours.decisions, theirs.decisions, strict=True):
        assert repr(one) == repr(other)


@pytest.mark.parametrize(("num_decisions", "is_said"), [(6, False), (7, True)])
def test_what_is_left_alone_is_said_and_why(num_decisions: int, is_said: bool) -> None:
    told = str(run_of(policy_for_short_runs(), num_decisions)[0].explain())
    assert ("leaves weight_decay alone, which it moves in runs of at most 6" in told) == is_said
    assert "cannot write" not in told


def test_a_run_whose_end_is_not_known_moves_all() -> None:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=1e-3, weight_decay=1e-2)
    run = Controller(policy_for_short_runs()).attach(
        optimizer, total_steps=None, num_decisions=30, validate=training.validate
    )
    assert run.policy.space.names == NAMES


@pytest.mark.parametrize(
    ("names", "most", "num_decisions", "expected"),
    [
        (NAMES, {}, 1000, list(NAMES)),
        (NAMES, DECAY, 6, list(NAMES)),
        (NAMES, DECAY, 7, ["learning_rate"]),
        (NAMES, DECAY, None, list(NAMES)),
        (NAMES, {"learning_rate": 3, "weight_decay": 6}, 7, list(NAMES)),  # else it is no run
        (NAMES[1:], DECAY, 7, ["weight_decay"]),
    ],
)
def test_what_is_moved(
    names: tuple[str, ...], most: dict[str, int], num_decisions: int | None, expected: list[str]
) -> None:
    assert moved_in(num_decisions, names, most) == tuple(expected)


def test_a_saved_long_run_goes_on_as_it_would_have() -> None:
    def begin(training: Training, state: Any = None) -> tuple[Any, Run[Any]]:
        optimizer = torch.optim.AdamW(training.model.parameters(), lr=1e-3, weight_decay=1e-2)
        if state is not None:
            optimizer.load_state_dict(state["optimizer"])
        run = Controller(policy_for_short_runs()).attach(
            optimizer,
            total_steps=18,
            num_decisions=9,
            validate=training.validate,
            state=None if state is None else state["run"],
        )
        return optimizer, run

    training = Training()
    optimizer, run = begin(training)
    training.train(optimizer, run, range(8))
    saved = copy.deepcopy({"optimizer": optimizer.state_dict(), "run": run.state_dict()})
    weights = copy.deepcopy(training.model.state_dict())
    training.train(optimizer, run, range(8, 18))

    later = Training()
    later.model.load_state_dict(weights)
    again, resumed = begin(later, saved)
    later.train(again, resumed, range(8, 18))
    assert repr(resumed.decisions) == repr(run.decisions)


def test_it_is_written_read_and_kept_in_a_part(tmp_path: Any) -> None:
    policy = load(save(policy_for_short_runs(), tmp_path))
    assert policy.most_decisions == DECAY
    assert restrict(policy, ["weight_decay"]).most_decisions == DECAY
    assert restrict(policy, ["learning_rate"]).most_decisions == {}


@pytest.mark.parametrize("name", sorted(shipped()))
def test_of_the_policies_that_are_shipped_that_of_agents_says_it(name: str) -> None:
    expected = {"gae_lambda": 50, "epochs": 50} if name == "reinforcement" else {}
    assert load(shipped()[name]).most_decisions == expected


@pytest.mark.parametrize(
    ("most", "message"),
    [
        ({"weight_decay": 0}, "weight_decay must be a whole number from 1 on; got 0"),
        ({"weight_decay": 6.0}, "weight_decay must be a whole number from 1 on; got 6.0"),
        ({"weight_decay": True}, "weight_decay must be a whole number from 1 on; got True"),
        ({"momentum": 5}, "unknown hyperparameter 'momentum'"),
    ],
)
def test_what_cannot_be_is_refused(most: Any, message: str) -> None:
    with pytest.raises(HPOControlError, match=message):
        policy_for_short_runs(most)


def test_what_a_file_says_wrongly_is_refused_by_its_name(tmp_path: Any) -> None:
    policy = policy_for_short_runs()
    object.__setattr__(policy, "most_decisions", {"weight_decay": "6"})
    with pytest.raises(HPOControlError, match="weight_decay must be a whole number"):
        load(save(policy, tmp_path))


def test_random_policies_move_differently_where_they_move_less() -> None:
    seen = np.random.default_rng(0).uniform(-1.0, 1.0, (4, len(random_policy(NAMES).fields)))
    assert np.abs(random_policy(NAMES).act(seen)).min() > 0.0  # so that the tests above can fail
