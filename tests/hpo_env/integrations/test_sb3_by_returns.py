"""The callback with policies that go by an agent's returns and updates."""

from __future__ import annotations

import copy
import io
import math
from collections.abc import Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium import spaces

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, HPOControlError, PolicyFileError
from hpo_env.policy import Policy
from hpo_env.starts import LearnedStart, StartCase
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.learning_curve import LearningCurve
from hpo_env.tasks.reinforcement.measures import missing
from hpo_env.tasks.reinforcement.space import HYPERPARAMETERS, IN_SB3, LACKS, NAMES
from hpo_env.testing.hosts import HostContract, HostUnderTest
from hpo_env.testing.policies import steady_policy
from tests.hpo_env.integrations.agents import (
    ROLLOUT,
    Paying,
    knowing_nothing_like_it,
    learn,
    make_agent,
    make_callback,
    make_policy,
)

sb3 = pytest.importorskip("stable_baselines3")

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:stable_baselines3")

LACKING = {kind: ("reward_scale", *LACKS[kind.lower()]) for kind in ("PPO", "A2C", "DQN")}
"""What each algorithm has not, where no wrapper scales rewards."""


def in_use(agent: Any) -> dict[str, float]:
    """Read what the next `train()` will use, by hyperparameter."""
    found = {}
    for name, attribute in IN_SB3.items():
        value = getattr(agent, attribute, None) if attribute else None
        if value is not None:
            found[name] = float(value(1.0)) if callable(value) else float(value)
    return found


def watched(kind: str, **options: Any) -> tuple[Any, list[dict[str, float]]]:
    """Make an agent that notes what each of its updates uses."""
    used: list[dict[str, float]] = []
    agent = make_agent(kind, **options)
    train = agent.train

    def train_and_note(*args: Any, **kwargs: Any) -> None:
        used.append(in_use(agent))
        train(*args, **kwargs)

    agent.train = train_and_note
    return agent, used


@pytest.mark.parametrize("kind", ["PPO", "A2C", "DQN"])
def test_updates_use_what_was_decided(kind: str) -> None:
    agent, used = watched(kind)
    before = in_use(agent)
    callback = make_callback(make_policy(NAMES), num_decisions=5)
    learn(agent, callback, 6)
    decisions = callback.run.decisions
    expected = [name for name in NAMES if name not in LACKING[kind]]
    assert list(decisions[0].values) == expected
    assert len(decisions) == 5
    for decision in decisions:
        values = {name: decision.values[name] for name in before}
        assert any(values == pytest.approx(one, rel=1e-6) for one in used), decision.interval
    assert len({str(decision.values) for decision in decisions}) == 5
    assert in_use(agent) == before
    assert callback.run.is_over


@pytest.mark.parametrize("kind", ["PPO", "A2C"])
def test_discount_and_lambda_count_at_once(kind: str) -> None:
    agent = make_agent(kind, n_epochs=1) if kind == "PPO" else make_agent(kind)
    train = agent.train
    seen: list[Any] = []

    def train_and_note() -> None:
        buffer = agent.rollout_buffer
        advantages, returns = buffer.advantages.copy(), buffer.returns.copy()
        buffer.compute_returns_and_advantage(callback.locals["values"], callback.locals["dones"])
        np.testing.assert_allclose(advantages, buffer.advantages, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(returns, buffer.returns, rtol=1e-5, atol=1e-6)
        seen.append((buffer.gamma, buffer.gae_lambda))
        train()

    agent.train = train_and_note
    callback = make_callback(make_policy(("discount", "gae_lambda")))
    learn(agent, callback, 4)
    assert len(set(seen)) == 4
    assert (agent.rollout_buffer.gamma, agent.gamma) == (0.99, 0.99)


def test_minibatches_divide_a_rollout_but_for_the_users_own() -> None:
    agent, used = watched("PPO", batch_size=24)
    still = make_callback(make_policy(("batch_size",), level=0.0))
    learn(agent, still, 3)
    assert {one["batch_size"] for one in used} == {24.0}
    used.clear()
    learn(agent, make_callback(make_policy(("batch_size",), level=0.5)), 3)
    assert {one["batch_size"] for one in used} == {32.0}
    assert agent.batch_size == 24


def test_rewards_are_scaled_by_a_wrapper_alone() -> None:
    from hpo_env.integrations.sb3_rewards import ScaledRewards

    env = ScaledRewards(sb3.common.env_util.make_vec_env("CartPole-v1", 2, seed=0), 0.5)
    agent = make_agent(env=env)
    callback = make_callback(make_policy(("reward_scale", "learning_rate"), level=0.5))
    learn(agent, callback, 3)
    values = [decision.values["reward_scale"] for decision in callback.run.decisions]
    assert values == sorted(values)
    assert values[0] > 0.5
    assert env.reward_scale == 0.5
    assert env.step(np.zeros(2, dtype=int))[1].tolist() == [0.5, 0.5]
    with pytest.raises(ConfigurationError, match="positive number; got 0"):
        ScaledRewards(env, 0.0)


def test_any_number_of_trainings_begin_from_the_users_values() -> None:
    agent = make_agent(learning_rate=1e-3)
    callback = make_callback(make_policy(level=-0.5))
    theirs = agent.lr_schedule, agent.clip_range, agent.ent_coef, agent.n_epochs
    for _ in range(3):
        learn(agent, callback, 3, reset_num_timesteps=False)
        assert callback.run.num_steps == 3
        assert callback.run.host.initial["learning_rate"] == 1e-3
        assert callback.run.values["learning_rate"] < 5e-4
        assert (agent.lr_schedule, agent.clip_range, agent.ent_coef, agent.n_epochs) == theirs
    assert type(agent.n_epochs) is int
    assert type(agent.batch_size) is int


def test_a_schedule_of_the_users_is_corrected_and_given_back() -> None:
    schedule = sb3.common.utils.LinearSchedule(0.01, 0.001, 1.0)
    agent, used = watched("PPO", learning_rate=schedule)
    theirs = agent.lr_schedule
    callback = make_callback(make_policy(("learning_rate",), level=0.0))
    learn(agent, callback, 4)
    asked = [schedule(1.0 - done / 4) for done in (1, 2, 3, 4)]
    assert [one["learning_rate"] for one in used] == pytest.approx(asked)
    assert callback.run.decisions[2].observation["base_change"] < 0.0
    assert agent.lr_schedule is theirs


class StopAt(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
    """Interrupts a training at the start of a rollout, once the state of the run is taken."""

    def __init__(self, callback: Any, rollout: int) -> None:
        super().__init__()
        self.state: Any = None
        self.saved = io.BytesIO()
        self._callback, self._left = callback, rollout

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.state = copy.deepcopy(self._callback.state_dict())
            self.model.save(self.saved)
            raise KeyboardInterrupt


@pytest.mark.parametrize(("steps", "expected"), [(3200, 30), (100_000, 48), (10**6, 100)])
def test_long_runs_decide_as_often_as_those_of_meta_training(steps: int, expected: int) -> None:
    agent = make_agent()
    callback = make_callback(make_policy(level=0.0), num_decisions=None)
    with pytest.raises(KeyboardInterrupt):
        agent.learn(steps, callback=[callback, StopAt(callback, 1)])
    assert callback.run.plan.num_intervals == pytest.approx(expected, abs=1)
    resumed = make_callback(make_policy(level=0.0), num_decisions=None, state=callback.state_dict())
    learn(agent, resumed, 3, reset_num_timesteps=False)
    assert resumed.run.num_steps == resumed.run.plan.total_steps == 4


def interrupted(rollouts: int) -> tuple[Any, StopAt]:
    """Train an agent until the start of a rollout."""
    agent = make_agent(learning_rate=1e-3)
    callback = make_callback(num_decisions=3)
    stop = StopAt(callback, rollouts)
    with pytest.raises(KeyboardInterrupt):
        learn(agent, [callback, stop], 6)
    return agent, stop


def test_a_resumed_run_goes_on_bit_for_bit() -> None:
    whole = make_agent(learning_rate=1e-3)
    uncut = make_callback(num_decisions=3)
    learn(whole, uncut, 6)
    agent, stop = interrupted(3)  # within the second interval
    callback = make_callback(num_decisions=3, state=stop.state)
    learn(agent, callback, 3, reset_num_timesteps=False)
    ours = [decision.to_json() for decision in callback.run.decisions]
    np.testing.assert_equal(ours, [decision.to_json() for decision in uncut.run.decisions])
    assert len(ours) == 3
    for mine, theirs in zip(agent.policy.parameters(), whole.policy.parameters(), strict=True):
        np.testing.assert_array_equal(mine.detach().numpy(), theirs.detach().numpy())


def test_a_run_that_was_over_goes_on_as_a_longer_one() -> None:
    agent = make_agent(learning_rate=1e-3)
    first = make_callback(make_policy(level=-0.5), num_decisions=3)
    learn(agent, first, 3)
    callback = make_callback(make_policy(level=-0.5), num_decisions=3, state=first.state_dict())
    learn(agent, callback, 3, reset_num_timesteps=False)
    assert callback.run.num_steps == callback.run.plan.total_steps == 6
    rates = [decision.values["learning_rate"] for decision in callback.run.decisions]
    assert len(rates) == 6
    assert rates == sorted(rates, reverse=True)
    assert in_use(agent)["learning_rate"] == 1e-3


def test_an_agent_that_was_saved_in_mid_training_has_its_own_values_back_in_the_end() -> None:
    agent, stop = interrupted(3)
    stop.saved.seek(0)
    loaded = sb3.PPO.load(stop.saved, env=agent.get_env(), device="cpu")
    assert loaded.gamma != 0.99  # as the controller had set it
    callback = make_callback(num_decisions=3, state=stop.state)
    learn(loaded, callback, 3, reset_num_timesteps=False)
    assert callback.run.num_steps == 6
    assert in_use(loaded) == in_use(make_agent(learning_rate=1e-3))


def flat(agent: Any) -> np.ndarray:
    return np.concatenate([p.detach().numpy().ravel() for p in agent.policy.parameters()])


def test_a_policy_that_has_collapsed_is_put_back_to_its_best() -> None:
    per_rollout = ROLLOUT // 4

    def pay(episode: int) -> float:
        return [0.0, 1.0, 5.0, 9.0, 1.0, 1.0][min(episode // per_rollout, 5)] + 0.01 * (episode % 2)

    agent = make_agent(env=Paying(pay), learning_rate=1e-2)
    weights: list[np.ndarray] = []
    train = agent.train

    def train_and_note() -> None:
        weights.append(flat(agent))
        train()

    agent.train = train_and_note
    callback = make_callback(make_policy(("learning_rate",), level=0.0))
    said = learn(agent, callback, 8)
    assert any("returns have collapsed from 9" in message for message in said), said
    reasons = [decision.reason for decision in callback.run.decisions]
    assert reasons[5] == "guard"
    best = weights[3]  # those that the rollout of the best returns was collected with
    np.testing.assert_array_equal(weights[5], best)
    np.testing.assert_array_equal(weights[6], best)  # its rollout was the collapsed policy's
    assert callback.run.decisions[5].values["learning_rate"] < 1e-2
    unguarded = make_callback(make_policy(("learning_rate",), level=0.0), is_guarded=False)
    assert not learn(make_agent(env=Paying(pay)), unguarded, 8)


CURVES = {
    "up, and down for good": ((0.0, 1.0, 5.0, 9.0, 1.0), (5, 7)),
    "worse than untrained": ((5.0, 5.0, 2.0, 1.0), (4, 9)),
    "worse, and in the end better": ((5.0, 2.0, 2.0, 9.0), ()),
}
"""Returns by rollout, of which the last goes on, and decisions after the collapses."""


@pytest.mark.parametrize("curve", CURVES)
def test_a_controller_under_which_an_agent_collapses_again_lets_go_of_it(curve: str) -> None:
    per_rollout = ROLLOUT // 4
    returns, collapses = CURVES[curve]

    def pay(episode: int) -> float:
        place = min(episode // per_rollout, len(returns) - 1)
        return returns[place] + 0.01 * (episode % 2)

    agent, used = watched("PPO", env=Paying(pay), learning_rate=1e-3)
    own = in_use(agent)
    callback = make_callback(make_policy(level=0.25), num_decisions=12)
    said = learn(agent, callback, 12)
    is_let_go = sum("the agent has collapsed 2 times" in message for message in said)
    assert is_let_go == bool(collapses), said
    decisions = callback.run.decisions
    reasons = [decision.reason for decision in decisions]
    if not collapses:
        assert reasons == ["policy"] * 12
        return
    once, twice = collapses
    between = ["policy"] * (twice - once - 1)
    left = 12 - twice
    assert reasons == [*["policy"] * once, "guard", *between, *["harmful"] * left]
    assert {decision.trust for decision in decisions[twice:]} == {0.0}
    assert used[twice - 1] != own
    assert used[twice:12] == [own | {"entropy": used[twice]["entropy"]}] * left
    assert used[twice]["entropy"] <= 1e-5
    assert "the policy did harm before" in str(callback.run.explain(11))
    resumed = make_callback(make_policy(level=0.25), num_decisions=12, state=callback.state_dict())
    learn(agent, resumed, 2, reset_num_timesteps=False)
    assert {decision.reason for decision in resumed.run.decisions[twice:]} == {"harmful"}


@pytest.mark.parametrize("what", ["weights", "gradients"])
def test_what_is_not_finite_ends_no_training(what: str) -> None:
    agent = make_agent()
    train, count = agent.train, iter(range(100))

    def train_and_break() -> None:
        is_due = next(count) == 2
        if is_due and what == "gradients":  # of the first minibatch
            agent.rollout_buffer.advantages[0] = math.inf
        train()
        if is_due and what == "weights":
            next(agent.policy.parameters()).data.fill_(math.nan)

    agent.train = train_and_break
    callback = make_callback(make_policy(("learning_rate",), level=0.0))
    said = learn(agent, callback, 6)
    assert [decision.reason for decision in callback.run.decisions].count("guard") == 1
    assert any("gradients are not finite" in message for message in said)
    assert np.isfinite(flat(agent)).all()
    assert callback.run.num_steps == 6


WARNINGS: Mapping[str, tuple[dict[str, Any], str]] = {
    "no episode ends": ({"env": lambda: Paying(length=None)}, "no episode has ended in 2 rollouts"),
    "returns that are no numbers": (
        {"env": lambda: Paying(lambda episode: math.nan if episode == 3 else float(episode))},
        "a reward was not finite",
    ),
    "no return that is a number": (
        {"env": lambda: Paying(lambda episode: math.nan)},
        "a reward was not finite",
    ),
    "a normaliser that has met one": (
        {"env": lambda: normalised(lambda episode: math.nan if episode == 3 else float(episode))},
        "come out of VecNormalize as none",
    ),
    "constant returns": (
        {"env": lambda: Paying(lambda episode: 1.0), "kind": "A2C", "learning_rate": 0.0},
        "every episode had the same return",
    ),
    "a schedule of the clip range alone": (
        {"clip_range": lambda progress: 0.2 * progress},
        "clip_range is a schedule of yours and learning_rate is not",
    ),
    "an algorithm that no policy has met": (
        {"kind": "DQN"},
        "has not learned on DQN, of which it moves",
    ),
    "a training shorter than a rollout": ({"n_steps": 512}, "less than one rollout of 512 steps"),
}


@pytest.mark.parametrize("case", WARNINGS)
def test_what_is_wrong_is_said_once_and_the_training_goes_on(case: str) -> None:
    options, message = WARNINGS[case]
    made = {"env": options.get("env", lambda: "CartPole-v1")()}
    agent = make_agent(**{**options, **made})
    if case == "constant returns":  # whatever is done
        agent.get_env().envs[0].unwrapped.step = always_pays_one(agent)
    callback = make_callback()
    said = learn(agent, callback, 8)
    assert len(said) == 1, said
    assert message in said[0]
    assert callback.run.is_over
    assert agent.num_timesteps >= 8 * ROLLOUT


def normalised(pay: Any) -> Any:
    envs = sb3.common.vec_env
    return envs.VecNormalize(envs.DummyVecEnv([lambda: Paying(pay)]))


def test_a_training_without_a_decision_says_so() -> None:
    callback = make_callback()
    (said,) = learn(make_agent("DQN", learning_starts=10_000), callback, 8)
    assert "before the first decision" in said
    assert callback.run is None


EVENTS: Mapping[str, Any] = {
    "every so many steps": lambda callback: sb3.common.callbacks.EveryNTimesteps(32, callback),
    "a new best": lambda callback: sb3.common.callbacks.EvalCallback(
        make_agent().get_env(), callback_on_new_best=callback
    ),
}


@pytest.mark.parametrize("event", EVENTS)
def test_a_callback_that_would_be_told_steps_alone_is_refused(event: str) -> None:
    agent, callback = make_agent(), make_callback()
    with pytest.raises(ConfigurationError, match=r"learn\(\) itself"):
        learn(agent, EVENTS[event](callback), 1)
    assert agent.num_timesteps == 0


def always_pays_one(agent: Any) -> Any:
    env = agent.get_env().envs[0].unwrapped
    step = env.step

    def pay(action: int) -> Any:
        seen, _, *rest = step(action)
        return seen, 0.25, *rest

    return pay


ALGORITHMS: Mapping[str, tuple[str, str, str]] = {
    "PPO with choices": ("stable_baselines3.PPO", "CartPole-v1", DISCRETE),
    "PPO with numbers": ("stable_baselines3.PPO", "Pendulum-v1", CONTINUOUS),
    "PPO with a memory": ("sb3_contrib.RecurrentPPO", "CartPole-v1", DISCRETE),
    "A2C": ("stable_baselines3.A2C", "Pendulum-v1", "a2c"),
    "DQN": ("stable_baselines3.DQN", "CartPole-v1", "dqn"),
    "TRPO": ("sb3_contrib.TRPO", "CartPole-v1", "trpo"),
}


ACTIONS: Mapping[str, tuple[Any, int, int]] = {
    "one": (spaces.Discrete(1), 1, 0),
    "choices": (spaces.MultiDiscrete([3, 4]), 12, 0),
    "more choices than 64 bits hold": (spaces.MultiDiscrete([1000] * 30), 1000**30, 0),
    "choices in a table": (spaces.MultiDiscrete(np.array([[2, 3], [4, 5]])), 120, 0),
    "switches": (spaces.MultiBinary(4), 16, 0),
    "more switches than a float holds": (spaces.MultiBinary(2000), 2**2000, 0),
    "numbers": (spaces.Box(-1.0, 1.0, (2, 3), np.float32), 0, 6),
}


@pytest.mark.parametrize("case", ACTIONS)
def test_actions_of_every_kind_are_counted(case: str) -> None:
    from hpo_env.integrations.sb3_agents.training import agent_facts

    space, choices, size = ACTIONS[case]
    agent = SimpleNamespace(
        action_space=space, observation_space=spaces.Discrete(3), n_envs=1, clip_range=0.2
    )
    facts = agent_facts(agent, ROLLOUT, 1)
    assert (facts.num_actions, facts.action_size) == (choices, size)
    curve, lane, values = LearningCurve(1), np.array([0]), [[h.default for h in HYPERPARAMETERS]]
    curve.begin(lane, [facts], missing(1), np.array(values))
    assert np.isfinite(curve.features(lane)).all()


@pytest.mark.parametrize("case", ALGORITHMS)
def test_agents_tell_what_kind_they_are_of(case: str) -> None:
    from hpo_env.integrations.sb3_agents.training import agent_facts

    address, env, kind = ALGORITHMS[case]
    module, _, name = address.rpartition(".")
    algorithm = getattr(pytest.importorskip(module), name)
    network = "MlpLstmPolicy" if "Recurrent" in name else "MlpPolicy"
    assert agent_facts(algorithm(network, env, device="cpu"), ROLLOUT, 1).kind == kind


LEFT_ALONE: Mapping[str, dict[str, Any]] = {
    "DQN": {"kind": "DQN"},
    "DQN, with values at the ends of the axes": {"kind": "DQN", "gamma": 1.0},
    "DQN, with a schedule": {"kind": "DQN", "learning_rate": lambda progress: 1e-2 * progress},
    "PPO, with values at the ends of the axes": {"gamma": 1.0, "gae_lambda": 1.0, "ent_coef": 0.0},
    "PPO, with a schedule": {"learning_rate": lambda progress: 1e-2 * progress},
    "A2C": {"kind": "A2C"},
}


@pytest.mark.parametrize("case", LEFT_ALONE)
def test_an_agent_of_an_unknown_kind_learns_what_it_would_learn_alone(case: str) -> None:
    options = LEFT_ALONE[case]
    alone = make_agent(**options)
    learn(alone, None, 12)
    watched_one = make_agent(**options)  # which seeds all that is random
    callback = make_callback(replace(make_policy(level=0.5), kinds=("another",)), num_decisions=5)
    said = learn(watched_one, callback, 12)
    np.testing.assert_array_equal(flat(watched_one), flat(alone))
    assert np.any(flat(alone) != flat(make_agent(**options)))
    assert [one for one in said if "steers_unknown=True" in one] == said
    assert len(said) == 1
    assert {(d.reason, d.trust) for d in callback.run.decisions} == {("unknown", 0.0)}
    steered = make_agent(**options)
    said = learn(steered, make_callback(callback._controller.policy, steers_unknown=True), 12)
    assert np.any(flat(steered) != flat(alone))
    assert not any("steers_unknown" in one for one in said)


@pytest.mark.parametrize(
    ("kind", "left_out"),
    [("PPO", "epochs"), ("PPO", "learning_rate"), ("A2C", "entropy"), ("DQN", "batch_size")],
)
def test_what_is_left_out_stays_as_the_agent_has_it(kind: str, left_out: str) -> None:
    agent, used = watched(kind)
    before = in_use(agent)
    names = [n for n in NAMES if n not in (*LACKING[kind], left_out)]
    callback = make_callback(make_policy(NAMES, level=-0.5), hyperparameters=names)
    learn(agent, callback, 4)
    assert list(callback.run.values) == names
    assert {one[left_out] for one in used} == {before[left_out]}
    assert len({one["max_grad_norm"] for one in used}) > 2
    assert in_use(agent) == before


def test_an_agent_that_keeps_its_epochs_tells_how_many_they_are() -> None:
    for epochs in (2, 7):
        agent = make_agent(n_epochs=epochs)
        callback = make_callback(make_policy(level=0.0), hyperparameters=["learning_rate"])
        learn(agent, callback, 2)
        assert callback.run.host._in_force["epochs"] == epochs


NAMED: Mapping[str, tuple[dict[str, Any], Any, str]] = {
    "no such thing": ({}, ["learning_rat"], "did you mean 'learning_rate'"),
    "nothing": ({}, [], r"must be some of what this agent has"),
    "what it has not": ({"kind": "A2C"}, ["epochs"], r"must be some of .*; got \['epochs'\]"),
    "what the policy does not move": (
        {},
        ["learning_rate", "batch_size"],
        r"some of what the policy moves, .*; got \['batch_size'\]",
    ),
    "half of two schedules": (
        {"learning_rate": lambda progress: 0.01, "clip_range": lambda progress: 0.1 + progress},
        ["clip_range", "discount"],
        "must hold both or neither",
    ),
}


@pytest.mark.parametrize("case", NAMED)
def test_names_that_cannot_be_moved_are_refused_before_it_trains(case: str) -> None:
    options, names, message = NAMED[case]
    agent = make_agent(**options)
    with pytest.raises(HPOControlError, match=message):
        learn(agent, make_callback(hyperparameters=names), 3)
    assert agent._n_updates == 0


def test_what_cannot_be_steered_is_refused_before_it_trains() -> None:
    sac = sb3.SAC("MlpPolicy", "Pendulum-v1", buffer_size=10, policy_kwargs={"net_arch": [4]})
    with pytest.raises(ConfigurationError, match=r"PPO or A2C, .* or DQN must be given; got SAC"):
        sac.learn(10, callback=make_callback())
    assert sac.num_timesteps == 0
    agent = make_agent(learning_rate=lambda progress: 0.01 * progress)
    with pytest.raises(ConfigurationError, match="is a schedule already"):
        agent.learn(ROLLOUT, callback=make_callback(base_schedule="cosine"))
    for kind in ("PPO", "DQN"):
        agent = make_agent(kind)
        with pytest.raises(ConfigurationError, match="num_decisions must be at least 1; got 0"):
            learn(agent, make_callback(num_decisions=0), 10)
        assert agent._n_updates == 0


def test_policies_are_told_apart_by_what_they_go_by() -> None:
    from hpo_env.integrations.sb3 import HPOControlCallback

    by_loss = Controller(steady_policy("quadratic", ["learning_rate"]))
    with pytest.raises(ConfigurationError, match=r"'quadratic' goes by a loss .* give validate="):
        HPOControlCallback(by_loss)
    with pytest.raises(ConfigurationError, match="leave validate= out"):
        make_callback(validate=lambda agent: 1.0)
    with pytest.raises(PolicyFileError, match="neither a folder nor a policy that we ship"):
        HPOControlCallback("no such policy")
    with pytest.raises(ConfigurationError, match="no run has begun"):
        make_callback().state_dict()


@pytest.mark.parametrize("normalises", [False, True])
def test_episodes_are_counted_where_nobody_reports_them(normalises: bool) -> None:
    from hpo_env.integrations.sb3_agents.meter import AgentMeter
    from hpo_env.tasks.reinforcement.measures import COLUMN

    class Watch(sb3.common.callbacks.BaseCallback):  # type: ignore[name-defined]
        def _on_training_start(self) -> None:
            self.meters = [AgentMeter(self.model), AgentMeter(self.model)]

        def _on_step(self) -> bool:
            local = self.locals
            unreported = [{k: v for k, v in i.items() if k != "episode"} for i in local["infos"]]
            for meter, infos in zip(self.meters, (local["infos"], unreported), strict=True):
                meter.read_step(infos, local["rewards"], local["dones"])
            return True

    env = sb3.common.env_util.make_vec_env("CartPole-v1", 2, seed=0)
    agent = make_agent(env=sb3.common.vec_env.VecNormalize(env) if normalises else env)
    watch = Watch()
    learn(agent, watch, 4)
    reported, counted = (meter.take()[0] for meter in watch.meters)
    assert reported[COLUMN["num_episodes"]] > 3
    np.testing.assert_allclose(counted, reported, rtol=1e-5)


def test_what_is_measured_is_what_the_optimiser_was_given() -> None:
    from hpo_env.tasks.reinforcement.measures import COLUMN

    agent = make_agent(max_grad_norm=1e9)
    norms = []
    agent.policy.optimizer.register_step_pre_hook(
        lambda *_: norms.append(
            math.sqrt(sum(float((p.grad**2).sum()) for p in agent.policy.parameters()))
        )
    )
    callback = make_callback(make_policy(("learning_rate",)), num_decisions=1)
    learn(agent, callback, 3)
    measures = callback.run.host._curve.measures[0]
    assert measures[COLUMN["gradient_norm"]] == pytest.approx(np.mean(norms), rel=1e-5)
    assert measures[COLUMN["clipped_share"]] == 0.0
    kept = agent.max_grad_norm
    agent.max_grad_norm = 1e-9
    learn(agent, callback, 3)
    assert callback.run.host._curve.measures[0][COLUMN["clipped_share"]] == 1.0
    agent.max_grad_norm = kept


def test_decisions_stand_in_the_agents_log() -> None:
    agent = make_agent()
    recorded: dict[str, Any] = {}
    record = agent.logger.record if hasattr(agent, "_logger") else None
    assert record is None  # there is none before learn()
    logger = sb3.common.logger.Logger(None, [])
    agent.set_logger(logger)
    keep = logger.record

    def note(key: str, value: Any, exclude: Any = None) -> None:
        recorded[key] = value
        keep(key, value, exclude)

    logger.record = note
    callback = make_callback()
    learn(agent, callback, 2)
    last = callback.run.decisions[-1]
    assert recorded["controller/hyperparameters/discount"] == last.values["discount"]
    assert recorded["controller/decisions/trust"] == 1.0


def test_a_run_that_is_unlike_meta_training_is_left_alone() -> None:
    values = {}
    for name, policy in (
        ("known", make_policy(level=0.5)),
        ("foreign", knowing_nothing_like_it(make_policy(level=0.5))),
    ):
        callback = make_callback(policy)
        learn(make_agent(learning_rate=1e-3), callback, 5)
        values[name] = callback.run.values["learning_rate"]
    assert callback.run.decisions[0].trust < 0.01
    assert values["foreign"] == pytest.approx(1e-3, rel=0.02)
    assert values["known"] > 1e-2


class Learning(HostUnderTest):
    """An agent whose update is a rollout and a call of `train`."""

    def __init__(self) -> None:
        from hpo_env.integrations.sb3_agents.host import AgentHost
        from hpo_env.integrations.sb3_agents.meter import AgentMeter
        from hpo_env.integrations.sb3_agents.training import agent_facts

        self._agent = make_agent(ent_coef=0.001)
        self.host = AgentHost(
            self._agent, AgentMeter(self._agent), agent_facts(self._agent, ROLLOUT, 1)
        )

    def update(self) -> Any:
        self._agent.learn(ROLLOUT, reset_num_timesteps=False)

    def read(self) -> Mapping[str, float]:
        return in_use(self._agent)

    def weights(self) -> Any:
        return [p.detach().numpy().copy() for p in self._agent.policy.parameters()]

    def surroundings(self) -> Any:
        agent = self._agent
        hooks = [p._post_accumulate_grad_hooks for p in agent.policy.parameters()]
        return [bool(h) for h in hooks], len(agent.policy.optimizer._optimizer_step_pre_hooks)


class TestAgentHost(HostContract):
    def make(self) -> HostUnderTest:
        return Learning()

    def test_it_begins_at_another_start_or_says_that_it_cannot(self) -> None:
        """A start that an agent can have is in use once it was written."""
        training = self.make()
        asked = {"learning_rate": 1e-4, "discount": 0.9, "epochs": 4.0, "batch_size": 8.0}
        training.host.start_at(asked)
        training.host.write(training.host.initial)
        read = training.read()
        assert {name: read[name] for name in asked} == pytest.approx(asked)

    def test_what_is_written_is_in_use_and_read_back(self) -> None:
        """Whole numbers are rounded, and minibatches divide a rollout."""
        training = self.make()
        used = training.host.write({"epochs": 1.4, "batch_size": 10.0, "discount": 0.9})
        assert used == {"epochs": 1.0, "batch_size": 8.0, "discount": 0.9}
        read = training.read()
        assert {name: read[name] for name in used} == used


def begun_at(**rates: float) -> Policy:
    """Make a policy that moves nothing, with a learning rate to begin from for each kind of run."""
    names = ("learning_rate", "discount")
    cases = [
        StartCase(kind=kind, values={"learning_rate": rate, "discount": 0.9})
        for kind, rate in rates.items()
    ]
    last = StartCase(values={"learning_rate": 0.05, "discount": 0.95})
    return replace(make_policy(names, level=0.0), learned_start=LearnedStart(cases=(*cases, last)))


@pytest.mark.parametrize(
    ("kind", "env", "rate"),
    [
        ("PPO", "CartPole-v1", 0.01),
        ("PPO", "Pendulum-v1", 0.02),
        ("A2C", "CartPole-v1", 0.03),
        ("A2C", "Pendulum-v1", 0.03),
    ],
)
def test_a_run_begins_where_its_kind_does_best_and_gives_the_users_values_back(
    kind: str, env: str, rate: float
) -> None:
    policy = begun_at(**{DISCRETE: 0.01, CONTINUOUS: 0.02, "a2c": 0.03})
    agent, used = watched(kind, env=env)
    before = in_use(agent)
    for _ in range(2):
        callback = make_callback(policy)
        learn(agent, callback, 2)
        assert callback.run.decisions[0].values == {"learning_rate": rate, "discount": 0.9}
        assert in_use(agent) == before
    assert {(one["learning_rate"], one["discount"]) for one in used} == {(rate, 0.9)}
    used.clear()
    learn(agent, make_callback(policy, start="user"), 2)
    assert used == [before, before]


def test_nobodys_schedule_and_no_dqn_is_begun_elsewhere() -> None:
    schedule = sb3.common.utils.LinearSchedule(0.01, 0.001, 1.0)
    for options in ({"learning_rate": schedule}, {"kind": "DQN"}):
        callback = make_callback(begun_at())
        agent = make_agent(**options)
        learn(agent, callback, 4)
        assert callback.run.decisions[0].values["discount"] == 0.99
        with pytest.raises(ConfigurationError, match="start='learned'"):
            learn(agent, make_callback(begun_at(), start="learned"), 4)


def test_the_first_update_learns_by_the_discount_that_is_begun_with() -> None:
    first = []
    for discount, options in ((0.95, {}), (0.95, {"start": "user"}), (0.5, {})):
        agent = make_agent(gamma=discount)
        buffer, train = agent.rollout_buffer, agent.train

        def train_and_note(buffer: Any = buffer, train: Any = train) -> None:
            first.append(buffer.advantages.copy())
            train()

        agent.train = train_and_note
        learn(agent, make_callback(begun_at(), **options), 1)
    np.testing.assert_array_equal(first[0], first[1])
    np.testing.assert_array_equal(first[0], first[2])


@pytest.mark.parametrize(("kind", "is_known"), [("PPO", True), ("A2C", True), ("DQN", False)])
def test_the_policy_that_is_shipped_steers_by_its_name_what_it_knows(
    kind: str, is_known: bool
) -> None:
    from hpo_env.integrations.sb3 import HPOControlCallback

    agent = make_agent(kind)
    before = in_use(agent)
    callback = HPOControlCallback("reinforcement", num_decisions=4)
    learn(agent, callback, 6)
    assert callback.run is not None
    rates = [decision.values["learning_rate"] for decision in callback.run.decisions]
    assert (len(set(rates)) > 1) == is_known
    assert rates[0] == pytest.approx(before["learning_rate"], rel=3.1)  # from the user's own value
    assert in_use(agent) == before
