"""How the updates of a run are divided into decision intervals, and what time it is in each.

A run has an end (`Plan`), or none yet (`OpenPlan`): then it stands in the middle of its course, and
`cooled` gives it an end, to which the second half of the course leads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from hpo_env.errors import ConfigurationError

Time = tuple[float, float]
"""Intervals done, and intervals in the whole run: what policy and base schedule are told."""

_MIDDLE = 0.5
"""Share of the course that is over in a run without an end. Half of a cosine: its rate is half."""
_ROUNDING = 1e-9
_UNKNOWN_LENGTH = (
    ". It has to be known beforehand: a schedule depends on how far there is to go. Where it is "
    "not, total_steps=None leaves the end open until cool_down(steps)"
)
_SHORTEST = 10
"""Updates in an interval at least, where a run has no end: as in the training of the policies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """`num_intervals` intervals over `total_steps` updates, as equal as whole numbers allow.

    Args:
        total_steps: Updates in the whole run, at least 1.
        num_intervals: Decision intervals in the whole run, at most one an update.
        first_step: Where the division starts: later than 0 once a run was extended.
        first_interval: The interval that starts there.
        done_before: What policy and base schedule are told is done of the course by then, in
            intervals; None: `first_interval`.
        course: What they are told is the whole of it; None: `num_intervals`.

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
    done_before: float | None = None
    course: float | None = None

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
        total_steps = whole_number("total_steps", total_steps, hint=_UNKNOWN_LENGTH)
        num_decisions = whole_number("num_decisions", num_decisions)
        intervals = min(num_decisions, total_steps) if total_steps >= 1 else num_decisions
        return cls(total_steps=total_steps, num_intervals=intervals)

    def is_over(self, interval: int) -> bool:
        """Say whether that many intervals are all."""
        return interval >= self.num_intervals

    def time(self, interval: int) -> Time:
        """Return what time it is in an interval; that of the last holds after the end."""
        if self.done_before is None or self.course is None:
            return interval, self.num_intervals
        # An interval from before the division was told its time then.
        return max(self.done_before + interval - self.first_interval, 0.0), self.course

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
        added = _share(total_steps - start, self._length)
        return self._divided_anew(total_steps, start, following, added)

    def shortened(self, total_steps: int, *, interval: int, start: int, num_steps: int) -> Plan:
        """Return the plan of a shorter run, whose new intervals are about as long as the old.

        Args:
            total_steps: Updates in the whole run, fewer than before.
            interval: The interval that is running; it ends early where the run does.
            start: Updates done when that began.
            num_steps: Updates done.

        Raises:
            ConfigurationError: More are done already.
        """
        if total_steps < num_steps:
            raise ConfigurationError(
                f"the run has made {num_steps} updates already; total_steps must be at least as "
                f"many, got {total_steps}"
            )
        if start == total_steps:  # the running interval has no updates, and is none
            over = ended(total_steps, interval, self.time(interval))
            return over if self.course is not None else replace(over, done_before=None, course=None)
        end = self.end(interval)
        if end >= total_steps:
            return self._divided_anew(total_steps, start, interval, 1)
        left = _share(total_steps - end, self._length)
        return self._divided_anew(total_steps, end, interval + 1, left)

    def cooled(self, num_steps: int, *, interval: int, num_done: int) -> Plan:
        """Return the plan of a run that goes through the rest of its course in so many updates.

        Args:
            num_steps: Updates to come, at least 1.
            interval: The interval that begins now.
            num_done: Updates done.
        """
        return _cooled(num_steps, interval, num_done, self.time(interval))

    def _divided_anew(self, total_steps: int, start: int, following: int, num_left: int) -> Plan:
        """Divide what is left; a course that was not the intervals' own goes on from where it is.

        Args:
            total_steps: Updates in the whole run.
            start: Updates done when the next interval begins.
            following: That interval.
            num_left: Intervals from there on.
        """
        course: dict[str, float] = {}
        if self.course is not None:
            done, whole = self.time(following)
            # A run that was over, but for rounding, begins to cool anew.
            course = _rest(done / whole if whole - done > _ROUNDING * whole else _MIDDLE, num_left)
        return Plan(
            total_steps=total_steps,
            num_intervals=following + num_left,
            first_step=start,
            first_interval=following,
            **course,
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

    def to_json(self) -> dict[str, Any]:
        """Describe the plan in plain data; `plan_from_json` is the inverse."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenPlan:
    """The plan of a run whose end is not known yet.

    Policy and base schedule are told that the run begins, and from the middle of the course on that
    it is there. Intervals get longer as the run does: they are what they would be if half of it
    were over.

    Args:
        num_decisions: Decision intervals in a whole course.

    Example:
        >>> plan = OpenPlan(num_decisions=4)
        >>> [plan.end(i) for i in range(6)], [plan.time(i) for i in (0, 1, 5)]
        ([10, 20, 30, 45, 67, 100], [(0, 4), (1, 4), (2.0, 4)])
    """

    num_decisions: int

    @property
    def total_steps(self) -> None:
        """There is no such number."""
        return None

    def is_over(self, interval: int) -> bool:
        """Say no."""
        return False

    def time(self, interval: int) -> Time:
        """Return what time it is in an interval."""
        return min(interval, _MIDDLE * self.num_decisions), self.num_decisions

    def end(self, interval: int) -> int:
        """Return how many updates are done when the interval is over."""
        return _open_end(self.num_decisions, interval)

    @property
    def first_interval(self) -> int:
        """The interval that starts at `first_step`."""
        return 0

    @property
    def first_step(self) -> int:
        """Where the division starts."""
        return 0

    def cooled(self, num_steps: int, *, interval: int, num_done: int) -> Plan:
        """See `Plan.cooled`; early in its course, a run goes through all of the rest."""
        return _cooled(num_steps, interval, num_done, self.time(interval))

    def to_json(self) -> dict[str, Any]:
        """Describe the plan in plain data; `plan_from_json` is the inverse."""
        return {"num_decisions": self.num_decisions}


def plan_of(total_steps: int | None, num_decisions: int) -> Plan | OpenPlan:
    """Divide a run; see `Plan.of`.

    Args:
        total_steps: Updates in the whole run; None: it has no end yet.
        num_decisions: Decision intervals.

    Raises:
        ConfigurationError: One of the two is no whole number, or below 1.
    """
    if total_steps is not None:
        return Plan.of(total_steps, num_decisions)
    Plan.of(1, num_decisions)  # the same rules
    return OpenPlan(num_decisions=whole_number("num_decisions", num_decisions))


def plan_from_json(data: Mapping[str, Any]) -> Plan | OpenPlan:
    """Build the plan that `to_json` described."""
    return OpenPlan(**data) if "num_decisions" in data else Plan(**data)


def whole_number(name: str, value: Any, *, hint: str = "") -> int:
    """Return a count as an int; a float or a NumPy number that is whole will do.

    Args:
        name: What it is called.
        value: It.
        hint: What the error says after the value.

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
        raise ConfigurationError(f"{name} must be a whole number; got {value!r}{hint}")
    return number


def _share(num_steps: int, length: float) -> int:
    """Return how many intervals of about a length there are in some updates, at least 1."""
    return min(max(1, round(num_steps / length)), max(num_steps, 1))


def ended(num_done: int, interval: int, time: Time) -> Plan:
    """Return the plan of a run that is over, whenever it was to end.

    Args:
        num_done: Updates made, at least 1.
        interval: Intervals done.
        time: What time it was in the last of them, which holds from now on.
    """
    return Plan(
        total_steps=num_done,
        num_intervals=interval,
        first_step=num_done,
        first_interval=interval,
        done_before=float(time[0]),
        course=float(time[1]),
    )


def _cooled(num_steps: int, interval: int, num_done: int, time: Time) -> Plan:
    """Return a plan with as many decisions as are left of the course, if there are the updates."""
    done, whole = time
    share = min(done / whole, 1.0 - 1.0 / whole)
    left = min(max(round(whole * (1.0 - share)), 1), num_steps)
    return Plan(
        total_steps=num_done + num_steps,
        num_intervals=interval + left,
        first_step=num_done,
        first_interval=interval,
        **_rest(share, left),
    )


def _rest(share: float, num_left: int) -> dict[str, float]:
    """Return the course of which a share is done when so many intervals are left."""
    whole = num_left / (1.0 - share)
    return {"done_before": whole - num_left, "course": whole}


def _open_end(num_decisions: int, interval: int) -> int:
    """Return where an interval of a run without an end ends, see `OpenPlan`."""
    end = 0
    for _ in range(interval + 1):
        end += max(_SHORTEST, int(end / (_MIDDLE * num_decisions)))
    return end
