"""What a family declares, checked before anything of it runs."""

from __future__ import annotations

import math

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.schedules import schedule
from hpo_env.tasks.base import Capability, TaskFamily, check_choice


def check_declarations(family: type[TaskFamily]) -> None:
    """Check what a family declares, before anything of it runs.

    Raises:
        ConfigurationError: Something is missing or contradicts the rest; names the rule and the
            value.
    """
    where = f"task family {family.__module__}:{family.__qualname__}"
    for needed in ("name", "hyperparameters", "default_controlled"):
        if not getattr(family, needed, None):
            raise ConfigurationError(f"{where}: {needed} must be declared, and not be empty")
    space = HyperparameterSpace(family.hyperparameters)
    for name in (*family.default_controlled, *family.optimizer_hyperparameters):
        space.index(name)
    schedule(family.base_schedule)
    _check_suites(family, where)
    _check_starts(family, space, where)
    for capability in family.capabilities:
        check_choice(f"capability of {where}", capability, Capability)
    taken = sorted(set(family.features) & set(field_names(space.names)))
    if taken:
        raise ConfigurationError(
            f"{where}: features must have names that no field of the observation has; got {taken}"
        )
    if not 0.0 < family.loss_floor < math.inf:
        raise ConfigurationError(
            f"{where}: loss_floor must be a positive number; got {family.loss_floor}"
        )


def _check_suites(family: type[TaskFamily], where: str) -> None:
    names = [suite.name for suite in family.suites]
    if not names or len(set(names)) != len(names):
        raise ConfigurationError(f"{where}: suites must have distinct names; got {names}")
    for name in family.quick_suites or ():
        if name not in names:
            raise unknown_name(f"quick suite of {where}", name, names)


def _check_starts(family: type[TaskFamily], space: HyperparameterSpace, where: str) -> None:
    known = space.hyperparameters[space.index(family.leading())]
    starts = (*family.starts, *(family.scene_starts or ()))
    outside = [start for start in starts if not known.low <= start <= known.high]
    if outside:
        raise ConfigurationError(
            f"{where}: starts are values of {known.name!r} and must lie in "
            f"[{known.low:g}, {known.high:g}]; got {outside}"
        )
    for start in (family.learned_start, *family.published_settings.values()):
        if start is not None:
            start.check(space)
