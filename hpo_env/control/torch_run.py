"""A controlled run of torch optimisers.

Weights and gradients are measured in a hook before the optimiser's step, so it does not matter when
the loop zeroes its gradients; and the values are checked there, so it is noticed when somebody else
writes them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo_env.control.decider import log_change
from hpo_env.control.knobs import BoundKnob, Knob
from hpo_env.control.live_schedule import (
    LiveSchedule,
    foreign_schedulers,
    unwrapped,
    unwrapped_scheduler,
)
from hpo_env.control.param_groups import (
    GROUP_HYPERPARAMETERS,
    ClipKnob,
    DropoutKnob,
    GroupKnob,
)
from hpo_env.control.run import RunLogger
from hpo_env.control.schedule_file import ScheduleRow
from hpo_env.control.weights_run import WeightsRun
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.schedules import schedule


class TorchRun(WeightsRun):
    """One controlled run of one or several torch optimisers; see `Controller.attach`."""

    def __init__(
        self,
        policies: Sequence[Policy],
        optimizers: Sequence[Any],
        *,
        total_steps: int,
        num_decisions: int,
        base_schedule: Any,
        model: nn.Module | None,
        validate: Callable[[], Any] | None,
        bind: Mapping[str, Callable[[float], float | None]],
        initial: Mapping[str, float],
        loggers: Sequence[RunLogger],
    ) -> None:
        self._optimizers = [unwrapped(optimizer) for optimizer in optimizers]
        if not self._optimizers:
            raise ConfigurationError("at least one optimiser must be given; got none")
        schedulers = _schedulers(base_schedule)
        known = [unwrapped_scheduler(scheduler) for scheduler in schedulers]
        _refuse_foreign_schedulers(self._optimizers, known)
        self._live = LiveSchedule(schedulers, self._optimizers) if schedulers else None
        knobs = _find_knobs(policies[0], self._optimizers, model=model, bind=bind, initial=initial)
        self._groups = _group_knobs(knobs, self._optimizers, all_of_them=bool(schedulers))
        if self._live is not None and "learning_rate" in self._groups:
            rates = self._live.initial()
            self._groups["learning_rate"].reference = max(range(len(rates)), key=rates.__getitem__)
            self._groups["learning_rate"].initial = max(rates)
        clip = knobs.get("gradient_clip")
        self._clip = clip if isinstance(clip, ClipKnob) else None
        self._is_idle = self._live is None and self._clip is None  # nothing to do at most steps
        self._rates: list[Any] = [None] * len(self._optimizers)
        super().__init__(
            policies,
            knobs,
            parts=lambda: [_parameters(optimizer) for optimizer in self._optimizers],
            model=model,
            total_steps=total_steps,
            num_decisions=num_decisions,
            base_schedule="constant" if schedulers else base_schedule,
            validate=validate,
            loggers=loggers,
        )
        self._handles = []
        for part, optimizer in enumerate(self._optimizers):
            hook = functools.partial(self._before_step, part)
            self._handles.append(optimizer.register_step_pre_hook(hook))
            self._handles.append(optimizer.register_load_state_dict_post_hook(self._after_loading))

    def close(self) -> None:
        """Take the hooks away and give a torch scheduler its optimiser back; the values stay."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._live is not None:
            self._apply()  # what it asked for since the last step
            self._live.detach(self._optimizers)
            self._live = None
        super().close()

    def part_of(self, optimizer: torch.optim.Optimizer) -> int:
        """Say which of the run's optimisers this is."""
        return next(i for i, ours in enumerate(self._optimizers) if ours is optimizer)

    # ------------------------------------------------------------------------------------ the hooks

    def _before_step(
        self, part: int, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any
    ) -> tuple[Any, Any] | None:
        # Most steps end here. They are made with caches full of the training's own data, where
        # every line of Python costs ten times what it costs in a benchmark.
        is_untouched = optimizer.param_groups[0]["lr"] is self._rates[part]
        if is_untouched and self._is_idle and not self._measurement.is_due and len(args) < 2:
            return None
        if self.is_over:
            if self._live is not None:
                self._write()  # the schedule may go on
            return None
        self._check_foreign_writes()
        if self._live is not None:
            if self._measurement.is_halfway:
                self._live.note_middle(0.5 if self.interval == 0 else 1.0)
            self._write()
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._see_gradients(part, optimizer)
            return None
        closure = self._measuring(closure, part, optimizer)
        if len(args) > 1:
            return (args[0], closure, *args[2:]), kwargs
        return args, {**kwargs, "closure": closure}

    def _measuring(
        self, closure: Callable[[], Any], part: int, optimizer: torch.optim.Optimizer
    ) -> Callable[[], Any]:
        """Wrap a closure that computes the gradients within the optimiser's step."""
        calls = 0

        def wrapped() -> Any:
            nonlocal calls
            result = closure()
            calls += 1
            if calls == 1:  # line searches call it again, at other weights
                self._see_gradients(part, optimizer)
            return result

        return wrapped

    def _see_gradients(self, part: int, optimizer: torch.optim.Optimizer) -> None:
        # Fused optimisers are handed gradients that mixed precision has scaled.
        scale = getattr(optimizer, "grad_scale", None)
        scale = 1.0 if scale is None else scale
        self.before_update(part, gradient_scale=scale)
        if self._clip is not None:
            self._clip.clip(self._parameters[part], scale)

    def _after_loading(self, optimizer: torch.optim.Optimizer) -> None:
        """Write again what is in force: a loaded state brings its own rates along."""
        if self.decisions:
            self._apply()

    def _check_foreign_writes(self) -> None:
        for name, knob in self._groups.items():
            value = knob.foreign_value()
            if value is None:
                continue
            names = foreign_schedulers(self._optimizers, ())
            who = " and ".join(names) if names else "something else"
            raise ConfigurationError(
                f"{name} was set to {value:g} by {who} while the controller writes it. Take that "
                "out of the loop, or attach with base_schedule=that scheduler to have it corrected"
            )

    # ----------------------------------------------------------------------- what torch can measure

    def _measurement_state(self) -> dict[str, Any]:
        return super()._measurement_state() | {
            "live": None if self._live is None else self._live.state_dict(),
            "base": {name: list(knob.base) for name, knob in self._groups.items()},
        }

    def _load_measurement(self, state: Mapping[str, Any]) -> None:
        super()._load_measurement(state)
        for name, base in state["base"].items():
            self._groups[name].base = list(base)
        if self._live is not None and state["live"] is not None:
            self._live.load_state_dict(state["live"])

    def _forget_moments(self) -> None:
        for optimizer in self._optimizers:
            if not isinstance(unwrapped(optimizer), torch.optim.Adagrad):
                optimizer.state.clear()
                continue
            for state in optimizer.state.values():  # it is made at construction, and never again
                for tensor in state.values():
                    tensor.zero_()

    def _base(self) -> NDArray[np.float64]:
        if self._live is None:
            return super()._base()
        base = self._decider.initial.copy()
        for name, knob in self._groups.items():
            knob.base = self._live.groups(name)
            if name in self.policy.space.names:
                column = self.policy.space.index(name)
                base[0, column] = knob.base[knob.reference]
        return base

    def _base_change(self) -> float:
        if self._live is None or "learning_rate" not in self._groups:
            return super()._base_change()
        return log_change(*self._live.change_ahead(self._groups["learning_rate"].reference))

    def _apply(self) -> ScheduleRow:
        """Write also what a torch scheduler asks for and the policy leaves alone."""
        row = super()._apply()
        if self._live is not None:
            for name, knob in self._groups.items():
                if name not in row:
                    row[name] = knob.write(knob.base[knob.reference])
                if len(knob.written) > 1:
                    row |= {f"{name}/{g}": value for g, value in enumerate(knob.written)}
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in self._optimizers]
        return row


def writers(
    optimizers: Sequence[Any], bind: Mapping[str, Callable[[float], Any]], names: Sequence[str]
) -> dict[str, Callable[[float], Any]]:
    """Return a function that writes each column of a saved schedule.

    Args:
        optimizers: Those of the loop.
        bind: Functions for what is in no param group.
        names: Columns; "learning_rate/1" is that of the second param group.

    Raises:
        ConfigurationError: A column can be written neither here nor there.
    """
    plain = [unwrapped(optimizer) for optimizer in optimizers]
    found: dict[str, Callable[[float], Any]] = {}
    for name in names:
        kind, _, place = name.partition("/")
        if name in bind:
            found[name] = bind[name]
            continue
        knob = GroupKnob.of(kind, plain)
        if knob is None or (place and not int(place) < len(knob.base)):
            raise ConfigurationError(
                f"the schedule has {name!r}, which no param group has: give "
                f"bind={{{name!r}: function}}"
            )
        found[name] = functools.partial(knob.write_one, int(place)) if place else knob.write
    return found


def _schedulers(base_schedule: Any) -> list[Any]:
    """Return the torch schedulers given, none when it is a name."""
    if isinstance(base_schedule, str):
        schedule(base_schedule)
        return []
    return list(base_schedule) if isinstance(base_schedule, list | tuple) else [base_schedule]


def _refuse_foreign_schedulers(
    optimizers: Sequence[torch.optim.Optimizer], known: Sequence[Any]
) -> None:
    names = foreign_schedulers(optimizers, known)
    if names:
        raise ConfigurationError(
            f"{' and '.join(names)} also writes the learning rate of this optimiser. Pass it to "
            "attach(base_schedule=...), so that the controller corrects what it asks for, or take "
            "it out of the loop"
        )


def _find_knobs(
    policy: Policy,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    model: nn.Module | None,
    bind: Mapping[str, Callable[[float], float | None]],
    initial: Mapping[str, float],
) -> dict[str, Knob]:
    """Find something to write each of the policy's hyperparameters to.

    Raises:
        UnknownNameError: The policy does not move what `bind` or `initial` names.
    """
    for name in (*bind, *initial):
        policy.space.index(name)
    knobs: dict[str, Knob] = {}
    for hyperparameter in policy.space.hyperparameters:
        name = hyperparameter.name
        knob: Knob | None = None
        if name in bind:
            start = initial.get(name, hyperparameter.default)
            knob = BoundKnob(function=bind[name], initial=start)
        elif name in GROUP_HYPERPARAMETERS:
            knob = GroupKnob.of(name, optimizers)
        elif name == "dropout":
            knob = DropoutKnob.of(model)
        elif name == "gradient_clip" and name in initial:
            knob = ClipKnob(initial=initial[name])
        if knob is not None:
            knobs[name] = knob
    return knobs


def _group_knobs(
    knobs: Mapping[str, Knob],
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    all_of_them: bool,
) -> dict[str, GroupKnob]:
    """Return the knobs in param groups; under a torch scheduler also those it may write alone."""
    groups = {name: knob for name, knob in knobs.items() if isinstance(knob, GroupKnob)}
    for name in GROUP_HYPERPARAMETERS if all_of_them else ():
        knob = GroupKnob.of(name, optimizers)
        if name not in knobs and knob is not None:
            groups[name] = knob
    return groups


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
