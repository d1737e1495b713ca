"""Opponents that act in the environment, step by step, as an agent does in training.

An interval that fails is rolled back by the environment's guard, is lost, and is charged like any
other.

Axes: `E` runs, `N` lanes, `D` observation fields, `H` controlled hyperparameters, `T` decision
intervals.
"""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.vector_env import HPOControlVectorEnv

from .base import Instance, Opponent, Outcome, Prepared
from .driving import running_order
from .lanes import Workload

Array = NDArray[np.float64]
Act = Callable[[NDArray[np.float32]], Array]
"""Turns observations `[N, D]` into moves `[N, H]` in `[-1, 1]`."""


def check_fits(policy: Policy, space: HyperparameterSpace, family: str) -> None:
    """Check that a policy moves what a family has, in the same ranges, scales and steps.

    Raises:
        ConfigurationError: It does not.
    """
    for trained in policy.space.hyperparameters:
        if trained.name not in space.names:
            names = ", ".join(map(repr, space.names))
            raise ConfigurationError(
                f"the policy moves {trained.name!r}, and family {family!r} has {names} only; take "
                f"a policy that was trained on {family!r} (this one: {policy.family!r})"
            )
        present = space.hyperparameters[space.index(trained.name)]
        if trained != present:
            raise ConfigurationError(
                f"the policy moves {trained}, but family {family!r} has {present}; "
                "train it again on this family"
            )


@dataclass(frozen=True, kw_only=True)
class InEnvironment(Opponent):
    """One run in the policy's environment.

    Args:
        policy: The controller's, with its base schedule and its hyperparameters.
    """

    policy: Policy

    @abstractmethod
    def start(self, env: HPOControlVectorEnv, instances: Sequence[Instance]) -> Act:
        """Begin runs in all lanes of an environment with continuous actions.

        Args:
            env: The environment, about to be reset.
            instances: What runs in its lanes, N.
        """

    def run(
        self, workload: Workload, instances: Sequence[Instance], prepared: Prepared
    ) -> list[Outcome]:
        """See `Opponent.run`.

        Raises:
            ConfigurationError: The policy does not fit the family.
        """
        check_fits(self.policy, workload.space, workload.family)
        order = sorted(range(len(instances)), key=lambda i: running_order(instances[i].task))
        outcomes: dict[int, Outcome] = {}
        for first in range(0, len(order), workload.max_lanes):
            batch = order[first : first + workload.max_lanes]
            reached = self._run(workload, [instances[i] for i in batch])
            outcomes |= dict(zip(batch, reached, strict=True))
        return [outcomes[i] for i in range(len(instances))]

    def environment(self, workload: Workload, instances: Sequence[Instance]) -> HPOControlVectorEnv:
        """Build the environment in which instances run, a lane each."""
        return HPOControlVectorEnv(
            len(instances),
            family=workload.family,
            hyperparameters=self.policy.space.names,
            base_schedule=self.policy.base_schedule,
            action_mode="continuous",
            on_divergence="roll_back",
            autoreset_mode=AutoresetMode.DISABLED,
            tasks=[instance.task for instance in instances],
            engine=workload.engine,
            device=workload.device,
            **workload.options,
        )

    def _run(self, workload: Workload, instances: Sequence[Instance]) -> list[Outcome]:
        before, deciding = time.perf_counter(), 0.0
        env = self.environment(workload, instances)
        act = self.start(env, instances)
        observations, info = env.reset(seed=[instance.lane_seed for instance in instances])
        record = _Record(instances, env.space.names, info["validation_loss"])
        while record.running.any():
            asked = time.perf_counter()
            moves = act(observations)
            deciding += time.perf_counter() - asked
            observations, _, terminated, _, info = env.step(moves)
            record.take(info, terminated)
            if terminated.any() and record.running.any():
                # Such a lane runs on with an episode that nobody looks at.
                observations, _ = env.reset(options={"reset_mask": terminated})
        env.close()
        elapsed, share = time.perf_counter() - before, 1.0 / len(instances)
        return [
            record.outcome(
                slot,
                interval_updates=workload.interval_updates(instances[slot].task),
                train_seconds=(elapsed - deciding) * share,
                overhead_seconds=deciding * share,
            )
            for slot in range(len(instances))
        ]


class _Record:
    """What the lanes' first episodes measured.

    Args:
        instances: What runs, N.
        names: Of all hyperparameters of the family.
        first_loss: Validation losses before the first update `[N]`.
    """

    def __init__(
        self, instances: Sequence[Instance], names: Sequence[str], first_loss: Array
    ) -> None:
        num_lanes = len(instances)
        self._lengths = [instance.task.num_decisions for instance in instances]
        shape = (num_lanes, max(self._lengths))
        self._interval = 0
        self._first_loss = first_loss.copy()
        self._losses = np.full(shape, np.nan)
        self._values = {name: np.full(shape, np.nan) for name in names}
        self._test = {n: np.full(num_lanes, np.nan) for n in ("test_loss", "test_metric")}
        self._diverged = np.zeros(num_lanes, dtype=bool)
        self.running = np.ones(num_lanes, dtype=bool)
        """Which lanes' first episodes go on `[N]`."""

    def take(self, info: dict[str, Any], terminated: NDArray[np.bool_]) -> None:
        """Note what an interval measured in the lanes that still run."""
        running, ended = self.running, self.running & terminated
        self._losses[running, self._interval] = info["validation_loss"][running]
        for name, values in self._values.items():
            values[running, self._interval] = info["hyperparameters"][name][running]
        if ended.any():
            self._diverged[ended] = info["diverged"][ended]
            for name, measured in self._test.items():
                measured[ended] = info[name][ended]
        self._interval += 1
        self.running = running & ~terminated

    def outcome(
        self, slot: int, *, interval_updates: int, train_seconds: float, overhead_seconds: float
    ) -> Outcome:
        """Return what a lane reached."""
        length, diverged = self._lengths[slot], bool(self._diverged[slot])
        values = {name: curve[slot, :length] for name, curve in self._values.items()}
        num_trained = int(np.isfinite(next(iter(values.values()))).sum())
        losses = self._losses[slot, :length].copy()
        if diverged:
            losses[num_trained - 1 :] = np.nan
        test_loss, test_metric = (
            np.nan if diverged else float(measured[slot]) for measured in self._test.values()
        )
        last_loss, num_updates = float(losses[num_trained - 1]), num_trained * interval_updates
        return Outcome(
            first_loss=float(self._first_loss[slot]),
            last_loss=last_loss,
            test_loss=test_loss,
            test_metric=test_metric,
            diverged=diverged,
            hyperparameters=values,
            validation_loss=losses,
            trial_validation_loss=np.array([last_loss]),
            trial_test_loss=np.array([test_loss]),
            trial_intervals=np.array([num_trained]),
            spent_updates=np.array([num_updates]),
            num_updates=num_updates,
            train_seconds=train_seconds,
            overhead_seconds=overhead_seconds,
        )
