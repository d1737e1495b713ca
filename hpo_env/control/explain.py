"""Why a policy decided what it decided, by leaving out one observation at a time.

Every field of the observation has a neutral value, 0: nothing unusual, or not measured. The
influence of a field on a decision is how much the policy's leaning changes when the field is set
back to it. The leaning is the move that the network asks for; of a policy with joint choices, whose
moves jump, the mean of all moves under the softmax of their values.

Axes: `D` observation fields, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.decider import Decision
from hpo_env.hyperparameters import LEVELS, split_joint_choices
from hpo_env.observation import field_docs
from hpo_env.policy import Policy, PolicyState, num_outputs

_NUM_REASONS = 3
_NOBODY = ("frozen", "blind", "unknown", "harmful")  # reasons of decisions that nobody takes
_SMALLEST_INFLUENCE = 0.01  # a hundredth of the largest move is no reason


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One observation that moved a decision.

    Args:
        field: Name of the observation's field.
        doc: What it measures.
        observed: Its value, in `[-1, 1]`.
        influence: How much it added to the leaning, in units of the largest move.
    """

    field: str
    doc: str
    observed: float
    influence: float


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What was decided and why; `str()` gives it as text.

    Args:
        hyperparameters: What the whole policy moves; the run's decisions name those that it did.
        decisions: Those explained.
        reasons: For each decision, the strongest reasons by hyperparameter, strongest first.
        num_intervals: Decisions in the whole run; None where it has no end yet.
        before: Values in force before the first of them, empty at the start of the run.
        replaced: The loop's own values that the run did not begin at, as they would have wrecked
            the weights, by name.
        known_kinds: Kinds of run that the policy knows, where this is another and nobody decided.
        left_alone: What the policy moves in shorter runs alone, by name the most decisions of them.
    """

    hyperparameters: tuple[str, ...]
    decisions: tuple[Decision, ...]
    reasons: tuple[dict[str, tuple[Reason, ...]], ...]
    num_intervals: int | None
    before: dict[str, float]
    replaced: dict[str, float] = field(default_factory=dict)
    known_kinds: tuple[str, ...] = ()
    left_alone: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"A policy of {', '.join(self.hyperparameters)}"]
        gone = [n for n in self.hyperparameters if n not in self.decisions[0].moves]
        missing = [name for name in gone if name not in self.left_alone]
        if missing:
            lines[0] += f", without {', '.join(missing)}, which this run cannot write"
        lines += [
            f"It did not begin at the loop's own {name}, {value:g}: the first update would have "
            "wrecked the weights"
            for name, value in self.replaced.items()
        ]
        lines += [
            f"It leaves {name} alone, which it moves in runs of at most {most} decisions"
            for name, most in self.left_alone.items()
        ]
        if self.known_kinds:
            lines.append(
                f"It knows runs of the kinds {list(self.known_kinds)}, and this is another: it was "
                "watched and guarded, and its values stayed. steers_unknown=True steers it"
            )
        before = self.before
        for decision, reasons in zip(self.decisions, self.reasons, strict=True):
            lines.append(_headline(decision, self.num_intervals))
            for name, move in decision.moves.items():
                lines.append("  " + _moved(name, move, before.get(name), decision.values[name]))
                lines += [f"    {_because(reason)}" for reason in reasons[name]]
            before = decision.values
        return "\n".join(lines)


def explain(
    policy: Policy,
    decisions: Sequence[Decision],
    num_intervals: int | None,
    before: Mapping[str, float] | None = None,
    *,
    hyperparameters: Sequence[str] | None = None,
    earlier: Sequence[Decision] = (),
    replaced: Mapping[str, float] | None = None,
    scoped: Policy | None = None,
    left_alone: Mapping[str, int] | None = None,
) -> Explanation:
    """Explain decisions that the policy made, one after the other.

    Args:
        policy: Which policy.
        decisions: In their order.
        num_intervals: Decisions in the whole run; None where it has no end yet.
        before: Values in force before the first of them.
        hyperparameters: What the whole policy moves, where `policy` is its part for this run.
        earlier: All decisions of the run before those, from which a policy with a memory remembers
            something.
        replaced: See `Explanation`.
        scoped: What decided where a decision says `in_scope`; None: no decision does.
        left_alone: See `Explanation`.
    """
    own = f"Of {policy.family!r} alone"
    docs = field_docs(policy.space.names) | dict.fromkeys(policy.features, own)
    state = policy.start(1)
    for decision in earlier:
        state = _after(policy, decision, state)
    reasons = []
    for decision in decisions:
        who = scoped if decision.in_scope and scoped is not None else policy
        reasons.append(_reasons(who, decision, docs, state))
        state = _after(policy, decision, state)
    is_unknown = any(decision.reason == "unknown" for decision in decisions)
    return Explanation(
        hyperparameters=tuple(hyperparameters or policy.space.names),
        decisions=tuple(decisions),
        reasons=tuple(reasons),
        num_intervals=num_intervals,
        before=dict(before or {}),
        replaced=dict(replaced or {}),
        known_kinds=policy.kinds or () if is_unknown else (),
        left_alone=dict(left_alone or {}),
    )


def influences(
    policy: Policy, observation: NDArray[np.floating], state: PolicyState | None = None
) -> NDArray[np.float64]:
    """Return how much each field of one observation `[D]` adds to each leaning, `[D, H]`.

    Args:
        policy: What decides.
        observation: What it saw.
        state: What it remembered, of one lane; None at the start of an episode.
    """
    fields = len(observation)
    without = np.tile(observation, (fields + 1, 1))  # the last row is left whole
    without[np.arange(fields), np.arange(fields)] = 0.0
    remembered = policy.start(1) if state is None else state
    same = tuple(np.repeat(part, fields + 1, axis=0) for part in remembered)
    leaning = _leanings(policy, without, same)
    return np.asarray(leaning[-1] - leaning[:-1])


def _after(policy: Policy, decision: Decision, state: PolicyState) -> PolicyState:
    """Return what the policy remembers after a decision; where nobody decides, nobody is asked."""
    if decision.reason in _NOBODY or not state:
        return state
    return policy.step(_observed(policy, decision)[None], state)[2]


def _observed(policy: Policy, decision: Decision) -> NDArray[np.float64]:
    return np.array([decision.observation[field] for field in policy.fields])


def _leanings(
    policy: Policy, observations: NDArray[np.floating], state: PolicyState
) -> NDArray[np.float64]:
    """Return the moves `[N, H]`, or a smooth stand-in for them."""
    outputs, _ = policy.outputs_after(observations, state)
    if policy.head == "likeliest":
        return replace(policy, head="choices").moves_of(outputs)
    if policy.head != "joint_choice":
        return policy.moves_of(outputs)
    num_values = num_outputs(policy.head, len(policy.space))
    combinations = split_joint_choices(np.arange(num_values), len(policy.space))  # [5^H, H]
    values = outputs.reshape(len(outputs), -1, num_values).astype(np.float64)
    shares = np.exp(values - values.max(axis=2, keepdims=True))
    shares /= shares.sum(axis=2, keepdims=True)
    return np.asarray((shares @ LEVELS[combinations]).mean(axis=1))


def _reasons(
    policy: Policy, decision: Decision, docs: dict[str, str], state: PolicyState
) -> dict[str, tuple[Reason, ...]]:
    if decision.reason != "policy":
        return {name: () for name in decision.moves}
    observation = _observed(policy, decision)
    added = influences(policy, observation, state)
    # What can be measured and written is the same all through a run, and so no reason.
    added[[f.startswith("has_") or f.endswith("/available") for f in policy.fields]] = 0.0
    found = {}
    for name in decision.moves:
        column = added[:, policy.space.index(name)]
        strongest = np.argsort(-np.abs(column), kind="stable")[:_NUM_REASONS]
        found[name] = tuple(
            Reason(
                field=policy.fields[place],
                doc=docs[policy.fields[place]],
                observed=float(observation[place]),
                influence=float(column[place]),
            )
            for place in strongest
            if abs(column[place]) >= _SMALLEST_INFLUENCE
        )
    return found


def _headline(decision: Decision, num_intervals: int | None) -> str:
    who = {
        "policy": "",
        "guard": " (the guard, after a divergence)",
        "frozen": " (frozen: nobody decides)",
        "blind": " (there was no loss to go by: nobody decides)",
        "unknown": " (meta-training had no runs of this kind: nobody decides)",
        "harmful": " (the policy did harm before: nobody decides)",
    }[decision.reason]
    losses = []
    if not np.isnan(decision.train_loss):
        losses.append(f"training loss {decision.train_loss:.4g}")
    if not np.isnan(decision.validation_loss):
        losses.append(f"validation loss {decision.validation_loss:.4g}")
    seen = f", {', '.join(losses)}" if losses else ""
    if 0.0 < decision.trust < 1.0:
        who += f" (unlike meta-training: {decision.trust:.0%} policy, the rest base schedule)"
    if decision.in_scope:
        who += " (the policy of such intervals)"
    of = "" if num_intervals is None else f" of {num_intervals}"
    return f"Decision {decision.interval + 1}{of}, at step {decision.step}{seen}{who}"


def _moved(name: str, move: float, before: float | None, after: float) -> str:
    how = "unchanged" if move == 0.0 else "raised" if move > 0.0 else "lowered"
    start = "" if before is None else f"{before:.4g} -> "
    return f"{name}: {start}{after:.4g} ({how}, move {move:+.2f} on top of the base schedule)"


def _because(reason: Reason) -> str:
    way = "up" if reason.influence > 0.0 else "down"
    return f"{reason.influence:+.2f} {way}: {reason.field} = {reason.observed:+.2f} ({reason.doc})"
