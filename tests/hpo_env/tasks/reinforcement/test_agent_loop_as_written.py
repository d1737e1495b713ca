"""`AgentLoop` in loops as people write them: in part, in another order, and beside other things."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo_env.controller import Controller, ControllerWarning
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.reinforcement import AgentLoop, Facts
from hpo_env.testing.policies import steady_policy

NUM_ENVS, NUM_STEPS, UPDATES = 4, 8, 6
FACTS: Mapping[str, Any] = {
    "algorithm": "ppo",
    "num_actions": 2,
    "action_size": 0,
    "observation_size": 3,
    "num_envs": NUM_ENVS,
    "num_steps": NUM_STEPS,
    "rollouts_per_decision": 1,
}
RATE = 1e-3

Optimiser = Callable[[nn.Sequential], torch.optim.Optimizer]


def _adam(net: nn.Sequential) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), lr=RATE)


class Trained:
    """A learner and its loop.

    Args:
        optimiser: Makes what trains it.
        facts: Of `FACTS`, those that are others.
        level: By how much the policy raises everything at each decision.
        **options: Of the loop.
    """

    def __init__(
        self,
        optimiser: Optimiser = _adam,
        *,
        facts: Mapping[str, Any] | None = None,
        level: float = 0.5,
        **options: Any,
    ) -> None:
        torch.manual_seed(0)
        self.net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        self.optimiser = optimiser(self.net)
        self.discount = 0.99
        names = ("learning_rate", "discount")
        policy = steady_policy("reinforcement", names, level=level, base_schedule="constant")
        own: dict[str, Any] = {
            "total_updates": UPDATES,
            "num_decisions": UPDATES,
            "facts": Facts(**{**FACTS, **(facts or {})}),
            "bind": {"discount": self._set_discount},
            "initial": {"discount": 0.99},
        }
        self.loop = AgentLoop(Controller(policy), self.net, self.optimiser, **{**own, **options})

    def rollout(self) -> None:
        """Tell of a rollout."""
        for step in range(NUM_STEPS):
            is_end = step % 4 == 3
            self.loop.take_step(np.ones(NUM_ENVS), np.full(NUM_ENVS, is_end))

    def update(self) -> None:
        """Make an update."""
        loss = self.net(torch.ones(5, 3)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()

    def train(self, num_updates: int = UPDATES, before: Callable[[int], object] = id) -> None:
        """Do all that a loop does, calling something before each rollout."""
        for update in range(num_updates):
            before(update)
            self.rollout()
            self.loop.end_rollout()
            self.loop.begin_update(np.ones(32), np.ones(32))
            self.update()
            self.loop.end_update(approx_kl=0.01)

    @property
    def rates(self) -> list[float]:
        return [float(group["lr"]) for group in self.optimiser.param_groups]

    def _set_discount(self, value: float) -> None:
        self.discount = value


def _two_rates(net: nn.Sequential) -> torch.optim.Optimizer:
    groups: list[dict[str, Any]] = [
        {"params": net[0].parameters(), "lr": 1e-4},
        {"params": net[2].parameters()},
    ]
    return torch.optim.Adam(groups, lr=RATE)


def _rate_in_a_tensor(net: nn.Sequential) -> torch.optim.Optimizer:
    return torch.optim.Adam(net.parameters(), lr=torch.tensor(RATE), foreach=False)


RATES: Mapping[str, tuple[Optimiser, list[float]]] = {
    "one": (_adam, [RATE]),
    "one for each part": (_two_rates, [1e-4, RATE]),
    "a tensor": (_rate_in_a_tensor, [float(torch.tensor(RATE))]),
}


@pytest.mark.parametrize("kind", RATES)
def test_rates_keep_their_ratios_and_are_given_back(kind: str) -> None:
    make, own = RATES[kind]
    trained = Trained(make)
    kinds = [type(group["lr"]) for group in trained.optimiser.param_groups]
    trained.train()
    moved = trained.rates
    assert max(moved) > max(own)
    assert [rate / max(moved) for rate in moved] == pytest.approx([r / max(own) for r in own])
    trained.loop.close()
    assert trained.rates == own
    assert [type(group["lr"]) for group in trained.optimiser.param_groups] == kinds


@pytest.mark.parametrize("own", [0.99, 1.0, 0.5])
def test_a_discount_beyond_its_axis_is_given_back_as_it_was(own: float) -> None:
    trained = Trained(initial={"discount": own})
    trained.discount = own
    trained.train()
    assert trained.discount != own
    trained.loop.close()
    assert trained.discount == own


def test_a_line_that_anneals_the_rate_is_heard_and_left_alone() -> None:
    trained = Trained()

    def anneal(update: int) -> None:
        trained.optimiser.param_groups[0]["lr"] = RATE * (1.0 - update / UPDATES)

    with pytest.warns(ControllerWarning, match="anneals") as said:
        trained.train(before=anneal)
    assert len(said) == 1
    trained.loop.close()
    assert trained.rates == [RATE * (1.0 - (UPDATES - 1) / UPDATES)]


def test_a_scheduler_is_refused_by_its_name() -> None:
    kept = []

    def scheduled(net: nn.Sequential) -> torch.optim.Optimizer:
        optimiser = _adam(net)
        kept.append(torch.optim.lr_scheduler.LinearLR(optimiser))
        return optimiser

    with pytest.raises(ConfigurationError, match="LinearLR"):
        Trained(scheduled)


def test_a_loop_that_was_left_behind_leaves_nothing_behind() -> None:
    trained = Trained()
    trained.train(3)
    assert trained.rates != [RATE]
    policy = steady_policy("reinforcement", ("learning_rate",), base_schedule="constant")
    again = AgentLoop(
        Controller(policy),
        trained.net,
        trained.optimiser,
        total_updates=2,
        facts=Facts(**FACTS),
        bind={},
        initial={},
    )
    assert trained.loop.run is not None
    assert trained.loop.run.is_closed
    assert trained.rates == [RATE]
    assert not trained.optimiser._optimizer_step_pre_hooks
    again.close()


def test_a_closed_loop_does_no_more() -> None:
    trained = Trained()
    trained.train(3)
    trained.loop.close()
    with pytest.warns(ControllerWarning, match="after close"):
        trained.train(3)
    trained.loop.close()
    assert trained.loop.run is not None
    assert trained.loop.run.num_steps == 3
    assert trained.rates == [RATE]


def test_an_update_that_is_never_told_is_said_once() -> None:
    trained = Trained()

    def train() -> None:
        for _ in range(2 * UPDATES):
            trained.rollout()
            trained.loop.end_rollout()
            trained.update()

    with pytest.warns(ControllerWarning, match="end_update") as said:
        train()
    assert len(said) == 1
    trained.loop.close()


def _doubled(name: str) -> Callable[[Trained], None]:
    def double(trained: Trained) -> None:
        call = getattr(trained.loop, name)

        def twice(*args: Any, **named: Any) -> None:
            call(*args, **named)
            call(*args, **named)

        setattr(trained.loop, name, twice)

    return double


def _omitted(name: str) -> Callable[[Trained], None]:
    return lambda trained: setattr(trained.loop, name, lambda *args, **named: None)


HARMLESS: Mapping[str, Callable[[Trained], None]] = {
    "a rollout is ended twice": _doubled("end_rollout"),
    "an update is told twice": _doubled("end_update"),
    "advantages are told twice": _doubled("begin_update"),
    "no advantages": _omitted("begin_update"),
    "no steps": _omitted("take_step"),
}


@pytest.mark.parametrize("case", HARMLESS)
def test_what_is_told_twice_or_not_at_all_ends_nothing(case: str) -> None:
    trained = Trained()
    HARMLESS[case](trained)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trained.train()
        trained.loop.close()
    assert trained.loop.run is not None
    assert trained.loop.run.num_steps == len(trained.loop.run.decisions) == UPDATES


FOUR = np.ones(4)
STEPS: Mapping[str, tuple[Any, Any]] = {
    "a column": (FOUR[:, None], FOUR[:, None]),
    "lists": ([1, 2, 3, 4], [False] * 4),
    "tensors": (torch.ones(4), torch.ones(4, dtype=torch.bool)),
    "a tensor with a gradient": (torch.ones(4, requires_grad=True), FOUR),
    "half precision": (torch.ones(4, dtype=torch.bfloat16), torch.ones(4, dtype=torch.float16)),
}


@pytest.mark.parametrize("kind", STEPS)
@pytest.mark.filterwarnings("error")
def test_steps_are_read_in_any_form(kind: str) -> None:
    trained = Trained()
    trained.loop.take_step(*STEPS[kind])


BAD_STEPS: Mapping[str, tuple[Any, Any, str]] = {
    "one reward": (1.0, FOUR, "rewards"),
    "one end": (FOUR, False, "dones"),
    "another number": (FOUR[:3], FOUR, "rewards"),
    "nothing": (FOUR, None, "dones"),
    "texts": (["a"] * 4, FOUR, "rewards"),
    "all steps at once": (np.ones((8, 4)), FOUR, "rewards"),
}


@pytest.mark.parametrize("kind", BAD_STEPS)
def test_steps_that_are_none_are_named(kind: str) -> None:
    rewards, dones, name = BAD_STEPS[kind]
    with pytest.raises(ConfigurationError, match=rf"take_step\(\) needs {name} .* \[4\]"):
        Trained().loop.take_step(rewards, dones)


def test_spreads_are_those_of_arrays_whoever_holds_them() -> None:
    spreads = []
    for make in (np.array, torch.tensor, list):
        trained = Trained()
        trained.loop.begin_update(make([1.0, 2.0, 4.0]), make([1.0, 2.0, 4.0]))
        spreads.append(trained.loop._meter.state_dict()["spreads"])
    np.testing.assert_allclose(spreads[1:], spreads[:1] * 2, rtol=1e-6)


@pytest.mark.parametrize("advantages", [None, [], torch.ones(0), "text"])
def test_updates_without_advantages_are_named(advantages: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"begin_update\(\) needs advantages"):
        Trained().loop.begin_update(advantages, [1.0])


@pytest.mark.parametrize("value", ["x", torch.ones(3), [1.0], True])
def test_measures_that_are_no_number_are_named(value: Any) -> None:
    trained = Trained()
    trained.loop.end_rollout()
    with pytest.raises(ConfigurationError, match=r"end_update\(\) needs one number for entropy"):
        trained.loop.end_update(entropy=value)
    trained.loop.end_update(entropy=None, value_loss=torch.tensor(0.5))
    trained.loop.close()


ARGUMENTS: Mapping[str, tuple[dict[str, Any], type[Exception], str]] = {
    "no updates": ({"total_updates": 0}, ConfigurationError, "total_updates must be at least 1"),
    "no length": ({"total_updates": None}, ConfigurationError, "total_updates must be a whole"),
    "names alone": ({"bind": ["discount"]}, ConfigurationError, "bind must be a mapping"),
    "no function": ({"bind": {"discount": 0.9}}, ConfigurationError, "bind must hold functions"),
    "NaN": ({"initial": {"discount": math.nan}}, ConfigurationError, "initial must hold numbers"),
    "None": (
        {"initial": {"discount": 0.9, "max_grad_norm": None}},
        ConfigurationError,
        "initial must hold numbers by name; got None for 'max_grad_norm'",
    ),
    "another name": ({"initial": {"gamma": 0.9}}, UnknownNameError, "gamma"),
    "capitals": ({"facts": {"algorithm": "PPO"}}, ConfigurationError, "small letters"),
    "no actions": ({"facts": {"num_actions": 0}}, ConfigurationError, "num_actions is of"),
    "both kinds": ({"facts": {"action_size": 2}}, ConfigurationError, "num_actions is of"),
    "no steps": ({"facts": {"num_steps": 0}}, ConfigurationError, "num_steps must be"),
    "a shape": ({"facts": {"observation_size": (3,)}}, ConfigurationError, "observation_size must"),
}


@pytest.mark.parametrize("case", ARGUMENTS)
def test_arguments_that_cannot_be_are_named(case: str) -> None:
    options, error, message = ARGUMENTS[case]
    with pytest.raises(error, match=message):
        Trained(**options)


def test_a_policy_of_another_family_and_no_module_are_refused() -> None:
    trained = Trained()
    options: dict[str, Any] = {"total_updates": 2, "facts": Facts(**FACTS), "bind": {}}
    other = Controller(steady_policy("supervised", ("learning_rate",)))
    with pytest.raises(ConfigurationError, match="'supervised'"):
        AgentLoop(other, trained.net, trained.optimiser, initial={}, **options)
    with pytest.raises(ConfigurationError, match=r"module must .* got Adam"):
        AgentLoop("reinforcement", trained.optimiser, trained.net, initial={}, **options)  # type: ignore[arg-type]


def test_a_function_that_returns_no_number_is_named() -> None:
    trained = Trained(bind={"discount": lambda value: [None]})
    with pytest.raises(ConfigurationError, match=r"sets discount must return None, .* \[None\]"):
        trained.loop.end_rollout()


def test_the_state_goes_on_where_it_was() -> None:
    trained = Trained()
    with pytest.raises(ConfigurationError, match="no run has begun"):
        trained.loop.state_dict()
    trained.train(3)
    again = Trained(state=trained.loop.state_dict())
    again.train(3)
    again.loop.close()
    assert again.loop.run is not None
    assert again.loop.run.num_steps == UPDATES
    trained.loop.close()


@pytest.mark.parametrize("num_actions", [2, np.int64(5), 2**2000])
def test_any_number_of_actions_is_told(num_actions: int) -> None:
    trained = Trained(facts={"num_actions": num_actions})
    trained.train(1)
    trained.loop.close()
