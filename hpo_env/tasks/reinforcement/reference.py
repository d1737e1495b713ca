"""Learners in NumPy, one after the other: the obvious form of what the kernel does.

It works on the same memory, draws the same random numbers and makes the same updates, up to
rounding; a learner can be handed from one to the other. It is slow: for tests, and for machines
without a compiler.

Axes: `n` learners, `H` hyperparameters, `C` columns, `E` environments, `T` steps of a rollout,
`D` numbers in an observation, `A` outputs of the actor, `B` samples of a minibatch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.dqn import LAST_EXPLORATION
from hpo_env.tasks.reinforcement.environments.base import Floats, Random
from hpo_env.tasks.reinforcement.learning import Minibatch, Progress, learn_from, targets_of
from hpo_env.tasks.reinforcement.memory import Learner
from hpo_env.tasks.reinforcement.nets import log_density, policy_of, value_of
from hpo_env.tasks.reinforcement.normalising import Normaliser
from hpo_env.tasks.reinforcement.playing import Player, bounded
from hpo_env.tasks.reinforcement.q_learning import best_actions, fill, learn_and_play
from hpo_env.tasks.reinforcement.space import NAMES
from hpo_env.tasks.reinforcement.tally import Tally, report, way

Array = NDArray[np.float64]


class Reference:
    """The kernel's twin; see `trainer.Engine`."""

    def begin(self, learners: Sequence[Learner], values: Array) -> Array:
        """Start the environments and collect the first rollout."""
        rows = []
        for learner, row in zip(learners, values, strict=True):
            tally = Tally()
            _start(learner)
            if learner.task.algorithm == "dqn":
                fill(learner, _named(row), tally)
            else:
                _collect(learner, _named(row), tally)
            rows.append(report(tally, Progress()))
        return np.array(rows)

    def advance(self, learners: Sequence[Learner], values: Array) -> Array:
        """Run an interval: so many updates, each with the rollout after it."""
        rows = []
        for learner, row in zip(learners, values, strict=True):
            tally, progress = Tally(), Progress()
            weights = learner.part("weights")
            start = middle = weights.copy()
            count = learner.task.rollouts_per_decision
            for k in range(count):
                if k == count // 2:
                    middle = weights.copy()
                if learner.task.algorithm == "dqn":
                    learn_and_play(learner, _named(row), tally, progress)
                    continue
                _learn(learner, _named(row), progress)
                _collect(learner, _named(row), tally)
            moved = way(start, middle if count > 1 else None, weights)
            rows.append([*report(tally, progress)[:-2], *moved])
        return np.array(rows)

    def evaluate(
        self, learners: Sequence[Learner], num_episodes: int, seeds: NDArray[np.uint64]
    ) -> Array:
        """Play whole episodes without learning."""
        out = np.empty((len(learners), num_episodes))
        for learner, seed, row in zip(learners, seeds, out, strict=True):
            draws = Random(int(seed))
            row[:] = [_play(learner, Random(draws.bits())) for _ in range(num_episodes)]
        return out


def _named(row: Array) -> dict[str, np.float32]:
    return dict(zip(NAMES, row.astype(np.float32), strict=True))


def _start(learner: Learner) -> None:
    player, normaliser = Player(learner), Normaliser(learner)
    seen = player.reset()
    normaliser.begin()
    normaliser.take_observations(seen)
    learner.part("seen")[:] = normaliser.seen(seen)
    player.close()


def _draw(learner: Learner, row: Floats, random: Random) -> tuple[Floats, np.float32]:
    """Draw an action from a row of the actor's outputs `[A]`; its log density."""
    if learner.task.rules.is_discrete:
        odds = np.exp(row - row.max())
        left, chosen = random.uniform() * odds.sum(dtype=np.float32), 0
        while chosen < len(row) - 1 and left >= odds[chosen]:
            left -= odds[chosen]
            chosen += 1
        action = np.array([chosen], dtype=np.float32)
    else:
        log_std = learner.views_of("weights")["log_std"][: len(row)]
        noise = np.array([random.normal() for _ in row], dtype=np.float32)
        action = np.asarray(row + np.exp(log_std) * noise, dtype=np.float32)
    return action, log_density(learner, row[None], action[None])[0]


def _collect(learner: Learner, values: dict[str, np.float32], tally: Tally) -> None:
    task, player = learner.task, Player(learner)
    normaliser, draws = Normaliser(learner), Random(int(learner.counters[0]))
    part = {
        name: learner.part(name).reshape(task.num_steps, task.num_envs, -1)
        for name in ("observations", "actions")
    } | {
        name: learner.part(name).reshape(task.num_steps, task.num_envs)
        for name in ("rewards", "values", "log_probs", "first")
    }
    starts, seen = learner.part("starts"), learner.part("seen")
    for t in range(task.num_steps):
        part["observations"][t] = seen
        part["values"][t] = value_of(learner, seen)
        outputs = policy_of(learner, seen)
        paid, raw = np.zeros(task.num_envs, np.float32), np.zeros_like(seen)
        over, cut = np.zeros((2, task.num_envs), dtype=bool)
        final = np.zeros_like(seen)
        for e in range(task.num_envs):
            action, part["log_probs"][t, e] = _draw(learner, outputs[e], draws)
            part["actions"][t, e], part["first"][t, e] = action, starts[e]
            paid[e], is_end, cut[e], final[e], raw[e] = player.step(e, action, tally)
            over[e] = is_end or cut[e]
        normaliser.take_observations(raw)
        seen[:] = normaliser.seen(raw)
        part["rewards"][t] = values["reward_scale"] * normaliser.rewards(paid, over)
        tally.add_rewards(part["rewards"][t])
        if cut.any():  # what would have come after the time limit
            after = value_of(learner, normaliser.seen(final[cut]))
            part["rewards"][t, cut] += values["discount"] * after
    learner.part("last_values")[:] = value_of(learner, seen)
    learner.counters[0] = draws.state
    player.close()


def _learn(learner: Learner, values: dict[str, np.float32], total: Progress) -> None:
    advantages, returns = targets_of(learner, values["discount"], values["gae_lambda"])
    progress = Progress()
    for is_last_epoch, chosen in _minibatches(learner, values):
        batch = Minibatch.of(learner, chosen, advantages, returns)
        learn_from(learner, batch, values, progress, is_last_epoch=is_last_epoch)
    total.close(progress, learner, advantages, returns)


def _minibatches(
    learner: Learner, values: dict[str, np.float32]
) -> Iterator[tuple[bool, NDArray[np.int64]]]:
    """Go through the rollout as often as there are epochs, each in another order."""
    count = learner.task.num_envs * learner.task.num_steps
    if learner.task.algorithm == "a2c":
        yield True, np.arange(count)
        return
    size, epochs = min(int(values["batch_size"]), count), int(values["epochs"])
    order, draws = np.arange(count), Random(int(learner.counters[0]))
    for epoch in range(epochs):
        for i in range(count - 1, 0, -1):
            j = draws.below(i + 1)
            order[i], order[j] = order[j], order[i]
        learner.counters[0] = draws.state
        for at in range(0, count, size):
            yield epoch == epochs - 1, order[at : at + size].copy()


def _play(learner: Learner, random: Random) -> float:
    env = learner.task.rules(learner.task.numbers, random)
    normaliser, total = Normaliser(learner), 0.0
    env.reset()
    for _ in range(env.max_steps):
        seen = normaliser.seen(env.observe()[None])
        action = _chosen(learner, seen, env.random)
        reward, is_end = env.step(bounded(env, action))
        total += reward
        if is_end:
            break
    return total


def _chosen(learner: Learner, seen: Floats, random: Random) -> Floats:
    """Choose an action where `seen [1, D]`, as while learning; of DQN by its last exploration."""
    if learner.task.algorithm != "dqn":
        return _draw(learner, policy_of(learner, seen)[0], random)[0]
    is_random = random.uniform() < LAST_EXPLORATION
    count = learner.task.rules.num_outputs
    chosen = random.below(count) if is_random else best_actions(learner, seen)[0]
    return np.array([chosen], dtype=np.float32)
