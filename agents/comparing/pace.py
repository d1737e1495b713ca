"""How long the rest of a comparison will take, from what opponents have really taken so far.

Effort is in the family's own measure, see `TaskFamily.effort`.
"""

from __future__ import annotations

from collections.abc import Mapping


class Pace:
    """Seconds that a worker takes for a unit of effort, by opponent."""

    def __init__(self) -> None:
        self._spent: dict[str, tuple[float, float]] = {}

    def note(self, opponent: str, effort: float, seconds: float) -> None:
        """Take in a finished job."""
        before = self._spent.get(opponent, (0.0, 0.0))
        self._spent[opponent] = before[0] + effort, before[1] + seconds

    def seconds_left(self, remaining: Mapping[str, float], num_workers: int) -> float | None:
        """Estimate how long the workers will be busy.

        An opponent that has not finished a job is taken to be as fast as the others together.

        Args:
            remaining: Effort by opponent.
            num_workers: Workers that share it.

        Returns:
            Seconds; None when nothing has finished yet.

        Example:
            >>> pace = Pace()
            >>> pace.note("cosine", effort=10.0, seconds=1.0)
            >>> pace.note("optuna_tpe", effort=10.0, seconds=3.0)
            >>> pace.seconds_left({"cosine": 20.0, "asha": 10.0}, num_workers=2)
            2.0
        """
        effort = sum(e for e, _ in self._spent.values())
        if not effort:
            return None
        overall = sum(s for _, s in self._spent.values()) / effort
        per_unit = {name: s / e for name, (e, s) in self._spent.items()}
        total = sum(e * per_unit.get(name, overall) for name, e in remaining.items())
        return total / num_workers
