"""A training run that a controller steers, whatever trains it.

The loop calls `step(loss)` after every update. At the end of an interval the run has its host
validate and measure, lets the policy decide, and has the host write the new values. What differs
between kinds of training is the host's (`hpo_env.control.host`).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.decider import Decider, Decision
from hpo_env.control.explain import Explanation, explain
from hpo_env.control.host import Host
from hpo_env.control.plain_host import read_number
from hpo_env.control.plan import Plan
from hpo_env.control.schedule_file import ScheduleRow, write_schedule
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.schedules import interval_factors, log_change, schedule
from hpo_env.telemetry import REPORTED, Telemetry

Array = NDArray[np.float64]
HostT = TypeVar("HostT", bound=Host)

_STATE_VERSION = 1


class ControllerWarning(UserWarning):
    """Something went wrong in a controlled run, which goes on."""


class RunLogger(Protocol):
    """Where a run reports to; `hpo_env.integrations` has some."""

    def log_decision(self, decision: Decision) -> None:
        """Take note of a decision."""

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Take note of what an interval measured, without what was not measured."""

    def close(self) -> None:
        """Write everything out."""


class Run(Generic[HostT]):
    """One controlled run.

    Args:
        policies: Of which one decides; see `restriction.policy_for`.
        host: The training that is steered.
        total_steps: Updates in the run: how often `step` will be called.
        num_decisions: Decision intervals that they are divided into.
        base_schedule: Name of the schedule that the policy's moves correct, where the host has none
            of its own.
        loggers: Told of every decision and every interval.

    Raises:
        ConfigurationError: A number is out of range, or nothing that the policy moves can be
            written.
        UnknownNameError: There is no base schedule of that name.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        host: HostT,
        *,
        total_steps: int,
        num_decisions: int,
        base_schedule: str,
        loggers: Sequence[RunLogger] = (),
    ) -> None:
        schedule(base_schedule)
        self.host = host
        self.base_schedule = base_schedule
        self.plan = Plan.of(total_steps, num_decisions)
        self.num_steps = 0
        self.interval = 0
        self.decisions: list[Decision] = []
        self.schedule: list[ScheduleRow] = []
        self._known = policies[0].space.names
        there = host.initial
        self._decider = Decider(
            policies, {n: there[n] for n in self._known if n in there}, host.features()
        )
        self.policy = self._decider.policy
        self._loggers = list(loggers)
        self._effective = self._decider.steering.initial.copy()  # [1, H]
        self._end = 0
        self._warned: set[str] = set()

    # ------------------------------------------------------------------------- what the loop calls

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Validate, decide and write the first values; or go on from a saved state."""
        self.host.begin(self)
        if state is not None:
            self.load_state_dict(state)
            return
        validation_loss = self.host.mean_loss(self._validated())
        if not math.isfinite(validation_loss):  # a loss that is not finite is no place to start
            validation_loss = math.nan
        self._decider.begin(
            validation_loss, num_intervals=self.plan.num_intervals, base=self._base()
        )
        self._open_interval()

    def step(self, loss: Any = None) -> None:
        """Count one update; at the end of an interval measure, decide and write.

        Args:
            loss: The minibatch loss, a number or a tensor of one element; the tensor is not read
                before the interval's end. None when there is no such thing.
        """
        if self.num_steps >= self._end:
            self._warn(
                "over",
                f"step() was called after the run's {self.plan.total_steps} updates: the values "
                "stay as they are. Call extend(total_steps) to let the controller go on",
            )
            return
        self.host.note_update(loss)
        self.num_steps += 1
        if self.num_steps >= self._end:
            self._close_interval()
            if not self.is_over:
                self._open_interval()

    @property
    def is_over(self) -> bool:
        """Whether all updates are done."""
        return self.interval >= self.plan.num_intervals

    @property
    def has_decided(self) -> bool:
        """Whether there are values to write."""
        return bool(self.decisions)

    @property
    def values(self) -> dict[str, float]:
        """The values in force, read back from where they are used."""
        return dict(zip(self.policy.space.names, self._effective[0].tolist(), strict=True))

    def freeze(self) -> None:
        """Decide no more: the corrections stay as they are, the base schedule goes on."""
        self._decider.is_frozen = True

    def extend(self, total_steps: int) -> None:
        """Make the run longer; also after its end.

        Args:
            total_steps: Updates in the whole run.

        Raises:
            ConfigurationError: Fewer than before.
        """
        was_over = self.is_over
        self.plan = self.plan.extended(total_steps, interval=self.interval)
        self._decider.extend(self.plan.num_intervals)
        if was_over and not self.is_over:
            self._warned.discard("over")
            self._open_interval()

    def explain(self, interval: int | None = None) -> Explanation:
        """Say in words and numbers what was decided, and which observations moved the decisions.

        Args:
            interval: Only this decision; None: all.

        Raises:
            ConfigurationError: There is no decision for that interval.
        """
        chosen = [d for d in self.decisions if interval is None or d.interval == interval]
        if interval is not None and not chosen:
            raise ConfigurationError(
                f"there is no decision for interval {interval}; "
                f"there are {len(self.decisions)} so far, from 0"
            )
        earlier = [d for d in self.decisions if interval is not None and d.interval < interval]
        before = earlier[-1].values if earlier else None
        return explain(
            self.policy,
            chosen,
            self.plan.num_intervals,
            before,
            hyperparameters=self._known,
            earlier=earlier,
        )

    def save_schedule(self, path: str | Path) -> Path:
        """Write the values of the whole run, for `replay_schedule`: JSON or CSV, by the ending.

        A replay follows the values alone: where an interval was rolled back, it cannot repeat that,
        and a warning says so.

        Raises:
            ConfigurationError: Another ending.
        """
        failed = [d.interval - 1 for d in self.decisions if d.reason == "guard"]
        if failed:
            self._warn(
                f"schedule {failed}",
                f"intervals {failed} of this run were cut short by the guard; a replay of its "
                "schedule sets the same values but rolls nothing back, and may diverge there",
            )
        return write_schedule(path, self.schedule, total_steps=self.plan.total_steps)

    def close(self) -> None:
        """Let go of the host and close the loggers; the values stay."""
        self.host.close()
        for logger in self._loggers:
            logger.close()

    def state_dict(self) -> dict[str, Any]:
        """Return all state in plain data (and tensors in mid-interval); see `load_state_dict`."""
        return {
            "version": _STATE_VERSION,
            "plan": self.plan.to_json(),
            "num_steps": self.num_steps,
            "interval": self.interval,
            "end": self._end,
            "decider": self._decider.state_dict(),
            "effective": self._effective.tolist(),
            "last_losses": [
                float(self._telemetry.train_loss[0]),
                float(self._telemetry.validation_loss[0]),
            ],
            "decisions": [decision.to_json() for decision in self.decisions],
            "schedule": [dict(row) for row in self.schedule],
            "measurement": self.host.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called; the optimiser's own state may come before or after.

        Raises:
            ConfigurationError: The state is of another version, or of other hyperparameters.
        """
        if state.get("version") != _STATE_VERSION:
            raise ConfigurationError(
                f"the saved run has version {state.get('version')}, this version of hpo-control "
                f"reads {_STATE_VERSION}"
            )
        self._decider.load_state_dict(state["decider"])
        self.plan = Plan(**state["plan"])
        self.num_steps, self.interval = int(state["num_steps"]), int(state["interval"])
        self._end = int(state["end"])
        self._effective = np.array(state["effective"], dtype=np.float64)
        train_loss, validation_loss = state["last_losses"]
        self._telemetry.train_loss[:] = train_loss
        self._telemetry.validation_loss[:] = validation_loss
        self.decisions = [Decision(**decision) for decision in state["decisions"]]
        self.schedule = [dict(row) for row in state["schedule"]]
        self.host.begin_interval(max(self._end - self._start, 1))
        self.host.load_state_dict(state["measurement"])
        self.apply()

    # ------------------------------------------------------------------------- what the host calls

    def write(self) -> None:
        """Write the values that are due now, and note them when they changed."""
        row = self.apply()
        if self.schedule and self.schedule[-1]["step"] == row["step"]:
            self.schedule[-1] = row  # written anew before an update was made
        elif not self.schedule or {**self.schedule[-1], "step": row["step"]} != row:
            self.schedule.append(row)

    def apply(self) -> ScheduleRow:
        """Write the values that are due now, and return them as read back."""
        values = self._decider.values(self._base())[0].tolist()
        names = self.policy.space.names
        used = self.host.write(dict(zip(names, values, strict=True)))
        self._effective[0] = [used[name] for name in names]
        return {"step": self.num_steps, **used}

    # --------------------------------------------------------------------------------- the insides

    @property
    def _start(self) -> int:
        """Updates done when the running interval began."""
        first = self.interval == self.plan.first_interval
        return self.plan.first_step if first else self.plan.end(self.interval - 1)

    @property
    def _telemetry(self) -> Telemetry:
        """What the last interval measured."""
        return self._decider.steering.telemetry

    def _factor(self, interval: int) -> Array:
        """Return the schedule's factor in an interval, `[1]`."""
        interval = min(interval, self.plan.num_intervals - 1)
        return interval_factors(
            self.base_schedule, np.array([interval]), np.array([self.plan.num_intervals])
        )

    def _base(self) -> Array:
        """Return the base values now `[1, H]`."""
        initial = self._decider.steering.initial
        own = self.host.base()
        if own is None:
            return self._decider.space.base(initial, self._factor(self.interval))
        base = initial.copy()
        for column, name in enumerate(self.policy.space.names):
            base[0, column] = own.get(name, base[0, column])
        return base

    def _base_change(self) -> Array:
        """Return the log ratio of the base schedule's next factor to the running one's, `[1]`."""
        own = self.host.base_change()
        if own is not None:
            return log_change(np.array(own[:1]), np.array(own[1:]))
        return log_change(self._factor(self.interval), self._factor(self.interval + 1))

    def _open_interval(self) -> None:
        verdict = self._decider.decide(self.host.agreed, self.host.features())
        self._end = self.plan.end(self.interval)
        self.host.begin_interval(self._end - self.num_steps)
        self.write()
        moves = self._decider.steering.moves[0].tolist()
        decision = Decision(
            interval=self.interval,
            step=self.num_steps,
            reason=verdict.reason,
            observation=verdict.observation,
            moves=dict(zip(self.policy.space.names, moves, strict=True)),
            values=self.values,
            train_loss=float(self._telemetry.train_loss[0]),
            validation_loss=float(self._telemetry.validation_loss[0]),
            trust=verdict.trust,
        )
        self.decisions.append(decision)
        for logger in self._loggers:
            logger.log_decision(decision)

    def _close_interval(self) -> None:
        telemetry = self.host.measure(self._validated())
        self._decider.close_interval(
            telemetry,
            values=self._effective,
            base_change=self._base_change(),
            roll_back=lambda lanes: self._rolled_back(telemetry),
        )
        self.interval += 1
        measured = {
            name: value
            for name in REPORTED
            if not math.isnan(value := float(getattr(self._telemetry, name)[0]))
        }
        for logger in self._loggers:
            logger.log_interval(self.num_steps, measured)

    def _rolled_back(self, telemetry: Telemetry) -> bool:
        """Roll the interval back where the host can, and say what happened."""
        has_state = self.host.roll_back()
        space = self.policy.space
        retreating = [n for n, r in zip(space.names, space.retreat, strict=True) if r != 0.0]
        done = ["the interval is rolled back"] if has_state else []
        done += [f"the guard moves {' and '.join(retreating)}"] if retreating else []
        self._warn(
            f"diverged {self.interval}",
            f"the training diverged in interval {self.interval}, before step {self.num_steps} "
            f"(training loss {telemetry.train_loss[0]:g}, validation loss "
            f"{telemetry.validation_loss[0]:g}): "
            + (", ".join(done) or "nothing can be done but go on"),
        )
        return has_state

    def _validated(self) -> float:
        """Return the validation loss, NaN where there is none."""
        try:
            result = self.host.validate()
            if result is None:  # there is none, or it has nothing to say yet
                return math.nan
            loss = read_number(result)
        except Exception as error:  # anybody's code; a run of days must not end here
            self._warn(
                "validate",
                f"validate() raised {type(error).__name__}: {error}. The run goes on, with the "
                "training loss in its place",
            )
            return math.nan
        if loss < 0.0:
            self._warn(
                "negative",
                f"validate() must return a positive loss, not a score or a log-likelihood; got "
                f"{loss:g}. The training loss stands in",
            )
            return math.nan
        return math.inf if math.isnan(loss) else loss  # measured, and as bad as can be

    def _warn(self, kind: str, message: str) -> None:
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, ControllerWarning, stacklevel=4)
