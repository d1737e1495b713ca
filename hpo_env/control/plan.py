"""How the updates of a run are divided into decision intervals."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo_env.errors import ConfigurationError


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`num_intervals` intervals over `total_steps` updates, as equal as whole numbers allow.

    Args:
        total_steps: Updates in the whole run, at least 1.
        num_intervals: Decision intervals in the whole run, at most one an update.
        first_step: Where the division starts: later than 0 once a run was extended.
        first_interval: The interval that starts there.

    Raises:
        ConfigurationError: Nothing is left to divide.

    Example:
        >>> plan = Plan(total_steps=10, num_intervals=3)
        >>> [plan.end(i) for i in range(3)]
        [3, 6, 10]
    """

    total_steps: int
    num_intervals: int
    first_step: int = 0
    first_interval: int = 0

    def __post_init__(self) -> None:
        if self.total_steps < 1:
            raise ConfigurationError(
                f"total_steps must be at least 1; got {self.total_steps}. It counts the calls of "
                "step(), one after each optimizer.step(): is the loader empty?"
            )
        if self.num_intervals < 1:
            raise ConfigurationError(f"num_decisions must be at least 1; got {self.num_intervals}")

    @classmethod
    def of(cls, total_steps: int, num_decisions: int) -> Plan:
        """Divide a run; with fewer updates than decisions, every update is an interval.

        Raises:
            ConfigurationError: One of the two is no whole number, or below 1.
        """
        total_steps = whole_number("total_steps", total_steps)
        num_decisions = whole_number("num_decisions", num_decisions)
        intervals = min(num_decisions, total_steps) if total_steps >= 1 else num_decisions
        return cls(total_steps=total_steps, num_intervals=intervals)

    def end(self, interval: int) -> int:
        """Return how many updates are done when the interval is over."""
        steps = self.total_steps - self.first_step
        intervals = max(self.num_intervals - self.first_interval, 1)  # 0 where a run was cut there
        return self.first_step + (interval - self.first_interval + 1) * steps // intervals

    def extended(self, total_steps: int, *, interval: int) -> Plan:
        """Return the plan of a longer run, whose new intervals are about as long as the old.

        Args:
            total_steps: Updates in the whole run, at least as many as before.
            interval: The interval that is running, which keeps its end; `num_intervals` when the
                run was over.

        Raises:
            ConfigurationError: The run would get shorter.
        """
        total_steps = whole_number("total_steps", total_steps)
        if total_steps < self.total_steps:
            raise ConfigurationError(
                f"a run can be extended, not cut: total_steps was {self.total_steps}, "
                f"got {total_steps}"
            )
        if total_steps == self.total_steps:
            return self
        following = min(interval + 1, self.num_intervals)
        start = self.end(following - 1)
        return replace(
            self,
            total_steps=total_steps,
            num_intervals=following + _share(total_steps - start, self._length),
            first_step=start,
            first_interval=following,
        )

    def shortened(self, total_steps: int, *, interval: int, num_steps: int) -> Plan:
        """Return the plan of a shorter run, whose new intervals are about as long as the old.

        Args:
            total_steps: Updates in the whole run, fewer than before.
            interval: The interval that is running; it ends early where the run does.
            num_steps: Updates done.

        Raises:
            ConfigurationError: More are done already.
        """
        if total_steps < num_steps:
            raise ConfigurationError(
                f"the run has made {num_steps} updates already; total_steps must be at least as "
                f"many, got {total_steps}"
            )
        is_last = self.end(interval) >= total_steps
        following = interval if is_last else interval + 1
        first = self.first_step if interval == self.first_interval else self.end(interval - 1)
        start = first if is_last else self.end(interval)
        if start == total_steps:  # the interval has no updates
            return replace(self, total_steps=total_steps, num_intervals=interval)
        return replace(
            self,
            total_steps=total_steps,
            num_intervals=following + (1 if is_last else _share(total_steps - start, self._length)),
            first_step=start,
            first_interval=following,
        )

    @property
    def _length(self) -> float:
        """Updates in an interval, on average."""
        steps, intervals = (
            self.total_steps - self.first_step,
            self.num_intervals - self.first_interval,
        )
        if steps > 0 and intervals > 0:
            return steps / intervals
        return self.total_steps / self.num_intervals

    def to_json(self) -> dict[str, int]:
        """Describe the plan in plain data; `Plan(**data)` is the inverse."""
        return asdict(self)


def whole_number(name: str, value: Any) -> int:
    """Return a count as an int; a float or a NumPy number that is whole will do.

    Raises:
        ConfigurationError: It is none.

    Example:
        >>> whole_number("total_steps", 100.0)
        100
    """
    try:
        number = int(value) if not isinstance(value, str | bytes | bool) else None
    except (TypeError, ValueError, OverflowError):
        number = None
    if number is None or number != value:
        raise ConfigurationError(
            f"{name} must be a whole number; got {value!r}. It has to be known beforehand: a "
            "schedule depends on how far there is to go"
        )
    return number


def _share(num_steps: int, length: float) -> int:
    """Return how many intervals of about a length there are in some updates, at least 1."""
    return min(max(1, round(num_steps / length)), max(num_steps, 1))
