"""A policy sees and does in a user's loop exactly what it saw and did in the environment."""

from __future__ import annotations

import functools
import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from hpo_env.controller import Controller, ControllerWarning
from hpo_env.env import HPOControlEnv
from hpo_env.policy import Policy
from hpo_env.tasks.supervised.family import SupervisedFamily
from tests.hpo_env.controlled_runs import random_policy

NAMES = [h.name for h in SupervisedFamily.hyperparameters]
UPDATES = 6


def environment(
    policy: Policy, optimizer: str, num_decisions: int, updates: int, rate: float = 3e-4
) -> HPOControlEnv:
    return HPOControlEnv(
        family="supervised",
        engine="reference",
        split="test",
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        action_mode="continuous",
        dataset="breast_cancer",
        model="mlp_32x2_relu",
        optimizer=optimizer,
        num_decisions=num_decisions,
        updates_per_decision=updates,
        initial={"learning_rate": rate, "weight_decay": 1e-3, "dropout": 0.1, "batch_size": 24.0},
    )


def run_in_environment(env: HPOControlEnv, policy: Policy) -> tuple[list[dict[str, float]], Any]:
    """Let the policy act; return the values of each interval, and the learner at the start."""
    observation, _ = env.reset(seed=3)
    learner = env.lanes.trainer.snapshot(np.array([0]))[0]
    values, terminated = [], False
    while not terminated:
        move = policy.act(observation[None])[0]
        observation, _, terminated, _, info = env.step(move)
        values.append({name: info["hyperparameters"][name] for name in policy.space.names})
    return values, learner


def run_in_plain_loop(
    policy: Policy, env: HPOControlEnv, learner: Any, num_decisions: int, updates: int
) -> Any:
    """Train the learner in a loop of its own, with the controller attached; return the run."""
    initial = dict(zip(NAMES, env.lanes.tasks[0].initial, strict=True))
    model = learner.module
    task: Any = env.lanes.tasks[0]
    kind = task.optimizer
    classes: dict[str, Any] = {"sgd": torch.optim.SGD, "rmsprop": torch.optim.RMSprop}
    settings: dict[str, Any] = {
        "lr": initial["learning_rate"],
        "weight_decay": initial["weight_decay"],
    }
    if kind == "adamw":
        own: torch.optim.Optimizer = torch.optim.AdamW(model.parameters(), **settings)
    else:
        own = classes[kind](model.parameters(), momentum=initial["momentum"], **settings)
    run = Controller(policy).attach(
        own,
        total_steps=num_decisions * updates,
        num_decisions=num_decisions,
        validate=lambda: learner.evaluate(learner.problem.validation)[0],
        start="user",  # as the lane, which begins where it is put
    )
    for _ in range(num_decisions * updates):
        rows = learner.next_rows(round(initial["batch_size"]))
        own.zero_grad()
        outputs = model(torch.from_numpy(learner.rows.x[rows]), learner._dropout(0.1))
        loss = cross_entropy(outputs, torch.from_numpy(learner.rows.y[rows]).long())
        loss.backward()
        own.step()
        learner.num_updates += 1
        run.step(loss)
    return run


@pytest.mark.parametrize(("num_decisions", "updates"), [(1, 7), (5, 1), (12, UPDATES), (9, 3)])
@pytest.mark.parametrize(
    ("optimizer", "head"),
    [("sgd", "squashed"), ("sgd", "choices"), ("adamw", "clipped"), ("rmsprop", "choices")],
)
def test_the_hyperparameters_of_a_plain_loop_are_those_of_the_environment(
    optimizer: str, head: str, num_decisions: int, updates: int
) -> None:
    names = ["learning_rate", "weight_decay", "momentum"]
    if optimizer == "rmsprop":  # without momentum at the start torch keeps no buffer for it
        names.remove("momentum")
    policy = random_policy(names, head=head, seed=4)
    env = environment(policy, optimizer, num_decisions, updates)
    expected, learner = run_in_environment(env, policy)
    run = run_in_plain_loop(policy, env, learner, num_decisions, updates)
    # The environment's RMSprop always has a momentum buffer; torch rounds otherwise without one.
    tolerance = 1e-5 if optimizer == "rmsprop" else 1e-9

    assert len(run.decisions) == num_decisions
    for decision, values in zip(run.decisions, expected, strict=True):
        assert decision.values == pytest.approx(values, rel=tolerance, abs=0)
    if num_decisions > 1:  # a policy that does nothing would prove nothing
        assert len({round(decision.moves["learning_rate"], 3) for decision in run.decisions}) > 1


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_intervals_that_fail_are_taken_back_alike(optimizer: str) -> None:
    policy = random_policy(["learning_rate", "weight_decay"], head="squashed", seed=4)
    env = environment(policy, optimizer, 12, UPDATES, rate=1.0)
    expected, learner = run_in_environment(env, policy)
    with warnings.catch_warnings():  # one for each interval that is taken back
        warnings.simplefilter("ignore", ControllerWarning)
        run = run_in_plain_loop(policy, env, learner, 12, UPDATES)

    assert 1 <= sum(decision.reason == "guard" for decision in run.decisions) < 11
    for decision, values in zip(run.decisions, expected, strict=True):
        assert decision.values == pytest.approx(values, rel=1e-6, abs=0)


def test_bound_hyperparameters_are_those_of_the_environment_too() -> None:
    policy = random_policy(NAMES, seed=2, base_schedule="one_cycle")
    env = environment(policy, "adamw", 8, UPDATES)
    expected, learner = run_in_environment(env, policy)
    initial = dict(zip(NAMES, env.lanes.tasks[0].initial, strict=True))

    model, state = learner.module, dict(initial)
    own = torch.optim.AdamW(
        model.parameters(), lr=initial["learning_rate"], weight_decay=initial["weight_decay"]
    )
    bound = ("dropout", "batch_size", "label_smoothing")
    run = Controller(policy).attach(
        own,
        total_steps=8 * UPDATES,
        validate=lambda: learner.evaluate(learner.problem.validation)[0],
        bind={name: functools.partial(state.__setitem__, name) for name in bound},
        initial={name: initial[name] for name in (*bound, "gradient_clip")},
    )
    for _ in range(8 * UPDATES):
        rows = learner.next_rows(round(state["batch_size"]))
        own.zero_grad()
        outputs = model(torch.from_numpy(learner.rows.x[rows]), learner._dropout(state["dropout"]))
        loss = cross_entropy(
            outputs,
            torch.from_numpy(learner.rows.y[rows]).long(),
            label_smoothing=state["label_smoothing"],
        )
        loss.backward()
        own.step()
        learner.num_updates += 1
        run.step(loss)

    for decision, values in zip(run.decisions, expected, strict=True):
        assert decision.values == pytest.approx(values, rel=1e-9, abs=0)
