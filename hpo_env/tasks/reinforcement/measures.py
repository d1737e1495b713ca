"""What one decision interval of a policy-gradient learner measured.

A decision is taken where Stable-Baselines3 calls `_on_rollout_end`: a rollout is collected and its
update has not been made. An interval is therefore `rollouts_per_decision` times an update and the
rollout after it, and hyperparameters that are written at a decision hold from the update of the
rollout that is already there: discount and lambda, too, as its advantages are computed again.
Before the first decision there is a rollout and no update: the measures of updates are missing.

Every number here is one that a callback can have. `MEASURES` says where from: "infos" are those of
`_on_step` (`self.locals["infos"]`), "rewards" are `self.locals["rewards"]` of `_on_step`, which are
not yet bootstrapped; "logger" is `model.logger.name_to_value` at `_on_rollout_end`, written by
`train()` before; "buffer" is `model.rollout_buffer` at `_on_rollout_end`, after the advantages have
been computed with the values in force during the interval; "hook" is a hook on the parameters'
gradients, as Stable-Baselines3 logs no gradient norm.

Axes: `N` lanes, `M` measures.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

MEASURES: Mapping[str, str] = {
    "num_episodes": "Episodes that ended in the interval's rollouts; infos: count of 'episode'",
    "episode_return": "Mean return of those, without discount and as the environment pays; infos: "
    "mean of ['episode']['r']; missing where none ended",
    "episode_return_spread": "Standard deviation of those returns, ddof 1; missing below two",
    "episode_length": "Mean steps of those episodes; infos: mean of ['episode']['l']",
    "truncated_share": "Share of those that a time limit ended; infos: ['TimeLimit.truncated']",
    "reward_mean": "Mean reward of a step, as the learner gets it; rewards",
    "reward_spread": "Standard deviation of the rewards, ddof 0; rewards",
    "explained_variance": "Mean over the interval's updates; logger: train/explained_variance",
    "approx_kl": "Mean over the interval's updates; logger: train/approx_kl, which is the mean "
    "over the minibatches of an update's last epoch",
    "clip_fraction": "Mean over the interval's updates; logger: train/clip_fraction",
    "entropy": "Mean over the interval's updates of the policy's entropy; logger: minus "
    "train/entropy_loss",
    "value_loss": "Mean over the interval's updates; logger: train/value_loss, the mean square",
    "gradient_norm": "Mean over all minibatches of the interval of the norm of the whole gradient "
    "before it is clipped; hook",
    "clipped_share": "Share of those minibatches whose norm was above max_grad_norm; hook",
    "advantage_spread": "Standard deviation (ddof 0) of the advantages that the interval's updates "
    "were made of, mean over updates; buffer: advantages",
    "target_spread": "The same of the returns that the value function is trained on; buffer: "
    "returns",
}
"""Name and meaning of each measure, in the order of the columns `[N, M]`."""

NAMES: tuple[str, ...] = tuple(MEASURES)

COLUMN: Mapping[str, int] = {name: k for k, name in enumerate(NAMES)}

OF_UPDATES: tuple[str, ...] = NAMES[NAMES.index("explained_variance") :]
"""Measures that are missing before the first update."""


def missing(num_lanes: int) -> Array:
    """Return measures of which none was taken, NaN `[N, M]`."""
    return np.full((num_lanes, len(NAMES)), np.nan)
