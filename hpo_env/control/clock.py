"""Where a run stands: updates made, the interval that is running, and how far it is to go."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hpo_env.control.plan import OpenPlan, Plan, Time, ended, plan_from_json, plan_of, whole_number
from hpo_env.errors import ConfigurationError


class Clock:
    """Counts the updates of a run, and goes from one interval to the next.

    Args:
        total_steps: Updates in the run; None: it has no end yet.
        num_decisions: Decision intervals that they are divided into.

    Attributes:
        plan: Where the intervals end, and what time it is in each.
        num_steps: Updates made.
        interval: The interval that is running, or comes next, from 0.
        start: Updates made when it began.
        end: Updates made when it is over.
        is_open: Whether it is running.
        told: What time it was when it began: a run that changes its length in the middle of it
            does not change what it has begun with.

    Raises:
        ConfigurationError: A number is out of range.
    """

    def __init__(self, total_steps: int | None, num_decisions: int) -> None:
        self.plan: Plan | OpenPlan = plan_of(total_steps, num_decisions)
        self._asked: dict[str, Any] = {
            "total_steps": self.plan.total_steps,
            "num_decisions": whole_number("num_decisions", num_decisions),
        }
        self.num_steps = 0
        self.interval = 0
        self.start, self.end = 0, 0
        self.is_open = False
        self.told: Time = self.plan.time(0)

    @property
    def is_over(self) -> bool:
        """Whether all updates are done; never in a run without an end."""
        return self.plan.is_over(self.interval)

    @property
    def is_due(self) -> bool:
        """Whether the updates of the running interval are done."""
        return self.num_steps >= self.end

    @property
    def time(self) -> Time:
        """Intervals done of how many, as the policy is told."""
        return self.plan.time(self.interval)

    def begin_interval(self) -> int:
        """Have the interval begin here, and return how many updates it has."""
        self.is_open, self.told = True, self.time
        self.start, self.end = self.num_steps, self.plan.end(self.interval)
        return self.end - self.start

    def end_interval(self) -> None:
        """Have it end here."""
        self.interval += 1
        self.is_open = False

    def extend(self, total_steps: int) -> None:
        """Make the run longer; the running interval keeps its end.

        Raises:
            ConfigurationError: Fewer updates than before, or the run has no end yet.
        """
        if isinstance(self.plan, OpenPlan):
            raise ConfigurationError(
                f"the run has no end that total_steps={total_steps!r} could be later than: call "
                "cool_down(steps) to end it in so many updates"
            )
        self.plan = self.plan.extended(total_steps, interval=self.interval)

    def cool_down(self, num_steps: int) -> None:
        """Go through the rest of the course in so many updates, at least 1, from here on."""
        self.plan = self.plan.cooled(num_steps, interval=self.interval, num_done=self.num_steps)

    def stop(self, time: Time) -> None:
        """End the run here; what time it was in its last interval holds from now on."""
        self.is_open = False
        self.plan = ended(self.num_steps, self.interval, time)
        self.end = self.num_steps

    def checked_cool_down(self, num_steps: Any) -> int:
        """Return in how many updates from here the run is to end, as a number that can be.

        Raises:
            ConfigurationError: Not a whole number from 0 on; there would be no update in the run
                at all; or it is over.
        """
        number = whole_number("num_steps", num_steps)
        if number < 0 or self.num_steps + number == 0:
            raise ConfigurationError(
                "cool_down(num_steps) needs a number from 0 on, and from 1 on before the first "
                f"update; got {number}"
            )
        if self.is_over:
            raise ConfigurationError(
                "the run is over: call extend(total_steps) to have it go on, and cool down again"
            )
        return number

    def state_dict(self) -> dict[str, Any]:
        """Return all state as plain data; `load_state_dict` is the inverse."""
        return {
            "plan": self.plan.to_json(),
            "asked": dict(self._asked),
            "num_steps": self.num_steps,
            "interval": self.interval,
            "is_open": self.is_open,
            "told": list(self.told),
            "start": self.start,
            "end": self.end,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> int | None:
        """Go on where `state_dict` was called.

        Returns:
            How many updates the run shall have where this one was made for another number than the
            saved one, for `resize`; None: as many as it has.

        Raises:
            ConfigurationError: The saved run has another number of decisions, or has made more
                updates than this one shall have.
        """
        plan = plan_from_json(state["plan"])
        total_steps = self._total_steps(plan, state)
        self.plan = plan
        self.num_steps, self.interval = int(state["num_steps"]), int(state["interval"])
        self.end = int(state["end"])
        # States of earlier versions do not say when their interval began, nor whether it runs.
        before = plan.end(self.interval - 1) if self.interval else 0
        self.start = int(state.get("start", min(before, self.num_steps)))
        self.is_open = bool(state.get("is_open", not self.is_over))
        done, whole = state.get("told", self.time)
        self.told = (done, whole)
        return total_steps

    def resize(self, total_steps: int) -> None:
        """Make a run longer or shorter that was saved with another number of updates."""
        if isinstance(self.plan, OpenPlan) or self.plan.total_steps == total_steps:
            return
        if total_steps > self.plan.total_steps:
            self.extend(total_steps)
            return
        self.plan = self.plan.shortened(
            total_steps, interval=self.interval, start=self.start, num_steps=self.num_steps
        )
        self.end = min(self.end, total_steps)

    def _total_steps(self, plan: Plan | OpenPlan, state: Mapping[str, Any]) -> int | None:
        """Return how many updates a saved run has from now on; None: as many as it has."""
        asked = state.get("asked", {})
        check_equal("num_decisions", asked, self._asked["num_decisions"])
        now, before = self._asked["total_steps"], asked.get("total_steps", plan.total_steps)
        if (now is None) != (before is None):
            raise ConfigurationError(
                f"the saved run has total_steps={before!r}, this one {now!r}: attach with that of "
                "the saved run; a run of None ends when cool_down(steps) says"
            )
        if now is None or (now == before and asked):
            return None
        # States of earlier versions do not say; then a longer run is meant, never a shorter one.
        total_steps = int(now) if asked else max(int(now), int(before))
        if total_steps < state["num_steps"]:
            raise ConfigurationError(
                f"the saved run has made {state['num_steps']} updates already, and this one has "
                f"total_steps={total_steps}: give at least as many"
            )
        return total_steps


def check_equal(name: str, saved: Mapping[str, Any], ours: Any) -> None:
    """Check that a saved run was made with the option that this one has, if it says so.

    Raises:
        ConfigurationError: It was not.
    """
    if saved.get(name, ours) != ours:
        raise ConfigurationError(
            f"the saved run has {name}={saved[name]!r}, this one {ours!r}: attach with that of the "
            "saved run, or start anew without state="
        )
