"""Advantages and updates in NumPy, with the rules of Stable-Baselines3's PPO and A2C.

Axes: `R` steps of a rollout, `B` samples of a minibatch, `A` outputs of the actor.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.environments.base import Floats
from hpo_env.tasks.reinforcement.facts import UNIT_GAUSSIAN_ENTROPY
from hpo_env.tasks.reinforcement.memory import HEAD, Learner
from hpo_env.tasks.reinforcement.nets import layers, log_density, log_softmax, slopes_of

Ints = NDArray[np.int64]

_FIRST, _SECOND = 0.9, 0.999
_ADAM_EPSILONS = {"ppo": 1e-5, "dqn": 1e-8}
_DECAY, _RMS_EPSILON = 0.99, 1e-5


def targets_of(learner: Learner, discount: np.float32, decay: np.float32) -> tuple[Floats, Floats]:
    """Return generalised advantages and the returns that they make with the values, `[R]` each.

    Schulman et al., "High-dimensional continuous control using generalized advantage estimation",
    2016, equation 16.
    """
    shape = learner.task.num_steps, learner.task.num_envs
    rewards, values, first = (
        learner.part(name).reshape(shape) for name in ("rewards", "values", "first")
    )
    advantages = np.zeros(shape, dtype=np.float32)
    following, goes_on = learner.part("last_values"), 1.0 - learner.part("starts")
    total = np.zeros(shape[1], dtype=np.float32)
    for t in reversed(range(shape[0])):
        error = rewards[t] + discount * following * goes_on - values[t]
        total = error + discount * decay * goes_on * total
        advantages[t] = total
        following, goes_on = values[t], 1.0 - first[t]
    return advantages.ravel(), (advantages + values).ravel()


@dataclass(frozen=True, kw_only=True, eq=False)
class Minibatch:
    """Some steps of a rollout."""

    observations: Floats
    actions: Floats
    log_probs: Floats
    advantages: Floats
    returns: Floats

    @classmethod
    def of(cls, learner: Learner, chosen: Ints, advantages: Floats, returns: Floats) -> Minibatch:
        """Gather the chosen steps `[B]`."""
        return cls(
            observations=learner.part("observations")[chosen],
            actions=learner.part("actions")[chosen],
            log_probs=learner.part("log_probs")[chosen],
            advantages=advantages[chosen],
            returns=returns[chosen],
        )


class Progress:
    """Sums of what the updates of an interval measure."""

    def __init__(self) -> None:
        self.num_updates = 0
        self.norms: list[float] = []
        self.over_limit = 0
        self.sums: dict[str, float] = dict.fromkeys(
            (
                "explained_variance",
                "approx_kl",
                "clip_fraction",
                "entropy",
                "value_loss",
                "advantage_spread",
                "target_spread",
            ),
            0.0,
        )
        self.divergences: list[float] = []
        self.lacking: tuple[str, ...] = ()  # what the algorithm does not have

    def take_replay(self, value_loss: float, norm: float, limit: float) -> None:
        """Take in an update of Q-learning: a single gradient step."""
        self.lacking = tuple(name for name in self.sums if name != "value_loss")
        self.num_updates += 1
        self.norms.append(norm)
        self.over_limit += norm > limit
        self.sums["value_loss"] += value_loss

    def close(
        self, update: Progress, learner: Learner, advantages: Floats, returns: Floats
    ) -> None:
        """Take in a whole update: its means over minibatches, and what it was made of."""
        if learner.task.algorithm == "a2c":
            self.lacking = ("approx_kl", "clip_fraction")
        self.num_updates += 1
        self.norms += update.norms
        self.over_limit += update.over_limit
        for name in ("clip_fraction", "entropy", "value_loss"):
            self.sums[name] += update.sums[name] / len(update.norms)
        self.sums["approx_kl"] += float(np.mean(update.divergences))
        spread = float(np.std(returns, dtype=np.float64))
        errors = float(np.std(returns - learner.part("values"), dtype=np.float64))
        self.sums["explained_variance"] += 1.0 - (errors / spread) ** 2 if spread else math.nan
        self.sums["advantage_spread"] += float(np.std(advantages, dtype=np.float64))
        self.sums["target_spread"] += spread


def learn_from(
    learner: Learner,
    batch: Minibatch,
    values: Mapping[str, np.float32],
    progress: Progress,
    *,
    is_last_epoch: bool,
) -> None:
    """Make one gradient step."""
    is_ppo, count = learner.task.algorithm == "ppo", len(batch.advantages)
    advantages = batch.advantages
    if is_ppo and count > 1:
        advantages = (advantages - advantages.mean()) / (advantages.std(ddof=1) + 1e-8)
    first, second, outputs = layers(learner, "actor", batch.observations)
    outputs = outputs[:, : learner.task.rules.num_outputs]
    log_ratio = log_density(learner, outputs, batch.actions) - batch.log_probs
    ratio, clip = np.exp(log_ratio), values["clip_range"]
    within = np.clip(ratio, 1.0 - clip, 1.0 + clip)
    pulls = np.where(advantages * ratio <= advantages * within, -advantages * ratio, 0.0)
    pulls = pulls if is_ppo else -advantages
    pulls = np.asarray(pulls, dtype=np.float32)
    slope, log_std_slope, entropy = _policy_slopes(
        learner, outputs, batch.actions, pulls, values["entropy"]
    )
    slopes = slopes_of(learner, "actor", batch.observations, (first, second), slope)
    *hidden, predicted = layers(learner, "critic", batch.observations)
    off = predicted[:, 0] - batch.returns
    value_slope = np.asarray(off[:, None] * (values["value_coefficient"] * 2 / count), np.float32)
    slopes |= slopes_of(learner, "critic", batch.observations, (hidden[0], hidden[1]), value_slope)
    slopes["log_std"] = log_std_slope
    norm = math.sqrt(sum(float(np.sum(part.astype(np.float64) ** 2)) for part in slopes.values()))
    limit = float(values["max_grad_norm"])
    step(learner, slopes, min(1.0, limit / (norm + 1e-6)), values["learning_rate"])
    progress.norms.append(norm)
    progress.over_limit += norm > limit
    progress.sums["clip_fraction"] += float(np.mean(np.abs(ratio - 1.0) > clip))
    progress.sums["entropy"] += float(np.mean(entropy))
    progress.sums["value_loss"] += float(np.mean(off.astype(np.float64) ** 2))
    if is_last_epoch:
        progress.divergences.append(float(np.mean((ratio - 1.0) - log_ratio)))


def _policy_slopes(
    learner: Learner, outputs: Floats, actions: Floats, pulls: Floats, weight: np.float32
) -> tuple[Floats, Floats, Floats]:
    """Return the slopes of the policy's loss in the actor's outputs and in the log deviations.

    Args:
        learner: Whose policy.
        outputs: Of the actor `[B, A]`.
        actions: That were taken.
        pulls: Slope of the loss in the log probability of each, before the mean `[B]`.
        weight: Of the entropy.

    Returns:
        Slopes `[B, HEAD]` and `[HEAD]`, and the entropy of each sample `[B]`.
    """
    count, width = outputs.shape
    slope = np.zeros((count, HEAD), dtype=np.float32)
    log_std_slope = np.zeros(HEAD, dtype=np.float32)
    if learner.task.rules.is_discrete:
        logs = log_softmax(outputs)
        odds = np.exp(logs)
        entropy = -np.sum(odds * logs, axis=1)
        taken = np.eye(width, dtype=np.float32)[actions[:, 0].astype(np.int64)]
        own = pulls[:, None] * (taken - odds) + weight * odds * (logs + entropy[:, None])
        slope[:, :width] = own / count
        return slope, log_std_slope, entropy
    log_std = learner.views_of("weights")["log_std"][:width]
    z = (actions - outputs) * np.exp(-log_std)
    slope[:, :width] = pulls[:, None] * z * np.exp(-log_std) / count
    log_std_slope[:width] = np.mean(pulls[:, None] * (z**2 - 1.0), axis=0) - weight
    entropy = np.full(count, log_std.sum() + width * UNIT_GAUSSIAN_ENTROPY)
    return slope, log_std_slope, entropy


def step(learner: Learner, slopes: Mapping[str, Floats], scale: float, rate: np.float32) -> None:
    """Make one step of RMSprop for A2C, of Adam for the others, on all weights with slopes."""
    learner.counters[1] += np.uint64(1)
    t = int(learner.counters[1])
    weights, moment, square = map(learner.views_of, ("weights", "moment", "square"))
    for name, slope in slopes.items():
        g = slope * np.float32(scale)
        if learner.task.algorithm == "a2c":
            square[name][:] = _DECAY * square[name] + (1.0 - _DECAY) * g**2
            weights[name] -= rate * g / (np.sqrt(square[name]) + _RMS_EPSILON)
            continue
        moment[name][:] = _FIRST * moment[name] + (1.0 - _FIRST) * g
        square[name][:] = _SECOND * square[name] + (1.0 - _SECOND) * g**2
        size = rate / (1.0 - _FIRST**t)
        root = np.sqrt(square[name]) / math.sqrt(1.0 - _SECOND**t)
        weights[name] -= size * moment[name] / (root + _ADAM_EPSILONS[learner.task.algorithm])
