"""Deep Q-learning in NumPy, with the rules of Stable-Baselines3's DQN: the kernel's twin.

Axes: `B` samples of a minibatch, `A` actions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from hpo_env.tasks.reinforcement.dqn import LEARNING_STARTS, TRAIN_FREQ, exploration
from hpo_env.tasks.reinforcement.environments.base import Floats, Random
from hpo_env.tasks.reinforcement.learning import Progress, step
from hpo_env.tasks.reinforcement.memory import HEAD, Learner
from hpo_env.tasks.reinforcement.nets import layers, policy_of, slopes_of
from hpo_env.tasks.reinforcement.playing import Player
from hpo_env.tasks.reinforcement.tally import Tally

_CALLS = 2  # the counter of steps


def fill(learner: Learner, values: Mapping[str, np.float32], tally: Tally) -> None:
    """Act at random until something can be learned."""
    learner.counters[_CALLS] = 0
    while _steps_made(learner) <= LEARNING_STARTS:
        _play(learner, values, tally)


def learn_and_play(
    learner: Learner, values: Mapping[str, np.float32], tally: Tally, progress: Progress
) -> None:
    """Run an interval: a gradient step, and some steps of the environments, in turn."""
    for _ in range(0, learner.task.num_steps, TRAIN_FREQ):
        _replay(learner, values, progress)
        _play(learner, values, tally)


def best_actions(learner: Learner, seen: Floats) -> Sequence[int]:
    """Return the actions that are worth most where `seen [B, D]`."""
    found: list[int] = policy_of(learner, seen).argmax(axis=1).tolist()
    return found


def _steps_made(learner: Learner) -> int:
    return int(learner.counters[_CALLS]) * learner.task.num_envs


def _play(learner: Learner, values: Mapping[str, np.float32], tally: Tally) -> None:
    """Make as many steps as there are between two updates."""
    task, player = learner.task, Player(learner)
    draws, seen = Random(int(learner.counters[0])), learner.part("seen")
    observations, actions, rewards, following, ended = (
        learner.part(name) for name in ("observations", "actions", "rewards", "following", "ended")
    )
    copied = max(int(values["target_update_interval"]) // task.num_envs, 1)
    for _ in range(TRAIN_FREQ):
        calls, made = int(learner.counters[_CALLS]), _steps_made(learner)
        at = calls % (len(rewards) // task.num_envs) * task.num_envs
        is_random = made < LEARNING_STARTS or draws.uniform() < exploration(made / task.total_steps)
        chosen = [] if is_random else best_actions(learner, seen)
        observations[at : at + task.num_envs] = seen
        for e in range(task.num_envs):
            action = draws.below(task.rules.num_outputs) if is_random else chosen[e]
            actions[at + e] = action
            outcome = player.step(e, np.array([action], dtype=np.float32), tally)
            seen[e], following[at + e] = outcome.seen, outcome.last
            rewards[at + e] = values["reward_scale"] * outcome.reward
            ended[at + e] = outcome.is_end
        tally.add_rewards(rewards[at : at + task.num_envs])
        learner.counters[_CALLS] = calls + 1
        if (calls + 1) % copied == 0:
            views = learner.views_of("weights")
            for name, view in views.items():
                if name.startswith("target."):
                    view[:] = views[name.replace("target.", "actor.")]
    learner.counters[0] = draws.state
    player.close()


def _replay(learner: Learner, values: Mapping[str, np.float32], progress: Progress) -> None:
    """Make one gradient step on a minibatch that is drawn from the buffer."""
    rewards, size = learner.part("rewards"), int(values["batch_size"])
    kept = min(_steps_made(learner), len(rewards))
    draws = Random(int(learner.counters[0]))
    chosen = np.array([draws.below(kept) for _ in range(size)])
    learner.counters[0] = draws.state
    width = learner.task.rules.num_outputs
    after = layers(learner, "target", learner.part("following")[chosen])[2][:, :width]
    goes_on = 1.0 - learner.part("ended")[chosen]
    targets = rewards[chosen] + goes_on * values["discount"] * after.max(axis=1)
    observations = learner.part("observations")[chosen]
    first, second, outputs = layers(learner, "actor", observations)
    rows, actions = np.arange(size), learner.part("actions")[chosen, 0].astype(np.int64)
    off = outputs[rows, actions] - targets
    slope = np.zeros((size, HEAD), dtype=np.float32)
    slope[rows, actions] = np.clip(off, -1.0, 1.0) / size
    slopes = slopes_of(learner, "actor", observations, (first, second), slope)
    norm = math.sqrt(sum(float(np.sum(part.astype(np.float64) ** 2)) for part in slopes.values()))
    limit = float(values["max_grad_norm"])
    step(learner, slopes, min(1.0, limit / (norm + 1e-6)), values["learning_rate"])
    far = np.abs(off).astype(np.float64)
    progress.take_replay(float(np.mean(np.where(far < 1.0, 0.5 * far**2, far - 0.5))), norm, limit)
