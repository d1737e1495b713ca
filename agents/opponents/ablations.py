"""The controller, and moves drawn at random in its place: both act in the environment.

They are methods of `agents.evaluation.methods`, run by `agents.evaluation.protocol`; an interval
that fails is taken back by the environment's guard, is lost, and is charged like any other.

Axes: `N` lanes, `D` observation fields, `H` controlled hyperparameters, `T` decision intervals.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from agents.evaluation.methods import Act, Controlled, Method
from agents.evaluation.protocol import Results, run_method
from agents.opponents.base import Instance, Opponent, Outcome, Prepared, Setup
from agents.opponents.lanes import Bench
from hpo_env.hyperparameters import LEVELS, HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.tasks.base import Task
from hpo_env.vector_env import HPOControlVectorEnv, OnDivergence

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class InEnvironment(Opponent):
    """One run in the policy's environment.

    Args:
        policy: The controller's, with its base schedule and its hyperparameters.
    """

    policy: Policy

    def run(self, bench: Bench, instances: Sequence[Instance], prepared: Prepared) -> list[Outcome]:
        """See `Opponent.run`."""
        outcomes: dict[int, Outcome] = {}
        for seed in sorted({instance.seed for instance in instances}):
            places = [i for i, instance in enumerate(instances) if instance.seed == seed]
            tasks = [instances[i].task for i in places]
            for i, outcome in zip(places, self._run(bench, tasks, seed), strict=True):
                outcomes[i] = outcome
        return [outcomes[i] for i in range(len(instances))]

    def _run(self, bench: Bench, tasks: Sequence[Task], seed: int) -> list[Outcome]:
        method = _Timed(self.method(seed))
        before = time.perf_counter()
        results = run_method(
            method,
            tasks,
            [seed],
            family=bench.family,
            engine=bench.engine,
            device=bench.device,
            max_lanes=bench.max_lanes,
            **bench.options,
        )
        elapsed = time.perf_counter() - before
        overhead, share = method.seconds, 1.0 / len(tasks)
        return [
            _outcome(
                results,
                e,
                updates_per_decision=bench.updates_per_decision,
                train_seconds=(elapsed - overhead) * share,
                overhead_seconds=overhead * share,
            )
            for e in range(len(tasks))
        ]

    @abstractmethod
    def method(self, seed: int) -> Method:
        """Return what acts on the instances of one seed."""


class _Timed(Method):
    """A method whose decisions are timed; observing counts as training.

    Args:
        method: What decides.
    """

    def __init__(self, method: Method) -> None:
        self.name = method.name
        self.base_schedule = method.base_schedule
        self.hyperparameters = method.hyperparameters
        self.on_divergence = method.on_divergence  # type: ignore[misc]
        self.seconds = 0.0
        self._method = method

    def prepare(self, task: Task, space: HyperparameterSpace) -> Task:
        """Prepare as the method does."""
        return self._method.prepare(task, space)

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Start the method."""
        act = self._method.start(env, seed)

        def timed(observations: NDArray[np.float32]) -> Array:
            before = time.perf_counter()
            moves = act(observations)
            self.seconds += time.perf_counter() - before
            return moves

        return timed


def _outcome(
    results: Results,
    e: int,
    *,
    updates_per_decision: int,
    train_seconds: float,
    overhead_seconds: float,
) -> Outcome:
    """Turn entry `e` of results into an outcome."""
    num_intervals = results.tasks[e].num_decisions
    hyperparameters = {n: v[e, :num_intervals] for n, v in results.hyperparameters.items()}
    num_trained = int(np.isfinite(next(iter(hyperparameters.values()))).sum())
    diverged = bool(results.diverged[e])
    validation_loss = results.validation_loss[e, :num_intervals].copy()
    test_loss, test_metric = float(results.test_loss[e]), float(results.test_metric[e])
    if diverged:
        validation_loss[num_trained - 1 :] = test_loss = test_metric = np.nan
    last_loss, num_updates = float(results.last_loss[e]), num_trained * updates_per_decision
    return Outcome(
        first_loss=float(results.first_loss[e]),
        last_loss=last_loss,
        test_loss=test_loss,
        test_metric=test_metric,
        diverged=diverged,
        hyperparameters=hyperparameters,
        validation_loss=validation_loss,
        trial_validation_loss=np.array([last_loss]),
        trial_test_loss=np.array([test_loss]),
        trial_intervals=np.array([num_trained]),
        spent_updates=np.array([num_updates]),
        num_updates=num_updates,
        train_seconds=train_seconds,
        overhead_seconds=overhead_seconds,
    )


@dataclass(frozen=True, kw_only=True)
class Controller(InEnvironment):
    """The policy."""

    def method(self, seed: int) -> Method:
        """Return the policy as a method."""
        return Controlled(name=self.name, policy=self.policy)


@dataclass(frozen=True, kw_only=True)
class RandomPolicy(InEnvironment):
    """Moves drawn evenly from the discrete levels: what a policy that learned nothing does."""

    def method(self, seed: int) -> Method:
        """Return random moves that follow from the seed and the tasks."""
        return _RandomMoves(self.name, self.policy, seed)


class _RandomMoves(Method):
    """Random moves of which each lane has a stream of its own, whatever runs beside it.

    Args:
        name: As it appears in tables.
        policy: Whose base schedule and hyperparameters are moved.
        seed: Of the instances.
    """

    on_divergence: ClassVar[OnDivergence] = "roll_back"

    def __init__(self, name: str, policy: Policy, seed: int) -> None:
        self.name = name
        self.base_schedule = policy.base_schedule
        self.hyperparameters = policy.space.names
        self._seed = seed

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Begin the streams of the environment's tasks."""
        assert env.tasks_given is not None
        instances = [Instance(task=task, seed=self._seed) for task in env.tasks_given]
        rngs = [instance.rng("random moves") for instance in instances]
        width = len(env.controlled)
        return lambda observations: np.array([rng.choice(LEVELS, width) for rng in rngs])


def controller(name: str, setup: Setup) -> Opponent:
    """The setup's policy in its environment."""
    return Controller(name=name, policy=setup.policy)


def random_moves(name: str, setup: Setup) -> Opponent:
    """Random moves of what the setup's policy moves, on its base schedule."""
    return RandomPolicy(name=name, policy=setup.policy)
