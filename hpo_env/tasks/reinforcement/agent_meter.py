"""Measures an agent of Stable-Baselines3 while it learns: `measures`, as a callback has them.

Whoever trains calls `take_step` after every step of the environments, `begin_update` once the
advantages that an update is made of are there, and `end_update` when `train()` has returned. `take`
gives what an interval measured and forgets it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.reinforcement.measures import COLUMN, missing

Array = NDArray[np.float64]

_LOGGED = {
    "explained_variance": ("train/explained_variance", 1.0),
    "approx_kl": ("train/approx_kl", 1.0),
    "clip_fraction": ("train/clip_fraction", 1.0),
    "entropy": ("train/entropy_loss", -1.0),
    "value_loss": ("train/value_loss", 1.0),
}
"""Measures that `train()` logs: under which key, and times what."""

_LOGGED_OFF_POLICY = {"value_loss": ("train/loss", 1.0)}
"""The same of an agent that learns from a replay buffer; its loss is that of its value function."""


@dataclass(kw_only=True)
class _Collected:
    """What an interval has measured so far.

    Args:
        episodes: Return, length, and whether a time limit ended it, of each.
        rewards: As the agent got them, `[num_envs]` a step.
        updates: What each update logged, by measure.
        spreads: Standard deviations of advantages and targets, an update each.
        norms: Of the gradient before clipping, a minibatch each; tensors until they are read.
        is_clipped: Whether those were above the limit.
    """

    episodes: list[tuple[float, float, bool]] = field(default_factory=list)
    rewards: list[Array] = field(default_factory=list)
    updates: list[dict[str, float]] = field(default_factory=list)
    spreads: list[tuple[float, float]] = field(default_factory=list)
    norms: list[Any] = field(default_factory=list)
    is_clipped: list[Any] = field(default_factory=list)


class AgentMeter:
    """Collects the measures of one agent.

    Episodes are those that `Monitor` reports. Environments without it are counted here, by the
    rewards before `VecNormalize`.

    Args:
        model: The agent.

    Attributes:
        has_constant_returns: Whether all episodes so far had one and the same return.
        has_bad_returns: Whether a return was not finite; such episodes are left out.
        num_episodes: Episodes that have ended since the start.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        self._logged = _LOGGED if hasattr(model, "rollout_buffer") else _LOGGED_OFF_POLICY
        self._handles: list[Any] = []
        self._squares: list[Any] = []  # of one minibatch's gradient, parameter by parameter
        self._running = np.zeros((2, model.n_envs))  # returns and lengths of unfinished episodes
        self._span = (math.inf, -math.inf)
        self._now = _Collected()
        self.has_bad_returns = False
        self.num_episodes = 0

    @property
    def has_constant_returns(self) -> bool:
        """See the class."""
        return self.num_episodes > 1 and self._span[0] == self._span[1]

    # -------------------------------------------------------------------------- what there is to do

    def hang_up(self) -> None:
        """Hang the hooks up that measure gradients before they are clipped."""
        if self._handles:
            return
        policy = self._model.policy
        for parameter in policy.parameters():
            if parameter.requires_grad:
                self._handles.append(parameter.register_post_accumulate_grad_hook(self._add_square))
        self._handles.append(policy.optimizer.register_step_pre_hook(self._end_minibatch))

    def take_down(self) -> None:
        """Take the hooks down."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._squares = [], []

    def take_step(self, infos: Sequence[Mapping[str, Any]], rewards: Any, dones: Any) -> None:
        """Take in one step of all environments, before anything is added to its rewards.

        Args:
            infos: Of each environment.
            rewards: As the agent gets them `[num_envs]`.
            dones: Where an episode ended `[num_envs]`.
        """
        rewards = np.array(rewards, dtype=np.float64)  # a copy: it is written to afterwards
        self._now.rewards.append(rewards)
        self._running += [self._paid(rewards), np.ones(len(rewards))]
        for env in np.flatnonzero(dones).tolist():
            info = infos[env]
            known = info.get("episode")
            own = self._running[:, env]
            result, length = (own[0], own[1]) if known is None else (known["r"], known["l"])
            self._note_episode(float(result), float(length), bool(info.get("TimeLimit.truncated")))
            self._running[:, env] = 0.0

    def begin_update(self) -> None:
        """Read the advantages and targets that the next update is made of."""
        buffer = getattr(self._model, "rollout_buffer", None)
        if buffer is not None:
            self._now.spreads.append((float(buffer.advantages.std()), float(buffer.returns.std())))

    def end_update(self) -> None:
        """Read what the update that has just been made has logged."""
        logged = self._model.logger.name_to_value
        row = [
            sign * float(logged[key]) if key in logged else math.nan
            for key, sign in self._logged.values()
        ]
        self._now.updates.append(dict(zip(self._logged, row, strict=True)))

    @property
    def gradient_norms(self) -> list[float]:
        """Norms of the gradient before clipping so far, a minibatch each."""
        self._read_norms()
        return self._now.norms

    def take(self) -> Array:
        """Return the measures since the last time `[1, M]`, and begin anew."""
        row = missing(1)
        for name, value in self._measured().items():
            row[0, COLUMN[name]] = value
        self._now = _Collected()
        return row

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, as plain data; `load_state_dict` is the inverse."""
        self._read_norms()
        return {
            "episodes": [list(episode) for episode in self._now.episodes],
            "rewards": [step.tolist() for step in self._now.rewards],
            "updates": [dict(update) for update in self._now.updates],
            "spreads": [list(pair) for pair in self._now.spreads],
            "norms": list(self._now.norms),
            "is_clipped": list(self._now.is_clipped),
            "running": self._running.tolist(),
            "span": list(self._span),
            "num_episodes": self.num_episodes,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self._now = _Collected(
            episodes=[(result, length, cut) for result, length, cut in state["episodes"]],
            rewards=[np.array(step) for step in state["rewards"]],
            updates=[dict(update) for update in state["updates"]],
            spreads=[(one, other) for one, other in state["spreads"]],
            norms=list(state["norms"]),
            is_clipped=list(state["is_clipped"]),
        )
        running = np.array(state["running"])
        if running.shape == self._running.shape:  # not so where there are more environments now
            self._running = running
        self._span = (state["span"][0], state["span"][1])
        self.num_episodes = int(state["num_episodes"])

    # --------------------------------------------------------------------------------- the insides

    def _paid(self, rewards: Array) -> Array:
        """Return what the environments paid in this step `[num_envs]`."""
        normalizer = self._model.get_vec_normalize_env()
        return rewards if normalizer is None else np.asarray(normalizer.get_original_reward())

    def _note_episode(self, result: float, length: float, is_truncated: bool) -> None:
        if not math.isfinite(result):
            self.has_bad_returns = True
            return
        self.num_episodes += 1
        self._span = (min(self._span[0], result), max(self._span[1], result))
        self._now.episodes.append((result, length, is_truncated))

    def _add_square(self, parameter: Any) -> None:
        self._squares.append(parameter.grad.detach().square().sum())

    def _end_minibatch(self, *_: Any) -> None:
        """Work the norm out before the optimiser steps; a tensor is read later."""
        if self._squares:
            norm = sum(self._squares) ** 0.5
            self._now.norms.append(norm)
            self._now.is_clipped.append(norm > self._model.max_grad_norm)
            self._squares = []

    def _read_norms(self) -> None:
        self._now.norms = [float(norm) for norm in self._now.norms]
        self._now.is_clipped = [bool(one) for one in self._now.is_clipped]

    def _measured(self) -> dict[str, float]:
        self._read_norms()
        results = np.array([episode[0] for episode in self._now.episodes])
        found = {"num_episodes": float(len(results))}
        if len(results):
            found["episode_return"] = results.mean()
            found["episode_length"] = float(np.mean([one[1] for one in self._now.episodes]))
            found["truncated_share"] = float(np.mean([one[2] for one in self._now.episodes]))
        if len(results) > 1:
            found["episode_return_spread"] = results.std(ddof=1)
        if self._now.rewards:
            rewards = np.concatenate(self._now.rewards)
            found |= {"reward_mean": rewards.mean(), "reward_spread": rewards.std()}
        for name in self._logged:
            found[name] = _mean([update[name] for update in self._now.updates])
        found["gradient_norm"] = _mean(self._now.norms)
        found["clipped_share"] = _mean([float(one) for one in self._now.is_clipped])
        found["advantage_spread"] = _mean([pair[0] for pair in self._now.spreads])
        found["target_spread"] = _mean([pair[1] for pair in self._now.spreads])
        return found


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is a number; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
