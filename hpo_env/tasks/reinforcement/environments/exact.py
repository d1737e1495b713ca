"""The best and the random return of environments that are small enough to be solved.

By backward induction over the steps of an episode, or at sight. The best policy of such a solution
knows how many steps are left, which no learner does: it is a bound, and for these environments a
close one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.environments.base import EnvironmentType
from hpo_env.tasks.reinforcement.environments.grids import STEPS, RandomTable, placed

Array = NDArray[np.float64]
Outcome = tuple[float, int, float]
"""Probability, next state (-1 when it ends), reward."""


@dataclass(frozen=True, kw_only=True)
class Model:
    """A finite environment.

    Args:
        num_states: `S`.
        start: Probability of each first state `[S]`.
        outcomes: What may follow a state and an action.
    """

    num_states: int
    start: Array
    outcomes: Callable[[int, int], list[Outcome]]


def solved(kind: EnvironmentType, physics: str) -> tuple[float, float] | None:
    """Return the best and the random mean return of an episode; None where nobody can say.

    Args:
        kind: The type.
        physics: Name of its physics.
    """
    if kind.name == "context_bandit":  # the right arm every time; one of four at random
        chance = kind.physics[physics][1]
        return kind.rules.max_steps * chance, kind.rules.max_steps * chance / 4.0
    make = _MODELS.get(kind.name)
    if make is None:
        return None
    model = make(kind.physics[physics])
    count = kind.rules.num_outputs
    table = [
        [model.outcomes(state, action) for action in range(count)]
        for state in range(model.num_states)
    ]
    best, random = np.zeros((2, model.num_states + 1))  # the last one is the end
    for _ in range(kind.rules.max_steps):
        values = _worth(table, best)
        best = np.append(values.max(axis=1), 0.0)
        random = np.append(_worth(table, random).mean(axis=1), 0.0)
    return float(model.start @ best[:-1]), float(model.start @ random[:-1])


def _worth(table: list[list[list[Outcome]]], after: Array) -> Array:
    """Return what each action is worth in each state `[S, A]`, given what comes after `[S + 1]`."""
    return np.array([[_mean(outcomes, after) for outcomes in row] for row in table])


def _mean(outcomes: list[Outcome], after: Array) -> float:
    return sum(p * (reward + float(after[place])) for p, place, reward in outcomes)


def _first(num_states: int, place: int = 0) -> Array:
    start = np.zeros(num_states)
    start[place] = 1.0
    return start


def _frozen_lake(physics: tuple[float, ...]) -> Model:
    slip, holes = physics[0], int(physics[1])

    def outcomes(state: int, action: int) -> list[Outcome]:
        found = []
        for turn, chance in ((3, slip), (1, slip), (0, 1.0 - 2.0 * slip)):
            dx, dy = STEPS[(action + turn) % 4]
            x, y = state % 4 + dx, state // 4 + dy
            place = 4 * y + x if 0 <= x < 4 and 0 <= y < 4 else state
            is_end = place == 15 or holes >> place & 1
            found.append((chance, -1 if is_end else place, 1.0 if place == 15 else 0.0))
        return found

    return Model(num_states=16, start=_first(16), outcomes=outcomes)


def _cliff(physics: tuple[float, ...]) -> Model:
    width, chance = int(physics[0]), physics[1]
    steps = ((0, -1), (1, 0), (0, 1), (-1, 0))

    def outcomes(state: int, action: int) -> list[Outcome]:
        found = []
        for way, (dx, dy) in enumerate(steps):
            x = min(max(state % width + dx, 0), width - 1)
            y = min(max(state // width + dy, 0), 3)
            falls = y == 3 and 0 < x < width - 1
            place = 3 * width if falls else y * width + x
            is_end = place == 4 * width - 1
            share = chance / 4.0 + (1.0 - chance if way == action else 0.0)
            found.append((share, -1 if is_end else place, -100.0 if falls else -1.0))
        return found

    return Model(num_states=4 * width, start=_first(4 * width, 3 * width), outcomes=outcomes)


def _deep_sea(physics: tuple[float, ...]) -> Model:
    size = int(physics[0])

    def outcomes(state: int, action: int) -> list[Outcome]:
        row, column = divmod(state, size)
        goes_right = (action == 1) == bool(placed(physics[1], row, column).uniform() < 0.5)
        reward = 0.0
        if goes_right:
            reward = -0.01 / size + (1.0 if column == size - 1 else 0.0)
        column = min(max(column + (1 if goes_right else -1), 0), size - 1)
        return [(1.0, -1 if row + 1 == size else (row + 1) * size + column, reward)]

    return Model(num_states=size * size, start=_first(size * size), outcomes=outcomes)


def _river_swim(physics: tuple[float, ...]) -> Model:
    count, gets_on, stays, small = int(physics[0]), *physics[1:4]

    def outcomes(state: int, action: int) -> list[Outcome]:
        below = max(state - 1, 0)
        if action == 0:
            return [(1.0, below, small if state == 0 else 0.0)]
        above = (gets_on, state, 1.0) if state == count - 1 else (gets_on, state + 1, 0.0)
        return [above, (stays, state, 0.0), (1.0 - gets_on - stays, below, 0.0)]

    return Model(num_states=count, start=_first(count), outcomes=outcomes)


def _random_table(physics: tuple[float, ...]) -> Model:
    pays = [_pay(physics, state) for state in range(16)]

    def outcomes(state: int, action: int) -> list[Outcome]:
        table = placed(physics[0], state, action)
        following = [table.below(16) for _ in range(3)]
        return [(p, s, pays[s]) for p, s in zip((0.6, 0.25, 0.15), following, strict=True)]

    return Model(num_states=16, start=np.full(16, 1.0 / 16.0), outcomes=outcomes)


def _pay(physics: tuple[float, ...], state: int) -> float:
    return float(RandomTable(physics, placed(0, 0, 0)).pay(state))


def _catch(physics: tuple[float, ...]) -> Model:
    chance, width, rows = physics[0], 5, 10
    num_states = width * width * (rows - 1)

    def outcomes(state: int, action: int) -> list[Outcome]:
        row, rest = divmod(state, width * width)
        ball, paddle = divmod(rest, width)
        paddle = min(max(paddle + action - 1, 0), width - 1)
        found = []
        for drift, share in ((-1, chance / 2), (1, chance / 2), (0, 1.0 - chance)):
            place = min(max(ball + drift, 0), width - 1)
            if row + 1 == rows - 1:
                found.append((share, -1, 1.0 if place == paddle else -1.0))
            else:
                found.append((share, (row + 1) * width * width + place * width + paddle, 0.0))
        return found

    start = np.zeros(num_states)
    start[[ball * width + width // 2 for ball in range(width)]] = 1.0 / width
    return Model(num_states=num_states, start=start, outcomes=outcomes)


_MODELS: Mapping[str, Callable[[tuple[float, ...]], Model]] = {
    "frozen_lake": _frozen_lake,
    "cliff": _cliff,
    "deep_sea": _deep_sea,
    "river_swim": _river_swim,
    "random_table": _random_table,
    "catch": _catch,
}
