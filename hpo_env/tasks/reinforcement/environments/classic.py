"""Classic control: poles, cars and pendulums; `native/classic.hpp` has the same rules."""

from __future__ import annotations

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats

_PI = np.float32(np.pi)


def wrapped(angle: np.float32) -> np.float32:
    """Return the angle within [-pi, pi)."""
    turn = np.float32(2.0) * _PI
    return np.float32(angle - turn * np.floor((angle + _PI) / turn))


class _Continuous(Environment):
    is_discrete = False
    low, high = -1.0, 1.0


class CartPole(Environment):
    """Keep a pole upright on a cart.

    Physics: gravity, mass of the cart, mass of the pole, half the pole's length, size of the force.
    """

    state_size, observation_size, num_outputs, max_steps = 4, 4, 2, 500
    _step, _edge, _fall = np.float32(0.02), 2.4, 12.0 * np.pi / 180.0

    def reset(self) -> None:
        """Begin near the balance."""
        self.state[:] = [self.random.uniform(-0.05, 0.05) for _ in range(4)]

    def observe(self) -> Floats:
        """Return position and speed of the cart, angle and speed of the pole."""
        return self.state.copy()

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push to the left (0) or to the right (1)."""
        force = self.physics[4] if action[0] > 0.5 else -self.physics[4]
        cart, pole = pole_on_cart(self.physics, self.state, force)
        s = self.state
        s[:] = s + self._step * np.array([s[1], cart, s[3], pole], dtype=np.float32)
        return 1.0, bool(abs(s[0]) > self._edge or abs(s[2]) > self._fall)


def pole_on_cart(p: Floats, s: Floats, force: np.float32) -> tuple[np.float32, np.float32]:
    """Return the accelerations of a cart and of the angle of the pole on it."""
    gravity, mass, half, total = p[0], p[2], p[3], p[1] + p[2]
    sine, cosine = np.sin(s[2]), np.cos(s[2])
    part = (force + mass * half * s[3] * s[3] * sine) / total
    pole = (gravity * sine - cosine * part) / (
        half * (np.float32(4.0 / 3.0) - mass * cosine * cosine / total)
    )
    return np.float32(part - mass * half * pole * cosine / total), np.float32(pole)


class CartPoleSwingUp(_Continuous):
    """Swing a hanging pole up on a cart and keep it there. Physics: as of `CartPole`."""

    state_size, observation_size, num_outputs, max_steps = 4, 5, 1, 250
    _step, _edge = np.float32(0.04), 3.0

    def reset(self) -> None:
        """Begin with the pole hanging."""
        self.state[:] = [self.random.uniform(-0.1, 0.1) for _ in range(4)]
        self.state[2] += _PI

    def observe(self) -> Floats:
        """Return position and speed of the cart, cosine, sine and speed of the angle."""
        x, speed, angle, turn = self.state
        return np.array([x, speed, np.cos(angle), np.sin(angle), turn], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push with a share of the force; paid by the height of the pole."""
        s = self.state
        cart, pole = pole_on_cart(self.physics, s, self.physics[4] * action[0])
        s[1] += self._step * cart
        s[3] = np.clip(s[3] + self._step * pole, -15.0, 15.0)
        s[0] += self._step * s[1]
        s[2] += self._step * s[3]
        reward = 0.5 * (1.0 + np.cos(s[2])) - 0.01 * action[0] ** 2
        return float(reward), bool(abs(s[0]) > self._edge)


def drive(s: Floats, push: np.float32, gravity: np.float32) -> None:
    """Move a car between two hills by one step, in place."""
    s[1] = np.clip(s[1] + push - gravity * np.cos(np.float32(3.0) * s[0]), -0.07, 0.07)
    s[0] = np.clip(s[0] + s[1], -1.2, 0.6)
    if s[0] <= np.float32(-1.2) and s[1] < 0.0:
        s[1] = 0.0


class MountainCar(Environment):
    """Get out of a valley by gathering speed. Physics: power, gravity, speed needed at the goal."""

    state_size, observation_size, num_outputs, max_steps = 2, 2, 3, 200

    def reset(self) -> None:
        """Begin at rest near the bottom."""
        self.state[:] = self.random.uniform(-0.6, -0.4), 0.0

    def observe(self) -> Floats:
        """Return position and speed."""
        return self.state.copy()

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push to the left (0), not (1), to the right (2)."""
        s = self.state
        drive(s, (action[0] - np.float32(1.0)) * self.physics[0], self.physics[1])
        return -1.0, bool(s[0] >= np.float32(0.5) and s[1] >= self.physics[2])


class MountainCarContinuous(_Continuous):
    """The same with a push that is paid for. Physics: as of `MountainCar`."""

    state_size, observation_size, num_outputs, max_steps = 2, 2, 1, 999

    def reset(self) -> None:
        """Begin at rest near the bottom."""
        self.state[:] = self.random.uniform(-0.6, -0.4), 0.0

    def observe(self) -> Floats:
        """Return position and speed."""
        return self.state.copy()

    def step(self, action: Floats) -> tuple[float, bool]:
        """Push by a share of the power; 100 at the goal."""
        s = self.state
        drive(s, action[0] * self.physics[0], self.physics[1])
        is_end = bool(s[0] >= np.float32(0.45) and s[1] >= self.physics[2])
        return (100.0 if is_end else 0.0) - 0.1 * float(action[0]) ** 2, is_end


def swing(p: Floats, s: Floats, torque: np.float32, fastest: float) -> None:
    """Turn a pendulum by one step, in place."""
    gravity, mass, length = p[0], p[1], p[2]
    pull = np.float32(3.0) * gravity / (np.float32(2.0) * length) * np.sin(s[0])
    push = np.float32(3.0) / (mass * length * length) * torque
    s[1] = np.clip(s[1] + (pull + push) * np.float32(0.05), -fastest, fastest)
    s[0] += s[1] * np.float32(0.05)


class Pendulum(_Continuous):
    """Swing a pendulum up with little torque. Physics: gravity, mass, length, torque at 1."""

    state_size, observation_size, num_outputs, max_steps = 2, 3, 1, 200
    low, high = -2.0, 2.0

    def reset(self) -> None:
        """Begin anywhere."""
        self.state[:] = self.random.uniform(-np.pi, np.pi), self.random.uniform(-1.0, 1.0)

    def observe(self) -> Floats:
        """Return cosine and sine of the angle, and the speed."""
        angle, speed = self.state
        return np.array([np.cos(angle), np.sin(angle), speed], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Turn; paid by angle, speed and torque, squared."""
        torque = self.physics[3] * action[0]
        angle, speed = wrapped(self.state[0]), self.state[1]
        cost = angle**2 + np.float32(0.1) * speed**2 + np.float32(0.001) * torque**2
        swing(self.physics, self.state, torque, 8.0)
        return -float(cost), False


class SparsePendulum(Environment):
    """The same with three torques, paid for while it stands.

    Physics: gravity, mass, length, torque, and half the arc in which it stands.
    """

    state_size, observation_size, num_outputs, max_steps = 2, 3, 3, 200

    def reset(self) -> None:
        """Begin hanging."""
        angle, speed = self.random.uniform(-0.1, 0.1), self.random.uniform(-0.1, 0.1)
        self.state[:] = _PI + angle, speed

    def observe(self) -> Floats:
        """Return cosine and sine of the angle, and the speed."""
        angle, speed = self.state
        return np.array([np.cos(angle), np.sin(angle), speed], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Turn to the left (0), not (1), to the right (2)."""
        swing(self.physics, self.state, self.physics[3] * (action[0] - np.float32(1.0)), 8.0)
        return float(abs(wrapped(self.state[0])) < self.physics[4]), False


def two_links(p: Floats, s: Floats, first: np.float32, second: np.float32) -> Floats:
    """Return the rates of change of two links under torques at both joints `[4]`.

    Sutton and Barto, "Reinforcement Learning", 2nd edition, with links of centre 1/2 and inertia 1.
    """
    gravity, length, m1, m2 = p[:4]
    c1, c2 = np.float32(0.5) * length, np.float32(0.5)
    cosine, sine = np.cos(s[1]), np.sin(s[1])
    d1 = m1 * c1**2 + m2 * (length**2 + c2**2 + 2 * length * c2 * cosine) + 2
    d2 = m2 * (c2**2 + length * c2 * cosine) + 1
    right = np.float32(0.5) * _PI
    phi2 = m2 * c2 * gravity * np.cos(s[0] + s[1] - right)
    phi1 = (
        -m2 * length * c2 * s[3] ** 2 * sine
        - 2 * m2 * length * c2 * s[3] * s[2] * sine
        + (m1 * c1 + m2 * length) * gravity * np.cos(s[0] - right)
        + phi2
        - first
    )
    a2 = (second + d2 / d1 * phi1 - m2 * length * c2 * s[2] ** 2 * sine - phi2) / (
        m2 * c2**2 + 1 - d2**2 / d1
    )
    return np.array([s[2], s[3], -(d2 * a2 + phi1) / d1, a2], dtype=np.float32)


def turn_links(p: Floats, s: Floats, first: np.float32, second: np.float32) -> None:
    """Turn two links by one step of Runge and Kutta, in place."""
    step = np.float32(0.2)
    k1 = two_links(p, s, first, second)
    k2 = two_links(p, s + step / 2 * k1, first, second)
    k3 = two_links(p, s + step / 2 * k2, first, second)
    k4 = two_links(p, s + step * k3, first, second)
    s += step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
    s[0], s[1] = wrapped(s[0]), wrapped(s[1])
    s[2] = np.clip(s[2], -4 * _PI, 4 * _PI)
    s[3] = np.clip(s[3], -9 * _PI, 9 * _PI)


class Acrobot(Environment):
    """Swing the tip of two hanging links up, driving the joint between them.

    Physics: gravity, length of the first link, mass of the first, mass of the second, torque.
    """

    state_size, observation_size, num_outputs, max_steps = 4, 6, 3, 500

    def reset(self) -> None:
        """Begin hanging."""
        self.state[:] = [self.random.uniform(-0.1, 0.1) for _ in range(4)]

    def observe(self) -> Floats:
        """Return cosine and sine of both angles, and both speeds."""
        first, second, *speeds = self.state
        seen = [np.cos(first), np.sin(first), np.cos(second), np.sin(second), *speeds]
        return np.array(seen, dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Turn to the left (0), not (1), to the right (2)."""
        torque = self.physics[4] * (action[0] - np.float32(1.0))
        turn_links(self.physics, self.state, np.float32(0.0), torque)
        s = self.state
        is_end = bool(-np.cos(s[0]) - np.cos(s[1] + s[0]) > 1.0)
        return (0.0 if is_end else -1.0), is_end


class Pendubot(_Continuous):
    """Two hanging links, of which the first joint is driven; paid by the height of the tip.

    Physics: as of `Acrobot`.
    """

    state_size, observation_size, num_outputs, max_steps = 4, 6, 1, 150
    reset = Acrobot.reset
    observe = Acrobot.observe

    def step(self, action: Floats) -> tuple[float, bool]:
        """Turn the first joint by a share of the torque."""
        turn_links(self.physics, self.state, self.physics[4] * action[0], np.float32(0.0))
        s, length = self.state, self.physics[1]
        height = -length * np.cos(s[0]) - np.cos(s[0] + s[1])
        return float(0.5 * (1.0 + height / (length + 1.0)) - 0.01 * action[0] ** 2), False
