"""A training run that a controller steers, whatever trains it.

The loop calls `step(loss)` after every update. At the end of an interval the run has its host
validate and measure, lets the policy decide, and has the host write the new values. What differs
between kinds of training is the host's (`hpo_env.control.host`); what a run says is in
`announcing`, and which losses can be gone by in `loss_check`.

The file is long because it is one class with one subject, the turn from an interval to the next.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.control.announcing import Announcer, RunLogger
from hpo_env.control.decider import Decider, Decision
from hpo_env.control.explain import Explanation, explain
from hpo_env.control.host import Host
from hpo_env.control.loss_check import LossCheck
from hpo_env.control.plan import OpenPlan, Plan, ended, plan_from_json, plan_of, whole_number
from hpo_env.control.schedule_file import ScheduleRow, write_schedule
from hpo_env.errors import ConfigurationError, ControllerWarning, RunStoppedError
from hpo_env.policy import Policy
from hpo_env.schedules import interval_factors, log_change, schedule
from hpo_env.telemetry import REPORTED, Telemetry

Array = NDArray[np.float64]
HostT = TypeVar("HostT", bound=Host)

__all__ = ["ControllerWarning", "Run", "RunLogger"]

_STATE_VERSION = 1

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
        schedule(base_schedule)
        self.host = host
        self.base_schedule = base_schedule
        self.plan: Plan | OpenPlan = plan_of(total_steps, num_decisions)
        self._asked: dict[str, Any] = {
            "total_steps": self.plan.total_steps,
            "num_decisions": whole_number("num_decisions", num_decisions),
            "base_schedule": base_schedule,
        }
        self.num_steps = 0
        self.interval = 0
        self.decisions: list[Decision] = []
        self.schedule: list[ScheduleRow] = []
        self._known = policies[0].space.names
        there = host.initial
        self._decider = Decider(
            policies,
            {n: there[n] for n in self._known if n in there},
            host.features(),
            knows_kind=unknown_kind is None,
        )
        self._unknown_kind = unknown_kind
        self.policy = self._decider.policy
        self._announcer = Announcer(loggers)
        self._losses = LossCheck(self._announcer)
        self._on_roll_back = on_roll_back
        self.replaced = dict(replaced or {})
        self._effective = self._decider.initial.copy()  # [1, H]
        self._in_force = (self._effective * 0.0, 1.0)  # corrections [1, H], factor of the schedule
        self._factor_at: tuple[tuple[int, Any], float] = ((-1, None), 1.0)
        self._end = 0
        self._is_open = False  # whether an interval is running
        self._end_of_it: Literal["", "closed", "superseded"] = ""

    # ------------------------------------------------------------------------- what the loop calls

    def begin(self, state: Mapping[str, Any] | None = None) -> None:
        """Validate, decide and write the first values; or go on from a saved state."""
        self.host.begin(self)
        if state is not None:
            self.load_state_dict(state)
            return
        for name, found in self.replaced.items():
            self._announcer.warn(
                f"replaced {name}",
                f"{name} was {found:g}, at which the first update would wreck the weights; the run "
                f"begins at {self.host.initial[name]:.3g}. To begin at your own, attach with "
                "start='user'",
            )
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
        self._decider.begin(
            validation_loss, num_intervals=int(self.plan.time(0)[1]), base=self._base()
        )
        self._turn()

    def step(self, loss: Any = None) -> None:
        """Count one update; at the end of an interval measure, decide and write.

        Args:
            loss: The minibatch loss, a number or a tensor of one element; the tensor is not read
                before the interval's end. None when there is no such thing.

        Raises:
            RunStoppedError: A logger ends the run, as a study does that prunes it; it is closed.
        """
        if (self.num_steps >= self._end or self._end_of_it) and not self._goes_on():
            return
        self.host.note_update(loss)
        self.num_steps += 1
        if self.num_steps >= self._end:
            self._turn()

    @property
    def is_over(self) -> bool:
        """Whether all updates are done; never before `cool_down` in a run without an end."""
        return self.plan.is_over(self.interval)

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

        A run that is cooling down cools on until then; one that has cooled down begins to do so
        anew.

        Raises:
            ConfigurationError: Fewer than before, the run is closed, or it has no end yet.
        """
        self._check_open("extended")
        if isinstance(self.plan, OpenPlan):
            raise ConfigurationError(
                f"the run has no end that total_steps={total_steps!r} could be later than: call "
                "cool_down(steps) to end it in so many updates"
            )
        was_over = self.is_over
        self.plan = self.plan.extended(total_steps, interval=self.interval)
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
        num_steps = whole_number("num_steps", num_steps)
        if num_steps < 0 or self.num_steps + num_steps == 0:
            raise ConfigurationError(
                "cool_down(num_steps) needs a number from 0 on, and from 1 on before the first "
                f"update; got {num_steps}"
            )
        if self.is_over:
            raise ConfigurationError(
                "the run is over: call extend(total_steps) to have it go on, and cool down again"
            )
        time = self.plan.time(self.interval)
        if self._is_open and self.num_steps > self._start:
            self._close_interval()
        if num_steps == 0:
            if self._is_open:  # no update of it was made, nor will be
                self._is_open = False
                self.decisions.pop()
            self.plan = ended(self.num_steps, self.interval, time)
            self._end = self.num_steps
            return
        self.plan = self.plan.cooled(num_steps, interval=self.interval, num_done=self.num_steps)
        if self._is_open:  # its values are decided, and its length is another
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
            "version": _STATE_VERSION,
            "plan": self.plan.to_json(),
            "asked": dict(self._asked),
            "num_steps": self.num_steps,
            "interval": self.interval,
            "is_open": self._is_open,
            "unfit": sorted(self._losses.unfit),
            "end": self._end,
            "decider": self._decider.state_dict(),
            "replaced": dict(self.replaced),
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

        A run that was attached with another `total_steps` than the saved one goes on as a longer
        or a shorter one.

        Raises:
            ConfigurationError: The state is of another version, of other hyperparameters, another
                number of decisions or another schedule, or has made more updates than this run.
        """
        if state.get("version") != _STATE_VERSION:
            raise ConfigurationError(
                f"the saved run has version {state.get('version')}, this version of hpo-control "
                f"reads {_STATE_VERSION}"
                + ("" if state else ": the state is empty. Leave it out to start anew")
            )
        saved = plan_from_json(state["plan"])
        total_steps = self._check_plan(saved, state)
        self._decider.load_state_dict(state["decider"])
        self.plan = saved
        self.num_steps, self.interval = int(state["num_steps"]), int(state["interval"])
        self._end = int(state["end"])
        self._is_open = bool(state.get("is_open", not self.is_over))
        self._losses.unfit = set(state.get("unfit", ()))
        self.replaced = dict(state.get("replaced", {}))
        self._effective = np.array(state["effective"], dtype=np.float64)
        train_loss, validation_loss = state["last_losses"]
        self._telemetry.train_loss[:] = train_loss
        self._telemetry.validation_loss[:] = validation_loss
        self.decisions = [Decision(**decision) for decision in state["decisions"]]
        self.schedule = [dict(row) for row in state["schedule"]]
        self.host.begin_interval(max(self._end - self._start, 1))
        self.host.load_state_dict(state["measurement"])
        self.apply()
        if total_steps is None or isinstance(saved, OpenPlan):
            return
        if total_steps > saved.total_steps:
            self.extend(total_steps)
        elif total_steps < saved.total_steps:
            self._shorten(saved, total_steps)

    def _check_plan(self, plan: Plan | OpenPlan, state: Mapping[str, Any]) -> int | None:
        """Return how many updates a saved run has from now on; None: as many as it has."""
        asked = state.get("asked", {})
        for name in ("num_decisions", "base_schedule"):
            if asked.get(name, self._asked[name]) != self._asked[name]:
                raise ConfigurationError(
                    f"the saved run has {name}={asked[name]!r}, this one {self._asked[name]!r}: "
                    "attach with that of the saved run, or start anew without state="
                )
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
        used: Mapping[str, float] = dict(zip(names, values, strict=True))
        if not self._is_left_alone():
            used = self.host.write(used)
        self._in_force = (self._decider.steering.corrections, self._factor_now())
        self._effective[0] = [used[name] for name in names]
        return {"step": self.num_steps, **used}

    def corrected(self, name: str, base: float) -> float:
        """See `Steered.corrected`."""
        space = self.policy.space
        if name not in space.names:
            return base
        column = space.names.index(name)
        if space.hyperparameters[column].scheduled:
            base = base * self._factor_now()
        correction = float(self._decider.steering.corrections[0, column])
        return space.corrected(name, base, correction)

    def uncorrected(self, name: str, value: float) -> float:
        """See `Steered.uncorrected`."""
        space = self.policy.space
        if name not in space.names:
            return value
        column = space.index(name)
        corrections, factor = self._in_force
        base = space.uncorrected(name, value, corrections[0, column])
        if space.hyperparameters[column].scheduled and factor > 0.0:
            base = min(base / factor, max(float(space.high[column]), value))
        return base

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
        done, whole = self.plan.time(interval)
        return interval_factors(
            self.base_schedule, np.array([min(done, whole - 1)]), np.array([whole])
        )

    def _factor_now(self) -> float:
        """Return the schedule's factor in the running interval."""
        at = (self.interval, self.plan)
        if self._factor_at[0] != at:
            self._factor_at = (at, float(self._factor(self.interval)[0]))
        return self._factor_at[1]

    def _is_left_alone(self) -> bool:
        """Say whether the host goes its own way: what is not written is the user's to the bit."""
        if self._decider.knows_kind or self._decider.steering.corrections.any():
            return False
        return self.host.base() is not None or self._factor_now() == 1.0

    def _base(self) -> Array:
        """Return the base values now `[1, H]`."""
        initial = self._decider.initial
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
        if self._is_open:
            self._close_interval()
        if not (self.is_over or self._is_open or self._end_of_it):  # validate() may close a run
            self._open_interval()

    def _shorten(self, plan: Plan, total_steps: int) -> None:
        self.plan = plan.shortened(total_steps, interval=self.interval, num_steps=self.num_steps)
        self._end = min(self._end, total_steps)
        if self.is_over and self._is_open:  # no update of it was made, nor will be
            self._is_open = False
            self.decisions.pop()

    def _open_interval(self) -> None:
        self._decider.tell_time(*self.plan.time(self.interval))
        verdict = self._decider.decide(self.host.agreed, self.host.features())
        self._is_open = True
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
        )
        self.decisions.append(decision)
        self._announcer.tell("log_decision", decision)

    def _begin_interval(self) -> None:
        """Measure and write from now on to the end of the interval."""
        self._end = self.plan.end(self.interval)
        self.host.begin_interval(self._end - self.num_steps)
        self.write()

    def _close_interval(self) -> None:
        is_guarded = self._decider.is_guarded
        telemetry = self.host.measure(self._losses.validated(self.host, is_guarded=is_guarded))
        if not self._losses.fitting(telemetry):
            self._decider.give_up_sight()
        self._decider.close_interval(
            telemetry,
            values=self._effective,
            base_change=self._base_change(),
            roll_back=lambda lanes: self._rolled_back(telemetry),
        )
        self.interval += 1
        self._is_open = False
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

    def _rolled_back(self, telemetry: Telemetry) -> bool:
        """Roll the interval back where the host can, and say what happened."""
        has_state = self.host.roll_back()
        if has_state and self._on_roll_back is not None:
            try:
                self._on_roll_back()
            except Exception as error:  # anybody's code; a run of days must not end here
                self._announcer.warn(
                    "on_roll_back",
                    f"on_roll_back() raised {type(error).__name__}: {error}. The run goes on",
                )
        space = self.policy.space
        retreating = [n for n, r in zip(space.names, space.retreat, strict=True) if r != 0.0]
        done = ["the interval is rolled back"] if has_state else []
        done += [f"the guard moves {' and '.join(retreating)}"] if retreating else []
        why = self.host.failure() or (
            f"training loss {telemetry.train_loss[0]:g}, validation loss "
            f"{telemetry.validation_loss[0]:g}"
        )
        self._announcer.warn(
            "diverged",
            f"the training diverged in interval {self.interval}, before step {self.num_steps} "
            f"({why}): " + (", ".join(done) or "nothing can be done but go on"),
        )
        if has_state:
            self._check_what_was_restored(telemetry)
        return has_state

    def _check_what_was_restored(self, telemetry: Telemetry) -> None:
        """Give the guard up where rolling back does not bring the training back."""
        spoiled, was_bad = self.host.unrestored(), math.isinf(telemetry.validation_loss[0])
        if spoiled is None and was_bad:
            again = self._losses.validated(self.host, is_guarded=True)
            if math.isinf(self.host.mean_loss(again)):
                spoiled = (
                    "something that only validate() meets, as the running means of batch "
                    "normalisation (attach with model=) or averaged weights (attach with "
                    "on_roll_back=)"
                )
        if spoiled is not None:
            self._decider.is_guarded = False
            self._announcer.warn(
                "unrestored",
                f"the interval is rolled back, but there is no copy of everything: {spoiled}. "
                "Nothing is rolled back any more",
            )
