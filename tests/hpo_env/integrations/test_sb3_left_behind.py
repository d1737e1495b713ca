"""Agents that are left in mid-training, taken up again, or steered by two: nothing stays behind."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest

from hpo_env.controller import Controller
from hpo_env.starts import LearnedStart, StartCase
from tests.hpo_env.controlled_runs import random_policy
from tests.hpo_env.integrations.agents import (
    ROLLOUT,
    learn,
    make_agent,
    make_callback,
    make_policy,
)
from tests.hpo_env.integrations.test_sb3 import SPACE

sb3 = pytest.importorskip("stable_baselines3")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:stable_baselines3")


class Interrupts(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
    """Ends a training at the start of a rollout, as Ctrl-C does, or an environment that raises.

    Args:
        callback: Of whose run the state is kept, as of the agent, before it does.
        rollout: Which one, from 0.
    """

    def __init__(self, callback: Any, rollout: int) -> None:
        super().__init__()
        self._callback, self._rollout, self._count = callback, rollout, 0
        self.saved = io.BytesIO()
        self.state: dict[str, Any] = {}

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self._count == self._rollout:
            self.state = self._callback.state_dict()
            self.model.save(self.saved)
            self.saved.seek(0)
            raise KeyboardInterrupt
        self._count += 1


def interrupt(agent: Any, callback: Any) -> Interrupts:
    """Train an agent until its third rollout."""
    stops = Interrupts(callback, 3)
    with pytest.raises(KeyboardInterrupt):
        learn(agent, [callback, stops], 6)
    return stops


def num_hooks(agent: Any) -> int:
    """Count what measures an agent's gradients."""
    policy = agent.policy
    hung = [p._post_accumulate_grad_hooks or () for p in policy.parameters()]
    return len(policy.optimizer._optimizer_step_pre_hooks) + sum(map(len, hung))


VALUES: dict[str, Any] = {
    "learning_rate": 1e-3,
    "gamma": 1.0,  # which has no place on its axis, nor has the next
    "ent_coef": 0.0,
    "gae_lambda": 1.0,
    "clip_range": 0.25,
    "n_epochs": 3,
}


def own(agent: Any) -> dict[str, Any]:
    """Read the values of an agent that it was made with, where it reads them."""
    buffer = agent.rollout_buffer
    return {
        "learning_rate": agent.lr_schedule(0.5),
        "gamma": agent.gamma,
        "buffer gamma": buffer.gamma,
        "ent_coef": agent.ent_coef,
        "gae_lambda": agent.gae_lambda,
        "buffer lambda": buffer.gae_lambda,
        "clip_range": agent.clip_range(0.5),
        "n_epochs": agent.n_epochs,
        "batch_size": agent.batch_size,
    }


def interrupt_again(agent: Any, callback: Any) -> None:
    interrupt(agent, callback)
    callback.run.close()


def take_up(agent: Any, callback: Any) -> None:
    callback = make_callback(state=callback.state_dict())
    learn(agent, callback, 1, reset_num_timesteps=False)


GOES_ON: dict[str, Callable[[Any, Any], object]] = {
    "close": lambda agent, callback: callback.run.close(),
    "the same callback": lambda agent, callback: learn(agent, callback, 1),
    "another callback": lambda agent, callback: learn(agent, make_callback(), 1),
    "the state": take_up,
    "the callback at another agent": lambda agent, callback: learn(make_agent(), callback, 1),
    "interrupted again": interrupt_again,
}
"""What may come after a training was interrupted."""


@pytest.mark.parametrize("how", GOES_ON)
def test_an_interrupted_training_leaves_nothing_behind(how: str) -> None:
    agent, callback = make_agent(**VALUES), make_callback()
    before = own(agent)
    interrupt(agent, callback)
    assert num_hooks(agent)
    assert own(agent) != before
    GOES_ON[how](agent, callback)
    assert num_hooks(agent) == 0
    assert own(agent) == before


STARTS: dict[str, dict[str, Any]] = {
    "its own": {},
    "a learned start": {"start": "learned"},
    "given values": {"start": {"discount": 0.9, "epochs": 5.0}},
}


@pytest.mark.parametrize("where", STARTS)
@pytest.mark.parametrize("batch_size", [16, 13])  # the second leaves a rest
def test_a_loaded_agent_gets_back_what_the_first_was_made_with(where: str, batch_size: int) -> None:
    policy = make_policy(("learning_rate", "discount", "gae_lambda", "entropy", "epochs"))
    learned = LearnedStart(cases=(StartCase(values={"discount": 0.9, "gae_lambda": 0.9}),))
    policy = type(policy)(**{**vars(policy), "learned_start": learned})
    agent = make_agent(**VALUES, batch_size=batch_size)
    before = own(agent)
    stops = interrupt(agent, make_callback(policy, **STARTS[where]))
    loaded = sb3.PPO.load(stops.saved, env=agent.get_env(), device="cpu")
    assert own(loaded) != before
    callback = make_callback(policy, state=stops.state, **STARTS[where])
    learn(loaded, callback, 3, reset_num_timesteps=False)
    assert own(loaded) == before


def test_so_does_one_that_goes_by_a_loss() -> None:
    from hpo_env.integrations.sb3 import HPOControlCallback

    controller = Controller(random_policy(SPACE.names, space=SPACE))
    options: dict[str, Any] = {"validate": lambda model: 1.0, "num_decisions": 3}
    agent = make_agent(**{**VALUES, "gamma": 0.99, "gae_lambda": 0.9, "ent_coef": 0.01})
    before = own(agent)
    stops = interrupt(agent, HPOControlCallback(controller, **options))
    loaded = sb3.PPO.load(stops.saved, env=agent.get_env(), device="cpu")
    assert own(loaded) != before
    callback = HPOControlCallback(controller, state=stops.state, **options)
    learn(loaded, callback, 3, reset_num_timesteps=False)
    assert own(loaded) == before


def test_of_two_callbacks_one_steers_and_one_warning_says_so() -> None:
    agent, first, second = make_agent(**VALUES), make_callback(), make_callback()
    before = own(agent)
    said = learn(agent, [first, second], 4)
    assert [message for message in said if "another HPOControlCallback" in message] == said
    assert len(said) == 1
    assert first.run.is_closed
    assert len(second.run.decisions) == 4
    assert own(agent) == before


class LetsGo(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
    """Closes a run in the middle of its training, and notes what the agent reads from then on."""

    def __init__(self, callback: Any) -> None:
        super().__init__()
        self._callback = callback
        self.seen: list[dict[str, Any]] = []

    def _on_step(self) -> bool:
        if self.num_timesteps == 3 * ROLLOUT - 5:
            self._callback.run.close()
        if self.num_timesteps > 3 * ROLLOUT - 5:
            self.seen.append(own(self.model))
        return True


@pytest.mark.parametrize("is_scheduled", [False, True])
def test_a_run_that_is_closed_in_mid_training_writes_no_more(is_scheduled: bool) -> None:
    values = VALUES | ({"learning_rate": lambda progress: 1e-3 * progress} if is_scheduled else {})
    agent, callback = make_agent(**values), make_callback()
    before, closes = own(agent), LetsGo(callback)
    assert learn(agent, [callback, closes], 6) == []
    assert all(seen == before for seen in closes.seen)
    assert num_hooks(agent) == 0


@pytest.mark.parametrize("attribute", ["gamma", "gae_lambda"])
@pytest.mark.parametrize("place", ["agent", "buffer"])
def test_who_writes_to_one_of_two_places_is_heard(attribute: str, place: str) -> None:
    agent, callback = make_agent(), make_callback()

    class Writes(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
        def _on_step(self) -> bool:
            if self.num_timesteps == 2 * ROLLOUT - 3:
                setattr(agent if place == "agent" else agent.rollout_buffer, attribute, 0.5)
            return True

    (said,) = learn(agent, [callback, Writes()], 4)
    assert "by something else" in said
    assert getattr(agent if place == "agent" else agent.rollout_buffer, attribute) == 0.5
