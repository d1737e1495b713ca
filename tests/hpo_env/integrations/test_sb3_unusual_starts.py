"""A value that no tuned setting has is no knowledge: a run begins at a learned one instead."""

from __future__ import annotations

import copy
import io
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.controller import Controller
from hpo_env.policy import Policy
from hpo_env.reinforcement import AgentLoop
from hpo_env.starts import LearnedStart, Start, StartCase
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.space import TUNED
from tests.hpo_env.integrations.agents import ROLLOUT, learn, make_agent, make_callback, make_policy

sb3 = pytest.importorskip("stable_baselines3")

LEARNED = {
    "learning_rate": 2e-3,
    "discount": 0.97,
    "gae_lambda": 0.96,
    "entropy": 5e-3,
    "clip_range": 0.3,
    "epochs": 8.0,
}
UNUSUAL: Mapping[str, Mapping[str, float]] = {
    "learning_rate": {"learning_rate": 0.05},
    "discount": {"gamma": 0.5},
    "gae_lambda": {"gae_lambda": 0.3},
    "entropy": {"ent_coef": 0.2},
    "clip_range": {"clip_range": 0.05},
    "epochs": {"n_epochs": 2},
}
OWN: Mapping[str, Any] = {"n_epochs": 4}  # of the smallest agent whose values all are usual
KNOWN = (DISCRETE, CONTINUOUS, "a2c")


def beginning_at(**changes: float) -> Policy:
    """Make a policy that moves nothing, knows PPO and A2C, and has a learned start."""
    cases = (
        StartCase(kind="a2c", values=LEARNED | {"learning_rate": 4e-3}),
        StartCase(values=LEARNED | changes),
    )
    start = LearnedStart(cases=cases, is_default=False)
    return replace(make_policy(level=0.0), learned_start=start, kinds=KNOWN)


def steered(
    policy: Policy | None = None, agent: Any = None, **options: Any
) -> tuple[Any, list[str]]:
    """Train an agent for two rollouts; the callback, and what it said."""
    callback = make_callback(beginning_at() if policy is None else policy, **options)
    said = learn(make_agent(**OWN) if agent is None else agent, callback, 2)
    return callback, said


def weights(agent: Any) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in agent.policy.parameters()])


@pytest.mark.parametrize("name", UNUSUAL)
def test_the_learned_value_takes_its_place_and_one_warning_names_both(name: str) -> None:
    agent = make_agent(**{**OWN, **UNUSUAL[name]})
    (own,) = UNUSUAL[name].values()
    callback, said = steered(agent=agent)
    assert callback.run.replaced == {name: own}
    assert said == [
        f"{name} was {own:g}, which no tuned setting has; the run begins at "
        f"{LEARNED[name]:.3g}. To begin at your own, give start='user'"
    ]
    usual = steered()[0].run.decisions[0].values
    assert callback.run.decisions[0].values == usual | {name: LEARNED[name]}
    told = f"It did not begin at the loop's own {name}, {own:g}: no tuned setting has it"
    assert told in str(callback.run.explain())
    rate, clip_range = agent.lr_schedule(1.0), agent.clip_range(1.0)
    found = (rate, agent.gamma, agent.gae_lambda, agent.ent_coef, clip_range, agent.n_epochs)
    assert dict(zip(LEARNED, found, strict=True))[name] == own  # given back


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "A2C"},
        {"env": "Pendulum-v1"},
        {"gamma": 1.0, "gae_lambda": 1.0, "ent_coef": 0.0},
        {"learning_rate": 2e-3},  # the learned start's own
        {"learning_rate": 2.0633e-5, "gamma": 0.9, "gae_lambda": 0.8, "ent_coef": 0.01},
        {"clip_range": 0.1, "n_epochs": 20},
    ],
)
def test_what_tuned_settings_have_stays_to_the_bit(options: Mapping[str, Any]) -> None:
    ends = []
    own = {} if "kind" in options else OWN
    for start in (None, "user"):
        agent = make_agent(**{**own, **options})
        callback, said = steered(make_policy_that_moves(), agent, start=start)
        assert not [one for one in said if "tuned setting" in one]
        assert callback.run.replaced == {}
        ends.append((weights(agent).tobytes(), repr(callback.run.decisions)))
    assert ends[0] == ends[1]


def make_policy_that_moves() -> Policy:
    """Make one that goes by all that it sees, with the learned start."""
    still = beginning_at()
    return replace(make_policy(), learned_start=still.learned_start, kinds=KNOWN)


def test_the_defaults_of_stable_baselines3_are_within() -> None:
    for kind in (sb3.PPO, sb3.A2C):
        agent = kind("MlpPolicy", "CartPole-v1", device="cpu")
        found = {
            "learning_rate": agent.lr_schedule(1.0),
            "discount": agent.gamma,
            "gae_lambda": min(agent.gae_lambda, 0.999),
            "entropy": max(agent.ent_coef, 1e-5),
        }
        if kind is sb3.PPO:
            found |= {"clip_range": agent.clip_range(1.0), "epochs": agent.n_epochs}
        for name, value in found.items():
            low, high = TUNED["ppo"][name]
            assert low <= value <= high, name


def test_whoever_asks_for_his_own_values_has_them_whatever_they_are() -> None:
    wild: dict[str, Any] = {"learning_rate": 0.05, "gamma": 0.85, "n_epochs": 1, "ent_coef": 0.05}
    callback, said = steered(agent=make_agent(**wild), start="user")
    assert (said, callback.run.replaced) == ([], {})
    values = callback.run.decisions[0].values
    asked = {"learning_rate": 0.05, "discount": 0.85, "epochs": 1.0, "entropy": 0.05}
    assert {name: values[name] for name in asked} == pytest.approx(asked)
    assert "did not begin" not in str(callback.run.explain())


def test_nothing_takes_its_place_where_nothing_is_known() -> None:
    schedule = sb3.common.utils.LinearSchedule(0.05, 0.01, 1.0)
    nowhere = replace(beginning_at(), learned_start=None)
    stranger = replace(beginning_at(), kinds=("a2c",))
    wild: dict[str, Any] = {**OWN, "learning_rate": 0.05}
    for policy, agent, options in (
        (beginning_at(), make_agent(**OWN, learning_rate=schedule, gamma=0.5), {}),
        (beginning_at(), make_agent("DQN", learning_rate=0.05), {"steers_unknown": True}),
        (nowhere, make_agent(**wild), {}),
        (stranger, make_agent(**wild), {}),
        (stranger, make_agent(**wild), {"steers_unknown": True}),
        (None, make_agent(**wild), {"hyperparameters": ["discount"]}),
    ):
        callback = make_callback(policy or beginning_at(), **options)
        said = learn(agent, callback, 6)
        assert not [one for one in said if "tuned setting" in one]
        assert callback.run.replaced == {}


def test_what_a_long_run_leaves_alone_stays_the_agents() -> None:
    policy = replace(beginning_at(), most_decisions={"epochs": 1, "gae_lambda": 1})
    agent = make_agent(n_epochs=2, gae_lambda=0.3, learning_rate=0.05)
    used = []
    train = agent.train

    def train_and_note() -> None:
        used.append((agent.n_epochs, agent.gae_lambda, agent.lr_schedule(1.0)))
        train()

    agent.train = train_and_note
    callback, said = steered(policy, agent)
    assert set(used) == {(2, 0.3, 2e-3)}
    assert len(said) == 1
    assert callback.run.replaced == {"learning_rate": 0.05}


def test_a_run_that_goes_on_is_not_begun_again() -> None:
    saved: dict[str, Any] = {}

    class Saving(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
        def _on_step(self) -> bool:
            if self.num_timesteps == 2 * ROLLOUT + 1:
                saved["agent"] = io.BytesIO()
                saved["state"] = copy.deepcopy(first.state_dict())
                self.model.save(saved["agent"])
            return True

    agent = make_agent(**OWN, learning_rate=0.05)
    first = make_callback(make_policy_that_moves(), num_decisions=4)
    learn(agent, [first, Saving()], 4)
    saved["agent"].seek(0)
    again = sb3.PPO.load(saved["agent"], env=agent.get_env(), device="cpu")
    on = make_callback(make_policy_that_moves(), num_decisions=4, state=saved["state"])
    said = learn(again, on, 2, reset_num_timesteps=False)
    assert not [one for one in said if "tuned setting" in one]
    assert on.run.replaced == first.run.replaced == {"learning_rate": 0.05}
    assert len(on.run.decisions) == 4
    assert repr(on.run.decisions[:2]) == repr(first.run.decisions[:2])
    moved = [decision.values["learning_rate"] for decision in on.run.decisions]
    moves = [decision.moves["learning_rate"] for decision in on.run.decisions]
    assert moved == pytest.approx(list(2e-3 * 4.0 ** np.cumsum(moves)))  # from the learned value
    told = "It did not begin at the loop's own learning_rate, 0.05: no tuned setting has it"
    assert told in str(on.run.explain())
    assert again.lr_schedule(1.0) == 0.05


def test_a_loop_of_ones_own_begins_there_too() -> None:
    from hpo_env.integrations.sb3_agents.training import agent_facts

    begun: tuple[tuple[Start | None, float, float], ...] = ((None, 2e-3, 0.97), ("user", 0.05, 0.5))
    for start, rate, discount in begun:
        agent = make_agent()
        agent.policy.optimizer.param_groups[0]["lr"] = 0.05
        set_to: list[float] = []
        loop = AgentLoop(
            Controller(beginning_at()),
            agent.policy,
            agent.policy.optimizer,
            total_updates=2,
            facts=agent_facts(agent, ROLLOUT, 1),
            bind={"discount": set_to.append},
            initial={"discount": 0.5},
            start=start,
        )
        if start is None:
            with pytest.warns(match="which no tuned setting has") as said:
                loop.end_rollout()
            assert len(said) == 2
        else:
            loop.end_rollout()
        assert loop.run is not None
        assert loop.run.values == pytest.approx({"learning_rate": rate, "discount": discount})
        assert agent.policy.optimizer.param_groups[0]["lr"] == pytest.approx(rate)
        assert set_to[-1] == pytest.approx(discount)
        loop.close()
        assert agent.policy.optimizer.param_groups[0]["lr"] == 0.05
        assert set_to[-1] == 0.5


def test_the_policy_that_is_shipped_begins_at_its_learned_start() -> None:
    from hpo_env.integrations.sb3 import HPOControlCallback

    callback = HPOControlCallback("reinforcement", num_decisions=2)
    said = learn(make_agent(**OWN, learning_rate=0.05), callback, 2)
    assert callback.run is not None
    assert callback.run.host.initial["learning_rate"] == pytest.approx(1.74e-3)
    assert [one for one in said if "learning_rate was 0.05, which no tuned setting has" in one]
