"""The registry of task families; a family is imported when it is first asked for.

A family outside of this package is asked for by its address, `module:Class`.
"""

from __future__ import annotations

import inspect
from typing import Any

from hpo_env.addresses import check_name, load_class
from hpo_env.arguments import check_known
from hpo_env.errors import UnknownArgumentError
from hpo_env.tasks.base import TaskFamily
from hpo_env.tasks.declarations import check_declarations

FAMILIES: dict[str, str] = {
    "supervised": "hpo_env.tasks.supervised.family:SupervisedFamily",
    "quadratic": "hpo_env.tasks.quadratic:QuadraticFamily",
    "automl": "hpo_env.tasks.automl.family:AutomlFamily",
    "forecasting": "hpo_env.tasks.forecasting.family:ForecastingFamily",
    "reinforcement": "hpo_env.tasks.reinforcement.family:ReinforcementFamily",
    "few_shot": "hpo_env.tasks.few_shot.family:FewShotFamily",
    "local_level": "hpo_env.tasks.local_level:LocalLevelFamily",
    "schedule_law": "hpo_env.tasks.schedule_law:ScheduleLawFamily",
}


def family_class(name: str) -> type[TaskFamily]:
    """Return the class of a family.

    Args:
        name: A name of the registry, or `module:Class`.

    Raises:
        UnknownNameError: There is no family of that name; the nearest are suggested.
        ConfigurationError: The address leads nowhere, or to something that is no family.
    """
    base = "hpo_env.tasks.base.TaskFamily"
    found: type[TaskFamily] = load_class("task family", name, FAMILIES, TaskFamily, base)
    check_declarations(found)
    return found


def registered_name(family: type[TaskFamily]) -> str:
    """Return the name by which `family_class` finds a class: the inverse.

    Example:
        >>> registered_name(family_class("quadratic"))
        'quadratic'
    """
    address = f"{family.__module__}:{family.__qualname__}"
    return family.name if FAMILIES.get(family.name) == address else address


def check_family(name: str) -> None:
    """Check a name without importing anything.

    Raises:
        UnknownNameError: It is neither registered nor an address; the nearest are suggested.
    """
    check_name("task family", name, FAMILIES)


def make_family(name: str, **options: Any) -> TaskFamily:
    """Build a family, for instance `make_family("supervised", split="test", dataset="digits")`.

    Raises:
        UnknownNameError: There is no family of that name.
        UnknownArgumentError: The family has no such option; the nearest are suggested.
        ConfigurationError: An option cannot have that value.
    """
    cls = family_class(name)
    known = option_names(cls)
    if known is not None:
        check_known(f"task family {name!r}", options, known)
    try:
        return cls(**options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise UnknownArgumentError(f"task family {name!r}: {error}") from error


def option_names(family: type[TaskFamily]) -> tuple[str, ...] | None:
    """Name the options of a family; None where it hands on whatever it is given.

    Example:
        >>> option_names(family_class("quadratic"))
        ('split', 'num_decisions')
    """
    parameters = inspect.signature(family).parameters.values()
    if any(p.kind is p.VAR_KEYWORD for p in parameters):
        return None
    return tuple(p.name for p in parameters if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD))
