"""The reference: agents of Stable-Baselines3 itself on the family's environments.

Slow, and by definition right: what the kernel does in lanes, an agent of a user's does here. The
trainer steps agents as `learn()` does; the twin is a user's script, `learn()` with the callback.
Both draw the same random numbers, so a policy sees and does the same in both.

Axes: `N` lanes, `n` of them, `H` hyperparameters.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.integrations.extras import require
from hpo_env.integrations.sb3 import HPOControlCallback
from hpo_env.integrations.sb3_agents.gymnasium_twins import TwinEnv, make_twins
from hpo_env.integrations.sb3_agents.host import AgentHost
from hpo_env.integrations.sb3_agents.meter import AgentMeter
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task, TaskFamily, Trainer
from hpo_env.tasks.reinforcement.features import FEATURES
from hpo_env.tasks.reinforcement.returns import regret
from hpo_env.tasks.reinforcement.space import NAMES
from hpo_env.tasks.reinforcement.task import ReinforcementTask
from hpo_env.tasks.reinforcement.trainer import TEST_EPISODES, VALIDATION_EPISODES
from hpo_env.telemetry import Telemetry

_sb3 = require("stable_baselines3", extra="train")
_callbacks = require("stable_baselines3.common.callbacks", extra="train")

Array = NDArray[np.float64]


def make_agent(task: ReinforcementTask, seed: int) -> Any:
    """Make the agent of a task, of Stable-Baselines3's defaults but for what the task says.

    Args:
        task: What it learns, and from which values.
        seed: From which all that is random follows; the global generators are seeded.
    """
    values = dict(zip(NAMES, task.initial, strict=True))
    env = make_twins(task)
    env.reward_scale = values["reward_scale"]
    shared: dict[str, Any] = {
        "learning_rate": values["learning_rate"],
        "gamma": values["discount"],
        "max_grad_norm": values["max_grad_norm"],
        "policy_kwargs": {"net_arch": [task.hidden, task.hidden]},
        "seed": seed % 2**32,  # what NumPy's old generator takes
        "device": "cpu",
    }
    if task.algorithm == "dqn":
        return _sb3.DQN(
            "MlpPolicy",
            env,
            buffer_size=task.buffer_size,
            batch_size=round(values["batch_size"]),
            target_update_interval=round(values["target_update_interval"]),
            **shared,
        )
    shared |= {
        "gae_lambda": values["gae_lambda"],
        "ent_coef": values["entropy"],
        "vf_coef": values["value_coefficient"],
        "n_steps": task.num_steps,
    }
    if task.algorithm == "a2c":
        return _sb3.A2C("MlpPolicy", env, **shared)
    with warnings.catch_warnings():  # of minibatches that leave a rest
        warnings.simplefilter("ignore", UserWarning)
        return _sb3.PPO(
            "MlpPolicy",
            env,
            clip_range=values["clip_range"],
            n_epochs=round(values["epochs"]),
            batch_size=round(values["batch_size"]),
            **shared,
        )


class ReferenceTrainer(Trainer):
    """N agents, one after the other; see `Trainer` for the methods.

    Args:
        num_lanes: `N`.
    """

    def __init__(self, num_lanes: int) -> None:
        self._agents: list[_Agent | None] = [None] * num_lanes

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Make new agents and collect their first rollouts under the initial values."""
        telemetry = Telemetry.missing(len(lanes))
        for row, (lane, task, seed) in enumerate(zip(lanes, tasks, seeds, strict=True)):
            assert isinstance(task, ReinforcementTask)
            kind = _ReplayingAgent if task.algorithm == "dqn" else _Agent
            agent = self._agents[lane] = kind(task, seed)
            telemetry.put(np.array([row]), agent.evaluated(Telemetry.missing(1)))
        return telemetry

    def advance(self, values: Array) -> tuple[Telemetry, Array]:
        """Learn from what was collected and collect anew, as often as an interval has it."""
        telemetry, used = Telemetry.missing(len(values)), values.copy()
        for lane, agent in enumerate(self._chosen(np.arange(len(values)))):
            measured, written = agent.advance(dict(zip(NAMES, values[lane], strict=True)))
            telemetry.put(np.array([lane]), measured)
            for name, value in written.items():
                used[lane, NAMES.index(name)] = value
        return telemetry, used

    def features(self, lanes: NDArray[np.int64]) -> Array:
        """Return what the runs show of themselves `[n, F]`."""
        rows = [list(agent.host.features().values()) for agent in self._chosen(lanes)]
        return np.array(rows).reshape(len(lanes), len(FEATURES))

    def policy_divergence(self, lanes: NDArray[np.int64]) -> Array:
        """See `Trainer.policy_divergence`."""
        return np.array([agent.host.measured("approx_kl") for agent in self._chosen(lanes)])

    def test(self, lanes: NDArray[np.int64]) -> tuple[Array, Array]:
        """Play other episodes; return regret `[n]` and mean return `[n]`."""
        agents = self._chosen(lanes)
        returns = [agent.mean_return("test", TEST_EPISODES) for agent in agents]
        pairs = zip(agents, returns, strict=True)
        regrets = [regret(agent.task.name, agent.task.physics, value) for agent, value in pairs]
        return np.array(regrets), np.array(returns)

    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the weights of the last interval's start, and empty the optimiser's memory."""
        for agent in self._chosen(lanes):
            agent.host.roll_back()

    def snapshot(self, lanes: NDArray[np.int64]) -> Any:
        """Copy the agents of some lanes with their environments."""
        return [agent.copy() for agent in self._chosen(lanes)]

    def restore(self, lanes: NDArray[np.int64], snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes."""
        for lane, agent in zip(lanes, snapshot, strict=True):
            self._agents[lane] = agent.copy()

    def _chosen(self, lanes: NDArray[np.int64]) -> list[_Agent]:
        chosen = [self._agents[lane] for lane in lanes]
        assert None not in chosen, "lanes must be reset first"
        return chosen


class _Agent:
    """One lane: an agent, what measures it, and random numbers of its own."""

    def __init__(self, task: ReinforcementTask, seed: int) -> None:
        self.task, self.seed = task, seed
        with _generators_kept():
            self.model = make_agent(task, seed)
            self.model._setup_learn(task.total_steps, None)
            self._meter = AgentMeter(self.model)
            self._random = _generators()
        self._last: tuple[Any, Any] = (None, None)
        self._collect_first()
        self.host = self._new_host()

    def advance(self, values: Mapping[str, float]) -> tuple[Telemetry, Mapping[str, float]]:
        """Train for an interval; return what it measured and the values that were in force."""
        host, count = self.host, self.task.rollouts_per_decision
        host.begin_interval(count)
        used = host.write({name: values[name] for name in host.initial})
        for _ in range(count):
            host.begin_update(*self._last)
            for _ in range(self._updates_of_rollout):
                with self._own_generators():
                    self._learn()
                host.end_update()
                self._collect()
            host.note_update(None)
        return self.evaluated(host.measure(np.nan)), used

    def evaluated(self, telemetry: Telemetry) -> Telemetry:
        """Fill in the loss: regret on episodes that are the same in every interval."""
        returns = self.mean_return("validation", VALIDATION_EPISODES)
        telemetry.validation_metric[:] = returns
        telemetry.validation_loss[:] = regret(self.task.name, self.task.physics, returns)
        return telemetry

    def mean_return(self, purpose: str, num_episodes: int) -> float:
        """Play whole episodes side by side, acting as while learning; return their mean return."""
        envs = [TwinEnv(self.task.name, self.task.physics) for _ in range(num_episodes)]
        normalizer = self.model.get_vec_normalize_env()
        total, running = 0.0, list(range(num_episodes))
        with _generators_kept():
            torch.manual_seed(int(stream(self.seed, purpose).integers(2**63)))
            np.random.seed(int(stream(self.seed, purpose, "actions").integers(2**32)))
            drawn = stream(self.seed, purpose, "episodes").integers(2**32, size=num_episodes)
            seen = [env.reset(seed=int(k))[0] for env, k in zip(envs, drawn, strict=True)]
            for _ in range(envs[0].max_steps):
                if not running:
                    break
                rows = np.array([seen[k] for k in running])
                rows = rows if normalizer is None else normalizer.normalize_obs(rows)
                actions = self._act(rows)
                for k, action in zip(tuple(running), actions, strict=True):
                    seen[k], reward, is_end, *_ = envs[k].step(action)
                    total += reward
                    if is_end:
                        running.remove(k)
        return total / num_episodes

    def copy(self) -> _Agent:
        """Copy everything, so that both go on alike."""
        self._meter.take_down()  # hooks belong to the parameters that they were hung on
        new = object.__new__(type(self))
        new.task, new.seed = self.task, self.seed
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            new.model, new._random, new._last = copy.deepcopy(
                (self.model, self._random, self._last)
            )
        new._meter = AgentMeter(new.model)
        new.host = new._new_host()
        new.host.load_state_dict(copy.deepcopy(self.host.state_dict()))
        self._meter.hang_up()
        return new

    def _new_host(self) -> AgentHost:
        host = AgentHost(self.model, self._meter, self.task.facts, is_guarded=False)
        self._meter.hang_up()
        return host

    def _collect(self) -> None:
        collector = _Collector(self._meter)
        collector.init_callback(self.model)
        with self._own_generators():
            self.model.collect_rollouts(self.model.env, collector, **self._collecting)
        self._last = tuple(collector.locals.get(name) for name in ("values", "dones"))

    # -------------------------------------------------------------- what differs between algorithms

    @property
    def _updates_of_rollout(self) -> int:
        """How often it learns in what is counted as a rollout."""
        return 1

    @property
    def _collecting(self) -> dict[str, Any]:
        """How much it collects at once, and where to."""
        model = self.model
        return {"rollout_buffer": model.rollout_buffer, "n_rollout_steps": model.n_steps}

    def _collect_first(self) -> None:
        """Collect what there is before the first decision."""
        self._collect()

    def _learn(self) -> None:
        model = self.model
        model._update_current_progress_remaining(model.num_timesteps, self.task.total_steps)
        model.train()

    def _act(self, seen: NDArray[np.float32]) -> Any:
        """Act as while learning."""
        return self.model.predict(seen, deterministic=False)[0]

    @contextmanager
    def _own_generators(self) -> Iterator[None]:
        with _generators_kept():
            _set_generators(self._random)
            yield
            self._random = _generators()


class _ReplayingAgent(_Agent):
    """An agent of DQN, which learns every few steps from what it replays."""

    @property
    def _updates_of_rollout(self) -> int:
        return int(self.task.num_steps // self.model.train_freq.frequency)

    @property
    def _collecting(self) -> dict[str, Any]:
        model = self.model
        return {
            "train_freq": model.train_freq,
            "replay_buffer": model.replay_buffer,
            "learning_starts": model.learning_starts,
        }

    def _collect_first(self) -> None:
        while self.model.num_timesteps <= self.model.learning_starts:
            self._collect()

    def _learn(self) -> None:
        model = self.model
        model.train(batch_size=model.batch_size, gradient_steps=model.gradient_steps)

    def _act(self, seen: NDArray[np.float32]) -> Any:
        """Act by the last exploration, each episode for itself."""
        greedy, _ = self.model.predict(seen, deterministic=True)
        is_random = np.random.rand(len(seen)) < self.model.exploration_final_eps
        drawn = np.random.randint(self.model.action_space.n, size=len(seen))
        return np.where(is_random, drawn, greedy)


class _Collector(_callbacks.BaseCallback):  # type: ignore[misc,name-defined]
    def __init__(self, meter: AgentMeter) -> None:
        super().__init__()
        self._meter = meter

    def _on_step(self) -> bool:
        self._meter.read_step(self.locals["infos"], self.locals["rewards"], self.locals["dones"])
        return True


def train(
    family: TaskFamily, task: ReinforcementTask, seed: int, controller: Controller
) -> Run[AgentHost]:
    """Train a task as a user's script would, by `learn()`; see `TaskFamily.twin`.

    The guard against collapse is left out: lanes have none, so policies do not learn to live by it.
    """
    callback = HPOControlCallback(
        controller, is_guarded=False, num_decisions=task.num_decisions, start="user"
    )
    with _generators_kept():
        make_agent(task, seed).learn(task.total_steps, callback=callback)
    run: Run[AgentHost] | None = callback.run
    assert run is not None
    return run


def _generators() -> tuple[Any, Any, Any]:
    """Return the states of the generators that Stable-Baselines3 draws from."""
    return random.getstate(), np.random.get_state(), torch.get_rng_state()


def _set_generators(states: tuple[Any, Any, Any]) -> None:
    random.setstate(states[0])
    np.random.set_state(states[1])
    torch.set_rng_state(states[2])


@contextmanager
def _generators_kept() -> Iterator[None]:
    """Have the generators of the process be afterwards as they were."""
    states = _generators()
    try:
        yield
    finally:
        _set_generators(states)
