"""Why a policy decided what it decided, by leaving out one observation at a time.

Every field of the observation has a neutral value, 0: nothing unusual, or not measured. The
influence of a field on a decision is how much the policy's leaning changes when the field is set
back to it. The leaning is the move itself for continuous policies, the mean of the five moves under
the softmax of their logits for discrete ones.

Axes: `D` observation fields, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.decider import Decision
from hpo_env.hyperparameters import LEVELS
from hpo_env.observation import field_docs
from hpo_env.policy import Policy

_NUM_REASONS = 3
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
        decisions: Those explained.
        reasons: For each decision, the strongest reasons by hyperparameter, strongest first.
        num_intervals: Decisions in the whole run.
        before: Values in force before the first of them, empty at the start of the run.
    """

    decisions: tuple[Decision, ...]
    reasons: tuple[dict[str, tuple[Reason, ...]], ...]
    num_intervals: int
    before: dict[str, float]

    def __str__(self) -> str:
        lines: list[str] = []
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
    num_intervals: int,
    before: Mapping[str, float] | None = None,
) -> Explanation:
    """Explain decisions that the policy made, one after the other.

    Args:
        policy: Which policy.
        decisions: In their order.
        num_intervals: Decisions in the whole run.
        before: Values in force before the first of them.
    """
    docs = field_docs(policy.space.names)
    return Explanation(
        decisions=tuple(decisions),
        reasons=tuple(_reasons(policy, decision, docs) for decision in decisions),
        num_intervals=num_intervals,
        before=dict(before or {}),
    )


def influences(policy: Policy, observation: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return how much each field of one observation `[D]` adds to each leaning, `[D, H]`."""
    fields = len(observation)
    without = np.tile(observation, (fields + 1, 1))  # the last row is left whole
    without[np.arange(fields), np.arange(fields)] = 0.0
    leaning = _leanings(policy, without)
    return np.asarray(leaning[-1] - leaning[:-1])


def _leanings(policy: Policy, observations: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return a smooth stand-in for the moves `[N, H]`."""
    if policy.action_mode == "continuous":
        return policy.act(observations)
    outputs = policy.outputs(observations).astype(np.float64)
    count, levels = len(policy.space), len(LEVELS)
    shape = (count, levels) if policy.head == "choices" else (levels,) * count
    weights = np.exp(outputs - outputs.max(axis=1, keepdims=True)).reshape(-1, *shape)
    if policy.head == "choices":
        shares = weights / weights.sum(axis=2, keepdims=True)
        return np.asarray(shares @ LEVELS)
    shares = weights / weights.sum(axis=tuple(range(1, count + 1)), keepdims=True)
    others = [tuple(a for a in range(1, count + 1) if a != h + 1) for h in range(count)]
    return np.stack([shares.sum(axis=axes) @ LEVELS for axes in others], axis=1)


def _reasons(
    policy: Policy, decision: Decision, docs: dict[str, str]
) -> dict[str, tuple[Reason, ...]]:
    if decision.reason != "policy":
        return {name: () for name in decision.moves}
    observation = np.array([decision.observation[field] for field in policy.fields])
    added = influences(policy, observation)
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


def _headline(decision: Decision, num_intervals: int) -> str:
    who = {
        "policy": "",
        "guard": " (the guard, after a divergence)",
        "frozen": " (frozen: nobody decides)",
    }[decision.reason]
    losses = []
    if not np.isnan(decision.train_loss):
        losses.append(f"training loss {decision.train_loss:.4g}")
    if not np.isnan(decision.validation_loss):
        losses.append(f"validation loss {decision.validation_loss:.4g}")
    seen = f", {', '.join(losses)}" if losses else ""
    return (
        f"Decision {decision.interval + 1} of {num_intervals}, at step {decision.step}{seen}{who}"
    )


def _moved(name: str, move: float, before: float | None, after: float) -> str:
    how = "unchanged" if move == 0.0 else "raised" if move > 0.0 else "lowered"
    start = "" if before is None else f"{before:.4g} -> "
    return f"{name}: {start}{after:.4g} ({how}, move {move:+.2f} on top of the base schedule)"


def _because(reason: Reason) -> str:
    way = "up" if reason.influence > 0.0 else "down"
    return f"{reason.influence:+.2f} {way}: {reason.field} = {reason.observed:+.2f} ({reason.doc})"
