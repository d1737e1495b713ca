"""Augmented random search: a linear policy whose weights follow what random changes earn.

Mania, Guy and Recht, "Simple random search of static policies is a competitive approach to
reinforcement learning" (2018), algorithm 2 with top directions and without normalised observations,
which lie in `[-1, 1]` here. Each direction is tried forwards and backwards on the same task with
the same seed, in two neighbouring lanes. The scale of a step is the spread of the returns about the
mean of their pair, since tasks differ by far more than policies do.

It needs neither gradients nor torch: a floor that agents with networks have to beat, and the
smallest example of a learner.

Axes: `N` lanes, `K = N / 2` directions, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.policy import Policy
from hpo_env.seeding import MAX_EPISODE_SEED, stream
from hpo_env.tasks.registry import registered_name

from .base import Learner, State, Watcher, segment_seed
from .provenance import describe
from .settings import ARSSettings
from .stepping import Array, Env, Stepper

_FINAL_RATE = 0.02  # share of the step length left at the end
_NO_SPREAD = 1e-8  # returns this close say nothing


class AugmentedRandomSearch(Learner):
    """See the module; arguments are those of `Learner`."""

    name = "ars"
    settings = ARSSettings
    action_modes = ("continuous",)

    def __init__(self, settings: ARSSettings, env: Env, *, seed: int, total_steps: int) -> None:
        self._settings = settings
        self._lanes = Stepper(env)
        self._seed = seed
        self._total_steps = total_steps
        self._num_steps = 0
        # The last column is the bias. At 0 the policy does nothing: there the search starts.
        self._weights = np.zeros((len(env.controlled), len(env.observation_docs) + 1))
        self._rng = stream(segment_seed(seed, 0), "ars")

    @property
    def num_steps(self) -> int:
        """See `Learner.num_steps`."""
        return self._num_steps

    def learn(self, until_steps: int, watcher: Watcher) -> None:
        """See `Learner.learn`; a search that the budget cuts short compares what it has seen."""
        while self._num_steps < until_steps:
            rate = self._rate()
            directions = self._rng.standard_normal((self._num_pairs, *self._weights.shape))
            forwards, backwards = self._returns(directions, until_steps, watcher)
            self._weights = self._weights + rate * self._step(directions, forwards, backwards)
            watcher.record("train/learning_rate", rate)
            watcher.rolled_out(self._num_steps)

    def moves(
        self, observations: NDArray[np.float32], state: Any, starts: NDArray[np.bool_]
    ) -> tuple[Array, Any]:
        """See `Learner.moves`."""
        return np.clip(_extended(observations) @ self._weights.T, -1.0, 1.0), None

    def seed(self, segment: int) -> None:
        """See `Learner.seed`; every search starts new episodes anyway."""
        self._rng = stream(segment_seed(self._seed, segment), "ars")

    def state(self) -> State:
        """See `Learner.state`."""
        return {"weights": self._weights.copy(), "num_steps": self._num_steps}

    def load(self, state: Mapping[str, Any]) -> None:
        """See `Learner.load`."""
        self.begin_with(state)
        self._num_steps = int(state["num_steps"])

    def begin_with(self, state: Mapping[str, Any]) -> None:
        """See `Learner.begin_with`."""
        weights = np.array(state["weights"], dtype=np.float64)
        if weights.shape != self._weights.shape:
            raise ValueError(f"weights of shape {weights.shape} in place of {self._weights.shape}")
        self._weights = weights

    def policy(self, metadata: Mapping[str, object]) -> Policy:
        """See `Learner.policy`."""
        env = self._lanes.env
        weights = self._weights.astype(np.float32)
        return Policy(
            family=registered_name(type(env.family)),
            space=env.controlled,
            base_schedule=env.base_schedule,
            head="clipped",
            activation="tanh",
            weights=(np.ascontiguousarray(weights[:, :-1]),),
            biases=(np.ascontiguousarray(weights[:, -1]),),
            metadata=describe("ARS", self._num_steps, ("gymnasium", "numpy"), metadata),
            loss_floor=env.family.loss_floor,
            learned_start=env.family.learned_start
            and env.family.learned_start.subset(env.controlled.names),
            kinds=env.family.kinds,
        )

    @property
    def _num_pairs(self) -> int:
        return self._lanes.env.num_envs // 2

    def _rate(self) -> float:
        left = 1.0 - self._num_steps / self._total_steps
        return self._settings.learning_rate * max(left, _FINAL_RATE)

    def _returns(
        self, directions: Array, until_steps: int, watcher: Watcher
    ) -> tuple[Array, Array]:
        """Run an episode in each lane; returns of going forwards and of going backwards, `[K]`."""
        noise = self._settings.noise * directions
        tried = np.stack([self._weights + noise, self._weights - noise], axis=1)
        tried = tried.reshape(-1, *self._weights.shape)  # [N, H, D + 1], pairs side by side
        seeds = np.repeat(self._rng.integers(MAX_EPISODE_SEED, size=self._num_pairs), 2)
        observations = self._lanes.reset(seeds.tolist())
        num_lanes = len(tried)
        returns, running = np.zeros(num_lanes), np.ones(num_lanes, dtype=bool)
        while running.any() and self._num_steps < until_steps:
            moves = np.einsum("nhd,nd->nh", tried, _extended(observations))
            observations, rewards, *_ = self._lanes.step(np.clip(moves, -1.0, 1.0))
            step = self._lanes.last
            assert step is not None
            returns += np.where(running, rewards, 0.0)
            running &= ~step.ended  # lanes that end early go on with an episode nobody counts
            self._num_steps += num_lanes
            watcher.stepped(step, self._num_steps)
        return returns[0::2], returns[1::2]

    def _step(self, directions: Array, forwards: Array, backwards: Array) -> Array:
        """Return the step of the weights `[H, D + 1]`, before its length is applied."""
        num_kept = max(1, round(self._settings.top_share * len(directions)))
        best = np.argsort(-np.maximum(forwards, backwards), kind="stable")[:num_kept]
        gains = (forwards - backwards)[best]
        spread = float(np.sqrt(np.mean(gains**2)) / 2.0)
        if not spread > _NO_SPREAD:
            return np.zeros_like(self._weights)
        return np.asarray(np.tensordot(gains, directions[best], axes=1) / (num_kept * spread))


def _extended(observations: NDArray[np.float32]) -> Array:
    """Append the constant that the bias multiplies: `[N, D + 1]`."""
    return np.pad(observations.astype(np.float64), ((0, 0), (0, 1)), constant_values=1.0)
