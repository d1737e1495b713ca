"""A training run that a controller steers, whatever trains it.

The loop calls `step(loss)` after every update. At the end of an interval the run has its host
validate and measure, lets the policy decide, and has the host write the new values. What differs
between kinds of training is the host's (`hpo_env.control.host`); what a run says is in
`announcing`, which losses can be gone by in `loss_check`, where it stands is its `clock`'s and
what values are due its `course`'s.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.announcing import Announcer, RunLogger
from hpo_env.control.clock import Clock, check_equal
from hpo_env.control.course import Course
from hpo_env.control.decider import Decider, Decision
from hpo_env.control.explain import Explanation, explain
from hpo_env.control.host import Host
from hpo_env.control.loss_check import LossCheck
from hpo_env.control.plan import OpenPlan, Plan
from hpo_env.control.rolling_back import RollingBack
from hpo_env.control.saved import STATE_VERSION, check_saved
from hpo_env.control.schedule_file import ScheduleRow, write_schedule
from hpo_env.errors import ConfigurationError, ControllerWarning, RunStoppedError
from hpo_env.policy import Policy
from hpo_env.telemetry import REPORTED, Telemetry

Array = NDArray[np.float64]
HostT = TypeVar("HostT", bound=Host)

__all__ = ["ControllerWarning", "Run", "RunLogger"]

_SAID_OF_A_STEP = {
    "superseded": "step() was called of a run that another one has taken the place of, which was "
    "attached to the same training: nothing is done",
    "closed": "step() was called after close(): nothing is done, the training has its own values "
    "back. To have the last ones go on, leave the run open",
}


class Run(Generic[HostT]):
    """One controlled run.

    Args:
        policies: Of which one decides; see `restriction.policy_for`.
        host: The training that is steered.
        total_steps: Updates in the run: how often `step` will be called; None: see `cool_down`.
        num_decisions: Decision intervals that they are divided into.
        base_schedule: Name of the schedule that the policy's moves correct, where the host has none
            of its own.
        loggers: Told of every decision and every interval. One that raises is left out of that.
        on_roll_back: Called after an interval was rolled back, to put back what the host has no
            copy of: averaged weights, a count of batches.
        replaced: The values that the host had and does not begin at, as the training would not
            have survived them, by name.
        unknown_kind: The kind of the run where the policy does not know it: it is watched and
            guarded, and nothing else moves its values. None: it is steered.

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
        total_steps: int | None,
        num_decisions: int,
        base_schedule: str,
        loggers: Sequence[RunLogger] = (),
        on_roll_back: Callable[[], object] | None = None,
        replaced: Mapping[str, float] | None = None,
        unknown_kind: str | None = None,
    ) -> None:
        self.host = host
        self._clock = Clock(total_steps, num_decisions)
        self.decisions: list[Decision] = []
        self._known = policies[0].space.names
        there, plan = host.initial, self._clock.plan
        self._decider = Decider(
            policies,
            {n: there[n] for n in self._known if n in there},
            host.features(),
            knows_kind=unknown_kind is None,
            num_decisions=plan.num_intervals if isinstance(plan, Plan) else None,
        )
        self._unknown_kind = unknown_kind
        self.policy = self._decider.policy
        self._course = Course(base_schedule, self._decider, host, self._clock)
        self._announcer = Announcer(loggers)
        self._losses = LossCheck(self._announcer)
        self._failures = RollingBack(
            host, self._decider, self._losses, self._announcer, on_roll_back
        )
        self.replaced = dict(replaced or {})
        self._end_of_it: Literal["", "closed", "superseded"] = ""

    # ------------------------------------------------------------------------- what the loop calls

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Validate, decide and write the first values; or go on from a saved state."""
        self.host.begin(self)
        if state is not None:
            self.load_state_dict(state)
            return
        self._say_what_was_replaced()
        if self._unknown_kind is not None:
            self._announcer.warn(
                "unknown kind",
                f"the policy knows runs of the kinds {list(self.policy.kinds or ())}, and this is "
                f"one of {self._unknown_kind!r}: it is watched and guarded, and its values stay. "
                "To have it steered all the same, give steers_unknown=True",
            )
        validation_loss = self.host.mean_loss(self._losses.validated(self.host, is_guarded=True))
        if not math.isfinite(validation_loss):  # a loss that is not finite is no place to start
            validation_loss = math.nan
        self._start(validation_loss)

    def step(self, loss: Any = None) -> None:
        """Count one update; at the end of an interval measure, decide and write.

        Args:
            loss: The minibatch loss, a number or a tensor of one element; the tensor is not read
                before the interval's end. None when there is no such thing.

        Raises:
            RunStoppedError: A logger ends the run, as a study does that prunes it; it is closed.
        """
        clock = self._clock
        if (clock.is_due or self._end_of_it) and not self._goes_on():
            return
        self.host.note_update(loss)
        clock.num_steps += 1
        if clock.is_due:
            self._turn()

    @property
    def plan(self) -> Plan | OpenPlan:
        """How the updates are divided into intervals."""
        return self._clock.plan

    @property
    def num_steps(self) -> int:
        """Updates made."""
        return self._clock.num_steps

    @property
    def interval(self) -> int:
        """The interval that is running, from 0."""
        return self._clock.interval

    @property
    def base_schedule(self) -> str:
        """Name of the schedule that is corrected where the host has none of its own."""
        return self._course.base_schedule

    @property
    def schedule(self) -> list[ScheduleRow]:
        """The values of the run so far, a row for each time that they changed."""
        return self._course.rows

    @property
    def is_over(self) -> bool:
        """Whether all updates are done; never before `cool_down` in a run without an end."""
        return self._clock.is_over

    @property
    def is_closed(self) -> bool:
        """Whether it has let go of the training: by `close`, or as another run came."""
        return bool(self._end_of_it)

    @property
    def has_decided(self) -> bool:
        """Whether there are values to write."""
        return bool(self.decisions)

    @property
    def values(self) -> dict[str, float]:
        """The values in force, read back from where they are used."""
        return dict(zip(self.policy.space.names, self._course.effective[0].tolist(), strict=True))

    def freeze(self) -> None:
        """Decide no more: the corrections stay as they are, the base schedule goes on."""
        self._decider.is_frozen = True

    def extend(self, total_steps: int) -> None:
        """Make the run longer; also after its end.

        Args:
            total_steps: Updates in the whole run.

        A run that is cooling down cools on until then; one that has cooled down begins to do so
        anew.

        Raises:
            ConfigurationError: Fewer than before, the run is closed, or it has no end yet.
        """
        self._check_open("extended")
        was_over = self.is_over
        self._clock.extend(total_steps)
        if was_over and not self.is_over:
            self._announcer.allow_again("over")
            self._turn()

    def cool_down(self, num_steps: int) -> None:
        """End the run in so many updates, from now on: the policy goes through the end phase.

        The running interval is closed. For runs whose end was open (`total_steps=None`), and for
        those that shall end at another time than was said.

        Args:
            num_steps: Updates to come; 0: the run is over, and nothing is lowered.

        Raises:
            ConfigurationError: Not a whole number from 0 on; the run is closed or over; or there
                would be no update in it at all.
        """
        self._check_open("cooled down")
        clock = self._clock
        num_steps = clock.checked_cool_down(num_steps)
        time = clock.time
        if clock.is_open and clock.num_steps > clock.start:
            self._close_interval()
        if num_steps == 0:
            self._withdraw()
            clock.stop(time)
            return
        clock.cool_down(num_steps)
        if clock.is_open:  # its values are decided, and its length is another
            self._begin_interval()
        else:
            self._turn()

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
            None if isinstance(self.plan, OpenPlan) else self.plan.num_intervals,
            before,
            hyperparameters=self._known,
            earlier=earlier,
            replaced=self.replaced,
            scoped=self._decider.scoped,
            left_alone=self._decider.left_alone,
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
            self._announcer.warn(
                f"schedule {failed}",
                f"intervals {failed} of this run were cut short by the guard; a replay of its "
                "schedule sets the same values but rolls nothing back, and may diverge there",
            )
        total_steps = self.plan.total_steps
        total_steps = self.num_steps if total_steps is None else total_steps
        return write_schedule(path, self.schedule, total_steps=total_steps)

    def close(self) -> None:
        """Let go of the training, and close the loggers.

        The training has the values again that the user gave it (or those that his own scheduler
        asks for by now), unless he has set others in the meantime; so checkpoints that are saved
        and schedulers that are built from here on know nothing of the controller. Functions that
        were bound are called with the initial values that were given with them. A loop that is to
        go on with the last values leaves the run open: after the last of its updates it writes
        nothing but what a scheduler asks for, corrected as before, and costs nothing.
        """
        if self._end_of_it != "closed":
            if isinstance(self.plan, OpenPlan) and self.num_steps and not self._end_of_it:
                self._announcer.warn(
                    "never cooled",
                    f"the run was closed after {self.num_steps} updates and was never cooled down: "
                    "losses fall once more in the last fifth of a run, if cool_down(steps) is "
                    "called before it",
                )
            self._end_of_it = "closed"
            self.host.close()
            self._announcer.tell("close")

    def _check_open(self, what: str) -> None:
        if self._end_of_it:
            raise ConfigurationError(
                f"the run is {self._end_of_it} and cannot be {what}: attach anew, with "
                "state=run.state_dict() to go on from where it was"
            )

    def supersede(self) -> None:
        """Let go of the host, as another run was attached to the same training."""
        self._end_of_it = "superseded"
        self.host.close()

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise ConfigurationError(
            "a run is tied to the training that it steers and cannot be copied or pickled: save "
            "run.state_dict(), and attach with state="
        )

    def state_dict(self) -> dict[str, Any]:
        """Return all state in plain data (and tensors in mid-interval); see `load_state_dict`."""
        return {
            "version": STATE_VERSION,
            **self._clock.state_dict(),
            "base_schedule": self.base_schedule,
            "unfit": sorted(self._losses.unfit),
            "decider": self._decider.state_dict(),
            "replaced": dict(self.replaced),
            "effective": self._course.effective.tolist(),
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

        A run that was attached with another `total_steps` than the saved one goes on as a longer
        or a shorter one.

        Raises:
            ConfigurationError: The state is of another version, of other hyperparameters, another
                number of decisions or another schedule, or has made more updates than this run.
        """
        state = check_saved(state)
        # Earlier versions told the schedule among what the clock was asked for.
        check_equal("base_schedule", {**state.get("asked", {}), **state}, self.base_schedule)
        total_steps = self._clock.load_state_dict(state)
        self._decider.load_state_dict(state["decider"])
        self._losses.unfit = set(state.get("unfit", ()))
        self.replaced = dict(state.get("replaced", {}))
        self._course.effective = np.array(state["effective"], dtype=np.float64)
        train_loss, validation_loss = state["last_losses"]
        self._telemetry.train_loss[:] = train_loss
        self._telemetry.validation_loss[:] = validation_loss
        self.decisions = [Decision(**decision) for decision in state["decisions"]]
        self._course.rows = [dict(row) for row in state["schedule"]]
        self.host.begin_interval(max(self._clock.end - self._clock.start, 1))
        self.host.load_state_dict(state["measurement"])
        self.apply()
        if total_steps is not None:
            self._resize(total_steps)

    def _resize(self, total_steps: int) -> None:
        was_over = self.is_over
        self._clock.resize(total_steps)
        if was_over and not self.is_over:
            self._announcer.allow_again("over")
            self._turn()
        elif self.is_over:
            self._withdraw()

    def _withdraw(self) -> None:
        """Take a decision back of whose interval no update was made, nor will be."""
        if self._clock.is_open:
            self._clock.is_open = False
            self.decisions.pop()

    # ------------------------------------------------------------------------- what the host calls

    def write(self) -> None:
        """Write the values that are due now, and note them when they changed."""
        self._course.write()

    def apply(self) -> ScheduleRow:
        """Write the values that are due now, and return them as read back."""
        return self._course.apply()

    def corrected(self, name: str, base: float) -> float:
        """See `Steered.corrected`."""
        return self._course.corrected(name, base)

    def uncorrected(self, name: str, value: float) -> float:
        """See `Steered.uncorrected`."""
        return self._course.uncorrected(name, value)

    def restart_at(self, values: Mapping[str, float]) -> None:
        """See `Steered.restart_at`."""
        there = self.host.initial
        self.replaced |= {name: there[name] for name in values}
        self.host.start_at(values)
        self._decider.start_at({n: self.host.initial[n] for n in values})
        self._say_what_was_replaced()
        self._withdraw()
        self._start(float(self._telemetry.validation_loss[0]))

    # --------------------------------------------------------------------------------- the insides

    def _start(self, validation_loss: float) -> None:
        """Decide and write the first values."""
        self._decider.begin(
            validation_loss, num_intervals=int(self.plan.time(0)[1]), base=self._course.base()
        )
        self._turn()

    def _say_what_was_replaced(self) -> None:
        for name, found in self.replaced.items():
            self._announcer.warn(
                f"replaced {name}",
                f"{name} was {found:g}, at which the first update would wreck the weights; the run "
                f"begins at {self.host.initial[name]:.3g}. To begin at your own, attach with "
                "start='user'",
            )

    @property
    def _telemetry(self) -> Telemetry:
        """What the last interval measured."""
        return self._decider.steering.telemetry

    def _goes_on(self) -> bool:
        """Say whether there are updates to come; catch up with what was interrupted."""
        if self._end_of_it:
            self._announcer.warn(self._end_of_it, _SAID_OF_A_STEP[self._end_of_it])
            return False
        if not self.is_over:
            self._turn()
        if self.is_over:
            self._announcer.warn(
                "over",
                f"step() was called after the run's {self.num_steps} updates: the values "
                "stay as they are. Call extend(total_steps) to let the controller go on",
            )
        return not self.is_over

    def _turn(self) -> None:
        """Close the running interval and open the next; what was interrupted is done again."""
        clock = self._clock
        if clock.is_open:
            self._close_interval()
        if not (clock.is_over or clock.is_open or self._end_of_it):  # validate() may close a run
            self._open_interval()

    def _open_interval(self) -> None:
        clock = self._clock
        self._decider.tell_time(*clock.time)
        verdict = self._decider.decide(
            self.host.agreed,
            self.host.features(),
            interval_updates=clock.num_steps - clock.start,
        )
        self._begin_interval()
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
            in_scope=verdict.in_scope,
        )
        self.decisions.append(decision)
        self._announcer.tell("log_decision", decision)

    def _begin_interval(self) -> None:
        """Measure and write from now on to the end of the interval."""
        self.host.begin_interval(self._clock.begin_interval())
        self.write()

    def _close_interval(self) -> None:
        is_guarded = self._decider.is_guarded
        telemetry = self.host.measure(self._losses.validated(self.host, is_guarded=is_guarded))
        if not self._losses.fitting(telemetry):
            self._decider.give_up_sight()
        self._decider.close_interval(
            telemetry,
            values=self._course.effective,
            base_change=self._course.base_change(),
            roll_back=lambda lanes: self._failures.take_back(
                telemetry, interval=self.interval, num_steps=self.num_steps
            ),
        )
        self._clock.end_interval()
        if self._decider.sight == "none" and not self._losses.unfit:
            self._announcer.warn(
                "blind",
                "there is no loss to go by: neither step(loss) nor validate() has given one. The "
                "controller does nothing, the base schedule holds",
            )
        measured = {
            name: value
            for name in REPORTED
            if not math.isnan(value := float(getattr(self._telemetry, name)[0]))
        }
        try:
            self._announcer.tell("log_interval", self.num_steps, measured)
        except RunStoppedError:
            self.close()
            raise
