"""Journeys: long ways to a place that end by arrival or by a crash.

Episodes have hundreds of steps, a rollout holds few of them, and how one ends says most of its
return. `native/journeys.hpp` has the same rules.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats
from hpo_env.tasks.reinforcement.environments.classic import wrapped

_ONE = np.float32(1.0)


class _Journey(Environment):
    """A way to a place.

    A step is paid by how much the merit of the state rises (Ng, Harada and Russell, "Policy
    invariance under reward transformations", 1999, with a discount of 1), less what it costs; an
    end by what it is worth. The last number of the state is the merit before.

    Physics, the first two of all: pay for a unit of merit; worth of an arrival and cost of a crash.
    """

    def reset(self) -> None:
        """Begin somewhere at one end of the way."""
        self._place()
        self.state[-1] = self._merit()

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go on; see the class for what is paid."""
        cost, before = self._move(action), self.state[-1]
        merit = self.state[-1] = self._merit()
        outcome = self._outcome()
        pay, worth = self.physics[:2]
        return float(pay * (merit - before) - cost + worth * np.float32(outcome)), outcome != 0.0

    @abstractmethod
    def _place(self) -> None:
        """Draw where an episode begins."""

    @abstractmethod
    def _move(self, action: Floats) -> np.float32:
        """Change the state, and return what that costs."""

    @abstractmethod
    def _merit(self) -> np.float32:
        """Return how good it is to be here; the higher, the nearer."""

    @abstractmethod
    def _outcome(self) -> float:
        """Return the share of its worth that an end pays; 0 while there is none."""


def _length(x: np.float32, y: np.float32) -> np.float32:
    return np.float32(np.sqrt(x * x + y * y))


def _effort(action: Floats) -> np.float32:
    return np.float32(np.float32(0.02) * (action[0] ** 2 + action[1] ** 2))


class Docking(_Journey):
    """Bring a spacecraft to another's port.

    In the plane of its orbit, x away from the earth and y along the way, after Clohessy and
    Wiltshire, "Terminal guidance system for satellite rendezvous", 1960.

    Physics: pay, worth, orbital rate, acceleration, radius of the port, speed that it bears, fuel,
    unsteadiness.
    """

    state_size, observation_size, num_outputs, max_steps = 5, 6, 5, 400
    _interval, _edge = np.float32(0.1), np.float32(1.6)

    def _place(self) -> None:
        angle, far = self.random.uniform(-np.pi, np.pi), self.random.uniform(0.6, 1.0)
        self.state[:2] = far * np.cos(angle), far * np.sin(angle)
        self.state[2:4] = [self.random.uniform(-0.03, 0.03) for _ in range(2)]

    def observe(self) -> Floats:
        """Return the place, the speed, the distance and how fast it grows."""
        x, y, vx, vy = self.state[:4]
        far, four = _length(x, y), np.float32(4.0)
        leaves = four * (x * vx + y * vy) / (far + np.float32(0.01))
        return np.array([x, y, four * vx, four * vy, far, leaves], dtype=np.float32)

    def _move(self, action: Floats) -> np.float32:
        """Drift (0), or push away from the earth, towards it, forwards or backwards."""
        s, (n, acceleration) = self.state, self.physics[2:4]
        chosen, push, turn = int(action[0]), self._interval * acceleration, n * self._interval
        x, y, vx, vy = s[:4]
        vx += push * np.float32((0, 1, -1, 0, 0)[chosen])
        vy += push * np.float32((0, 0, 0, 1, -1)[chosen])
        vx += self.physics[7] * self.random.normal()
        vy += self.physics[7] * self.random.normal()
        # Their equations are solved for a step of drift after the push.
        sine, rest = np.sin(turn), np.float32(2.0) * np.sin(np.float32(0.5) * turn) ** 2
        two, three, four, six = np.float32([2.0, 3.0, 4.0, 6.0])
        s[0] = x + three * rest * x + (sine * vx + two * rest * vy) / n
        s[1] = (
            y
            + six * (sine - turn) * x
            + (((four * sine - three * turn) * vy - two * rest * vx) / n)
        )
        s[2] = vx - rest * vx + three * n * sine * x + two * sine * vy
        s[3] = vy - four * rest * vy - six * n * rest * x - two * sine * vx
        return np.float32(self.physics[6] if chosen else 0.0)

    def _merit(self) -> np.float32:
        s = self.state
        return np.float32(-_length(s[0], s[1]) - _length(s[2], s[3]))

    def _outcome(self) -> float:
        s, p = self.state, self.physics
        far = _length(s[0], s[1])
        if far < p[4]:
            return 1.0 if _length(s[2], s[3]) < p[5] else -1.0
        return -1.0 if far > self._edge else 0.0


class Parking(_Journey):
    """Drive a car into a bay between two others.

    A kinematic bicycle about its rear axle: Rajamani, "Vehicle dynamics and control", 2012,
    section 2.2.

    Physics: pay, worth, wheelbase, acceleration, how fast the wheels turn, half the way between the
    others, radius of the goal, slip.
    """

    state_size, observation_size, num_outputs, max_steps = 6, 8, 2, 300
    is_discrete, low, high = False, -1.0, 1.0
    _interval, _turn, _body = np.float32(0.1), np.float32(0.6), np.float32(0.5)

    def _place(self) -> None:
        s = self.state
        s[0], s[1] = self.random.uniform(-1.2, 1.2), self.random.uniform(-2.4, -1.6)
        s[2] = np.float32(0.5 * np.pi) + self.random.uniform(-0.8, 0.8)
        s[3:5] = 0.0

    def observe(self) -> Floats:
        """Return place, cosine and sine of the heading, speed, wheels, distance and clearance."""
        x, y, heading, speed, wheels = self.state[:5]
        ahead = [np.cos(heading), np.sin(heading), np.float32(2.0) * speed, wheels / self._turn]
        return np.array([x, y, *ahead, _length(x, y), self._clearance()], dtype=np.float32)

    def _clearance(self) -> np.float32:
        x, y, gap = self.state[0], self.state[1], self.physics[5]
        return np.float32(min(_length(x - gap, y), _length(x + gap, y)) - self._body)

    def _move(self, action: Floats) -> np.float32:
        s, p, dt = self.state, self.physics, self._interval
        speed = s[3] + dt * (p[3] * action[0] - np.float32(0.3) * s[3])
        s[3] = np.clip(speed, np.float32(-0.3), np.float32(0.6))
        s[4] += dt * p[4] * (self._turn * action[1] - s[4])
        slip = p[7] * s[3] * self.random.normal()
        s[2] = wrapped(s[2] + dt * s[3] / p[2] * np.tan(s[4]) + slip)
        s[0] += dt * s[3] * np.cos(s[2])
        s[1] += dt * s[3] * np.sin(s[2])
        return _effort(action)

    def _merit(self) -> np.float32:
        x, y, heading = self.state[:3]
        return np.float32(-_length(x, y) - np.float32(0.5) * (_ONE - np.sin(heading)))

    def _outcome(self) -> float:
        x, y, heading, speed = self.state[:4]
        stands = abs(speed) < np.float32(0.2) and np.sin(heading) > np.float32(0.95)
        if _length(x, y) < self.physics[6] and stands:
            return 1.0
        is_out = abs(x) > 2.5 or y > 0.5 or y < np.float32(-3.2)
        return -1.0 if is_out or self._clearance() < 0.0 else 0.0


class Trailer(_Journey):
    """Back a truck with a trailer to a ramp.

    Nguyen and Widrow, "The truck backer-upper", 1989, with the hitch over the truck's rear axle.
    The state is the trailer's axle, its heading, the angle of the hitch, and the wheels.

    Physics: pay, worth, wheelbase, length of the trailer, speed, how far wheels turn in a step, bumps.
    """

    state_size, observation_size, num_outputs, max_steps = 6, 6, 3, 400
    _interval, _turn = np.float32(0.1), np.float32(0.6)

    def _place(self) -> None:
        ranges = ((2.4, 3.2), (-0.8, 0.8), (-0.4, 0.4), (-0.2, 0.2))
        self.state[:4] = [self.random.uniform(*ends) for ends in ranges]
        self.state[4] = 0.0

    def observe(self) -> Floats:
        """Return the state, and where it comes out if it goes on so."""
        x, y, heading, hitch, wheels = self.state[:5]
        two = np.float32(2.0)
        own = [x - np.float32(1.5), two * y, two * heading, two * hitch, wheels / self._turn]
        return np.array([*own, y - x * np.sin(heading)], dtype=np.float32)

    def _move(self, action: Floats) -> np.float32:
        """Turn the wheels to the right (0), not (1), to the left (2)."""
        s, p = self.state, self.physics
        s[4] = np.clip(s[4] + p[5] * (action[0] - _ONE), -self._turn, self._turn)
        way = -self._interval * p[4]
        turn, along = way / p[3] * np.sin(s[3]), way * np.cos(s[3])
        s[0] += along * np.cos(s[2])
        s[1] += along * np.sin(s[2])
        s[2] += turn
        s[3] += way / p[2] * np.tan(s[4]) - turn + p[6] * self.random.normal()
        return np.float32(0.0)

    def _merit(self) -> np.float32:
        y, heading, hitch = np.abs(self.state[1:4])
        across = y + np.float32(0.5) * heading + np.float32(0.2) * hitch
        return np.float32(-np.float32(0.3) * self.state[0] - across)

    def _outcome(self) -> float:
        x, y, heading, hitch = self.state[0], *np.abs(self.state[1:4])
        if x <= 0.0:  # at the ramp: the worse, the more askew
            askew = np.float32(2.0) * y + heading
            return float(_ONE - askew) if askew < _ONE else -0.5
        return -1.0 if hitch > np.float32(1.1) or y > 2.0 or heading > np.float32(1.4) else 0.0


class Crane(_Journey):
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
        return _effort(action)

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
        if _length(self._goal - at, self._depth - deep) < p[5] and is_calm:
            return 1.0
        hits = np.float32(1.2) < at < np.float32(1.8) and deep > self._depth - p[4]
        is_lost = deep > np.float32(1.8) or abs(s[2]) > np.float32(0.8)
        return -1.0 if hits or is_lost else 0.0


class Plate(_Journey):
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
        return _effort(action)

    def _merit(self) -> np.float32:
        way, rest = self._next()
        return np.float32(np.float32(-0.5) * (_length(way[0], way[1]) + rest))

    def _outcome(self) -> float:
        off = self._holes - self.state[:2]
        if (np.sqrt(off[:, 0] ** 2 + off[:, 1] ** 2) < self.physics[5]).any():
            return -1.0
        way, rest = self._next()
        return 1.0 if rest == 0.0 and _length(way[0], way[1]) < self._goal else 0.0


class Channel(_Journey):
    """Steer a boat through a winding channel.

    She turns after Nomoto et al., "On the steering qualities of ships", 1957: the rate of turn
    follows the rudder with a lag. The state is the place, heading, rate of turn, speed, and the
    channel's phase.

    Physics: pay, worth, speed, turn by the rudder, lag, half the width, windings, current, gusts.
    """

    state_size, observation_size, num_outputs, max_steps = 7, 9, 6, 500
    _interval, _end = np.float32(0.1), np.float32(10.0)

    def _place(self) -> None:
        s = self.state
        s[0] = s[3] = 0.0
        s[5] = self.random.uniform(-np.pi, np.pi)
        side = self.physics[5] * self.random.uniform(-0.3, 0.3)
        s[1] = self._middle(s[0]) + side
        s[2] = np.arctan(self._slope(s[0])) + self.random.uniform(-0.3, 0.3)
        s[4] = self.physics[2]

    def _middle(self, x: np.float32) -> np.float32:
        phase, half = self.state[5], np.float32(0.5)
        bend = np.sin(np.float32(2.3) * x + np.float32(2.0) * phase)
        return np.float32(self.physics[6] * (np.sin(x + phase) + half * bend))

    def _slope(self, x: np.float32) -> np.float32:
        phase = self.state[5]
        bend = np.cos(np.float32(2.3) * x + np.float32(2.0) * phase)
        return np.float32(self.physics[6] * (np.cos(x + phase) + np.float32(1.15) * bend))

    def _off(self) -> np.float32:
        return np.float32((self.state[1] - self._middle(self.state[0])) / self.physics[5])

    def observe(self) -> Floats:
        """Return how far off the middle, the course, turn, speed, slopes ahead, and the rest."""
        x, _, heading, turn, speed = self.state[:5]
        course = heading - np.arctan(self._slope(x))
        own = [self._off(), np.cos(course), np.sin(course), turn, np.float32(2.0) * speed]
        slopes = [self._slope(x + np.float32(0.5 * i)) for i in range(3)]
        return np.array([*own, *slopes, x / self._end - np.float32(0.5)], dtype=np.float32)

    def _move(self, action: Floats) -> np.float32:
        """Full (0 to 2) or slow ahead (3 to 5), the rudder to the right, not, to the left."""
        s, p, dt = self.state, self.physics, self._interval
        chosen = int(action[0])
        rudder = np.float32(chosen % 3 - 1)
        wanted = p[2] * np.float32(1.0 if chosen < 3 else 0.4)
        s[4] += dt * np.float32(0.5) * (wanted - s[4])
        s[3] += dt * (p[3] * rudder - s[3]) / p[4] + p[8] * self.random.normal()
        s[2] = wrapped(s[2] + dt * s[3])
        s[0] += dt * (s[4] * np.cos(s[2]) + p[7])
        s[1] += dt * s[4] * np.sin(s[2])
        return np.float32(0.02)

    def _merit(self) -> np.float32:
        aside = np.float32(0.3) * abs(self._off())
        return np.float32(np.float32(0.2) * self.state[0] - aside)

    def _outcome(self) -> float:
        x = self.state[0]
        if abs(self._off()) > 1.0 or x < -0.5:
            return -1.0
        return 1.0 if x > self._end else 0.0
