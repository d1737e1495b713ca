"""Where runs begin: at the user's own values, or at the learned start of the policy."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from hpo_env import Controller
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.policy import Policy
from hpo_env.restriction import restrict
from hpo_env.starts import LearnedStart, Problem, StartCase, chosen_start, usual_ranges
from hpo_env.testing.policies import steady_policy
from hpo_env.vector_env import HPOControlVectorEnv
from tests.awkward.family import AwkwardFamily
from tests.hpo_env.controlled_runs import fixed_policy

SIZED = LearnedStart(
    cases=(
        StartCase(kind="binary", max_size=1000, values={"learning_rate": 0.01}),
        StartCase(kind="binary", values={"learning_rate": 0.02}),
        StartCase(min_size=500, max_size=5000, values={"learning_rate": 0.03}),
        StartCase(values={"learning_rate": 0.04}),
    )
)
ONE = LearnedStart(cases=(StartCase(values={"learning_rate": 0.05}),))
AWKWARD = AwkwardFamily.__module__ + ":AwkwardFamily"


@pytest.mark.parametrize(
    ("problem", "rate"),
    [
        (Problem(kind="binary", size=999), 0.01),
        (Problem(kind="binary", size=1000), 0.02),
        (Problem(kind="binary"), 0.02),
        (Problem(kind="regression", size=500), 0.03),
        (Problem(size=4999), 0.03),
        (Problem(size=5000), 0.04),
        (Problem(kind="regression"), 0.04),
        (Problem(), 0.04),
    ],
)
def test_the_first_case_that_fits_holds(problem: Problem, rate: float) -> None:
    assert SIZED.values_for(problem) == {"learning_rate": rate}


@given(
    kinds=st.lists(st.none() | st.text(max_size=3), max_size=4),
    sizes=st.lists(st.floats(0, 1e9), min_size=4, max_size=4),
    is_default=st.booleans(),
)
def test_its_plain_form_is_the_same_start(
    kinds: list[str | None], sizes: list[float], is_default: bool
) -> None:
    cases = [
        StartCase(kind=kind, min_size=size, max_size=size + 1.0, values={"a": size, "b": 1.0})
        for kind, size in zip(kinds, sizes, strict=False)
    ]
    start = LearnedStart(
        cases=(*cases, StartCase(values={"a": 1.0, "b": 2.0})), is_default=is_default
    )
    assert LearnedStart.from_json(start.to_json()) == start


@pytest.mark.parametrize("size", [-1.0, float("nan"), "large", True])
def test_a_problem_of_no_size_is_refused(size: Any) -> None:
    with pytest.raises(ConfigurationError, match="size must be a number from 0 on"):
        Problem(size=size)


def with_start(policy: Policy, start: LearnedStart | None) -> Policy:
    return replace(policy, learned_start=start)


@pytest.mark.parametrize(
    ("learned", "start", "expected"),
    [
        (ONE, "learned", {"learning_rate": 0.05}),
        (ONE, None, {"learning_rate": 0.05}),
        (ONE, "user", {}),
        (replace(ONE, is_default=False), None, {}),
        (replace(ONE, is_default=False), "learned", {"learning_rate": 0.05}),
        (None, None, {}),
        (None, "user", {}),
    ],
)
def test_which_start_is_taken(
    learned: LearnedStart | None, start: str | None, expected: Mapping[str, float]
) -> None:
    assert chosen_start(learned, start, Problem()) == expected


def test_starts_that_cannot_be_had() -> None:
    with pytest.raises(ConfigurationError, match=r"start='learned' needs a policy with a learned"):
        chosen_start(None, "learned", Problem())
    with pytest.raises(UnknownNameError, match="unknown start 'learnt': did you mean 'learned'"):
        chosen_start(ONE, "learnt", Problem())


def test_usual_ranges_hold_the_defaults() -> None:
    space = Controller.from_pretrained("supervised").policy.space
    ranges = usual_ranges(space)
    assert ranges["learning_rate"] == (1e-5, 0.1)
    assert ranges["dropout"] == (0.0, 0.5)
    for h in space.hyperparameters:
        low, high = ranges[h.name]
        assert h.low <= low <= h.default <= high <= h.high


# ------------------------------------------------------------------------------------- user's runs


def test_a_torch_run_begins_there_its_groups_in_ratio_and_another_finds_the_users_own() -> None:
    first, second = nn.Linear(2, 1), nn.Linear(2, 1)
    groups = [
        {"params": first.parameters(), "lr": 1e-3},
        {"params": second.parameters(), "lr": 1e-4},
    ]
    optimizer = torch.optim.SGD(groups)
    still = with_start(fixed_policy(0.0, base_schedule="constant"), ONE)
    run = Controller(still).attach(optimizer, total_steps=20)
    assert run.values["learning_rate"] == 0.05
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.05, 0.005])
    assert run.schedule[0]["learning_rate"] == 0.05
    run.close()
    run = Controller(still).attach(optimizer, total_steps=20, start="user")
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 1e-4]


def test_dropout_begins_there_and_another_run_finds_the_users_own() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.1), nn.Linear(2, 1), nn.Dropout(0.2))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    start = LearnedStart(cases=(StartCase(values={"dropout": 0.4}),))
    still = with_start(fixed_policy(0.0, ("dropout",)), start)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = Controller(still).attach(optimizer, total_steps=20, model=model)
        assert [model[1].p, model[3].p] == [0.2, 0.4]
        run.close()
        Controller(still).attach(optimizer, total_steps=20, model=model, start="user")
    assert [model[1].p, model[3].p] == [0.1, 0.2]


def test_a_driven_run_goes_by_the_problem_that_it_is_told() -> None:
    used: list[float] = []
    run = Controller(with_start(fixed_policy(0.0), SIZED)).drive(
        {"learning_rate": used.append},
        initial={"learning_rate": 1e-3},
        total_steps=20,
        base_schedule="constant",
        problem=Problem(kind="binary", size=10),
    )
    assert used[-1] == run.values["learning_rate"] == 0.01


def test_a_function_is_given_back_the_users_own_value() -> None:
    used: list[float] = []
    run = Controller(with_start(fixed_policy(0.0), ONE)).drive(
        {"learning_rate": used.append},
        initial={"learning_rate": 1e-3},
        total_steps=20,
        base_schedule="constant",
    )
    run.close()
    assert used == [0.05, 1e-3]


def test_moves_are_made_from_the_start() -> None:
    run = Controller(with_start(fixed_policy(1.0), ONE)).drive(
        {"learning_rate": lambda value: None},
        initial={"learning_rate": 1e-3},
        total_steps=20,
        base_schedule="constant",
    )
    assert run.values["learning_rate"] == pytest.approx(0.2)  # one move is a factor of 4


def test_a_torch_scheduler_and_a_learned_start_contradict_each_other() -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    controller = Controller(with_start(fixed_policy(0.0), ONE))
    with pytest.raises(ConfigurationError, match=r"start='learned' and a torch scheduler"):
        controller.attach(optimizer, total_steps=20, base_schedule=scheduler)
    controller.attach(optimizer, total_steps=20, base_schedule=scheduler, start="user")


def test_a_run_begins_at_values_that_are_given_and_the_users_own_come_back() -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=1e-3)
    still = with_start(fixed_policy(0.0, base_schedule="constant"), ONE)
    run = Controller(still).attach(optimizer, total_steps=20, start={"learning_rate": 0.02})
    assert optimizer.param_groups[0]["lr"] == run.values["learning_rate"] == 0.02
    run.close()
    assert optimizer.param_groups[0]["lr"] == 1e-3
    run = Controller(still).attach(optimizer, total_steps=20, start={})
    assert run.values["learning_rate"] == 1e-3


@pytest.mark.parametrize(
    ("start", "error", "message"),
    [
        ({"rate": 0.1}, UnknownNameError, "unknown hyperparameter 'rate'"),
        ({"dropout": 0.1}, ConfigurationError, "must name what can be written here"),
        ({"learning_rate": 2.0}, ConfigurationError, r"learning_rate must lie in \[1e-06, 1\]"),
        ({"learning_rate": float("nan")}, ConfigurationError, "must be finite numbers"),
        ({"learning_rate": "0.1"}, ConfigurationError, "must be finite numbers"),
    ],
)
def test_values_to_begin_at_that_cannot_be_leave_the_training_as_it_was(
    start: dict[str, float], error: type[Exception], message: str
) -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=1e-3)
    controller = Controller(fixed_policy(0.0, ("learning_rate", "dropout")))
    with pytest.raises(error, match=message):
        controller.attach(optimizer, total_steps=20, start=start)
    assert optimizer.param_groups[0]["lr"] == 1e-3
    assert not optimizer._optimizer_step_pre_hooks


def test_a_restricted_policy_keeps_the_start_of_what_it_moves() -> None:
    start = LearnedStart(cases=(StartCase(values={"learning_rate": 0.05, "dropout": 0.1}),))
    policy = with_start(fixed_policy(0.0, ("learning_rate", "dropout")), start)
    assert restrict(policy, ["learning_rate"]).learned_start == ONE
    alone = with_start(policy, LearnedStart(cases=(StartCase(values={"dropout": 0.1}),)))
    assert restrict(alone, ["learning_rate"]).learned_start is None


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        ({"learning_rate": 5.0}, ConfigurationError, r"range of learning_rate, \[1e-06, 1\]"),
        ({"momentum": 0.5}, UnknownNameError, "unknown hyperparameter 'momentum'"),
    ],
)
def test_a_policy_takes_no_start_outside_of_its_space(
    values: dict[str, float], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        with_start(fixed_policy(0.0), LearnedStart(cases=(StartCase(values=values),)))


# --------------------------------------------------------------------------------- the environment


def lanes(**options: Any) -> HPOControlVectorEnv:
    return HPOControlVectorEnv(60, family=AWKWARD, autoreset_mode="Disabled", **options)


def begun(env: HPOControlVectorEnv) -> list[tuple[float, ...]]:
    env.reset(seed=0)
    return [task.initial for task in env.tasks]


def test_a_share_of_the_episodes_begins_at_the_learned_start() -> None:
    env = lanes(learned_start=0.5)
    learned = {"bowl": (8.0, 0.8), "slope": (6.0, 0.3)}
    there = [
        initial == learned[task.labels["game"]]
        for initial, task in zip(begun(env), env.tasks, strict=True)
    ]
    assert 15 < sum(there) < 45
    assert begun(lanes()) == begun(lanes(learned_start=0.0))
    all_of_them = lanes(learned_start=1.0)
    assert set(begun(all_of_them)) == set(learned.values())


def test_tasks_that_are_given_keep_their_own_start() -> None:
    env = lanes(learned_start=1.0)
    begun(env)
    own = [replace(task, initial=(3.0, 1.5)) for task in env.tasks]
    env.reset(seed=0, options={"tasks": own})
    assert {task.initial for task in env.tasks} == {(3.0, 1.5)}


def test_a_family_without_a_learned_start_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="needs a family with a learned start"):
        HPOControlVectorEnv(2, family="quadratic", learned_start=0.1)


def test_an_episode_of_the_environment_is_the_run_of_a_controller() -> None:
    from tests.awkward.player import play

    family = AwkwardFamily()
    task = family.sample(np.random.default_rng(0))
    start = family.learned_start
    assert start is not None
    policy = with_start(steady_policy(AWKWARD, ("width", "tries"), base_schedule="constant"), start)
    begun: Any = family.at_learned_start(task)
    begun_there = play(family, begun, 3, Controller(policy))
    default = replace(start, cases=(StartCase(values=start.values_for(family.problem(task))),))
    policy = with_start(policy, replace(default, is_default=True))
    steered_there = play(family, task, 3, Controller(policy))
    assert steered_there.schedule == begun_there.schedule
