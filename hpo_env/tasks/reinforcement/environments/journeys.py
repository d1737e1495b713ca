"""Journeys: long ways to a place that end by arrival or by a crash, of what is steered.

Episodes have hundreds of steps, a rollout holds few of them, and how one ends says most of its
return. `loads` has those of what is moved by something else; `native/journeys.hpp` has the same
rules.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats
from hpo_env.tasks.reinforcement.environments.classic import wrapped

_ONE = np.float32(1.0)


class Journey(Environment):
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


def length(x: np.float32, y: np.float32) -> np.float32:
    """Return the length of a way."""
    return np.float32(np.sqrt(x * x + y * y))


def effort(action: Floats) -> np.float32:
    """Return what pushing in two dimensions costs."""
    return np.float32(np.float32(0.02) * (action[0] ** 2 + action[1] ** 2))


class Docking(Journey):
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
        far, four = length(x, y), np.float32(4.0)
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
        two, three, four, six = (np.float32(k) for k in (2.0, 3.0, 4.0, 6.0))
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
        return np.float32(-length(s[0], s[1]) - length(s[2], s[3]))

    def _outcome(self) -> float:
        s, p = self.state, self.physics
        far = length(s[0], s[1])
        if far < p[4]:
            return 1.0 if length(s[2], s[3]) < p[5] else -1.0
        return -1.0 if far > self._edge else 0.0


class Parking(Journey):
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
        return np.array([x, y, *ahead, length(x, y), self._clearance()], dtype=np.float32)

    def _clearance(self) -> np.float32:
        x, y, gap = self.state[0], self.state[1], self.physics[5]
        return np.float32(min(length(x - gap, y), length(x + gap, y)) - self._body)

    def _move(self, action: Floats) -> np.float32:
        s, p, dt = self.state, self.physics, self._interval
        speed = s[3] + dt * (p[3] * action[0] - np.float32(0.3) * s[3])
        s[3] = np.clip(speed, np.float32(-0.3), np.float32(0.6))
        s[4] += dt * p[4] * (self._turn * action[1] - s[4])
        slip = p[7] * s[3] * self.random.normal()
        s[2] = wrapped(s[2] + dt * s[3] / p[2] * np.tan(s[4]) + slip)
        s[0] += dt * s[3] * np.cos(s[2])
        s[1] += dt * s[3] * np.sin(s[2])
        return effort(action)

    def _merit(self) -> np.float32:
        x, y, heading = self.state[:3]
        return np.float32(-length(x, y) - np.float32(0.5) * (_ONE - np.sin(heading)))

    def _outcome(self) -> float:
        x, y, heading, speed = self.state[:4]
        stands = abs(speed) < np.float32(0.2) and np.sin(heading) > np.float32(0.95)
        if length(x, y) < self.physics[6] and stands:
            return 1.0
        is_out = abs(x) > 2.5 or y > 0.5 or y < np.float32(-3.2)
        return -1.0 if is_out or self._clearance() < 0.0 else 0.0


class Trailer(Journey):
    """Back a truck with a trailer to a ramp.

    Nguyen and Widrow, "The truck backer-upper", 1989, with the hitch over the truck's rear axle.
    The state is the trailer's axle, its heading, the angle of the hitch, and the wheels.

    Physics: pay, worth, wheelbase, length of the trailer, speed, how far wheels turn in a step,
    bumps.
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


class Channel(Journey):
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
