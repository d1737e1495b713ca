"""A host of loops with torch optimisers.

Weights and gradients are measured in a hook before the optimiser's step, so it does not matter when
the loop zeroes its gradients; and the values are checked there, so it is noticed when somebody else
writes them. Where each hyperparameter is written, `finding_writers` finds out.
"""

from __future__ import annotations

import functools
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hpo_env.arguments import functions_by_name, numbers_by_name
from hpo_env.control.finding_writers import find_writers, group_writers
from hpo_env.control.first_step import bearable_rate, better_rate, learned_rate
from hpo_env.control.host import Host, Steered
from hpo_env.control.live_schedule import (
    LiveSchedule,
    foreign_schedulers,
    unwrapped,
    unwrapped_scheduler,
)
from hpo_env.control.model_writers import ClipWriter
from hpo_env.control.owners import Owners
from hpo_env.control.param_groups import GroupWriter
from hpo_env.control.weights_host import WeightsHost
from hpo_env.control.writers import write_all
from hpo_env.errors import ConfigurationError, ControllerWarning
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.starts import LearnedStart, StartCase
from hpo_env.telemetry import Telemetry

_attached: weakref.WeakKeyDictionary[torch.optim.Optimizer, weakref.ref[TorchHost]] = (
    weakref.WeakKeyDictionary()
)
"""Which host was attached last to an optimiser: two would write over each other."""


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
        ConfigurationError: There is no optimiser, or one twice, or no module; weights are on the
            meta device, or another scheduler writes to one.
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
        self._optimizers = _checked(optimizers, model)
        for optimizer in self._optimizers:  # a run that was left behind, or interrupted
            earlier = _attached.get(optimizer)
            if earlier is not None and (host := earlier()) is not None:
                host.give_way()
        known = [unwrapped_scheduler(scheduler) for scheduler in schedulers]
        _refuse_foreign_schedulers(self._optimizers, known)
        writers = find_writers(
            space,
            self._optimizers,
            model=model,
            bind=functions_by_name("bind", bind),
            initial=numbers_by_name("initial", initial),
        )
        self._live = LiveSchedule(schedulers, self._optimizers) if schedulers else None
        self._groups = group_writers(writers, self._optimizers, all_of_them=bool(schedulers))
        if self._live is not None and "learning_rate" in self._groups:
            self._groups["learning_rate"].begin_at(self._live.initial)
        rate = writers.get("learning_rate")
        # Under a scheduler that warms up from 0 it is another by now.
        if rate is not None and rate.initial == 0.0:
            warnings.warn(
                "the learning rate is 0, which no factor changes: the controller leaves it alone",
                ControllerWarning,
                stacklevel=4,
            )
        if self._live is not None:
            for writer in self._groups.values():
                writer.follow(self._live)
        clip = writers.get("gradient_clip")
        self._clip = clip if isinstance(clip, ClipWriter) else None
        self._is_idle = True  # nothing to do at most steps
        self._rates: list[Any] = [None] * len(self._optimizers)
        self._writers = writers
        self.weights = WeightsHost(
            writers,
            parts=lambda: [_parameters(optimizer) for optimizer in self._optimizers],
            model=model,
            owners=Owners(
                [p for optimizer in self._optimizers for p in _parameters(optimizer)],
                model,
                near=[validate],
            ),
            validate=validate,
        )
        self._is_checked = False  # for writes of others, right now
        self._asked: tuple[int, Any] = (-1, None)  # in which interval, and by the schedulers
        self._uncopied: list[Tensor] = []  # frozen when the interval began, or not there
        self._num_groups = [0] * len(self._optimizers)
        self._measurement = self.weights.measurement
        self._watches_first_step = False
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

    def learned_start(self) -> LearnedStart | None:
        """Return the learning rate that is usual for the optimiser and that its weights bear."""
        rate = learned_rate(self._optimizers) if "learning_rate" in self._groups else None
        if rate is None:
            return None
        case = StartCase(values={"learning_rate": rate})
        return LearnedStart(cases=(case,), is_default=False)

    def bearable(self) -> Mapping[str, float]:
        """Bound the learning rate; one that a torch scheduler asks for goes its own way."""
        if self._live is not None or "learning_rate" not in self._groups:
            return {}
        rate = bearable_rate(self._optimizers)
        return {} if rate is None else {"learning_rate": rate}

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`; a torch scheduler goes its own way, and is refused."""
        if self._live is not None:
            raise ConfigurationError(
                "start='learned' and a torch scheduler as base_schedule cannot both hold, nor can "
                "values to start at: give the name of a schedule, or leave start out"
            )
        self.weights.start_at(values)

    def watch_first_step(self) -> None:
        """See `Host.watch_first_step`; a torch scheduler goes its own way."""
        self._watches_first_step = self._live is None and "learning_rate" in self._groups

    def begin(self, run: Steered) -> None:
        """Hang up the hooks."""
        self._run = run
        self.weights.begin(run)
        for name, writer in self._groups.items():
            writer.meet_with(functools.partial(run.uncorrected, name))
        for part, optimizer in enumerate(self._optimizers):
            hook = functools.partial(self._before_step, part)
            self._handles.append(optimizer.register_step_pre_hook(hook))
            self._handles.append(optimizer.register_load_state_dict_post_hook(self._after_loading))
            _attached[optimizer] = weakref.ref(self)

    def give_way(self) -> None:
        """Let go, as another run is attached to one of the optimisers."""
        if self._handles and self._run is not None:
            self._run.supersede()
        self.close()

    def begin_interval(self, num_updates: int) -> None:
        """See `WeightsHost.begin_interval`."""
        self.weights.begin_interval(num_updates)
        self._measurement = self.weights.measurement
        self._find_uncopied()

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
        if not self._is_checked:
            self._check_foreign_writes(with_devices=True)
        groups = self._groups
        row = write_all(self._writers, {n: v for n, v in values.items() if n not in groups})
        for name, writer in self._groups.items():
            row[name] = self._write_groups(name, writer, values.get(name))
            written = writer.written()
            if len(written) > 1:
                row |= {f"{name}/{g}": value for g, value in enumerate(written)}
        self._rates = [optimizer.param_groups[0]["lr"] for optimizer in self._optimizers]
        return row

    def _write_groups(self, name: str, writer: GroupWriter, value: float | None) -> float:
        run = self._run
        assert run is not None
        base = writer.initial if self._live is None else writer.base
        if value is None:  # the policy leaves it to the scheduler
            return writer.write_corrected(base, base, lambda own: own)
        return writer.write_corrected(value, base, functools.partial(run.corrected, name))

    def roll_back(self) -> bool:
        """Put back weights and buffers, and empty the optimisers' memory."""
        if not self.weights.roll_back():
            return False
        for optimizer in self._optimizers:
            for inner in (optimizer, *_inner_optimizers(optimizer)):
                _empty(inner)
        return True

    def unrestored(self) -> str | None:
        """See `WeightsHost.unrestored`."""
        return self.weights.unrestored()

    def base(self) -> Mapping[str, float] | None:
        """Return what the loop's schedulers ask for."""
        if self._live is None:
            return None
        for writer in self._groups.values():
            if not self._is_checked:  # else the groups have just been looked at
                writer.places()
            writer.update()
        return {name: writer.base for name, writer in self._groups.items()}

    def base_change(self) -> tuple[float, float] | None:
        """Return the rate that they ask for in the middle of this interval and of the next."""
        if self._live is None or "learning_rate" not in self._groups:
            return None
        return self._live.change_ahead(self._groups["learning_rate"].reference.key)

    def agreed(self, moves: list[float]) -> list[float]:
        """See `WeightsHost.agreed`."""
        return self.weights.agreed(moves)

    def mean_loss(self, loss: float) -> float:
        """See `WeightsHost.mean_loss`."""
        return self.weights.mean_loss(loss)

    def state_dict(self) -> dict[str, Any]:
        """Return the measurement so far, and what schedulers and groups stand at."""
        return self.weights.state_dict() | {
            "watches_first_step": self._watches_first_step,
            "live": None if self._live is None else self._live.state_dict(),
            "base": {name: writer.starts() for name, writer in self._groups.items()},
            "groups": {name: writer.state_dict() for name, writer in self._groups.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take them back."""
        self.weights.load_state_dict(state)
        self._find_uncopied()
        self._watches_first_step = bool(state.get("watches_first_step", False))
        for name, base in state["base"].items():
            if name in self._groups:  # states of earlier versions hold base values alone
                self._groups[name].load_state_dict(base, state.get("groups", {}).get(name, {}))
        if self._live is not None and state["live"] is not None:
            self._live.load_state_dict(state["live"])
            for writer in self._groups.values():
                writer.follow(self._live)

    def close(self) -> None:
        """Take the hooks away, and give values and the optimisers of torch schedulers back.

        Every place has what it would have without a controller: what was found in it, or what its
        scheduler asks for by now, where nobody has set another value since.
        """
        was_attached = bool(self._handles)
        for handle in self._handles:
            handle.remove()
        self._handles = []
        if was_attached:
            for writer in (self._writers | self._groups).values():
                writer.give_back()
        if self._live is not None:
            self._live.detach(self._optimizers)
        for writer in self._groups.values():
            writer.follow(None)  # and hold no scheduler any more
        self._live = None

    def _write_what_is_due(self) -> None:
        """Write what a scheduler has asked for since the last step."""
        for writer in self._groups.values():
            writer.forget_written()
        if self._run is not None and self._run.has_decided:
            self._run.apply()

    # ------------------------------------------------------------------------------------ the hooks

    def _before_step(
        self, part: int, optimizer: torch.optim.Optimizer, args: Any, kwargs: Any
    ) -> tuple[Any, Any] | None:
        # Most steps end here. They are made with caches full of the training's own data, where
        # every line of Python costs ten times what it costs in a benchmark.
        if torch.compiler.is_compiling():  # outside of the graph: see `WeightsHost.note_update`
            return None
        is_untouched = optimizer.param_groups[0]["lr"] is self._rates[part]
        is_due = self._measurement.is_due or part in self.weights.unseen
        is_untouched &= len(optimizer.param_groups) == self._num_groups[part]
        if is_untouched and self._is_idle and not is_due and len(args) < 2:
            return None
        run = self._run
        assert run is not None
        if run.is_over:
            if self._live is not None:
                self._follow(self._live, run)  # the schedule may go on
            return None
        self._check_foreign_writes()
        self._copy_newcomers(part)
        if self._live is not None:
            if self._measurement.is_halfway:
                self._live.note_middle(0.5 if run.interval == 0 else 1.0)
            self._is_checked = True
            try:
                self._follow(self._live, run)
            finally:
                self._is_checked = False
        closure = args[1] if len(args) > 1 else kwargs.get("closure")
        if closure is None:
            self._see_gradients(part, optimizer)
            return None
        closure = self._measuring(closure, part, optimizer)
        if len(args) > 1:
            return (args[0], closure, *args[2:]), kwargs
        return args, {**kwargs, "closure": closure}

    def _follow(self, live: LiveSchedule, run: Steered) -> None:
        """Write what a schedule asks for, where that has changed: many are stepped by epochs."""
        asked = (run.interval, live.now())
        if asked != self._asked:
            run.write()
            self._asked = asked

    def _find_uncopied(self) -> None:
        """Find the weights of the optimisers that a roll back would not put back."""
        copied = self.weights.copied()
        self._uncopied = [
            p
            for optimizer in self._optimizers
            for group in optimizer.param_groups
            for p in group["params"]
            if id(p) not in copied
        ]
        self._num_groups = [len(optimizer.param_groups) for optimizer in self._optimizers]
        self._is_idle = self._live is None and self._clip is None and not self._uncopied

    def _copy_newcomers(self, part: int) -> None:
        """Copy weights that have thawed or come within the interval and are about to be trained."""
        if len(self._optimizers[part].param_groups) != self._num_groups[part]:
            self._find_uncopied()
        newcomers = [p for p in self._uncopied if p.requires_grad]
        if newcomers:
            self.weights.copy_too(newcomers)
            self._uncopied = [p for p in self._uncopied if not p.requires_grad]

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
        if self._watches_first_step:
            self._look_at_first_step(scale)
        self.weights.before_update(part, gradient_scale=scale)
        if self._clip is not None:
            self._clip.clip(self.weights.parameters[part], scale)

    def _look_at_first_step(self, loss_scale: Tensor | float) -> None:
        """Begin elsewhere where the update that is about to be made would wreck the weights."""
        self._watches_first_step = False
        (better,) = self.agreed([better_rate(self._optimizers, loss_scale=loss_scale) or 0.0])
        if better and self._run is not None:
            self._run.restart_at({"learning_rate": better})

    def _after_loading(self, optimizer: torch.optim.Optimizer) -> None:
        """Write again what is in force: a loaded state brings its own rates along."""
        self._write_what_is_due()

    def _check_foreign_writes(self, *, with_devices: bool = False) -> None:
        for name, writer in self._groups.items():
            value = writer.foreign_value(with_devices=with_devices)
            if value is None:
                continue
            names = foreign_schedulers(self._optimizers, ())
            who = " and ".join(names) if names else "something else"
            raise ConfigurationError(
                f"{name} was set to {value:g} by {who} while the controller writes it. Take that "
                "out of the loop, or attach with base_schedule=that scheduler to have it corrected"
            )


def _checked(optimizers: Sequence[Any], model: Any) -> list[torch.optim.Optimizer]:
    """Return the optimisers without wrappers, after a look at what was given."""
    found = [unwrapped(optimizer) for optimizer in optimizers]
    if not found:
        raise ConfigurationError("at least one optimiser must be given; got none")
    if len({id(optimizer) for optimizer in found}) < len(found):
        raise ConfigurationError(
            f"each optimiser must be given once; got {len(found)}, some of which are the same"
        )
    if model is not None and not isinstance(model, nn.Module):
        raise ConfigurationError(
            f"model must be a module of torch (nn.Module); got {type(model).__name__}"
        )
    if any(p.is_meta for optimizer in found for p in _parameters(optimizer)):
        raise ConfigurationError(
            "some weights are on the meta device, where there is nothing to train: make them "
            "(model.to_empty(device=...)), begin them, and build the optimiser before attach"
        )
    return found


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


def _inner_optimizers(optimizer: torch.optim.Optimizer) -> list[torch.optim.Optimizer]:
    """List the optimisers that one is made of, as SAM is; they keep a memory of their own."""
    return [part for part in vars(optimizer).values() if isinstance(part, torch.optim.Optimizer)]


def _empty(optimizer: torch.optim.Optimizer) -> None:
    """Empty an optimiser's memory."""
    if not isinstance(optimizer, torch.optim.Adagrad):
        optimizer.state.clear()
        return
    for state in optimizer.state.values():  # it is made at construction, and never again
        for tensor in state.values():
            tensor.zero_()


def _parameters(optimizer: torch.optim.Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.requires_grad]
