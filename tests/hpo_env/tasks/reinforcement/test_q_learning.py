"""DQN's lanes: the kernel is its NumPy twin, and both learn as Stable-Baselines3's DQN does."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.seeding import stream
from hpo_env.tasks.reinforcement.columns import COLUMNS
from hpo_env.tasks.reinforcement.dqn import LEARNING_STARTS, TRAIN_FREQ, exploration
from hpo_env.tasks.reinforcement.environments.base import Random
from hpo_env.tasks.reinforcement.family import ReinforcementFamily
from hpo_env.tasks.reinforcement.learning import Progress
from hpo_env.tasks.reinforcement.memory import HEAD, Learner
from hpo_env.tasks.reinforcement.native.kernel import Kernel
from hpo_env.tasks.reinforcement.reference import Reference
from hpo_env.tasks.reinforcement.space import DQN_CONTROLLED, NAMES
from hpo_env.testing import ParityContract

SITUATIONS: dict[str, dict[str, Any]] = {
    "alone": {"environment": "cart_pole", "shape": (1, 64, 1)},
    "wide": {"environment": "catch", "hidden": 64, "shape": (1, 64, 1)},
    "side by side": {"environment": "river_swim", "shape": (4, 64, 1)},
    "stretched": {"environment": "catch", "shape": (2, 64, 1), "stretch": 2},
}
VALUES = {
    "learning_rate": 2e-3,
    "discount": 0.95,
    "batch_size": 48.0,
    "max_grad_norm": 0.7,
    "reward_scale": 0.5,
    "target_update_interval": 40.0,
}
MEASURED = (
    "num_episodes",
    "reward_mean",
    "value_loss",
    "gradient_norm",
    "clipped_share",
    "gradient_norm_first",
    "gradient_norm_last",
    "update_ratio",
)


def learner_of(name: str, seed: int = 3, **change: Any) -> tuple[Learner, np.ndarray]:
    options: dict[str, Any] = {"start": "default", "num_decisions": 4} | SITUATIONS[name] | change
    task = ReinforcementFamily(algorithm="dqn", **options).sample(np.random.default_rng(1))
    initial = dict(zip(NAMES, task.initial, strict=True)) | VALUES
    task = replace(task, initial=tuple(initial[known] for known in NAMES))
    return Learner(task, seed), np.array([task.initial])


def named(row: np.ndarray) -> dict[str, float]:
    return dict(zip(COLUMNS, row.tolist(), strict=True))


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_kernel_plays_and_learns_as_its_twin(name: str) -> None:
    """From the same memory, and around the end of a buffer that holds less than the run."""
    kernel, twin = Kernel(), Reference()
    (fast, values), (plain, _) = learner_of(name), learner_of(name)
    one, other = kernel.begin([fast], values), twin.begin([plain], values)
    for _ in range(3):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4, err_msg=name)
        assert np.array_equal(fast.counters, plain.counters)
        np.testing.assert_allclose(fast.numbers, plain.numbers, rtol=2e-3, atol=5e-4)
        fast.numbers[:] = plain.numbers
        one, other = kernel.advance([fast], values), twin.advance([plain], values)
    measured = named(one[0])
    assert all(np.isfinite(measured[known]) for known in MEASURED), measured
    assert np.isnan(measured["approx_kl"])
    assert measured["update_ratio"] > 1e-3
    seeds = np.array([17], dtype=np.uint64)
    one, other = kernel.evaluate([fast], 3, seeds), twin.evaluate([fast], 3, seeds)
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-3)


def test_a_buffer_that_is_full_forgets_the_oldest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpo_env.tasks.reinforcement.task.MOST_KEPT", 150)
    kernel, twin = Kernel(), Reference()
    (fast, values), (plain, _) = learner_of("alone"), learner_of("alone")
    kernel.begin([fast], values)
    twin.begin([plain], values)
    for _ in range(2):  # 104 steps and then 168
        fast.numbers[:] = plain.numbers
        kernel.advance([fast], values)
        twin.advance([plain], values)
    assert len(fast.part("rewards")) == 150
    assert fast.counters[2] == 104 + 2 * 64
    np.testing.assert_allclose(fast.numbers, plain.numbers, rtol=2e-3, atol=5e-4)


def test_the_target_is_a_copy_as_often_as_is_said() -> None:
    kernel = Kernel()
    learner, values = learner_of("alone", shape=(1, 4, 1))
    kernel.begin([learner], values)
    equal = []
    for _ in range(20):
        kernel.advance([learner], values)
        views = learner.views_of("weights")
        equal.append(np.array_equal(views["actor.second"], views["target.second"]))
    # After 108, 112, ... steps: the copies are made at 120 and 160, after the update of that time.
    assert [108 + 4 * k for k in np.flatnonzero(equal)] == [120, 160]


@pytest.mark.parametrize("name", ["alone", "wide"])
def test_an_update_is_that_of_stable_baselines(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the same weights and the same minibatch, number by number."""
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.logger import configure
    from stable_baselines3.common.type_aliases import ReplayBufferSamples

    from hpo_env.integrations.sb3_agents.reference import make_agent
    from hpo_env.tasks.reinforcement import q_learning

    learner, values = learner_of(name)
    twin = Reference()
    twin.begin([learner], values)
    agent = make_agent(learner.task, 0)
    views, outputs = learner.views_of("weights"), learner.task.rules.num_outputs
    for own, net in (("actor", agent.q_net), ("target", agent.q_net_target)):
        for layer, place in (("first", 0), ("second", 2), ("head", 4)):
            columns = outputs if layer == "head" else None
            linear = net.q_net[place]
            with torch.no_grad():
                matrix, bias = views[f"{own}.{layer}"], views[f"{own}.{layer}_bias"]
                linear.weight.copy_(torch.tensor(matrix[:, :columns].T.copy()))
                linear.bias.copy_(torch.tensor(bias[:columns].copy()))
    agent.set_logger(configure(None, []))
    chosen = np.arange(48) * 2
    drawn = iter(chosen)
    monkeypatch.setattr(Random, "below", lambda self, count: next(drawn))
    part = {
        n: torch.tensor(learner.part(n)[chosen].copy())
        for n in ("observations", "actions", "following", "ended", "rewards")
    }
    agent.replay_buffer.sample = lambda *_, **__: ReplayBufferSamples(
        observations=part["observations"],
        actions=part["actions"].long(),
        next_observations=part["following"],
        dones=part["ended"].reshape(-1, 1),
        rewards=part["rewards"].reshape(-1, 1),
    )
    agent.train(gradient_steps=1, batch_size=48)
    progress = Progress()
    row = dict(zip(NAMES, values[0].astype(np.float32), strict=True))
    before = views["actor.second"].copy()
    q_learning._replay(learner, row, progress)
    assert progress.sums["value_loss"] == pytest.approx(agent.logger.name_to_value["train/loss"])
    assert np.abs(views["actor.second"] - before).max() > 1e-3
    for layer, place in (("first", 0), ("second", 2), ("head", 4)):
        columns = outputs if layer == "head" else HEAD * 4
        theirs = agent.q_net.q_net[place].weight.detach().numpy().T
        np.testing.assert_allclose(
            views[f"actor.{layer}"][:, :columns], theirs, rtol=1e-3, atol=3e-5, err_msg=layer
        )


def test_exploration_is_that_of_stable_baselines() -> None:
    pytest.importorskip("stable_baselines3")
    from hpo_env.integrations.sb3_agents.reference import make_agent

    learner, _ = learner_of("alone")
    agent = make_agent(learner.task, 0)
    for share in (0.0, 0.03, 0.1, 0.2, 1.0):
        assert exploration(share) == pytest.approx(agent.exploration_schedule(1.0 - share))
    assert (agent.learning_starts, agent.train_freq.frequency, agent.gradient_steps) == (
        LEARNING_STARTS,
        TRAIN_FREQ,
        1,
    )


@pytest.mark.parametrize("shape", [(1, 40, 1), (2, 24, 1)])
def test_a_users_agent_is_steered_as_the_reference(shape: tuple[int, int, int]) -> None:
    pytest.importorskip("stable_baselines3")
    contract = ParityContract()
    contract.family, contract.engine = "reinforcement", "reference"
    contract.options = {
        "environment": "cart_pole",
        "algorithm": "dqn",
        "shape": shape,
    }
    contract.controlled = (*DQN_CONTROLLED, "batch_size", "max_grad_norm", "reward_scale")
    run = contract.check_parity(contract.random_policy("squashed"), 4)
    assert len({str(decision.values) for decision in run.decisions}) == 4


def test_a_policy_that_knows_dqn_may_begin_at_its_learned_start() -> None:
    pytest.importorskip("stable_baselines3")
    from hpo_env.integrations.sb3 import HPOControlCallback
    from hpo_env.integrations.sb3_agents.reference import make_agent

    family = ReinforcementFamily(algorithm="dqn", environment="cart_pole", start="default")
    contract = ParityContract()
    contract.family, contract.controlled = "reinforcement", DQN_CONTROLLED
    assert family.learned_start is not None
    start = family.learned_start.subset(DQN_CONTROLLED)
    policy = replace(contract.random_policy("squashed"), learned_start=start, kinds=family.kinds)
    task = replace(
        family.sample(np.random.default_rng(0)), num_decisions=2, num_steps=48, num_envs=1
    )
    for asked, interval in ((None, 10_000), ("learned", 250)):
        callback = HPOControlCallback(Controller(policy), num_decisions=2, start=asked)
        make_agent(task, 0).learn(task.total_steps, callback=callback)
        assert callback.run is not None
        assert callback.run.host.initial["target_update_interval"] == interval
        assert [decision.reason for decision in callback.run.decisions] == ["policy"] * 2
    stranger = HPOControlCallback(Controller(replace(policy, kinds=("a2c",))), start="learned")
    with pytest.raises(ConfigurationError, match="not known of DQN"):
        make_agent(task, 0).learn(task.total_steps, callback=stranger)


def test_the_kernel_measures_what_stable_baselines_does() -> None:
    """Runs of both differ, as their random numbers do; what they measure is alike on average."""
    pytest.importorskip("stable_baselines3")
    family = ReinforcementFamily(
        environment="cart_pole",
        algorithm="dqn",
        shape=(1, 256, 1),
        num_decisions=2,
        start="default",
    )
    task = family.sample(stream(0, "task"))
    values = dict(zip(NAMES, task.initial, strict=True)) | {"learning_rate": 1e-3}
    task = replace(task, initial=tuple(values.values()))
    found = {}
    for engine, count in (("reference", 6), ("native", 64)):
        lanes = np.arange(count)
        trainer = family.make_trainer(count, engine=engine, device="cpu")  # type: ignore[arg-type]
        trainer.reset(lanes, [task] * count, list(range(count)))
        telemetry, _ = trainer.advance(np.array([task.initial] * count))
        means = dict(zip(family.features, trainer.features(lanes).mean(axis=0), strict=True))
        for name in ("gradient_norm_first", "gradient_norm_last", "update_ratio"):
            means[name] = float(np.log(getattr(telemetry, name)).mean())
        found[engine] = means
    native = found["native"]
    far = {n: (v, native[n]) for n, v in found["reference"].items() if abs(v - native[n]) > 0.3}
    assert not far, f"the kernel measures otherwise: {far}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"environment": "pendulum"}, "continuous actions"),
        ({"normalises": True}, "normalises must be False"),
        ({"shape": (1, 30, 1)}, "multiple of 4"),
        ({"shape": (1, 32, 2)}, "1 rollout"),
    ],
)
def test_what_dqn_cannot_do_is_said(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        ReinforcementFamily(algorithm="dqn", **options)


def test_tasks_of_dqn_are_of_discrete_actions_and_say_what_they_have() -> None:
    family = ReinforcementFamily(algorithm="dqn", start="random")
    assert family.kinds == ("dqn",)
    drawn = [family.sample(np.random.default_rng(k)) for k in range(40)]
    assert all(task.rules.is_discrete and not task.normalises for task in drawn)
    every = {task.initial[NAMES.index("target_update_interval")] for task in drawn}
    assert len(every) > 30
    assert min(every) < 100 < 1000 < max(every)
    has = dict(zip(NAMES, family.has(drawn[0]).tolist(), strict=True))
    assert has["target_update_interval"]
    assert not has["clip_range"]
    assert drawn[0].total_steps % 4 == 0
