"""A policy and its steering of one lane: telemetry in, the hyperparameters that come next out.

What happens between the two is `hpo_env.steering`, as in the environment. Here is which policy
decides, who moved and why, and what of it is saved.

Axes: `H` hyperparameters that are written; the single lane is the first axis of every array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.limits import moved_in
from hpo_env.policy import Policy
from hpo_env.restriction import policy_for, scoped_for
from hpo_env.scope import Turns
from hpo_env.steering import RollBack, Steering
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Reason = Literal["policy", "guard", "frozen", "blind", "unknown", "harmful"]
Sight = Literal["clear", "waiting", "none"]

Agreed = Callable[[list[float]], list[float]]

_LANE = np.array([0])


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One decision, and what it was made from.

    Args:
        interval: The interval that it is for, from 0.
        step: Updates done before it.
        reason: Who moved: the policy, the guard after a divergence, or nobody ("frozen", "blind"
            where there was no loss to go by, "unknown" where the policy does not know the kind
            of run, and "harmful" where it did harm before).
        observation: What the policy saw, by field.
        moves: The action for each hyperparameter that could be written, in `[-1, 1]`.
        values: The values in force after it, read back from where they are used.
        train_loss: Mean loss of the interval before; NaN at the start.
        validation_loss: At the time of the decision; NaN when not measured.
        trust: Share of the policy in the moves, in [0, 1]: below 1 where its observation was unlike
            those of meta-training, and the rest leads back to the base schedule; 0 where
            meta-training had no runs of this kind, and where the policy did harm.
        in_scope: Whether a policy decided that has a scope, as the interval before was in it.
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
    in_scope: bool = False

    def to_json(self) -> dict[str, Any]:
        """Describe the decision in plain data; `Decision(**data)` is the inverse."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """Who moved the corrections and why; fields are those of `Decision`."""

    reason: Reason
    trust: float
    observation: dict[str, float]
    in_scope: bool


class Decider:
    """Decides for one run.

    Args:
        policies: Of which one decides, by what can be written: see `policy_for`; and in its place
            one with a scope, see `scoped_for`.
        initial: The value of every hyperparameter that can be written, before any schedule. What
            is missing here is not moved, and the policy is told so: see `restrict`.
        features: Entries of the observation that only this kind of training has, by name.
        knows_kind: Whether the policy knows runs of this kind; else they are watched and guarded,
            and the policy moves nothing.
        num_decisions: Of the run, where its end is known; see `limits.moved_in`.

    Raises:
        ConfigurationError: No hyperparameter of the policies can be written, or the policy reads
            features that there are not.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        initial: Mapping[str, float],
        features: Collection[str] = (),
        *,
        knows_kind: bool = True,
        num_decisions: int | None = None,
    ) -> None:
        known = policies[0].space
        movable = [h.name for h in known.hyperparameters if can_be_moved(h, initial)]
        if not movable:
            raise ConfigurationError(
                f"the policy moves {list(known.names)}, and none of them can be written "
                f"here (there is {dict(initial)}): bind one with bind={{name: function}}"
            )
        most = policies[0].most_decisions
        moved = moved_in(num_decisions, movable, most)
        self.left_alone = {name: most[name] for name in movable if name not in moved}
        self.policy = policy_for(policies, moved)
        self.scoped = scoped_for(policies, moved)
        self.space = self.policy.space
        missing = [name for name in self.policy.features if name not in features]
        if missing:
            raise ConfigurationError(
                f"a policy of {self.policy.family!r} reads {len(missing)} entries of the "
                f"observation that nothing measures here, {missing[0]!r} among them: steer a host "
                "whose features() returns them"
            )
        self.steering = Steering(
            self.space, 1, loss_floor=self.policy.loss_floor, features=self.policy.features
        )
        self.steering.initial = np.array([[float(initial[name]) for name in self.space.names]])
        self.policy_state = self.policy.start(1)
        nothing = np.zeros((1, 0))
        self._corrected: tuple[bytes, Array, Array] = (b"", nothing, nothing)
        self.knows_kind = knows_kind
        self.is_harmful = False
        self._turns = Turns(None if self.scoped is None else self.scoped.scope, 1)
        self.is_frozen = False
        self.is_guarded = True
        self.sight: Sight = "clear"

    def begin(self, validation_loss: float, *, num_intervals: int, base: Array) -> None:
        """Start the run.

        Args:
            validation_loss: Measured before the first update; NaN when it was not.
            num_intervals: Decision intervals in the run.
            base: Base values of the first interval `[1, H]`.
        """
        telemetry = Telemetry.missing(1)
        telemetry.validation_loss[:] = validation_loss
        self.steering.begin(
            _LANE,
            telemetry,
            initial=self.steering.initial,
            base=base,
            num_intervals=np.array([num_intervals]),
        )

    def start_at(self, values: Mapping[str, float]) -> None:
        """Take other values for the initial ones, by name, before the run is begun once more."""
        for name, value in values.items():
            self.steering.initial[0, self.space.index(name)] = value
        self.policy_state = self.policy.start(1)

    def decide(
        self,
        agreed: Agreed = list,
        features: Mapping[str, float] | None = None,
        *,
        interval_updates: int = 0,
    ) -> Verdict:
        """Move the corrections for the interval that comes next.

        Args:
            agreed: Takes the moves of this process and returns those that all replicas of the run
                make.
            features: Entries of the observation that only this kind of training has, as they are
                now, by name.
            interval_updates: Updates in the interval that is over; 0 before the first.
        """
        steering = self.steering
        own = [float((features or {})[name]) for name in self.policy.features]
        observation = steering.observe(np.array([own]) if own else None)
        reason: Reason = "policy"
        trust = 1.0
        policy = self._deciding(interval_updates)
        if self.is_frozen:
            reason, moves = "frozen", np.zeros((1, len(self.space)))
        elif self.is_harmful:
            reason, trust, moves = "harmful", 0.0, np.zeros((1, len(self.space)))
            steering.return_to_base(_LANE)
        elif not self.knows_kind:
            moves, guarded = steering.guarded(np.zeros((1, len(self.space))))
            reason, trust = "guard" if guarded[0] else "unknown", 0.0
        elif self.sight != "clear" and not steering.has_failed[0]:
            reason, moves = "blind", np.zeros((1, len(self.space)))
            if self.sight == "none":
                steering.return_to_base(_LANE)
        else:
            asked, shares, self.policy_state = policy.step(observation, self.policy_state)
            moves, trust = self.space.check_actions(asked), float(shares[0])
            moves, guarded = steering.guarded(moves)
            reason = "guard" if guarded[0] else "policy"
        steering.take(np.array([agreed(moves[0].tolist())]))
        seen = dict(zip(steering.names, observation[0].tolist(), strict=True))
        in_scope = reason == "policy" and policy is not self.policy
        self._turns.has_decided[0] = in_scope
        return Verdict(reason=reason, trust=trust, observation=seen, in_scope=in_scope)

    def _deciding(self, interval_updates: int) -> Policy:
        """Return the policy in whose scope the interval is that is over; else the general one."""
        if self.scoped is None:
            return self.policy
        steering = self.steering
        changes = -steering.observer.memory.drop
        is_in = self._turns.after(np.array([interval_updates]), steering.telemetry, changes)
        return self.scoped if is_in[0] else self.policy

    @property
    def initial(self) -> Array:
        """The values at the start of the run, before any schedule, `[1, H]`."""
        return self.steering.initial

    def values(self, base: Array) -> Array:
        """Correct base values `[1, H]`.

        A scheduler moves one of them at every update, and nothing else has changed since: then that
        one alone is worked out.
        """
        corrections = self.steering.corrections.tobytes()
        is_known = corrections == self._corrected[0]
        changed = np.flatnonzero(base != self._corrected[1]) if is_known else ()
        if is_known and len(changed) <= 1:
            values = self._corrected[2].copy()
            for column in changed:
                values[0, column] = self.space.corrected(
                    self.space.names[column],
                    float(base[0, column]),
                    float(self.steering.corrections[0, column]),
                )
        else:
            values = self.steering.values(base)
        self._corrected = (corrections, base, values)
        return values

    def close_interval(
        self, telemetry: Telemetry, *, values: Array, base_change: Array, roll_back: RollBack
    ) -> None:
        """Take in the interval that just ended; see `Steering.close_interval`.

        Where it has no loss, nobody decides next: the corrections stay as they are when there was
        one before, and go when there never was one. A policy that reads entries of the observation
        that only its family has goes by those, whether there is a loss or not. What a policy has
        spoilt in its scope has failed, and is taken back.
        """
        before = self.steering.telemetry
        if self.is_guarded and self._turns.leave_spoiled(before, telemetry)[0]:
            telemetry = replace(telemetry, diverged=np.array([True]))
        either = (telemetry.validation_loss[0], telemetry.train_loss[0])
        has_loss = not all(map(math.isnan, either))
        if has_loss or telemetry.diverged[0] or self.policy.features:
            self.sight = "clear"
        elif not self.has_seen:
            self.sight = "none"
        elif self.sight == "clear":
            self.sight = "waiting"
        self.steering.close_interval(
            telemetry,
            values=values,
            base_change=base_change,
            roll_back=roll_back if self.is_guarded else None,
        )

    @property
    def has_seen(self) -> bool:
        """Whether a loss was ever followed."""
        return bool(np.isfinite(self.steering.observer.memory.current[0]))

    def give_up_sight(self) -> None:
        """Go by no loss from now on: what there is does not fit."""
        memory = self.steering.observer.memory
        for name in ("first", "previous", "current", "best"):
            getattr(memory, name)[:] = np.nan

    def tell_time(self, done: float, whole: float) -> None:
        """Tell the policy how many of how many intervals are done: a run may change its length."""
        self.steering.observer.tell_time(done, whole)

    def state_dict(self) -> dict[str, Any]:
        """Return all state as plain data; `load_state_dict` is the inverse."""
        steering = self.steering
        memory, telemetry = steering.observer.snapshot(_LANE)
        return {
            "hyperparameters": list(self.space.names),
            "initial": steering.initial.tolist(),
            "corrections": steering.corrections.tolist(),
            "moves": steering.moves.tolist(),
            "first_loss": steering.first_loss.tolist(),
            "first_train_loss": steering.first_train_loss.tolist(),
            "policy_state": [part.tolist() for part in self.policy_state],
            "must_cut": bool(steering.has_failed[0]),
            "is_frozen": self.is_frozen,
            "knows_kind": self.knows_kind,
            "is_harmful": self.is_harmful,
            "has_left_scope": bool(self._turns.has_left[0]),
            "has_decided_in_scope": bool(self._turns.has_decided[0]),
            "is_guarded": self.is_guarded,
            "sight": self.sight,
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
        # States of earlier versions hold one first loss, of whichever kind was followed.
        state = {"first_train_loss": state["first_loss"], "is_guarded": True} | dict(state)
        for name in ("initial", "corrections", "moves", "first_loss", "first_train_loss"):
            setattr(self.steering, name, np.array(state[name], dtype=np.float64))
        self.steering.has_failed[:] = state["must_cut"]
        self.steering.note_changes()
        self.is_frozen = bool(state["is_frozen"])
        # What was steered goes on being steered; states of earlier versions knew no other way.
        self.knows_kind |= bool(state.get("knows_kind", True))
        self.is_harmful = bool(state.get("is_harmful", False))
        self._turns.has_left[:] = state.get("has_left_scope", False)
        self._turns.has_decided[:] = state.get("has_decided_in_scope", False)
        self.is_guarded = bool(state["is_guarded"])
        self.sight = state.get("sight", "clear")
        # States that were saved before policies had a memory have no such entry.
        parts = state.get("policy_state", ())
        self.policy_state = tuple(np.array(part, dtype=np.float32) for part in parts)
        memory = {name: np.array(values) for name, values in state["memory"].items()}
        if "kind" not in memory:  # nor did they tell losses of two kinds apart
            memory["kind"] = memory["has_validation"]
            for name in ("other_first", "other_current", "other_best"):
                memory[name] = np.array([np.nan])
        telemetry = Telemetry(**{n: np.array(v) for n, v in state["telemetry"].items()})
        self.steering.observer.restore(_LANE, (memory, telemetry))


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


def movable(space: HyperparameterSpace, values: Mapping[str, float]) -> dict[str, float]:
    """Return those of the values that a policy of this space can move; see `can_be_moved`."""
    return {h.name: float(values[h.name]) for h in space.hyperparameters if can_be_moved(h, values)}
