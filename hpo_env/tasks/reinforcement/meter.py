"""Measures a policy gradient while it learns: `measures`, whoever trains.

Whoever trains calls `take_step` after every step of the environments, `take_targets` once the
advantages that an update is made of are there, and `take_update` when it has been made; norms of
gradients are measured by hooks. `take` gives what an interval measured and forgets it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn
from torch.optim import Optimizer

from hpo_env.measuring import global_norm
from hpo_env.tasks.reinforcement.measures import COLUMN, missing

Array = NDArray[np.float64]

LOGGED = ("explained_variance", "approx_kl", "clip_fraction", "entropy", "value_loss")
"""Measures of an update that only whoever makes it can tell."""


@dataclass(kw_only=True)
class _Collected:
    """What an interval has measured so far.

    Args:
        episodes: Return, length, and whether a time limit ended it, of each.
        rewards: As the agent got them, `[num_envs]` a step.
        updates: What each update logged, by measure.
        spreads: Standard deviations of advantages and targets, an update each.
        norms: Of the gradient before clipping, a minibatch each.
        is_clipped: Whether those were above the limit.
    """

    episodes: list[tuple[float, float, bool]] = field(default_factory=list)
    rewards: list[Array] = field(default_factory=list)
    updates: list[dict[str, float]] = field(default_factory=list)
    spreads: list[tuple[float, float]] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    is_clipped: list[bool] = field(default_factory=list)


class Meter:
    """Collects the measures of one agent.

    Args:
        module: All that it trains.
        optimizer: What trains it.
        num_envs: Environments side by side.
        limit: Returns the norm above which gradients are clipped now.

    Attributes:
        has_constant_returns: Whether all episodes so far had one and the same return.
        has_bad_rewards: Whether a reward was not finite; episodes with such are left out.
        has_bad_gradients: Whether a gradient was not finite, until somebody has taken note of it.
        is_normaliser_spoilt: Whether a reward was not finite although it was paid as a number: the
            running statistics by which rewards are normalised have met another.
        num_episodes: Episodes that have ended since the start, but for those that are left out.
        num_left_out: Those whose return is not finite.
    """

    def __init__(
        self, module: nn.Module, optimizer: Optimizer, num_envs: int, limit: Callable[[], float]
    ) -> None:
        self.module, self.optimizer = module, optimizer
        self._limit = limit
        self._handles: list[Any] = []
        self._parameters = [p for p in module.parameters() if p.requires_grad]
        self._num_expected = len(self._parameters)  # gradients of a minibatch
        self._num_seen = 0
        self._norm = math.nan
        self._running = np.zeros((2, num_envs))  # returns and lengths of unfinished episodes
        self._span = (math.inf, -math.inf)
        self._now = _Collected()
        self.has_bad_rewards = self.has_bad_gradients = self.is_normaliser_spoilt = False
        self.num_episodes = self.num_left_out = 0

    @property
    def has_constant_returns(self) -> bool:
        """See the class."""
        return self.num_episodes > 1 and self._span[0] == self._span[1]

    @property
    def gradient_norms(self) -> list[float]:
        """Norms of the gradient before clipping so far, a minibatch each."""
        return self._now.norms

    # -------------------------------------------------------------------------- what there is to do

    def hang_up(self) -> None:
        """Hang the hooks up that measure gradients before they are clipped."""
        if self._handles:
            return
        for parameter in self._parameters:
            hang: Any = parameter.register_post_accumulate_grad_hook
            self._handles.append(hang(self._see_gradient))
        self._handles.append(self.optimizer.register_step_pre_hook(self._end_minibatch))

    def take_down(self) -> None:
        """Take the hooks down."""
        for handle in self._handles:
            handle.remove()
        self._handles, self._num_seen = [], 0

    def take_step(
        self,
        rewards: Any,
        dones: Any,
        *,
        paid: Any = None,
        truncated: Any = None,
        known: Mapping[int, tuple[float, float]] | None = None,
    ) -> None:
        """Take in one step of all environments, before anything is added to its rewards.

        Args:
            rewards: As the agent gets them `[num_envs]`.
            dones: Where an episode ended `[num_envs]`.
            paid: As the environments pay them, where that is something else `[num_envs]`.
            truncated: Where a time limit ended the episode `[num_envs]`.
            known: Return and length of the episodes that ended, by environment, where somebody
                else has counted them.
        """
        rewards = np.array(rewards, dtype=np.float64)  # a copy: it is written to afterwards
        is_good = np.isfinite(rewards)
        if not is_good.all():
            self.has_bad_rewards = True
            self.is_normaliser_spoilt |= paid is not None and bool(np.isfinite(paid).all())
        self._now.rewards.append(np.where(is_good, rewards, 0.0))
        self._running += [rewards if paid is None else np.asarray(paid), np.ones(len(rewards))]
        for env in np.flatnonzero(dones).tolist():
            result, length = (known or {}).get(env, self._running[:, env].tolist())
            is_cut = truncated is not None and bool(truncated[env])
            self._take_episode(float(result), float(length), is_cut)
            self._running[:, env] = 0.0

    def take_targets(self, advantages: Any, targets: Any) -> None:
        """Take in what the next update is made of, arrays of any shape."""
        self._now.spreads.append((float(advantages.std()), float(targets.std())))

    def take_update(self, logged: Mapping[str, float]) -> None:
        """Take in what an update has measured, by name in `LOGGED`; what is not told is missing."""
        self._now.updates.append({name: float(logged.get(name, math.nan)) for name in LOGGED})

    def take(self) -> Array:
        """Return the measures since the last time `[1, M]`, and begin anew."""
        row = missing(1)
        for name, value in self._measured().items():
            row[0, COLUMN[name]] = value
        self._now = _Collected()
        return row

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, as plain data; `load_state_dict` is the inverse."""
        now = self._now
        return {
            "episodes": [list(episode) for episode in now.episodes],
            "rewards": [step.tolist() for step in now.rewards],
            "updates": [dict(update) for update in now.updates],
            "spreads": [list(pair) for pair in now.spreads],
            "norms": list(now.norms),
            "is_clipped": list(now.is_clipped),
            "running": self._running.tolist(),
            "span": list(self._span),
            "num_episodes": self.num_episodes,
            "num_left_out": self.num_left_out,
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
        self.num_left_out = int(state.get("num_left_out", 0))  # earlier versions did not count them

    # --------------------------------------------------------------------------------- the insides

    def _take_episode(self, result: float, length: float, is_truncated: bool) -> None:
        if not math.isfinite(result):
            self.num_left_out += 1
            return
        self.num_episodes += 1
        self._span = (min(self._span[0], result), max(self._span[1], result))
        self._now.episodes.append((result, length, is_truncated))

    def _see_gradient(self, _: Any) -> None:
        """Measure the norm once the last gradient of a minibatch is there, and nothing clipped."""
        self._num_seen += 1
        if self._num_seen % self._num_expected == 0:  # gradients may be accumulated
            self._norm = self._measure_norm()

    def _measure_norm(self) -> float:
        return float(global_norm(p.grad for p in self._parameters if p.grad is not None))

    def _end_minibatch(self, *_: Any) -> None:
        """Keep the norm; step by no gradient that would spoil the weights.

        An agent whose weights are not finite ends its training at once, in the middle of an update,
        where nobody could put anything right.
        """
        if self._num_seen == 0:
            return
        if self._num_seen < self._num_expected:  # some have no part in the loss: now it is known
            self._num_expected = self._num_seen
            self._norm = self._measure_norm()
        norm, self._num_seen = self._norm, 0
        if math.isfinite(norm):
            self._now.norms.append(norm)
            self._now.is_clipped.append(norm > self._limit())
            return
        self.has_bad_gradients = True
        for parameter in self._parameters:
            parameter.grad = None

    def _measured(self) -> dict[str, float]:
        now = self._now
        results = np.array([episode[0] for episode in now.episodes])
        found = {"num_episodes": float(len(results))}
        if len(results):
            found["episode_return"] = float(results.mean())
            found["episode_length"] = float(np.mean([episode[1] for episode in now.episodes]))
            found["truncated_share"] = float(np.mean([episode[2] for episode in now.episodes]))
        if len(results) > 1:
            found["episode_return_spread"] = float(results.std(ddof=1))
        if now.rewards:
            rewards = np.concatenate(now.rewards)
            found |= {"reward_mean": float(rewards.mean()), "reward_spread": float(rewards.std())}
        for name in LOGGED:
            found[name] = _mean([update[name] for update in now.updates])
        found["gradient_norm"] = _mean(now.norms)
        found["clipped_share"] = _mean([float(one) for one in now.is_clipped])
        found["advantage_spread"] = _mean([pair[0] for pair in now.spreads])
        found["target_spread"] = _mean([pair[1] for pair in now.spreads])
        return found


def _mean(values: Sequence[float]) -> float:
    """Return the mean of what is a number; NaN where nothing is."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.mean(known)) if known else math.nan
