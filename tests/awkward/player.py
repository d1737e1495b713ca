"""A game as its user would play it: one player, a plain loop, and a controller that is told losses.

No lanes, no trainer: what the two have in common is the game and the random numbers.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.seeding import stream
from hpo_env.tasks.base import TaskFamily

from .family import AwkwardTask
from .trainer import GAMES, HIT, MAX_TRIES, NOISE, NUM_COORDINATES


class Player:
    """Looks for the origin.

    Args:
        task: The game and where it starts.
        seed: Of the direction and the darts.
        rounds: Rounds for which darts are bought at once.
    """

    def __init__(self, task: AwkwardTask, seed: int, *, rounds: int) -> None:
        self.task, self.rounds = task, rounds
        self.tries, self.width = task.initial
        angle = stream(seed, "direction").uniform(0.0, 2.0 * np.pi)
        self.place = task.distance * np.array([np.cos(angle), np.sin(angle)])
        self._rng = stream(seed, "darts")
        self._bought: list[tuple[Any, Any]] = []

    def play_round(self) -> None:
        """Throw `tries` darts and go towards what looks best."""
        if not self._bought:
            darts = self._rng.standard_normal((self.rounds, MAX_TRIES, NUM_COORDINATES))
            doubt = self._rng.standard_normal((self.rounds, MAX_TRIES))
            self._bought = list(zip(darts, doubt, strict=True))
        darts, doubt = self._bought.pop(0)
        num_tries = round(self.tries)
        points = (self.place + self.width * darts)[:num_tries]
        seen = np.linalg.norm(points, axis=1) + NOISE * doubt[:num_tries]
        step = 1.0 if self.task.optimizer == "greedy" else 0.5
        self.place = self.place + step * (points[seen.argmin()] - self.place)

    def loss(self) -> float:
        """Return how far from a hit the player is, as the game counts it."""
        missed = max(float(np.linalg.norm(self.place)) - HIT, 0.0)
        return float(GAMES[self.task.game](np.array(missed)))


def play(family: TaskFamily, task: AwkwardTask, seed: int, controller: Controller) -> Run[Any]:
    """Play a whole game under a controller, and return its run; see `TaskFamily.twin`."""
    rounds = family.updates_per_decision
    player = Player(task, seed, rounds=rounds)
    initial = {"tries": player.tries, "width": player.width}
    names = controller.policy.space.names
    run = controller.drive(
        {name: partial(setattr, player, name) for name in names},
        initial={name: initial[name] for name in names},
        total_steps=task.num_decisions * rounds,
        num_decisions=task.num_decisions,
        validate=player.loss,
    )
    for _ in range(task.num_decisions * rounds):
        player.play_round()
        run.step()
    return run
