"""What a loop may hand over by mistake: each is refused in a sentence that names it, or read."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo_env.controller import Controller, ControllerWarning, replay_schedule
from hpo_env.errors import ConfigurationError, HPOControlError
from hpo_env.starts import Problem
from hpo_env.testing.policies import steady_policy

STEPS = 6
NAMES = ("learning_rate", "dropout", "label_smoothing", "gradient_clip")


def attach(**options: Any) -> Any:
    """Attach to a small training."""
    net = nn.Linear(3, 1)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.01)
    controller = Controller(steady_policy("supervised", NAMES, level=0.3))
    given = {"optimizer": optimiser, "total_steps": STEPS, "num_decisions": 3, **options}
    return controller.attach(given.pop("optimizer"), **given)


def _twice() -> list[Any]:
    optimiser = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.01)
    return [optimiser, optimiser]


def _setting(result: Any) -> dict[str, Any]:
    return {"bind": {"label_smoothing": lambda value: result}}


REFUSED: Mapping[str, tuple[dict[str, Any], str]] = {
    "the same optimiser twice": ({"optimizer": _twice()}, "each optimiser must be given once"),
    "no model": ({"model": 3}, r"model must be a module of torch .* got int"),
    "no scheduler": ({"base_schedule": []}, "base_schedule must .* empty list"),
    "a logger alone": ({"loggers": print}, "loggers must be a list"),
    "no state": ({"state": 5}, r"state must be what run.state_dict\(\) has returned; got 5"),
    "an empty state": ({"state": {}}, "the state is empty"),
    "a part of a state": ({"state": {"version": 1, "plan": {}}}, "damaged: .*'num_steps'"),
    "no function": ({"bind": {"label_smoothing": 0.1}}, "bind must hold functions .* got 0.1"),
    "a function of a list": (_setting([None]), r"sets label_smoothing must return None.*\[None\]"),
    "a function of a text": (_setting("0.1"), "sets label_smoothing must return None"),
    "a function of a truth": (_setting(True), "sets label_smoothing must return None"),
    "a function of NaN": (_setting(math.nan), "sets label_smoothing must return None"),
    "a text for a number": ({"initial": {"gradient_clip": "1"}}, "initial must hold numbers .*'1'"),
    "NaN for a number": ({"initial": {"gradient_clip": math.nan}}, "initial must hold numbers"),
    "nothing for a number": ({"initial": {"gradient_clip": None}}, "initial must hold numbers"),
    "a clip that turns round": ({"initial": {"gradient_clip": -1.0}}, "must be above 0.* got -1"),
    "a clip to nothing": ({"initial": {"gradient_clip": 0.0}}, "must be above 0"),
    "a length": ({"total_steps": 6.5}, "total_steps must be .* got 6.5.* total_steps=None leaves"),
    "no problem": ({"problem": 3}, r"problem must be a .*Problem\(kind=..., size=...\); got 3"),
    "no yes or no": ({"steers_unknown": np.zeros(2)}, "steers_unknown must be True or False"),
    "no decisions": ({"num_decisions": "3"}, "num_decisions must be a whole number; got '3'$"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_is_refused_by_its_name(case: str) -> None:
    options, message = REFUSED[case]
    with pytest.raises(ConfigurationError, match=message):
        attach(**options)


def test_without_torch_arguments_are_looked_at_too(tmp_path: Any) -> None:
    controller = Controller(steady_policy("supervised", ("learning_rate",)))
    own: dict[str, Any] = {"total_steps": STEPS}
    with pytest.raises(ConfigurationError, match="bind must hold functions"):
        controller.drive({"learning_rate": None}, initial={"learning_rate": 0.1}, **own)  # type: ignore[dict-item]
    with pytest.raises(ConfigurationError, match="initial must hold numbers"):
        controller.drive({"learning_rate": print}, initial={"learning_rate": "a"}, **own)  # type: ignore[dict-item]
    path = attach().save_schedule(tmp_path / "schedule.json")
    optimiser = torch.optim.SGD(nn.Linear(3, 1).parameters(), lr=0.01)
    with pytest.raises(ConfigurationError, match="bind must hold functions"):
        replay_schedule(path, optimiser, bind={"label_smoothing": 3})  # type: ignore[dict-item]


POLICY = steady_policy("supervised", ("learning_rate",))

CALLS: Mapping[str, tuple[Callable[[Any], Any], str]] = {
    "a policy": (Controller.from_pretrained, "a policy must be a path"),
    "a memory": (lambda v: Controller(POLICY, memory=v), "memory must be a path"),
    "a schedule": (lambda v: replay_schedule(v, None), "the path of a schedule must be a path"),
    "a schedule to write": (lambda v: attach().save_schedule(v), "the path of a schedule must"),
    "policies": (lambda v: Controller(POLICY, [v]), "what decides must be a .*Policy, as Controll"),
    "a start": (lambda v: attach(start=v), "unknown start"),
    "a kind": (lambda v: Problem(kind=v), "kind must be a text or None"),
    "where to explore": (
        lambda v: Controller.from_pretrained("supervised", explores=v),
        "unknown explores",
    ),
}


@pytest.mark.parametrize("value", [3, b"x", [1, 2], np.zeros(2)], ids=type)
@pytest.mark.parametrize("call", CALLS)
def test_what_is_of_another_kind_is_refused_by_its_name(call: str, value: Any) -> None:
    function, message = CALLS[call]
    with pytest.raises(HPOControlError, match=message):
        function(value)


def test_a_name_that_no_file_can_have_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="memory must be a path"):
        Controller(POLICY, memory="a\0b")


def test_a_value_that_stands_elsewhere_is_not_left_out_in_silence() -> None:
    with pytest.warns(ControllerWarning, match=r"'learning_rate', whose value here is 0.01 .* 0.1"):
        run = attach(initial={"learning_rate": 0.1})
    assert run.host.initial["learning_rate"] == 0.01


def test_the_same_value_as_stands_there_is_no_mistake(recwarn: Any) -> None:
    attach(initial={"learning_rate": 0.01, "gradient_clip": math.inf})
    assert not recwarn.list


NUMBERS: Mapping[str, Any] = {
    "an array": np.array(0.5),
    "an array of one": np.array([0.5]),
    "a tensor of one": torch.tensor([0.5], requires_grad=True),
    "half precision": torch.tensor(0.5, dtype=torch.bfloat16),
    "a number of NumPy": np.float32(0.5),
    "an int": 1,
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_losses_are_read_in_any_form(kind: str, recwarn: Any) -> None:
    run = attach(validate=lambda: NUMBERS[kind])
    assert run.decisions[0].validation_loss in (0.5, 1.0)
    run.step(NUMBERS[kind])
    assert not recwarn.list


NO_LOSSES: Mapping[str, Any] = {
    "a text": "0.5",
    "a truth": True,
    "a pair": (0.5, 0.9),
    "by name": {"loss": 0.5},
    "two": torch.tensor([0.5, 0.6]),
    "complex": torch.tensor(1j),
    "a complex number": 1j,
    "nothing in it": torch.ones(0),
}


@pytest.mark.parametrize("kind", NO_LOSSES)
def test_losses_that_are_none_are_told_from_errors_of_the_loops(kind: str) -> None:
    with pytest.warns(ControllerWarning, match=r"validate\(\) must return the loss alone") as said:
        run = attach(validate=lambda: NO_LOSSES[kind])
    assert len(said) == 1
    with pytest.raises(ConfigurationError, match=r"step\(loss\) needs"):
        run.step(NO_LOSSES[kind])


ENDS: Mapping[str, Callable[[Any], None]] = {
    "cool_down": lambda run: run.cool_down(2.5),
    "extend": lambda run: run.extend("9"),
}


@pytest.mark.parametrize("call", ENDS)
def test_a_length_that_is_none_is_named_where_it_was_given(call: str) -> None:
    with pytest.raises(ConfigurationError, match=r"must be a whole number; got (2\.5|'9')$"):
        ENDS[call](attach())
