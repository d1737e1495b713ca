"""All that a learner is, as one array of floats and one of counters; `native/lane.hpp` agrees.

A snapshot is a copy of both, and the kernel and its twin in NumPy work on the same memory.

Axes: `P` weights, `E` environments, `R` steps of a rollout or of a replay buffer, time by time the
environments side by side, `D` numbers in an observation, `A` outputs of the actor, padded to
`HEAD`.
"""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hpo_env.seeding import stream
from hpo_env.tasks.reinforcement.environments.base import MAX_PHYSICS
from hpo_env.tasks.reinforcement.environments.registry import NUMBER
from hpo_env.tasks.reinforcement.task import Algorithm, ReinforcementTask

Floats = NDArray[np.float32]

HEAD = 16
"""Columns of the actor's last layer."""

MAX_ENVS = 32
"""Environments side by side, at most."""

SETTINGS = (
    "type",
    "algorithm",
    "hidden",
    "num_envs",
    "num_steps",
    "num_rollouts",
    "normalises",
    "stretch",
    "buffer_size",
    "total_steps",
)
"""Whole numbers that say what a learner is like."""

ALGORITHMS: tuple[Algorithm, ...] = ("ppo", "a2c", "dqn")

_GAINS = {"body": math.sqrt(2.0), "actor": 0.01, "critic": 1.0}
"""Scale of the orthogonal matrices, as in Stable-Baselines3's `ActorCriticPolicy`."""

NUM_COUNTERS = 3
"""Of a learner, before the random states of its environments: its own random state, its updates,
and in Q-learning the steps that its environments have made together."""


class Part(NamedTuple):
    """Where a part of the memory lies."""

    start: int
    shape: tuple[int, ...]

    @property
    def end(self) -> int:
        """The first place after it."""
        return self.start + math.prod(self.shape)


@cache
def weights_of(algorithm: Algorithm, inputs: int, hidden: int) -> dict[str, Part]:
    """Return where each matrix and bias lies among the weights; rows belong to inputs."""
    shapes = {
        f"{net}.{name}": shape
        for net, width in _nets(algorithm)
        for name, shape in (
            ("first", (inputs, hidden)),
            ("first_bias", (hidden,)),
            ("second", (hidden, hidden)),
            ("second_bias", (hidden,)),
            ("head", (hidden, width)),
            ("head_bias", (width,)),
        )
    }
    return _placed({**shapes, "log_std": (HEAD,)})


def _nets(algorithm: Algorithm) -> tuple[tuple[str, int], tuple[str, int]]:
    """Return the names of both nets and the columns of their last layers."""
    if algorithm == "dqn":
        return ("actor", HEAD), ("target", HEAD)
    return ("actor", HEAD), ("critic", 1)


@cache
def parts_of(
    algorithm: Algorithm,
    inputs: int,
    width: int,
    state_size: int,
    hidden: int,
    num_envs: int,
    num_kept: int,
) -> dict[str, Part]:
    """Return where each part of a learner's memory lies.

    Args:
        algorithm: By which it learns.
        inputs: `D`.
        width: Numbers of an action.
        state_size: Numbers of an environment's state.
        hidden: Units of a hidden layer.
        num_envs: `E`.
        num_kept: `R`.
    """
    count = max(part.end for part in weights_of(algorithm, inputs, hidden).values())
    if algorithm == "dqn":
        kept = {"following": (num_kept, inputs), "ended": (num_kept,)}
    else:
        kept = dict.fromkeys(("values", "log_probs", "first"), (num_kept,))
    return _placed(
        {
            **dict.fromkeys(("weights", "moment", "square"), (count,)),
            "states": (num_envs, state_size),
            **dict.fromkeys(
                ("returns", "lengths", "starts", "discounted", "last_values", "phases"), (num_envs,)
            ),
            "held": (num_envs, width),
            "seen": (num_envs, inputs),
            "seen_mean": (inputs,),
            "seen_var": (inputs,),
            "scales": (4,),
            "observations": (num_kept, inputs),
            "actions": (num_kept, width),
            "rewards": (num_kept,),
            **kept,
        }
    )


def _placed(shapes: dict[str, tuple[int, ...]]) -> dict[str, Part]:
    placed, start = {}, 0
    for name, shape in shapes.items():
        placed[name] = Part(start, shape)
        start = placed[name].end
    return placed


def settings_of(task: ReinforcementTask) -> NDArray[np.int64]:
    """Return the settings of a task's learner `[len(SETTINGS)]`."""
    known = {
        "type": NUMBER[task.environment],
        "algorithm": ALGORITHMS.index(task.algorithm),
        "hidden": task.hidden,
        "num_envs": task.num_envs,
        "num_steps": task.num_steps,
        "num_rollouts": task.rollouts_per_decision,
        "normalises": int(task.normalises),
        "stretch": task.stretch,
        "buffer_size": task.buffer_size,
        "total_steps": task.total_steps,
    }
    return np.array([known[name] for name in SETTINGS], dtype=np.int64)


class Learner:
    """The memory of one learner.

    Args:
        task: What it learns.
        seed: The episode seed, from which weights and all random streams follow.

    Attributes:
        numbers: All floats, float32.
        counters: See `NUM_COUNTERS`; then the random states of the environments.
        settings: See `SETTINGS`.
        physics: Padded, float32 `[MAX_PHYSICS]`.
    """

    def __init__(self, task: ReinforcementTask, seed: int) -> None:
        self.task = task
        rules = task.rules
        self.settings = settings_of(task)
        self.physics = np.zeros(MAX_PHYSICS, dtype=np.float32)
        self.physics[: len(task.numbers)] = task.numbers
        width = 1 if rules.is_discrete else rules.num_outputs
        is_dqn = task.algorithm == "dqn"
        self._parts = parts_of(
            task.algorithm,
            rules.observation_size,
            width,
            rules.state_size,
            task.hidden,
            task.num_envs,
            (task.buffer_size // task.num_envs if is_dqn else task.num_steps) * task.num_envs,
        )
        self.numbers = np.zeros(max(p.end for p in self._parts.values()), dtype=np.float32)
        draws = stream(seed, "randoms").integers(2**63, size=1 + task.num_envs)
        self.counters = np.zeros(NUM_COUNTERS + task.num_envs, dtype=np.uint64)
        self.counters[0], self.counters[NUM_COUNTERS:] = draws[0], draws[1:]
        self._draw_weights(stream(seed, "weights"))

    def part(self, name: str) -> Floats:
        """Return a part of the memory, a view."""
        place = self._parts[name]
        return self.numbers[place.start : place.end].reshape(place.shape)

    def views_of(self, name: str) -> dict[str, Floats]:
        """Return the matrices and biases of "weights", "moment" or "square", views."""
        row, task = self.part(name), self.task
        places = weights_of(task.algorithm, task.rules.observation_size, task.hidden)
        return {key: row[p.start : p.end].reshape(p.shape) for key, p in places.items()}

    def _draw_weights(self, rng: np.random.Generator) -> None:
        outputs = self.task.rules.num_outputs
        if self.task.algorithm == "dqn":
            self._draw_evenly(rng, outputs)
            return
        for name, view in self.views_of("weights").items():
            net, _, layer = name.partition(".")
            if layer in ("first", "second"):
                view[:] = _GAINS["body"] * _orthogonal(rng, *view.shape)
            elif layer == "head":
                columns = outputs if net == "actor" else 1
                view[:, :columns] = _GAINS[net] * _orthogonal(rng, len(view), columns)

    def _draw_evenly(self, rng: np.random.Generator, outputs: int) -> None:
        """Draw as torch's `Linear` does, within a root of the inputs; the target is a copy."""
        views = self.views_of("weights")
        for layer in ("first", "second", "head"):
            matrix, bias = views[f"actor.{layer}"], views[f"actor.{layer}_bias"]
            columns = outputs if layer == "head" else len(bias)
            bound = 1.0 / math.sqrt(len(matrix))
            matrix[:, :columns] = rng.uniform(-bound, bound, (len(matrix), columns))
            bias[:columns] = rng.uniform(-bound, bound, columns)
            views[f"target.{layer}"][:], views[f"target.{layer}_bias"][:] = matrix, bias


def _orthogonal(rng: np.random.Generator, rows: int, columns: int) -> NDArray[np.float64]:
    """Draw a matrix with orthonormal rows or columns, whichever are fewer, evenly."""
    drawn = rng.standard_normal((max(rows, columns), min(rows, columns)))
    q, r = np.linalg.qr(drawn)
    q = q * np.sign(np.diag(r))
    return np.asarray(q if rows >= columns else q.T)
