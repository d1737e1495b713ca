"""A host of loops with torch optimisers.

Weights and gradients are measured in a hook before the optimiser's step, so it does not matter when
the loop zeroes its gradients; and the values are checked there, so it is noticed when somebody else
writes them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpo_env.control.host import Host, Steered
from hpo_env.control.live_schedule import (
    LiveSchedule,
    foreign_schedulers,
    unwrapped,
    unwrapped_scheduler,
)
from hpo_env.control.param_groups import (
    GROUP_HYPERPARAMETERS,
    ClipWriter,
    DropoutWriter,
    GroupWriter,
)
from hpo_env.control.weights_host import WeightsHost
from hpo_env.control.writers import FunctionWriter, Writer, write_all
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.telemetry import Telemetry


class TorchHost(Host):
    """One or several torch optimisers; see `Controller.attach` for what is written where.

    Args:
        space: What the controller's policies move.
        optimizers: Those that are stepped together, also in wrappers.
        schedulers: The torch schedulers that write to them, which become the base schedule.
        model: See `WeightsHost`; its dropout layers are written too.
        validate: See `WeightsHost`.
        bind: Functions that write what is in no param group.
        initial: Values at the start of what is bound.

    Attributes:
        weights: Measures them.

    Raises:
        ConfigurationError: There is no optimiser, or another scheduler writes to one.
        UnknownNameError: `bind` or `initial` names what no policy moves.
    """

    def __init__(
        self,
        space: HyperparameterSpace,
        optimizers: Sequence[Any],
        *,
        schedulers: Sequence[Any] = (),
        model: nn.Module | None = None,
        validate: Callable[[], Any] | None = None,
        bind: Mapping[str, Callable[[float], float | None]] | None = None,
        initial: Mapping[str, float] | None = None,
    ) -> None:
        self._optimizers = [unwrapped(optimizer) for optimizer in optimizers]
        if not self._optimizers:
            raise ConfigurationError("at least one optimiser must be given; got none")
        known = [unwrapped_scheduler(scheduler) for scheduler in schedulers]
        _refuse_foreign_schedulers(self._optimizers, known)
        writers = _find_writers(
            space, self._optimizers, model=model, bind=bind or {}, initial=initial or {}
        )
        self._live = LiveSchedule(schedulers, self._optimizers) if schedulers else None
        self._groups = _group_writers(writers, self._optimizers, all_of_them=bool(schedulers))
        if self._live is not None and "learning_rate" in self._groups:
            rates = self._live.initial()
            self._groups["learning_rate"].reference = max(range(len(rates)), key=rates.__getitem__)
            self._groups["learning_rate"].initial = max(rates)
        clip = writers.get("gradient_clip")
        self._clip = clip if isinstance(clip, ClipWriter) else None
        self._is_idle = self._live is None and self._clip is None  # nothing to do at most steps
        self._rates: list[Any] = [None] * len(self._optimizers)
        self._writers = writers
        self.weights = WeightsHost(
            writers,
            parts=lambda: [_parameters(optimizer) for optimizer in self._optimizers],
            model=model,
            validate=validate,
        )
        self._measurement = self.weights.measurement
        self._run: Steered | None = None
        self._handles: list[Any] = []

    def part_of(self, optimizer: torch.optim.Optimizer) -> int:
        """Say which of the optimisers this is."""
        return next(i for i, ours in enumerate(self._optimizers) if ours is optimizer)

    # ---------------------------------------------------------------------------- what a run calls

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return self.weights.initial

    def begin(self, run: Steered) -> None:
        """Hang up the hooks."""
        self._run = run
        self.weights.begin(run)
        for part, optimizer in enumerate(self._optimizers):
            hook = functools.partial(self._before_step, part)
            self._handles.append(optimizer.register_step_pre_hook(hook))
            self._handles.append(optimizer.register_load_state_dict_post_hook(self._after_loading))

    def begin_interval(self, num_updates: int) -> None:
        """See `WeightsHost.begin_interval`."""
        self.weights.begin_interval(num_updates)
        self._measurement = self.weights.measurement

    def note_update(self, loss: Any) -> None:
        """See `WeightsHost.note_update`."""
        self.weights.note_update(loss)

    def validate(self) -> Any:
        """See `WeightsHost.validate`."""
        return self.weights.validate()

    def measure(self, validation_loss: float) -> Telemetry:
        """See `WeightsHost.measure`."""
        return self.weights.measure(validation_loss)

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write also what a torch scheduler asks for and the policy leaves alone."""
        row = write_all(self._writers, values)
        if self._live is not None:
            for name, writer in self._groups.items():
                if name not in row:
                    row[name] = writer.write(writer.base[writer.reference])
                if len(writer.written) > 1:
                    row |= {f"{name}/{g}": value for g, value in enumerate(writer.written)}
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in self._optimizers]
        return row

    def roll_back(self) -> bool:
        """Put back weights and buffers, and empty the optimisers' memory."""
        if not self.weights.roll_back():
            return False
        for optimizer in self._optimizers:
            if not isinstance(optimizer, torch.optim.Adagrad):
                optimizer.state.clear()
                continue
            for state in optimizer.state.values():  # it is made at construction, and never again
                for tensor in state.values():
                    tensor.zero_()
        return True

    def base(self) -> Mapping[str, float] | None:
        """Return what the loop's schedulers ask for."""
        if self._live is None:
            return None
        for name, writer in self._groups.items():
            writer.base = self._live.groups(name)
        return {name: writer.base[writer.reference] for name, writer in self._groups.items()}

    def base_change(self) -> tuple[float, float] | None:
        """Return the rate that they ask for in the middle of this interval and of the next."""
        if self._live is None or "learning_rate" not in self._groups:
            return None
        return self._live.change_ahead(self._groups["learning_rate"].reference)

    def agreed(self, moves: list[float]) -> list[float]:
        """See `WeightsHost.agreed`."""
        return self.weights.agreed(moves)

    def mean_loss(self, loss: float) -> float:
        """See `WeightsHost.mean_loss`."""
        return self.weights.mean_loss(loss)

    def state_dict(self) -> dict[str, Any]:
        """Return the measurement so far, and what schedulers and groups stand at."""
        return self.weights.state_dict() | {
            "live": None if self._live is None else self._live.state_dict(),
            "base": {name: list(writer.base) for name, writer in self._groups.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.weights.load_state_dict(state)
        for name, base in state["base"].items():
            self._groups[name].base = list(base)
        if self._live is not None and state["live"] is not None:
            self._live.load_state_dict(state["live"])

    def close(self) -> None:
        """Take the hooks away and give torch schedulers their optimisers back; values stay."""
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if self._live is not None:
            if self._run is not None:
                self._run.apply()  # what it asked for since the last step
            self._live.detach(self._optimizers)
            self._live = None

    # ------------------------------------------------------------------------------------ the hooks

    def _before_step(
        self, part: int, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any
    ) -> tuple[Any, Any] | None:
        # Most steps end here. They are made with caches full of the training's own data, where
        # every line of Python costs ten times what it costs in a benchmark.
        is_untouched = optimizer.param_groups[0]["lr"] is self._rates[part]
        if is_untouched and self._is_idle and not self._measurement.is_due and len(args) < 2:
            return None
        run = self._run
        assert run is not None
        if run.is_over:
            if self._live is not None:
                run.write()  # the schedule may go on
            return None
        self._check_foreign_writes()
        if self._live is not None:
            if self._measurement.is_halfway:
                self._live.note_middle(0.5 if run.interval == 0 else 1.0)
            run.write()
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
        self.weights.before_update(part, gradient_scale=scale)
        if self._clip is not None:
            self._clip.clip(self.weights.parameters[part], scale)

    def _after_loading(self, optimizer: torch.optim.Optimizer) -> None:
        """Write again what is in force: a loaded state brings its own rates along."""
        if self._run is not None and self._run.has_decided:
            self._run.apply()

    def _check_foreign_writes(self) -> None:
        for name, writer in self._groups.items():
            value = writer.foreign_value()
            if value is None:
                continue
            names = foreign_schedulers(self._optimizers, ())
            who = " and ".join(names) if names else "something else"
            raise ConfigurationError(
                f"{name} was set to {value:g} by {who} while the controller writes it. Take that "
                "out of the loop, or attach with base_schedule=that scheduler to have it corrected"
            )


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


def _find_writers(
    space: HyperparameterSpace,
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    model: nn.Module | None,
    bind: Mapping[str, Callable[[float], float | None]],
    initial: Mapping[str, float],
) -> dict[str, Writer]:
    """Find something to write each hyperparameter of a policy to.

    Raises:
        UnknownNameError: The policy does not move what `bind` or `initial` names.
    """
    for name in (*bind, *initial):
        space.index(name)
    writers: dict[str, Writer] = {}
    for hyperparameter in space.hyperparameters:
        name = hyperparameter.name
        writer: Writer | None = None
        if name in bind:
            start = initial.get(name, hyperparameter.default)
            writer = FunctionWriter(function=bind[name], initial=start)
        elif name in GROUP_HYPERPARAMETERS:
            writer = GroupWriter.of(name, optimizers)
        elif name == "dropout":
            writer = DropoutWriter.of(model)
        elif name == "gradient_clip" and name in initial:
            writer = ClipWriter(initial=initial[name])
        if writer is not None:
            writers[name] = writer
    return writers


def _group_writers(
    writers: Mapping[str, Writer],
    optimizers: Sequence[torch.optim.Optimizer],
    *,
    all_of_them: bool,
) -> dict[str, GroupWriter]:
    """Return the writers in param groups; under a torch scheduler also those it may write alone."""
    groups = {name: writer for name, writer in writers.items() if isinstance(writer, GroupWriter)}
    for name in GROUP_HYPERPARAMETERS if all_of_them else ():
        writer = GroupWriter.of(name, optimizers)
        if name not in writers and writer is not None:
            groups[name] = writer
    return groups


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
