"""A policy with its memory: telemetry of one interval in, hyperparameters of the next one out.

This is the environment's arithmetic for one lane, through the same functions: `Observer`,
`HyperparameterSpace`, `interval_factors`. A host that trains without torch needs nothing else.

Axes: `H` hyperparameters that are written; the single lane is the first axis of every array.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.guard import has_failed, retreated
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.observation import Observer, followed_loss
from hpo_env.policy import Policy
from hpo_env.restriction import policy_for
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Reason = Literal["policy", "guard", "frozen"]

_LANE = np.array([0])
_TINY = 1e-12  # keeps the logarithm of a schedule that ends at 0 finite, as in the environment


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision, and what it was made from.

    Args:
        interval: The interval that it is for, from 0.
        step: Updates done before it.
        reason: Who moved: the policy, the guard after a divergence, or nobody ("frozen").
        observation: What the policy saw, by field.
        moves: The action for each hyperparameter that could be written, in `[-1, 1]`.
        values: The values in force after it, read back from where they are used.
        train_loss: Mean loss of the interval before; NaN at the start.
        validation_loss: At the time of the decision; NaN when not measured.
        trust: Share of the policy in the moves, in (0, 1]: below 1 where its observation was unlike
            those of meta-training; the rest leads back to the base schedule.
    """

    interval: int
    step: int
    reason: Reason
    observation: dict[str, float]
    moves: dict[str, float]
    values: dict[str, float]
    train_loss: float
    validation_loss: float
    trust: float = 1.0

    def to_json(self) -> dict[str, Any]:
        """Describe the decision in plain data; `Decision(**data)` is the inverse."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who moved the corrections and why; fields are those of `Decision`."""

    reason: Reason
    trust: float
    observation: dict[str, float]


class Decider:
    """Decides for one run.

    Args:
        policies: Of which one decides, by what can be written: see `policy_for`.
        initial: The value of every hyperparameter that can be written, before any schedule. What
            is missing here is not moved, and the policy is told so: see `restrict`.

    Raises:
        ConfigurationError: No hyperparameter of the policies can be written.
    """

    def __init__(self, policies: Sequence[Policy], initial: Mapping[str, float]) -> None:
        known = policies[0].space
        movable = [h.name for h in known.hyperparameters if can_be_moved(h, initial)]
        if not movable:
            raise ConfigurationError(
                f"the policy moves {list(known.names)}, and none of them can be written "
                f"here (there is {dict(initial)}): bind one with bind={{name: function}}"
            )
        self.policy = policy_for(policies, movable)
        space = self.space = self.policy.space
        self.initial = np.array([[float(initial[name]) for name in space.names]])  # [1, H]
        self.observer = Observer(space, 1, loss_floor=self.policy.loss_floor)
        self.corrections = np.zeros((1, len(space)))
        self.moves = np.zeros((1, len(space)))
        self.first_loss = np.array([np.nan])
        self.policy_state = self.policy.start(1)
        self.must_cut = False
        self.is_frozen = False

    def begin(self, validation_loss: float, *, num_intervals: int, base: Array) -> None:
        """Start the run.

        Args:
            validation_loss: Measured before the first update; NaN when it was not.
            num_intervals: Decision intervals in the run.
            base: Base values of the first interval `[1, H]`.
        """
        telemetry = Telemetry.missing(1)
        telemetry.validation_loss[:] = self.first_loss[:] = validation_loss
        self.observer.begin(
            _LANE,
            telemetry,
            num_intervals=np.array([num_intervals]),
            values=base,
        )

    def decide(self) -> Verdict:
        """Move the corrections for the interval that comes next."""
        observation = self.observer.observe()
        reason: Reason = "policy"
        trust = 1.0
        if self.is_frozen:
            reason, moves = "frozen", np.zeros((1, len(self.space)))
        else:
            asked, shares, self.policy_state = self.policy.step(observation, self.policy_state)
            moves, trust = self.space.check_actions(asked), float(shares[0])
            if self.must_cut and self.space.retreat.any():
                reason = "guard"
                moves = retreated(moves, np.array([True]), self.space.retreat[None])
        self.must_cut = False
        self.take(moves)
        seen = dict(zip(self.observer.names, observation[0].tolist(), strict=True))
        return Verdict(reason=reason, trust=trust, observation=seen)

    def take(self, moves: Array) -> None:
        """Move the corrections by `moves [1, H]`."""
        self.moves = moves
        self.corrections = self.space.move(self.corrections, self.moves, self.initial)

    def values(self, base: Array) -> Array:
        """Correct base values `[1, H]`."""
        return self.space.values(base, self.corrections)

    def has_failed(self, telemetry: Telemetry) -> bool:
        """Say whether the interval has to be taken back; the next decision then cuts the rate."""
        loss, _ = followed_loss(telemetry)
        if np.isnan(self.first_loss[0]) and np.isfinite(loss[0]):
            self.first_loss = loss.copy()
        self.must_cut = bool(has_failed(telemetry, self.first_loss)[0])
        return self.must_cut

    def observe_interval(self, telemetry: Telemetry, *, values: Array, base_change: float) -> None:
        """Take in the interval that just ended.

        Args:
            telemetry: What it measured, one lane.
            values: The values in force at its end `[1, H]`.
            base_change: Log ratio of the base schedule's next factor to this interval's.
        """
        self.observer.update(
            telemetry,
            actions=self.moves,
            corrections=self.corrections,
            values=values,
            base_change=np.array([base_change]),
        )

    def extend(self, num_intervals: int) -> None:
        """Tell the policy that the run has become longer."""
        self.observer.memory.num_intervals[:] = num_intervals

    def state_dict(self) -> dict[str, Any]:
        """Return all state as plain data; `load_state_dict` is the inverse."""
        memory, telemetry = self.observer.snapshot(_LANE)
        return {
            "hyperparameters": list(self.space.names),
            "initial": self.initial.tolist(),
            "corrections": self.corrections.tolist(),
            "moves": self.moves.tolist(),
            "first_loss": self.first_loss.tolist(),
            "policy_state": [part.tolist() for part in self.policy_state],
            "must_cut": self.must_cut,
            "is_frozen": self.is_frozen,
            "memory": {name: array.tolist() for name, array in memory.items()},
            "telemetry": {f.name: getattr(telemetry, f.name).tolist() for f in fields(telemetry)},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called.

        Raises:
            ConfigurationError: The state belongs to other hyperparameters.
        """
        theirs, ours = state["hyperparameters"], list(self.space.names)
        if theirs != ours:
            raise ConfigurationError(
                f"the saved run moves {theirs}, this one {ours}: attach the same policy to the "
                "same kind of optimiser, with the same bind="
            )
        for name in ("initial", "corrections", "moves", "first_loss"):
            setattr(self, name, np.array(state[name], dtype=np.float64))
        # States that were saved before policies had a memory have no such entry.
        parts = state.get("policy_state", ())
        self.policy_state = tuple(np.array(part, dtype=np.float32) for part in parts)
        self.must_cut, self.is_frozen = bool(state["must_cut"]), bool(state["is_frozen"])
        memory = {name: np.array(values) for name, values in state["memory"].items()}
        telemetry = Telemetry(**{n: np.array(v) for n, v in state["telemetry"].items()})
        self.observer.restore(_LANE, (memory, telemetry))


def log_change(factor: float, next_factor: float) -> float:
    """Return the log ratio of two factors of a base schedule, finite also where one is 0."""
    return float(np.log(np.maximum(next_factor, _TINY)) - np.log(np.maximum(factor, _TINY)))


def can_be_moved(hyperparameter: Hyperparameter, values: Mapping[str, float]) -> bool:
    """Say whether a loop can move a hyperparameter.

    Args:
        hyperparameter: What is to be moved.
        values: The value at the start of everything that the loop can write, by name. What is
            missing cannot be moved, nor can what no correction changes: no factor changes a weight
            decay of 0.
    """
    value = values.get(hyperparameter.name, math.nan)
    is_factor = hyperparameter.scale in ("log", "log_integer")
    return math.isfinite(value) and not (is_factor and value <= 0.0)
