"""Where each hyperparameter of a policy is written in a loop with torch optimisers."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from hpo_env.control.group_values import GROUP_HYPERPARAMETERS
from hpo_env.control.model_writers import ClipWriter, DropoutWriter
from hpo_env.control.param_groups import GroupWriter
from hpo_env.control.writers import FunctionWriter, Writer
from hpo_env.errors import ConfigurationError, ControllerWarning
from hpo_env.hyperparameters import HyperparameterSpace


def find_writers(
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
            writer = FunctionWriter(
                function=bind[name], initial=start, is_known=name in initial, name=name
            )
        elif name in GROUP_HYPERPARAMETERS:
            writer = GroupWriter.of(name, optimizers)
        elif name == "dropout":
            writer = DropoutWriter.of(model)
        elif name == "gradient_clip" and name in initial:
            writer = ClipWriter(initial=initial[name])
        if writer is not None:
            writers[name] = writer
        if writer is None and name in initial:
            warnings.warn(
                f"initial names {name!r}, which nothing here can write: give "
                f"bind={{{name!r}: function}}",
                ControllerWarning,
                stacklevel=5,
            )
        elif writer is not None and name in initial and writer.initial != initial[name]:
            warnings.warn(
                f"initial names {name!r}, whose value here is {writer.initial:g} and not "
                f"{initial[name]:g}: the run begins at what is here. To have it begin elsewhere, "
                f"give start={{{name!r}: {initial[name]:g}}}",
                ControllerWarning,
                stacklevel=5,
            )
    return writers


def group_writers(
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


def column_writers(
    optimizers: Sequence[torch.optim.Optimizer],
    bind: Mapping[str, Callable[[float], Any]],
    names: Sequence[str],
    later: Collection[str] = (),
) -> dict[str, Callable[[float], Any]]:
    """Return a function that writes each column of a saved schedule.

    Args:
        optimizers: Those of the loop, without wrappers.
        bind: Functions for what is in no param group.
        names: Columns; "learning_rate/1" is that of the second param group.
        later: Those of param groups that the loop adds on the way.

    Raises:
        ConfigurationError: A column can be written neither here nor there.
    """
    found: dict[str, Callable[[float], Any]] = {}
    for name in names:
        kind, _, place = name.partition("/")
        if name in bind:
            found[name] = bind[name]
            continue
        writer = GroupWriter.of(kind, optimizers)
        is_missing = place and name not in later
        if writer is None or (is_missing and not int(place) < len(writer.starts())):
            raise ConfigurationError(
                f"the schedule has {name!r}, which no param group has: give "
                f"bind={{{name!r}: function}}"
            )
        found[name] = functools.partial(writer.write_one, int(place)) if place else writer.write
    return found
