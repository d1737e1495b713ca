"""Small games on a board; `native/games.hpp` has the same rules."""

from __future__ import annotations

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats
from hpo_env.tasks.reinforcement.environments.grids import STEPS, one_hot

_ONE = np.float32(1.0)


class Catch(Environment):
    """Catch a ball that falls through ten rows of five. Physics: chance that it drifts."""

    state_size, observation_size, num_outputs, max_steps = 3, 50, 3, 10
    _rows, _width = 10, 5

    def reset(self) -> None:
        """Let a ball fall."""
        self.state[:] = self.random.below(self._width), 0.0, self._width // 2

    def observe(self) -> Floats:
        """Return a board with a one at the ball and one at the paddle."""
        ball, row, paddle = self.state
        board = one_hot(50, float(row * self._width + ball))
        board[(self._rows - 1) * self._width + int(paddle)] = 1.0
        return board

    def step(self, action: Floats) -> tuple[float, bool]:
        """Move to the left (0), not (1), to the right (2); 1 for a catch, -1 for a miss."""
        s, chance = self.state, self.physics[0]
        s[2] = np.clip(s[2] + action[0] - _ONE, 0, self._width - 1)
        drawn = self.random.uniform()
        drift = -1 if drawn < np.float32(0.5) * chance else 1 if drawn < chance else 0
        s[0] = np.clip(s[0] + drift, 0, self._width - 1)
        s[1] += 1.0
        if s[1] < self._rows - 1:
            return 0.0, False
        return (1.0 if s[0] == s[2] else -1.0), True


class Bricks(Environment):
    """Hit bricks with a ball, and do not miss it. Physics: rows of bricks, width of the paddle."""

    state_size, observation_size, num_outputs, max_steps = 23, 23, 3, 300
    _size, _rows = 6, 8

    def reset(self) -> None:
        """Serve a ball."""
        s = self.state
        s[0], s[1] = self.random.below(self._size), 3.0
        s[2], s[3] = (-1.0 if self.random.uniform() < 0.5 else 1.0), 1.0
        s[4] = self.random.below(self._size)
        self._put_bricks()

    def observe(self) -> Floats:
        """Return place and way of the ball, the paddle, and the bricks that are left."""
        s, half = self.state, np.float32(2.5)
        seen = [s[0] / half - _ONE, s[1] / np.float32(3.5) - _ONE, s[2], s[3], s[4] / half - _ONE]
        return np.array([*seen, *s[5:]], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Move to the left (0), not (1), to the right (2); 1 for a brick."""
        s, width = self.state, self.physics[1]
        s[4] = np.clip(s[4] + action[0] - _ONE, 0.0, self._size - width)
        if not 0 <= s[0] + s[2] < self._size:
            s[2] = -s[2]
        x, y = s[0] + s[2], s[1] + s[3]
        if y < 0:
            s[3] = 1.0
            y = s[1] + s[3]
        reward, is_end = 0.0, False
        bricks = s[5:].reshape(3, self._size)
        if y < 3 and bricks[int(y), int(x)] > 0.5:  # bounces off, and the brick goes
            bricks[int(y), int(x)] = 0.0
            reward, s[3], y = 1.0, -s[3], s[1]
            if not bricks.any():
                self._put_bricks()
        elif y == self._rows - 1:
            is_end = not s[4] <= x < s[4] + width
            if not is_end:
                s[3], y = -1.0, self._rows - 2
        s[0], s[1] = x, y
        return reward, is_end

    def _put_bricks(self) -> None:
        bricks = self.state[5:].reshape(3, self._size)
        bricks[:] = 0.0
        bricks[: int(self.physics[0])] = 1.0


class Dodge(Environment):
    """Keep away from falling blocks. Physics: chance of a block in each column."""

    state_size, observation_size, num_outputs, max_steps = 31, 35, 3, 200
    _rows, _width = 6, 5

    def reset(self) -> None:
        """Begin on an empty board."""
        self.state[:] = 0.0
        self.state[30] = self.random.below(self._width)

    def observe(self) -> Floats:
        """Return the board, and a one at the own column."""
        return np.concatenate([self.state[:30], one_hot(self._width, self.state[30])])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Move to the left (0), not (1), to the right (2); 1 for each step."""
        s = self.state
        s[30] = np.clip(s[30] + action[0] - _ONE, 0, self._width - 1)
        board = s[:30].reshape(self._rows, self._width)
        board[1:] = board[:-1].copy()
        count = 0
        for column in range(self._width):
            falls = bool(self.random.uniform() < self.physics[0]) and count < 2
            board[0, column] = float(falls)
            count += falls
        is_end = bool(board[-1, int(s[30])] > 0.5)
        return (0.0 if is_end else 1.0), is_end


class Crossing(Environment):
    """Cross five lanes of cars, and again.

    Physics: speed of the slowest car, how much faster each next one is, half a car's length.
    """

    state_size, observation_size, num_outputs, max_steps = 6, 12, 3, 150

    def reset(self) -> None:
        """Begin on the near side."""
        self.state[0] = 0.0
        self.state[1:] = [self.random.uniform(-1.0, 1.0) for _ in range(5)]

    def observe(self) -> Floats:
        """Return a one at the own lane, and where the cars are, 0 being in front."""
        return np.concatenate([one_hot(7, self.state[0]), self.state[1:]])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go back (0), wait (1), go on (2); 1 on the far side, back to the near one if hit."""
        s, (slowest, faster, length) = self.state, self.physics[:3]
        at = int(np.clip(s[0] + action[0] - _ONE, 0, 6))
        for lane in range(5):
            speed = slowest + faster * np.float32(lane * 3 % 5)
            x = s[1 + lane] + (-speed if lane % 2 else speed)
            s[1 + lane] = x - 2 if x > 1.0 else x + 2 if x < -1.0 else x
        if 1 <= at <= 5 and abs(s[at]) < length:
            at = 0
        s[0] = 0 if at == 6 else at
        return (1.0 if at == 6 else 0.0), False


class Gather(Environment):
    """Gather things while somebody gives chase.

    Physics: chance that the chaser moves, what being caught costs.
    """

    state_size, observation_size, num_outputs, max_steps = 6, 6, 5, 120
    _size = 7

    def reset(self) -> None:
        """Begin in the middle, the chaser in a corner."""
        s = self.state
        s[:2] = 3.0
        s[2:4] = [self.random.below(self._size) for _ in range(2)]
        s[4:] = [0.0 if self.random.uniform() < 0.5 else self._size - 1 for _ in range(2)]

    def observe(self) -> Floats:
        """Return the own place, and the ways to the thing and to the chaser."""
        s, third = self.state, np.float32(3.0)
        return np.concatenate(
            [s[:2] / third - _ONE, (s[2:4] - s[:2]) / third, (s[4:] - s[:2]) / third]
        )

    def step(self, action: Floats) -> tuple[float, bool]:
        """Stay (0) or go; 1 for a thing."""
        s, way = self.state, int(action[0])
        if way > 0:
            s[:2] = np.clip(s[:2] + np.array(STEPS[way - 1], np.float32), 0, self._size - 1)
        reward = 0.0
        if (s[:2] == s[2:4]).all():
            reward = 1.0
            s[2:4] = [self.random.below(self._size) for _ in range(2)]
        if self.random.uniform() < self.physics[0]:
            off = s[:2] - s[4:]
            nearer = 0 if abs(off[0]) > abs(off[1]) else 1
            s[4 + nearer] += np.sign(off[nearer])
        is_end = bool((s[:2] == s[4:]).all())
        return (reward - float(self.physics[1]) if is_end else reward), is_end


class Squash(Environment):
    """Play a ball against a wall. Physics: speed of the ball, half the paddle, its speed."""

    state_size, observation_size, num_outputs, max_steps = 5, 5, 3, 400

    def reset(self) -> None:
        """Serve."""
        speed = self.physics[0]
        place, slope = self.random.uniform(-0.5, 0.5), self.random.uniform(-1.0, 1.0)
        self.state[:] = place, 0.5, slope * speed, speed, 0.0

    def observe(self) -> Floats:
        """Return place and way of the ball, and the paddle."""
        x, y, across, along, paddle = self.state
        speed = self.physics[0]
        seen = [x, np.float32(2.0) * y - _ONE, across / speed, along / speed, paddle]
        return np.array(seen, dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Move to the left (0), not (1), to the right (2); 1 for each return."""
        s, (speed, half, fast) = self.state, self.physics[:3]
        s[4] = np.clip(s[4] + fast * (action[0] - _ONE), -1.0, 1.0)
        s[:2] += s[2:4]
        if abs(s[0]) > 1.0:
            s[0], s[2] = np.clip(s[0], -1.0, 1.0), -s[2]
        if s[1] > 1.0:
            s[1], s[3] = 1.0, -s[3]
        if s[1] > 0.0:
            return 0.0, False
        if abs(s[0] - s[4]) > half:
            return 0.0, True
        s[1], s[3], s[2] = 0.0, -s[3], self.random.uniform(-1.0, 1.0) * speed
        return 1.0, False
