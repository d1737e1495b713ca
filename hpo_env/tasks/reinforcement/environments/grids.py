"""Few states and few actions: grids, chains and tables; `native/grids.hpp` has the same rules."""

from __future__ import annotations

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats, Random

STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))
"""To the left, down, right and up: the order of Gymnasium's FrozenLake."""


def placed(seed: float, first: int, second: int) -> Random:
    """Return the generator that belongs to a place in a table: the table never changes."""
    return Random(int(seed) * 1000003 + first * 4099 + second)


def one_hot(size: int, place: float) -> Floats:
    """Return zeros and a one `[size]`."""
    seen = np.zeros(size, dtype=np.float32)
    seen[int(place)] = 1.0
    return seen


class FrozenLake(Environment):
    """Cross four by four fields of ice past holes.

    Physics: chance to slip to each side, and the holes as bits, cell 0 lowest.
    """

    state_size, observation_size, num_outputs, max_steps = 1, 16, 4, 100

    def reset(self) -> None:
        """Begin in a corner."""
        self.state[0] = 0.0

    def observe(self) -> Floats:
        """Return a one at the place."""
        return one_hot(16, self.state[0])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go; 1 at the opposite corner."""
        way, at, slip = int(action[0]), int(self.state[0]), self.physics[0]
        drawn = self.random.uniform()
        if drawn < slip:
            way = (way + 3) % 4
        elif drawn < np.float32(2.0) * slip:
            way = (way + 1) % 4
        x, y = at % 4 + STEPS[way][0], at // 4 + STEPS[way][1]
        if 0 <= x < 4 and 0 <= y < 4:
            at = 4 * y + x
        self.state[0] = at
        return (1.0 if at == 15 else 0.0), at == 15 or bool(int(self.physics[1]) >> at & 1)


class Cliff(Environment):
    """Go along a cliff without falling. Physics: width, chance that a step goes anywhere."""

    state_size, observation_size, num_outputs, max_steps = 1, 48, 4, 200
    _rows, _steps = 4, ((0, -1), (1, 0), (0, 1), (-1, 0))

    def reset(self) -> None:
        """Begin at one end of the cliff."""
        self.state[0] = (self._rows - 1) * self.physics[0]

    def observe(self) -> Floats:
        """Return a one at the place."""
        return one_hot(48, self.state[0])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go up, to the right, down or to the left; -100 and back to the start for a fall."""
        way, width, at = int(action[0]), int(self.physics[0]), int(self.state[0])
        if self.random.uniform() < self.physics[1]:
            way = self.random.below(4)
        x = min(max(at % width + self._steps[way][0], 0), width - 1)
        y = min(max(at // width + self._steps[way][1], 0), self._rows - 1)
        is_low = y == self._rows - 1
        falls = is_low and 0 < x < width - 1
        x = 0 if falls else x
        self.state[0] = y * width + x
        return (-100.0 if falls else -1.0), is_low and x == width - 1


class DeepSea(Environment):
    """Dive along a diagonal of which every step costs and only the last pays.

    Which action goes right differs from place to place. Physics: size, seed. Osband et al.,
    "Behaviour Suite for Reinforcement Learning", 2020.
    """

    state_size, observation_size, num_outputs, max_steps = 2, 20, 2, 10

    def reset(self) -> None:
        """Begin in the corner."""
        self.state[:] = 0.0

    def observe(self) -> Floats:
        """Return a one at the row and one at the column."""
        row = one_hot(10, self.state[0]) if self.state[0] < 10 else np.zeros(10, np.float32)
        return np.concatenate([row, one_hot(10, self.state[1])])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go down, to one side or the other."""
        row, column, size = int(self.state[0]), int(self.state[1]), int(self.physics[0])
        is_first_right = placed(self.physics[1], row, column).uniform() < 0.5
        reward = 0.0
        if (int(action[0]) == 1) == is_first_right:
            reward = -0.01 / size + (1.0 if column == size - 1 else 0.0)
            column = min(column + 1, size - 1)
        else:
            column = max(column - 1, 0)
        self.state[:] = row + 1, column
        return reward, row + 1 == size


class RiverSwim(Environment):
    """Swim upstream, where much is paid seldom, and not down, where little is paid at once.

    Physics: states, chance to get on, chance to stay, the small reward. Strehl and Littman, "An
    analysis of model-based interval estimation for Markov decision processes", 2008.
    """

    state_size, observation_size, num_outputs, max_steps = 1, 12, 2, 50

    def reset(self) -> None:
        """Begin downstream."""
        self.state[0] = 0.0

    def observe(self) -> Floats:
        """Return a one at the place."""
        return one_hot(12, self.state[0])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Drift down (0) or swim up (1)."""
        at, (count, gets_on, stays, small) = int(self.state[0]), self.physics[:4]
        if int(action[0]) == 0:
            self.state[0] = max(at - 1, 0)
            return (float(small) if at == 0 else 0.0), False
        drawn = self.random.uniform()
        if drawn < gets_on:
            if at == int(count) - 1:
                return 1.0, False
            self.state[0] = at + 1
        elif drawn >= gets_on + stays:
            self.state[0] = max(at - 1, 0)
        return 0.0, False


class RandomTable(Environment):
    """Find the states that pay among sixteen, where steps lead at random.

    Physics: seed, share of states that pay, noise of the reward. After the Garnets of Archibald,
    McKinnon and Thomas, "On the generation of Markov decision processes", 1995.
    """

    state_size, observation_size, num_outputs, max_steps = 1, 16, 4, 40

    def reset(self) -> None:
        """Begin anywhere."""
        self.state[0] = self.random.below(16)

    def observe(self) -> Floats:
        """Return a one at the state."""
        return one_hot(16, self.state[0])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go to one of three states that the action leads to."""
        table = placed(self.physics[0], int(self.state[0]), int(action[0]))
        following = [table.below(16) for _ in range(3)]
        drawn = self.random.uniform()
        place = 0 if drawn < np.float32(0.6) else 1 if drawn < np.float32(0.85) else 2
        self.state[0] = following[place]
        noise = self.physics[2] * self.random.normal()
        return float(self.pay(following[place]) + noise), False

    def pay(self, state: int) -> np.float32:
        """Return what a state pays on average."""
        drawn = placed(self.physics[0], state, 77)
        if drawn.uniform() < self.physics[1]:
            return drawn.uniform(0.2, 1.0)
        return np.float32(0.0)


class FourRooms(Environment):
    """Find the goal in four rooms, each with two doors.

    Physics: whether the goal stays in its corner (1) or not (0), chance that a step goes anywhere.
    """

    state_size, observation_size, num_outputs, max_steps = 4, 8, 4, 120
    _size = 11

    def reset(self) -> None:
        """Begin anywhere."""
        self.state[:2] = self._draw()
        self.state[2:] = self._draw()
        if self.physics[0] > 0.5:
            self.state[2:] = self._size - 1

    def observe(self) -> Floats:
        """Return place and goal, and which of the next cells are free."""
        x, y = int(self.state[0]), int(self.state[1])
        free = [float(self._is_free(x + dx, y + dy)) for dx, dy in STEPS]
        places = self.state / np.float32(5.0) - np.float32(1.0)
        return np.array([*places, *free], dtype=np.float32)

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go; 1 at the goal."""
        way = int(action[0])
        if self.random.uniform() < self.physics[1]:
            way = self.random.below(4)
        x, y = int(self.state[0]) + STEPS[way][0], int(self.state[1]) + STEPS[way][1]
        if self._is_free(x, y):
            self.state[:2] = x, y
        is_end = bool((self.state[:2] == self.state[2:]).all())
        return (1.0 if is_end else 0.0), is_end

    def _draw(self) -> tuple[int, int]:
        while True:
            x, y = self.random.below(self._size), self.random.below(self._size)
            if self._is_free(x, y):
                return x, y

    def _is_free(self, x: int, y: int) -> bool:
        if not (0 <= x < self._size and 0 <= y < self._size):
            return False
        if x == 5:
            return y in (2, 8)
        return y != 5 or x in (2, 8)


class KeyAndDoor(Environment):
    """Fetch a key, then go to the door. Physics: size, what the key pays, cost of a step."""

    state_size, observation_size, num_outputs, max_steps = 7, 7, 4, 80

    def reset(self) -> None:
        """Begin anywhere, with key and door anywhere."""
        size = int(self.physics[0])
        self.state[:6] = [self.random.below(size) for _ in range(6)]
        self.state[6] = 0.0

    def observe(self) -> Floats:
        """Return the places of oneself, key and door, and whether the key is held."""
        half = np.float32(0.5) * (self.physics[0] - np.float32(1.0))
        return np.append(self.state[:6] / half - np.float32(1.0), self.state[6])

    def step(self, action: Floats) -> tuple[float, bool]:
        """Go."""
        s, (size, pays, cost) = self.state, self.physics[:3]
        s[:2] = np.clip(s[:2] + np.array(STEPS[int(action[0])], np.float32), 0.0, size - 1.0)
        if s[6] == 0.0 and (s[:2] == s[2:4]).all():
            s[6] = 1.0
            return float(pays - cost), False
        is_end = bool(s[6] == 1.0 and (s[:2] == s[4:6]).all())
        return float((1.0 if is_end else 0.0) - cost), is_end


class ContextBandit(Environment):
    """Choose the arm that eight numbers tell. Physics: seed, chance that the right one pays."""

    state_size, observation_size, num_outputs, max_steps = 8, 8, 4, 20

    def reset(self) -> None:
        """Draw the numbers."""
        self.state[:] = [self.random.normal() for _ in range(8)]

    def observe(self) -> Floats:
        """Return the numbers."""
        return self.state.copy()

    def step(self, action: Floats) -> tuple[float, bool]:
        """Choose, and see other numbers."""
        scores = []
        for arm in range(4):
            table = placed(self.physics[0], arm, 5)
            weights = np.array([table.normal() for _ in range(8)], dtype=np.float32)
            scores.append(np.sum(weights * self.state))
        is_right = int(action[0]) == int(np.argmax(scores))
        pays = is_right and self.random.uniform() < self.physics[1]
        self.reset()
        return (1.0 if pays else 0.0), False
