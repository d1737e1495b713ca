"""Addresses, `module:attribute`: what registries hold, and how any other plug-in is named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from importlib import import_module
from typing import Any

from hpo_env.errors import ConfigurationError, unknown_name

_ADDRESS = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")


def is_address(name: str) -> bool:
    """Say whether a name is written as an address.

    Example:
        >>> is_address("my_package.games:GameFamily"), is_address("supervised")
        (True, False)
    """
    return _ADDRESS.fullmatch(name) is not None


def load_address(kind: str, address: str) -> Any:
    """Import what an address leads to.

    Args:
        kind: What it stands for, as a person would call it ("task family").
        address: `module:attribute`.

    Raises:
        ConfigurationError: There is no such module, or it has no such attribute.
    """
    module, _, attribute = address.partition(":")
    try:
        imported = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # the module is there, and misses something of its own
        raise ConfigurationError(
            f"{kind} {address!r}: there is no module {error.name!r}. Install its package, or put "
            "its folder on PYTHONPATH"
        ) from error
    try:
        return getattr(imported, attribute)
    except AttributeError:
        raise ConfigurationError(
            f"{kind} {address!r}: module {module!r} has no {attribute!r}"
        ) from None


def check_name(kind: str, name: str, known: Mapping[str, str]) -> None:
    """Check a name without importing anything.

    Args:
        kind: What it stands for, as a person would call it ("task family").
        name: What was asked for.
        known: A registry: the address of each name.

    Raises:
        UnknownNameError: It is neither in the registry nor an address; the nearest are suggested.
    """
    if not isinstance(name, str) or (name not in known and not is_address(name)):
        raise unknown_name(kind, name, known)


def load_class(
    kind: str, name: str, known: Mapping[str, str], base: type[Any], called: str
) -> type[Any]:
    """Import the class that a name of a registry stands for, or an address.

    Args:
        kind: What it stands for, as a person would call it ("task family").
        name: A name of the registry, or `module:Class`.
        known: The registry: the address of each name.
        base: What it must derive from.
        called: Where users import that from.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
        ConfigurationError: The address leads nowhere, or to another thing.
    """
    check_name(kind, name, known)
    found = load_address(kind, known.get(name, name))
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigurationError(f"{kind} {name!r} must be a subclass of {called}; got {found}")
    return found


def file_name(name: str) -> str:
    """Write a name, which may be an address, so that a file or a folder can have it.

    Example:
        >>> file_name("my_package.games:GameFamily"), file_name("new models")
        ('my_package.games_GameFamily', 'new_models')
    """
    return re.sub(r"[^\w.-]+", "_", name).lstrip(".") or "_"
