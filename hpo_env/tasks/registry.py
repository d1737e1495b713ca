"""The registry of task families; a family is imported when it is first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.tasks.base import TaskFamily

FAMILIES: dict[str, str] = {
    "supervised": "hpo_env.tasks.supervised.family:SupervisedFamily",
    "quadratic": "hpo_env.tasks.quadratic:QuadraticFamily",
    "local_level": "hpo_env.tasks.local_level:LocalLevelFamily",
}


def family_class(name: str) -> type[TaskFamily]:
    """Return the class of a family.

    Raises:
        UnknownNameError: There is no family of that name; the nearest are suggested.
    """
    if name not in FAMILIES:
        raise unknown_name("task family", name, FAMILIES)
    module, _, attribute = FAMILIES[name].partition(":")
    cls: type[TaskFamily] = getattr(import_module(module), attribute)
    return cls


def make_family(name: str, **options: Any) -> TaskFamily:
    """Build a family, for instance `make_family("supervised", split="test", dataset="wine")`.

    Raises:
        UnknownNameError: There is no family of that name.
        ConfigurationError: The family has no such option.
    """
    cls = family_class(name)
    try:
        return cls(**options)
    except TypeError as error:
        if "unexpected keyword argument" not in str(error):
            raise
        raise ConfigurationError(f"task family {name!r}: {error}") from error
