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
        shares: Of a linear model where the first tree of each run began; 0: at a constant.
        notes: What a person should know.
    """

    runs: tuple[RunExplanation, ...]
    weights: tuple[float, ...]
    rounds: tuple[int, ...]
    shares: tuple[float, ...]
    notes: tuple[str, ...]

    def __str__(self) -> str:
        lines = []
        for number, (run, weight, rounds, share) in enumerate(
            zip(self.runs, self.weights, self.rounds, self.shares, strict=True), start=1
        ):
            begins = f"{share:g} of a linear model" if share > 0.0 else "a constant"
            lines.append(
                f"run {number}: weight {weight:.2f}, begins at {begins}, cut off after {rounds} "
                "rounds"
            )
            lines.append(str(run))
        return "\n".join([*lines, *self.notes])
