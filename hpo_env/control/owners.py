"""The models that weights belong to, where nobody has said which they are.

A roll back of weights alone would leave the running means of batch normalisation behind, and they
are part of no optimiser. So the models are looked for: among what the calling loop can see, and
where that does not explain all weights, among all that lives.
"""

from __future__ import annotations

import gc
import sys
import types
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim.swa_utils import AveragedModel

from hpo_env.control.frames import variables

_DEPTH = 3  # attributes, as in trainer.system.model
_MOST_OBJECTS = 4000  # a few milliseconds


class Owners:
    """The models of some weights, and averages of these models; they are held weakly.

    Args:
        parameters: The weights.
        model: One that is known.
        near: Where to look first, besides the variables of the calling loop.
    """

    def __init__(
        self, parameters: Sequence[Tensor], model: nn.Module | None, near: Sequence[Any] = ()
    ) -> None:
        wanted = set(map(id, parameters))
        around = _modules_near([*near, *_variables_of_the_loop()])
        known = [] if model is None else [model]
        models = _of(wanted, [*known, *around])
        if wanted - {id(p) for m in models for p in m.parameters()}:
            around = _living_modules()
            models = _of(wanted, [*known, *around])
        self._models = [weakref.ref(model) for model in models]
        shapes = [_shapes(model) for model in models]
        self._averages: list[weakref.ref[nn.Module]] = [
            weakref.ref(module)
            for module in around
            if isinstance(module, AveragedModel) and _shapes(module) in shapes
        ]

    def modules(self) -> Iterator[nn.Module]:
        """Yield all modules of the models, each once."""
        seen: set[nn.Module] = set()
        models = [reference() for reference in self._models]
        for model in (model for model in models if model is not None):
            for _, module in model.named_modules(memo=seen):
                yield module

    def averages(self) -> list[list[Tensor]]:
        """Return the tensors of each average of such models, perhaps of another training."""
        models = [reference() for reference in self._averages]
        return [[*m.parameters(), *m.buffers()] for m in models if m is not None]


def _shapes(model: nn.Module) -> list[Any]:
    """Return the shapes of a model's weights; lazy ones have none yet."""
    return [None if is_lazy(weight) else weight.shape for weight in model.parameters()]


def _of(wanted: set[int], modules: Sequence[nn.Module]) -> list[nn.Module]:
    """Return the modules that hold some of the weights, without those that are part of another."""
    having = [m for m in modules if any(id(p) in wanted for p in m.parameters())]
    parts = {id(part) for module in having for part in module.modules() if part is not module}
    return list({id(m): m for m in having if id(m) not in parts}.values())


def _variables_of_the_loop() -> list[Any]:
    """Return what the function sees that calls this package."""
    frame: Any = sys._getframe(1)
    while frame is not None and frame.f_globals.get("__name__", "").startswith("hpo_env."):
        frame = frame.f_back
    return [] if frame is None else [*variables(frame).values(), *frame.f_globals.values()]


def _modules_near(roots: Sequence[Any]) -> list[nn.Module]:
    """Return the modules that can be reached in a few attributes."""
    found: list[nn.Module] = []
    waiting = deque((root, 0) for root in roots)
    seen: set[int] = set()
    while waiting and len(seen) < _MOST_OBJECTS:
        thing, depth = waiting.popleft()
        if id(thing) in seen:
            continue
        seen.add(id(thing))
        # type() and not isinstance(): the latter runs code of lazy objects that lie about.
        if issubclass(type(thing), nn.Module):
            found.append(thing)
        elif depth < _DEPTH:
            waiting.extend((part, depth + 1) for part in _parts(thing))
    return found


def _parts(thing: Any) -> list[Any]:
    kind = type(thing)
    if issubclass(kind, dict):
        return list(dict.values(thing))
    if kind in (list, tuple):
        return list(thing)
    if kind is types.FunctionType:
        return [cell.cell_contents for cell in thing.__closure__ or () if _is_filled(cell)]
    if kind is types.MethodType:
        return [thing.__self__]
    return [] if issubclass(kind, types.ModuleType | type | Tensor) else _attributes(thing)


def _attributes(thing: Any) -> list[Any]:
    try:
        return list(object.__getattribute__(thing, "__dict__").values())
    except AttributeError:
        return []


def _is_filled(cell: types.CellType) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:  # a variable that has no value yet
        return False


def _living_modules() -> list[nn.Module]:
    kinds = _kinds_of_modules()
    return [o for o in gc.get_objects() if type(o) in kinds and "_modules" in vars(o)]


def _kinds_of_modules() -> set[type]:
    found: set[type] = {nn.Module}
    waiting: list[type] = [nn.Module]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        waiting += [kind for kind in below if kind not in found]
        found.update(below)
    return found
