"""Players who throw a few darts around where they stand, and go to one of them.

In each round a player draws `tries` points, normal of standard deviation `width` around its own,
and sees how far from the hidden point they are, with noise. A "greedy" one goes to what looks best,
a "shy" one half the way. Within `HIT` of the hidden point the loss is 0. Wide throws and few tries
lead far away; narrow ones lead nowhere.

Axes: `N` lanes, `K` tries, `P` coordinates.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.reward import has_diverged
from hpo_env.seeding import stream
from hpo_env.tasks.array import ArrayTrainer
from hpo_env.tasks.base import Task
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]

NUM_COORDINATES = 2
MAX_TRIES = 16
HIT = 0.1
NOISE = 0.05
TEST_SHIFT = 0.02
"""How much further away the hidden point is in the test."""

GAMES: dict[str, Callable[[Array], Array]] = {
    "bowl": lambda distance: distance**2,
    "slope": lambda distance: distance,
}
OPTIMIZERS = ("greedy", "shy")
"""Ways of playing; no optimiser that anybody else would call so."""

_STEP = {"greedy": 1.0, "shy": 0.5}


class AwkwardTrainer(ArrayTrainer):
    """N players at once; the hidden point is the origin.

    Args:
        num_lanes: `N`.
        rounds: Rounds that are played in one interval.
    """

    def __init__(self, num_lanes: int, *, rounds: int) -> None:
        super().__init__(
            place=np.ones((num_lanes, NUM_COORDINATES)),
            is_bowl=np.ones(num_lanes),
            step=np.ones(num_lanes),
            first_loss=np.ones(num_lanes),
        )
        self._rounds = rounds

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start at the task's distance, in a direction of the seed's."""
        state: dict[str, Array] = {name: array.copy() for name, array in self.state.items()}
        for lane, task, seed in zip(lanes, tasks, seeds, strict=True):
            told: Any = task
            self.rngs[lane] = stream(seed, "darts")
            angle = stream(seed, "direction").uniform(0.0, 2.0 * np.pi)
            state["place"][lane] = told.distance * np.array([np.cos(angle), np.sin(angle)])
            state["is_bowl"][lane] = told.game == "bowl"
            state["step"][lane] = _STEP[told.optimizer]
        self.state = state
        telemetry = Telemetry.missing(len(lanes))
        telemetry.validation_loss[:] = self._loss()[lanes]
        telemetry.validation_metric[:] = -telemetry.validation_loss
        self.state["first_loss"][lanes] = telemetry.validation_loss
        return telemetry

    def _run_interval(self, values: Array) -> Telemetry:
        """Play `rounds` rounds in every lane."""
        tries, width = values[:, 0], values[:, 1]
        darts = self.draw_normal(self._rounds, MAX_TRIES, NUM_COORDINATES)  # [N, U, K, P]
        doubt = self.draw_normal(self._rounds, MAX_TRIES)  # [N, U, K]
        is_thrown = np.arange(MAX_TRIES) < tries[:, None]  # [N, K]
        place = self.state["place"]
        for u in range(self._rounds):
            points = place[:, None] + width[:, None, None] * darts[:, u]
            seen = np.linalg.norm(points, axis=2) + NOISE * doubt[:, u]
            best = np.where(is_thrown, seen, np.inf).argmin(axis=1)
            goal = np.take_along_axis(points, best[:, None, None], axis=1)[:, 0]
            place = place + self.state["step"][:, None] * (goal - place)
        self.state["place"] = place
        telemetry = Telemetry.missing(len(place))
        telemetry.validation_loss[:] = self._loss()
        telemetry.validation_metric[:] = -telemetry.validation_loss
        telemetry.diverged[:] = has_diverged(telemetry.validation_loss, self.state["first_loss"])
        # What the player is trained on is a score, `-loss` plus a bonus: below 0, so it stays NaN.
        return telemetry

    def test(self, lanes: NDArray[np.int64]) -> tuple[Array, Array]:
        """Return the loss from a little further away, and the same as a score."""
        loss = self._loss(TEST_SHIFT)[lanes]
        return loss, -loss

    def _loss(self, shift: float = 0.0) -> Array:
        distance = np.linalg.norm(self.state["place"], axis=1) + shift
        missed = np.maximum(distance - HIT, 0.0)
        is_bowl = self.state["is_bowl"] > 0.0
        return np.where(is_bowl, GAMES["bowl"](missed), GAMES["slope"](missed))
