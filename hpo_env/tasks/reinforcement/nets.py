"""A learner's nets in NumPy, forward and back, over the weights in its memory.

Axes: `B` samples, `D` numbers in an observation, `A` outputs of the actor.
"""

from __future__ import annotations

import math

import numpy as np

from hpo_env.tasks.reinforcement.environments.base import Floats
from hpo_env.tasks.reinforcement.memory import Learner

_LOG_ROOT = 0.5 * math.log(2.0 * math.pi)


def layers(learner: Learner, net: str, x: Floats) -> tuple[Floats, Floats, Floats]:
    """Return both hidden layers and the last one of a net for `x [B, D]`."""
    w = learner.views_of("weights")
    first = _units(learner, x @ w[f"{net}.first"] + w[f"{net}.first_bias"])
    second = _units(learner, first @ w[f"{net}.second"] + w[f"{net}.second_bias"])
    return first, second, second @ w[f"{net}.head"] + w[f"{net}.head_bias"]


def _units(learner: Learner, x: Floats) -> Floats:
    return np.asarray(np.maximum(x, 0.0) if learner.task.algorithm == "dqn" else np.tanh(x))


def _slope_of_units(learner: Learner, out: Floats) -> Floats:
    """Return the slope in hidden units by what comes out of them."""
    if learner.task.algorithm == "dqn":
        return np.asarray(out > 0.0, dtype=np.float32)
    return np.asarray(1.0 - out**2)


def policy_of(learner: Learner, x: Floats) -> Floats:
    """Return logits, means or action values `[B, A]`."""
    return layers(learner, "actor", x)[2][:, : learner.task.rules.num_outputs]


def value_of(learner: Learner, x: Floats) -> Floats:
    """Return values of states `[B]`."""
    return layers(learner, "critic", x)[2][:, 0]


def log_softmax(logits: Floats) -> Floats:
    """Return the logarithms of probabilities `[B, A]`."""
    shifted = logits - logits.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def log_density(learner: Learner, outputs: Floats, actions: Floats) -> Floats:
    """Return the log probability or density of actions under outputs `[B, A]`, `[B]`."""
    if learner.task.rules.is_discrete:
        chosen = actions[:, 0].astype(np.int64)
        return log_softmax(outputs)[np.arange(len(outputs)), chosen]
    log_std = learner.views_of("weights")["log_std"][: outputs.shape[1]]
    z = (actions - outputs) * np.exp(-log_std)
    return np.asarray(np.sum(-0.5 * z**2 - log_std - np.float32(_LOG_ROOT), axis=1))


def slopes_of(
    learner: Learner, net: str, x: Floats, hidden: tuple[Floats, Floats], slope: Floats
) -> dict[str, Floats]:
    """Return the slopes of a loss in all weights of a net.

    Args:
        learner: Whose weights.
        net: "actor" or "critic", which are both nets of policy gradients.
        x: Samples `[B, D]`.
        hidden: Both hidden layers, of `layers`.
        slope: Of the loss in the last layer `[B, A]`, padded.
    """
    w = learner.views_of("weights")
    first, second = hidden
    below = slope @ w[f"{net}.head"].T * _slope_of_units(learner, second)
    under = below @ w[f"{net}.second"].T * _slope_of_units(learner, first)
    return {
        f"{net}.first": x.T @ under,
        f"{net}.first_bias": under.sum(axis=0),
        f"{net}.second": first.T @ below,
        f"{net}.second_bias": below.sum(axis=0),
        f"{net}.head": second.T @ slope,
        f"{net}.head_bias": slope.sum(axis=0),
    }
