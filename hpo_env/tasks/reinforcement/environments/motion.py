"""Things that are moved and held; `native/motion.hpp` has the same rules."""

from __future__ import annotations

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats
from hpo_env.tasks.reinforcement.environments.classic import wrapped

_ONE = np.float32(1.0)


class _Mass(Environment):
    """A mass on a plane: position, speed, target."""

    state_size, observation_size, max_steps = 6, 6, 100
    _interval = np.float32(0.1)

    def reset(self) -> None:
        """Begin at rest anywhere, with a target anywhere."""
        edge = float(self.physics[3])
        for i in range(2):
            self.state[i] = self.random.uniform(-edge, edge)
            self.state[2 + i] = 0.0
            self.state[4 + i] = self.random.uniform(-edge, edge)

    def observe(self) -> Floats:
        """Return the position in the field, the speed, and the way to the target."""
        s, edge = self.state, self.physics[3]
        return np.concatenate([s[:2] / edge, s[2:4], (s[4:] - s[:2]) / edge])

    def _glide(self, force: Floats) -> None:
        s, p = self.state, self.physics
        for i in range(2):
            push = p[0] * force[i] + p[2] * self.random.normal()
            s[2 + i] += self._interval * (push - p[1] * s[2 + i])
            s[i] += self._interval * s[2 + i]
            if abs(s[i]) > p[3]:  # a wall takes the speed
                s[i] = np.clip(s[i], -p[3], p[3])
                s[2 + i] = 0.0

    def _distance(self) -> np.float32:
        s = self.state
        return np.float32(np.sqrt((s[4] - s[0]) ** 2 + (s[5] - s[1]) ** 2))


class PointMass(_Mass):
    """Bring a mass to a target and hold it there.

    Physics: force over mass, friction, noise of the force, half the field.
    """

    num_outputs, is_discrete, low, high = 2, False, -1.0, 1.0

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push in both directions; paid by the distance."""
        self._glide(action)
        cost = np.float32(0.02) * (action[0] ** 2 + action[1] ** 2)
        return float(-self._distance() / self.physics[3] - cost), False


class PointGoal(_Mass):
    """Find a target that alone pays. Physics: as of `PointMass`, and the target's radius."""

    num_outputs = 5

    def step(self, action: Floats) -> tuple[float, bool]:
        """Do nothing (0), or push to the right, left, up or down."""
        chosen = int(action[0])
        directions = [(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)]
        self._glide(np.array(directions[chosen], dtype=np.float32))
        is_end = bool(self._distance() < self.physics[4])
        return (1.0 if is_end else 0.0), is_end


class Regulator(Environment):
    """Hold an unstable linear system at 0; it ends where it is lost.

    Physics: growth of a step, angle of its turn, gain, noise.
    """

    state_size, observation_size, num_outputs, max_steps = 3, 3, 2, 60
    is_discrete, low, high = False, -1.0, 1.0

    def reset(self) -> None:
        """Begin anywhere near 0."""
        self.state[:] = [self.random.uniform(-1.0, 1.0) for _ in range(3)]

    def observe(self) -> Floats:
        """Return the state."""
        return self.state.copy()

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push the second and the third state; paid by squares."""
        x, y, z = self.state
        rate, angle, gain, noise = self.physics[:4]
        cosine, sine = np.cos(angle), np.sin(angle)
        s = self.state
        s[0] = rate * (cosine * x - sine * y) + noise * self.random.normal()
        turned = rate * (sine * x + cosine * y + np.float32(0.3) * z)
        s[1] = turned + gain * action[0] + noise * self.random.normal()
        s[2] = rate * z + gain * action[1] + noise * self.random.normal()
        size = s[0] ** 2 + s[1] ** 2 + s[2] ** 2
        if size > 100.0:
            return -100.0, True
        return float(-0.1 * (size + np.float32(0.1) * (action[0] ** 2 + action[1] ** 2))), False


class Reacher(Environment):
    """Bring the tip of two driven links to a target. Physics: torque, friction, second length."""

    state_size, observation_size, num_outputs, max_steps = 6, 10, 2, 80
    is_discrete, low, high = False, -1.0, 1.0

    def reset(self) -> None:
        """Begin at rest in any posture, with a target within reach."""
        s = self.state
        for i in range(2):
            s[i] = self.random.uniform(-np.pi, np.pi)
            s[2 + i] = 0.0
        far = self.random.uniform(0.2, 0.9) * (_ONE + self.physics[2])
        angle = self.random.uniform(-np.pi, np.pi)
        s[4:] = far * np.cos(angle), far * np.sin(angle)

    def observe(self) -> Floats:
        """Return cosines and sines of the joints, speeds, the target, and the way to it."""
        s = self.state
        angles = [f(s[i]) for i in range(2) for f in (np.cos, np.sin)]
        way = s[4:] - self._tip()
        return np.array([*angles, *(np.float32(0.2) * s[2:4]), *s[4:], *way], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Turn both joints; paid by the distance."""
        s, p = self.state, self.physics
        step = np.float32(0.05)
        for i in range(2):
            s[2 + i] = np.clip(s[2 + i] + step * (p[0] * action[i] - p[1] * s[2 + i]), -8.0, 8.0)
            s[i] = wrapped(s[i] + step * s[2 + i])
        off = s[4:] - self._tip()
        far = np.sqrt(off[0] ** 2 + off[1] ** 2)
        return float(-far - np.float32(0.05) * (action[0] ** 2 + action[1] ** 2)), False

    def _tip(self) -> Floats:
        first, both = self.state[0], self.state[0] + self.state[1]
        far = self.physics[2]
        tip = [np.cos(first) + far * np.cos(both), np.sin(first) + far * np.sin(both)]
        return np.array(tip, dtype=np.float32)


class SpringChain(Environment):
    """Push the first of three masses on springs until the last stands at a target.

    Physics: stiffness, friction, force.
    """

    state_size, observation_size, num_outputs, max_steps = 7, 7, 1, 120
    is_discrete, low, high = False, -1.0, 1.0
    _interval = np.float32(0.1)

    def reset(self) -> None:
        """Begin at rest."""
        self.state[:] = 0.0
        self.state[6] = self.random.uniform(-1.0, 1.0)

    def observe(self) -> Floats:
        """Return positions, speeds, and the way of the last to the target."""
        return np.append(self.state[:6], self.state[6] - self.state[2])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push; paid by the last mass's distance."""
        s, (stiffness, friction, force) = self.state, self.physics[:3]
        pulls = [
            force * action[0] + stiffness * (s[1] - s[0]) - np.float32(0.2) * s[0],
            stiffness * (s[0] - 2 * s[1] + s[2]),
            stiffness * (s[1] - s[2]),
        ]
        s[3:6] += self._interval * (np.array(pulls, dtype=np.float32) - friction * s[3:6])
        s[:3] = np.clip(s[:3] + self._interval * s[3:6], -3.0, 3.0)
        off = min(_ONE, abs(s[6] - s[2]))
        return float(_ONE - off - np.float32(0.02) * action[0] ** 2), False


class Tanks(Environment):
    """Set a pump so that the level of the lower of two tanks follows a target.

    Physics: pump, drain, noise of the drain, share of a new setting that arrives in a step.
    """

    state_size, observation_size, num_outputs, max_steps = 4, 4, 1, 150
    is_discrete, low, high = False, -1.0, 1.0

    def reset(self) -> None:
        """Begin with some water in both."""
        s = self.state
        s[0], s[1] = self.random.uniform(0.2, 0.5), self.random.uniform(0.2, 0.5)
        s[2] = 0.0
        s[3] = self.random.uniform(0.3, 0.8)

    def observe(self) -> Floats:
        """Return both levels, the pump, and what is missing to the target."""
        return np.append(self.state[:3], self.state[3] - self.state[1])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Set the pump; it ends where water runs over."""
        s, (pump, drain, noise, share) = self.state, self.physics[:4]
        s[2] += share * (np.float32(0.5) * (_ONE + action[0]) - s[2])
        first, second = drain * np.sqrt(s[0]), drain * np.sqrt(s[1])
        s[0] = max(0.0, s[0] + np.float32(0.1) * (pump * s[2] - first))
        s[1] = max(0.0, s[1] + np.float32(0.1) * (first - second) + noise * self.random.normal())
        is_end = bool(s[0] > 1.5 or s[1] > np.float32(1.2))
        return (-20.0 if is_end else -float(abs(s[3] - s[1]))), is_end


class BallOnBeam(Environment):
    """Keep a ball on a beam by tilting it. Physics: gravity, how fast the beam turns, gusts."""

    state_size, observation_size, num_outputs, max_steps = 3, 3, 3, 200
    _interval = np.float32(0.05)

    def reset(self) -> None:
        """Begin with the ball rolling somewhere."""
        ranges = (0.5, 0.2, 0.05)
        self.state[:] = [self.random.uniform(-far, far) for far in ranges]

    def observe(self) -> Floats:
        """Return place and speed of the ball, and the tilt."""
        return self.state * np.array([1.0, 1.0, 4.0], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Tilt to the left (0), not (1), to the right (2); paid by nearness to the middle."""
        s, (gravity, turn, gusts) = self.state, self.physics[:3]
        s[2] = np.clip(s[2] + self._interval * turn * (action[0] - _ONE), -0.4, 0.4)
        pull = np.float32(5.0 / 7.0) * gravity * np.sin(s[2])
        s[1] += self._interval * (pull + gusts * self.random.normal())
        s[0] += self._interval * s[1]
        is_end = bool(abs(s[0]) > 1.0)
        return (0.0 if is_end else 1.0 - float(abs(s[0]))), is_end
