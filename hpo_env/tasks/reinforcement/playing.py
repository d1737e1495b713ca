"""Steps of a learner's environments in NumPy, as both kinds of learners make them.

Axes: `D` numbers in an observation.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Environment, Floats, Random
from hpo_env.tasks.reinforcement.memory import NUM_COUNTERS, Learner
from hpo_env.tasks.reinforcement.tally import Tally


class Outcome(NamedTuple):
    """What a step of one environment came to.

    Args:
        reward: As the environment pays it.
        is_end: Whether its rules ended the episode.
        is_cut: Whether the time limit did.
        last: What is seen after it `[D]`.
        seen: The same, or where the episode is over what is seen of the next.
    """

    reward: float
    is_end: bool
    is_cut: bool
    last: Floats
    seen: Floats


class Player:
    """The environments of a learner; their states are views of its memory.

    Args:
        learner: Whose; `close` gives it their random states.
    """

    def __init__(self, learner: Learner) -> None:
        self._learner = learner
        rules, numbers = learner.task.rules, learner.task.numbers
        self._envs: list[Environment] = []
        for e, state in enumerate(learner.part("states")):
            env = rules(numbers, Random(int(learner.counters[NUM_COUNTERS + e])))
            env.state = state
            self._envs.append(env)

    def reset(self) -> Floats:
        """Begin an episode in each, and return what is seen `[E, D]`."""
        for env in self._envs:
            env.reset()
        for name in ("returns", "lengths", "phases"):
            self._learner.part(name)[:] = 0.0
        self._learner.part("starts")[:] = 1.0
        return np.stack([env.observe() for env in self._envs])

    def step(self, e: int, action: Floats, tally: Tally) -> Outcome:
        """Make a step of one environment and count it; where the episode is over, begin another."""
        env, learner = self._envs[e], self._learner
        returns, lengths = learner.part("returns"), learner.part("lengths")
        reward, is_end = self._move(env, e, action)
        returns[e] += reward
        lengths[e] += 1.0
        is_cut = not is_end and bool(lengths[e] >= env.max_steps * learner.task.stretch)
        last = seen = env.observe()
        if is_end or is_cut:
            tally.add_episode(returns[e], lengths[e], was_cut=is_cut)
            returns[e] = lengths[e] = 0.0
            env.reset()
            seen = env.observe()
        learner.part("starts")[e] = is_end or is_cut
        return Outcome(reward, is_end, is_cut, last, seen)

    def close(self) -> None:
        """Keep the random states of the environments."""
        self._learner.counters[NUM_COUNTERS:] = [env.random.state for env in self._envs]

    def _move(self, env: Environment, e: int, action: Floats) -> tuple[float, bool]:
        """Make a step, of which `task.stretch` make one of the environment."""
        phases, held = self._learner.part("phases"), self._learner.part("held")
        before = int(phases[e])
        if before == 0 or env.random.below(before + 1) == 0:
            held[e] = bounded(env, action)
        phases[e] = (before + 1) % self._learner.task.stretch
        return env.step(held[e].copy()) if phases[e] == 0 else (0.0, False)


def bounded(env: Environment, action: Floats) -> Floats:
    """Return what the environment is given: the drawn action within the bounds."""
    return action if env.is_discrete else np.clip(action, env.low, env.high)
