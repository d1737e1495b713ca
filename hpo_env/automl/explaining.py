"""What a fit did, for people."""

from __future__ import annotations

from dataclasses import dataclass

from hpo_env.control.explain import Explanation as RunExplanation


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """What was set while the trees grew, and why; `str()` gives it as text.

    Args:
        runs: One explanation a controlled run; each names the decisions and what moved them.
        weights: Of the runs in the model, in the same order.
        rounds: How many rounds of each run make its model.
        notes: What a person should know.
    """

    runs: tuple[RunExplanation, ...]
    weights: tuple[float, ...]
    rounds: tuple[int, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = []
        for number, (run, weight, rounds) in enumerate(
            zip(self.runs, self.weights, self.rounds, strict=True), start=1
        ):
            lines.append(f"run {number}: weight {weight:.2f}, cut off after {rounds} rounds")
            lines.append(str(run))
        return "\n".join([*lines, *self.notes])
