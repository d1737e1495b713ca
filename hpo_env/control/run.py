"""A training run that a controller steers, whatever trains it.

The host calls `step(loss)` after every update. At the end of an interval the run validates, fills
telemetry, lets the policy decide and writes the new values into the host. `TorchRun` adds what
torch can measure; a host without torch uses this class as it is.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.decider import Decider, Decision, Verdict, log_change
from hpo_env.control.explain import Explanation, explain
from hpo_env.control.knobs import Knob
from hpo_env.control.plan import Plan
from hpo_env.control.schedule_file import ScheduleRow, write_schedule
from hpo_env.errors import ConfigurationError
from hpo_env.guard import taken_back
from hpo_env.loss_summary import summarize_losses
from hpo_env.policy import Policy
from hpo_env.schedules import interval_factors, schedule
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]

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


class Run:
    """One controlled run.

    Args:
        policies: Of which one decides; see `restriction.policy_for`.
        knobs: What can be written, by hyperparameter.
        total_steps: Updates in the run: how often `step` will be called.
        num_decisions: Decision intervals that they are divided into.
        base_schedule: Name of the schedule that the policy's moves correct.
        validate: Returns the validation loss, a positive number, or None when it has none. None
            in its place leaves the training loss to stand in.
        loggers: Told of every decision and every interval.

    Raises:
        ConfigurationError: A number is out of range, or nothing that the policy moves can be
            written.
        UnknownNameError: There is no base schedule of that name.
    """

    def __init__(
        self,
        policies: Sequence[Policy],
        knobs: Mapping[str, Knob],
        *,
        total_steps: int,
        num_decisions: int,
        base_schedule: str,
        validate: Callable[[], Any] | None = None,
        loggers: Sequence[RunLogger] = (),
    ) -> None:
        schedule(base_schedule)
        self.base_schedule = base_schedule
        self.plan = Plan.of(total_steps, num_decisions)
        self.num_steps = 0
        self.interval = 0
        self.decisions: list[Decision] = []
        self.schedule: list[ScheduleRow] = []
        self._knobs = {name: knobs[name] for name in policies[0].space.names if name in knobs}
        self._decider = Decider(policies, {n: knob.initial for n, knob in self._knobs.items()})
        self.policy = self._decider.policy
        self._known = policies[0].space.names
        self._validate = validate
        self._loggers = list(loggers)
        self._effective = self._decider.initial.copy()  # [1, H]
        self._losses: list[Any] = []
        self._end = 0
        self._telemetry = Telemetry.missing(1)
        self._warned: set[str] = set()

    # ------------------------------------------------------------------------- what the host calls

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Validate, decide and write the first values; or go on from a saved state."""
        if state is not None:
            self.load_state_dict(state)
            return
        validation_loss = self._reduced_loss(self._validated())
        if not math.isfinite(validation_loss):  # a loss that is not finite is no place to start
            validation_loss = math.nan
        self._telemetry.validation_loss[:] = validation_loss
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
        self._note_update(loss)
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

        A replay follows the values alone: where an interval was taken back, it cannot repeat that,
        and a warning says so.

        Raises:
            ConfigurationError: Another ending.
        """
        failed = [d.interval - 1 for d in self.decisions if d.reason == "guard"]
        if failed:
            self._warn(
                f"schedule {failed}",
                f"intervals {failed} of this run were cut short by the guard; a replay of its "
                "schedule sets the same values but takes nothing back, and may diverge there",
            )
        return write_schedule(path, self.schedule, total_steps=self.plan.total_steps)

    def close(self) -> None:
        """Let go of the host and close the loggers; the values stay."""
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
            "measurement": self._measurement_state(),
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
        self._load_measurement(state["measurement"])
        self._apply()

    # --------------------------------------------------------------- what a kind of run may refine

    def _note_update(self, loss: Any) -> None:
        if loss is not None:
            self._losses.append(_number(loss))

    def _begin_measurement(self, num_updates: int) -> None:
        self._losses = []

    def _measured(self, validation_loss: float) -> Telemetry:
        """Return the telemetry of the interval that just ended."""
        telemetry = Telemetry.missing(1)
        losses = np.array(self._losses, dtype=np.float64)
        summarize_losses(telemetry, losses, self._end - self._start)
        telemetry.validation_loss[:] = validation_loss
        telemetry.diverged[:] = not np.isfinite(losses).all()
        return telemetry

    def _measurement_state(self) -> dict[str, Any]:
        return {"losses": list(self._losses)}

    def _load_measurement(self, state: Mapping[str, Any]) -> None:
        self._losses = list(state["losses"])

    def _roll_back(self) -> bool:
        """Put back what the interval started from; a host that cannot says False."""
        return False

    def _decide(self) -> Verdict:
        return self._decider.decide()

    def _reduced_loss(self, loss: float) -> float:
        return loss

    def _base(self) -> Array:
        """Return the base values now `[1, H]`."""
        factor = np.array([self._factor(min(self.interval, self.plan.num_intervals - 1))])
        return self._decider.space.base(self._decider.initial, factor)

    def _base_change(self) -> float:
        following = min(self.interval + 1, self.plan.num_intervals - 1)
        return log_change(self._factor(self.interval), self._factor(following))

    # --------------------------------------------------------------------------------- the insides

    @property
    def _start(self) -> int:
        """Updates done when the running interval began."""
        first = self.interval == self.plan.first_interval
        return self.plan.first_step if first else self.plan.end(self.interval - 1)

    def _factor(self, interval: int) -> float:
        factors = interval_factors(
            self.base_schedule, np.array([interval]), np.array([self.plan.num_intervals])
        )
        return float(factors[0])

    def _open_interval(self) -> None:
        verdict = self._decide()
        self._end = self.plan.end(self.interval)
        self._begin_measurement(self._end - self.num_steps)
        self._write()
        moves = self._decider.moves[0].tolist()
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
        telemetry = self._measured(self._validated())
        if self._decider.has_failed(telemetry):
            telemetry = self._recovered(telemetry)
        self._telemetry = telemetry
        self._decider.observe_interval(
            telemetry, values=self._effective, base_change=self._base_change()
        )
        self.interval += 1
        measured = {
            name: value
            for name in _REPORTED
            if not math.isnan(value := float(getattr(telemetry, name)[0]))
        }
        for logger in self._loggers:
            logger.log_interval(self.num_steps, measured)

    def _recovered(self, telemetry: Telemetry) -> Telemetry:
        """Take the interval back where the host can, and return what is left of its telemetry."""
        has_state = self._roll_back()
        done = "the interval is taken back, " if has_state else ""
        self._warn(
            f"diverged {self.interval}",
            f"the training diverged in interval {self.interval}, before step {self.num_steps} "
            f"(training loss {telemetry.train_loss[0]:g}, validation loss "
            f"{telemetry.validation_loss[0]:g}): {done}the learning rate is cut",
        )
        if not has_state:
            return telemetry
        before = self._telemetry
        failed = np.array([True])
        return taken_back(telemetry, failed, before.validation_loss, before.validation_metric)

    def _write(self) -> None:
        """Write the values that are due now, and note them when they changed."""
        self._note_row(self._apply())

    def _apply(self) -> ScheduleRow:
        """Write the values that are due now, and return them as read back."""
        values = self._decider.values(self._base())[0].tolist()
        row: ScheduleRow = {"step": self.num_steps}
        for column, name in enumerate(self.policy.space.names):
            row[name] = float(self._knobs[name].write(values[column]))
            self._effective[0, column] = row[name]
        return row

    def _note_row(self, row: ScheduleRow) -> None:
        if self.schedule and self.schedule[-1]["step"] == row["step"]:
            self.schedule[-1] = row  # written anew before an update was made
        elif not self.schedule or {**self.schedule[-1], "step": row["step"]} != row:
            self.schedule.append(row)

    def _validated(self) -> float:
        """Return the validation loss, NaN where there is none."""
        if self._validate is None:
            return math.nan
        try:
            result = self._validate()
            if result is None:  # it has nothing to say yet
                return math.nan
            loss = _number(result)
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


def _number(value: Any) -> float:
    """Read a number, also out of a tensor that takes part in a gradient."""
    return float(value.detach() if hasattr(value, "detach") else value)


_REPORTED = (
    "train_loss",
    "train_loss_spread",
    "validation_loss",
    "gradient_norm_first",
    "gradient_norm_last",
    "update_ratio",
    "update_agreement",
)
