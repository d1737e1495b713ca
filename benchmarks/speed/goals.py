"""Goals: a number that was measured beside the one that it should reach."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from rich.table import Table

Unit = Literal["x", "share", "s"]


@dataclass(frozen=True, kw_only=True)
class Goal:
    """One row of the table of goals.

    Args:
        what: What was measured.
        measured: The number.
        bound: What it should be at least, or at most.
        unit: "x" for a ratio, "share" (printed in per cent), "s" for seconds.
        is_least: Whether more is better.
    """

    what: str
    measured: float
    bound: float
    unit: Unit = "x"
    is_least: bool = True

    @property
    def is_reached(self) -> bool:
        """Whether the number is on the right side of the bound."""
        return self.measured >= self.bound if self.is_least else self.measured <= self.bound

    def to_json(self) -> dict[str, Any]:
        """Describe it in plain data."""
        bound = {"at_least" if self.is_least else "at_most": self.bound}
        return {"what": self.what, "measured": self.measured, **bound, "reached": self.is_reached}


def goals_table(goals: Sequence[Goal]) -> Table:
    """List goals with what was measured."""
    table = Table(title="Goals")
    table.add_column("what")
    for heading in ("measured", "goal", "reached"):
        table.add_column(heading, justify="right")
    for goal in goals:
        side = "≥" if goal.is_least else "≤"
        table.add_row(
            goal.what,
            _written(goal.measured, goal.unit),
            f"{side} {_written(goal.bound, goal.unit)}",
            "yes" if goal.is_reached else "no",
        )
    return table


def _written(number: float, unit: Unit) -> str:
    if unit == "share":
        return f"{number:.0%}"
    return f"{number:.2f} s" if unit == "s" else f"{number:.2f}×"
