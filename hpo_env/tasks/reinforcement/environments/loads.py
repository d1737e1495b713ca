"""Journeys of what is moved by something else; `native/journeys.hpp` has the same rules."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Floats
from hpo_env.tasks.reinforcement.environments.journeys import Journey, effort, length

_ONE = np.float32(1.0)


class Crane(Journey):
    """Lift a load over a stack and set it down behind it.

    A pendulum under a driven trolley, on a cable that is wound: Abdel-Rahman, Nayfeh and Masoud,
    "Dynamics and control of cranes", 2003. The state is the trolley's place and speed, the cable's
    angle and its speed, and its length.

    Physics: pay, worth, acceleration of the trolley, speed of the hoist, height of the stack,
    radius of the goal, gravity, wind.
    """

    state_size, observation_size, num_outputs, max_steps = 6, 8, 2, 400
    is_discrete, low, high = False, -1.0, 1.0
    _interval, _fastest = np.float32(0.05), np.float32(0.5)
    _goal, _depth = np.float32(3.0), np.float32(1.6)

    def _place(self) -> None:
        s = self.state
        s[0], s[2] = self.random.uniform(-0.2, 0.2), self.random.uniform(-0.1, 0.1)
        s[1] = s[3] = 0.0
        s[4] = self.random.uniform(1.3, 1.5)

    def _load(self) -> tuple[np.float32, np.float32]:
        place, _, angle, _, cable = self.state[:5]
        return np.float32(place + cable * np.sin(angle)), np.float32(cable * np.cos(angle))

    def _wanted(self, at: np.float32) -> np.float32:
        """Return how deep the load should hang: over the stack first, then down."""
        over = self._depth - self.physics[4] - np.float32(0.2)
        share = np.clip((at - np.float32(1.8)) / np.float32(0.8), np.float32(0.0), _ONE)
        return np.float32(over + (self._depth - over) * share)

    def observe(self) -> Floats:
        """Return the state, what is missing in both directions, and where the stack is."""
        place, speed, angle, swing, cable = self.state[:5]
        at, deep = self._load()
        own = [place - np.float32(1.5), np.float32(2.0) * speed, np.float32(4.0) * angle]
        ahead = np.clip((at - np.float32(1.2)) / np.float32(0.6), -_ONE, _ONE)
        missing = [self._goal - at, deep - self._wanted(at)]
        return np.array([*own, swing, cable, *missing, ahead], dtype=np.float32)

    def _move(self, action: Floats) -> np.float32:
        s, p, dt = self.state, self.physics, self._interval
        speed = np.clip(s[1] + dt * p[2] * action[0], -self._fastest, self._fastest)
        far = np.clip(s[0] + dt * speed, np.float32(-0.5), np.float32(3.5))
        if far != s[0] + dt * speed:  # the rail's ends take the speed
            speed = np.float32(0.0)
        push = (speed - s[1]) / dt
        longer = np.clip(s[4] + dt * p[3] * action[1], np.float32(0.4), np.float32(2.0))
        wind = (longer - s[4]) / dt
        pulls = -p[6] * np.sin(s[2]) - push * np.cos(s[2]) - np.float32(2.0) * wind * s[3]
        s[3] += dt * (pulls / longer - np.float32(0.1) * s[3]) + p[7] * self.random.normal()
        s[2] += dt * s[3]
        s[0], s[1], s[4] = far, speed, longer
        return effort(action)

    def _merit(self) -> np.float32:
        at, deep = self._load()
        off = np.float32(0.5) * abs(self._goal - at) + np.float32(0.3) * abs(
            deep - self._wanted(at)
        )
        return np.float32(-off - np.float32(0.2) * abs(self.state[2]))

    def _outcome(self) -> float:
        s, p = self.state, self.physics
        at, deep = self._load()
        is_calm = abs(s[1] + s[4] * s[3]) < np.float32(0.3)
        if length(self._goal - at, self._depth - deep) < p[5] and is_calm:
            return 1.0
        hits = np.float32(1.2) < at < np.float32(1.8) and deep > self._depth - p[4]
        is_lost = deep > np.float32(1.8) or abs(s[2]) > np.float32(0.8)
        return -1.0 if hits or is_lost else 0.0


class Plate(Journey):
    """Roll a ball through three chambers of a plate, past holes, by tilting it.

    Physics: pay, worth, gravity, how fast the plate tilts, friction, radius of the holes, gusts.
    """

    state_size, observation_size, num_outputs, max_steps = 7, 8, 2, 400
    is_discrete, low, high = False, -1.0, 1.0
    _interval, _tilt, _bounce = np.float32(0.05), np.float32(0.2), np.float32(0.3)
    _wall, _goal = np.float32(0.33), np.float32(0.2)
    _holes: ClassVar = np.array(
        [(-0.8, 0.1), (-0.2, -0.1), (0.2, 0.3), (0.85, -0.1), (0.5, 0.3)], dtype=np.float32
    )
    # A chamber's way out, and how far it is on from there.
    _ways: ClassVar = np.array(
        [(-0.28, 0.7, 2.97), (0.38, -0.7, 1.43), (0.67, 0.7, 0.0)], dtype=np.float32
    )

    def _place(self) -> None:
        self.state[:] = 0.0
        self.state[:2] = self.random.uniform(-0.8, -0.5), self.random.uniform(-0.9, -0.6)

    def _next(self) -> tuple[Floats, np.float32]:
        x = self.state[0]
        chamber = 0 if x < -self._wall else 1 if x < self._wall else 2
        way = self._ways[chamber]
        return way[:2] - self.state[:2], way[2]

    def observe(self) -> Floats:
        """Return the ball's place and speed, the tilts, and the way to the chamber's way out."""
        s = self.state
        return np.concatenate([s[:4], s[4:6] / self._tilt, self._next()[0]])

    def _move(self, action: Floats) -> np.float32:
        s, p, dt = self.state, self.physics, self._interval
        for i in range(2):
            s[4 + i] += dt * p[3] * (self._tilt * action[i] - s[4 + i])
            pull = np.float32(5.0 / 7.0) * p[2] * np.sin(s[4 + i]) + p[6] * self.random.normal()
            s[2 + i] += dt * (pull - p[4] * s[2 + i])
        x, y = s[:2] + dt * s[2:4]
        first = (s[0] < -self._wall) != (x < -self._wall) and s[1] < np.float32(0.4)
        second = (s[0] < self._wall) != (x < self._wall) and s[1] > np.float32(-0.4)
        if first or second or abs(x) > 1.0:
            x = s[0]
            s[2] *= -self._bounce
        if abs(y) > 1.0:
            y = s[1]
            s[3] *= -self._bounce
        s[:2] = x, y
        return effort(action)

    def _merit(self) -> np.float32:
        way, rest = self._next()
        return np.float32(np.float32(-0.5) * (length(way[0], way[1]) + rest))

    def _outcome(self) -> float:
        off = self._holes - self.state[:2]
        if (np.sqrt(off[:, 0] ** 2 + off[:, 1] ** 2) < self.physics[5]).any():
            return -1.0
        way, rest = self._next()
        return 1.0 if rest == 0.0 and length(way[0], way[1]) < self._goal else 0.0
