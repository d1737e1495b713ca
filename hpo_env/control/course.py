"""The values of a run: a base schedule, the host's own or one by name, and the corrections of it.

Axes: `H` hyperparameters that are written; the single run is the first axis of every array.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.clock import Clock
from hpo_env.control.decider import Decider
from hpo_env.control.host import Host
from hpo_env.control.plan import Time
from hpo_env.control.schedule_file import ScheduleRow
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.schedules import interval_factors, log_change, schedule

Array = NDArray[np.float64]

_FACTORS_KEPT = 4  # an interval asks for its own several times, and for the next


class Course:
    """Works out the values that are due, and has them written.

    Args:
        base_schedule: Name of the schedule that the corrections are of, where the host has none of
            its own.
        decider: Whose corrections they are.
        host: Where they are written.
        clock: By which the schedule goes.

    Attributes:
        effective: The values in force, read back from where they are used, `[1, H]`.
        rows: The values of the run so far, a row for each time that they changed.

    Raises:
        UnknownNameError: There is no base schedule of that name.
    """

    def __init__(self, base_schedule: str, decider: Decider, host: Host, clock: Clock) -> None:
        schedule(base_schedule)
        self.base_schedule = base_schedule
        self._decider = decider
        self._host = host
        self._clock = clock
        self.effective = decider.initial.copy()
        self.rows: list[ScheduleRow] = []
        self.in_force = (self.effective * 0.0, 1.0)  # corrections [1, H], factor of the schedule
        self._factors: dict[Time, Array] = {}  # of late

    def write(self) -> None:
        """Write the values that are due now, and note them when they changed."""
        row = self.apply()
        if self.rows and self.rows[-1]["step"] == row["step"]:
            self.rows[-1] = row  # written anew before an update was made
        elif not self.rows or {**self.rows[-1], "step": row["step"]} != row:
            self.rows.append(row)

    def apply(self) -> ScheduleRow:
        """Write the values that are due now, and return them as read back."""
        values = self._decider.values(self.base())[0].tolist()
        names = self._space.names
        used: Mapping[str, float] = dict(zip(names, values, strict=True))
        if not self._is_left_alone():
            used = self._host.write(used)
        self.in_force = (self._decider.steering.corrections, self._factor_now())
        self.effective[0] = [used[name] for name in names]
        return {"step": self._clock.num_steps, **used}

    def corrected(self, name: str, base: float) -> float:
        """See `Steered.corrected`."""
        space = self._space
        if name not in space.names:
            return base
        column = space.names.index(name)
        if space.hyperparameters[column].scheduled:
            base = base * self._factor_now()
        correction = float(self._decider.steering.corrections[0, column])
        return space.corrected(name, base, correction)

    def uncorrected(self, name: str, value: float) -> float:
        """See `Steered.uncorrected`."""
        space = self._space
        if name not in space.names:
            return value
        column = space.index(name)
        corrections, factor = self.in_force
        base = space.uncorrected(name, value, corrections[0, column])
        if space.hyperparameters[column].scheduled and factor > 0.0:
            base = min(base / factor, max(float(space.high[column]), value))
        return base

    def base(self) -> Array:
        """Return the base values now `[1, H]`."""
        initial = self._decider.initial
        own = self._host.base()
        if own is None:
            return self._space.base(initial, self._factor(self._clock.interval))
        base = initial.copy()
        for column, name in enumerate(self._space.names):
            base[0, column] = own.get(name, base[0, column])
        return base

    def base_change(self) -> Array:
        """Return the log ratio of the base schedule's next factor to the running one's, `[1]`."""
        own = self._host.base_change()
        if own is not None:
            return log_change(np.array(own[:1]), np.array(own[1:]))
        interval = self._clock.interval
        now, following = self._factor(interval), self._factor(interval + 1)
        return np.zeros(1) if now[0] == following[0] else log_change(now, following)

    def _is_left_alone(self) -> bool:
        """Say whether the host goes its own way: what is not written is the user's to the bit."""
        if self._decider.knows_kind or self._decider.steering.corrections.any():
            return False
        return self._host.base() is not None or self._factor_now() == 1.0

    @property
    def _space(self) -> HyperparameterSpace:
        return self._decider.space

    def _factor(self, interval: int) -> Array:
        """Return the schedule's factor in an interval, `[1]`."""
        clock = self._clock
        is_running = clock.is_open and interval == clock.interval
        time = clock.told if is_running else clock.plan.time(interval)
        if time not in self._factors:
            if len(self._factors) >= _FACTORS_KEPT:
                self._factors = {}
            done, whole = time
            self._factors[time] = interval_factors(
                self.base_schedule, np.array([min(done, whole - 1)]), np.array([whole])
            )
        return self._factors[time]

    def _factor_now(self) -> float:
        """Return the schedule's factor in the running interval."""
        return float(self._factor(self._clock.interval)[0])
