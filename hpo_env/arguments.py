"""Arguments, checked at the door: what is no number of the right kind is refused, never rounded."""

from __future__ import annotations

import math
import numbers
import os
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from hpo_env.errors import ConfigurationError, UnknownArgumentError, near_names

_LARGEST = 2**63 - 1

T = TypeVar("T")


def whole_number(name: str, value: Any) -> int:
    """Return an argument that is a whole number as an int.

    Args:
        name: The argument's.
        value: An int, or numpy's; a bool is no number.

    Raises:
        ConfigurationError: It is anything else, 2.5 and "2" among it, or has more than 64 bits.

    Example:
        >>> whole_number("num_decisions", 2)
        2
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise ConfigurationError(
            f"{name} must be a whole number, as an int; got {value!r} ({type(value).__name__})"
        )
    whole = int(value)
    if not -_LARGEST <= whole <= _LARGEST:
        raise ConfigurationError(f"{name} must be a number of 64 bits; got {value}")
    return whole


def is_number(value: Any) -> bool:
    """Say whether a value is a real number; a bool is none.

    Example:
        >>> is_number(2.5), is_number("2.5"), is_number(True)
        (True, False, False)
    """
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def share(name: str, value: Any) -> float:
    """Return an argument that is a share as a float in `[0, 1]`.

    Raises:
        ConfigurationError: It is no number, or lies outside.

    Example:
        >>> share("availability", 1)
        1.0
    """
    if not (is_number(value) and 0.0 <= value <= 1.0):
        raise ConfigurationError(f"{name} must lie in [0, 1]; got {value!r}")
    return float(value)


def instance(name: str, value: Any, kind: type[T], hint: str = "") -> T:
    """Return an argument that must be an object of a class.

    Args:
        name: The argument's.
        value: What was given.
        kind: The class.
        hint: How to get one, as a sentence's end.

    Raises:
        ConfigurationError: It is anything else.

    Example:
        >>> instance("seed", 3, int)
        3
    """
    if not isinstance(value, kind):
        raise ConfigurationError(
            f"{name} must be a {kind.__module__}.{kind.__qualname__}{hint}; got {value!r:.60}"
        )
    return value


def as_path(name: str, value: Any) -> Path:
    """Return an argument that is a text or a path as a path, whatever a file can be called.

    Raises:
        ConfigurationError: It is neither.

    Example:
        >>> as_path("policy", "supervised").name
        'supervised'
    """
    if not isinstance(value, str | os.PathLike):
        raise ConfigurationError(f"{name} must be a path, as a text or a Path; got {value!r:.60}")
    return Path(value)


def file_path(name: str, value: Any) -> Path:
    """Return an argument that names a file or a folder as a path.

    Raises:
        ConfigurationError: It is neither a text nor a path, or no file can be called so.

    Example:
        >>> file_path("memory", "runs.jsonl").suffix
        '.jsonl'
    """
    path = as_path(name, value)
    if "\0" in str(path):
        raise ConfigurationError(f"{name} must be a path, as a text or a Path; got {value!r:.60}")
    return path


def ordered_names(name: str, value: Any) -> tuple[str, ...]:
    """Return an argument that lists names, whose order means something, as a tuple.

    Args:
        name: The argument's.
        value: A list or a tuple of texts. A set has another order in every process, so that the
            columns of actions would change places.

    Raises:
        ConfigurationError: It is anything else.

    Example:
        >>> ordered_names("hyperparameters", ["learning_rate", "momentum"])
        ('learning_rate', 'momentum')
    """
    is_listed = isinstance(value, Sequence) and not isinstance(value, str | bytes)
    if not is_listed or not all(isinstance(entry, str) for entry in value):
        hint = ": a set has no order, write a list" if isinstance(value, Set) else ""
        raise ConfigurationError(
            f"{name} must be a list or a tuple of names, in the order of the columns{hint}; "
            f"got {value!r}"
        )
    return tuple(value)


def by_name(name: str, value: Any) -> dict[str, Any]:
    """Return an argument that maps names to something as a dict, empty where it is None.

    Args:
        name: The argument's.
        value: A mapping whose keys are texts, or None. Its truth is never asked for, as an array
            has none.

    Raises:
        ConfigurationError: It is anything else.

    Example:
        >>> by_name("initial", None), by_name("initial", {"learning_rate": 0.1})
        ({}, {'learning_rate': 0.1})
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
        raise ConfigurationError(
            f"{name} must be a mapping by name, such as {{'learning_rate': ...}}; got {value!r}"
        )
    return dict(value)


def functions_by_name(name: str, value: Any) -> dict[str, Callable[..., Any]]:
    """Return an argument that maps names to functions as a dict, empty where it is None.

    Raises:
        ConfigurationError: It is anything else, or one of them is no function.
    """
    functions = by_name(name, value)
    for key, function in functions.items():
        if not callable(function):
            raise ConfigurationError(
                f"{name} must hold functions that set a value, such as "
                f"{{{key!r}: lambda value: ...}}; got {function!r:.60} for {key!r}"
            )
    return functions


def numbers_by_name(name: str, value: Any) -> dict[str, float]:
    """Return an argument that maps names to numbers as a dict, empty where it is None.

    Args:
        name: The argument's.
        value: Numbers, also in an array or tensor of one element; infinity is one, NaN none.

    Raises:
        ConfigurationError: It is anything else.

    Example:
        >>> numbers_by_name("initial", {"discount": 1})
        {'discount': 1.0}
    """
    found = {}
    for key, entry in by_name(name, value).items():
        try:
            found[key] = read_number(entry)
        except NOT_A_NUMBER:
            found[key] = math.nan
        if math.isnan(found[key]):
            raise ConfigurationError(
                f"{name} must hold numbers by name; got {entry!r:.60} for {key!r}"
            )
    return found


NOT_A_NUMBER = (TypeError, ValueError, OverflowError, RuntimeError)
"""What `read_number` raises, or an array of any library that it asks."""


def read_number(value: Any) -> float:
    """Read a number, also out of an array or tensor of one element that takes part in a gradient.

    Raises:
        TypeError: It is a text, or true or false.
        Exception: Another of `NOT_A_NUMBER`, where it is no number otherwise.

    Example:
        >>> import numpy as np
        >>> read_number(np.array([0.5]))
        0.5
    """
    if type(value) is float:  # most calls end here
        return value
    value = value.detach() if hasattr(value, "detach") else value
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, str | bytes | bool):
        raise TypeError(f"{value!r:.60} is no number")
    return float(value)


def listed(name: str, value: Any) -> list[Any]:
    """Return an argument that lists something as a list, empty where it is None.

    Args:
        name: The argument's.
        value: A list, tuple, set, range, or an array `[K]`; a text is one thing and not a list of
            letters.

    Raises:
        ConfigurationError: It is anything else.

    Example:
        >>> import numpy as np
        >>> listed("level", np.array([80, 95])), listed("level", None)
        ([80, 95], [])
    """
    if value is None:
        return []
    if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable):
        raise ConfigurationError(f"{name} must be a list; got {value!r}")
    try:
        entries = list(value)
    except TypeError as error:  # an array without dimensions
        raise ConfigurationError(f"{name} must be a list; got {value!r}") from error
    return [entry.item() if isinstance(entry, np.generic) else entry for entry in entries]


def check_known(owner: str, given: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of keyword arguments.

    Args:
        owner: Who takes them.
        given: The names.
        known: Every name that is taken.

    Raises:
        UnknownArgumentError: One is not, with the nearest that are.
    """
    allowed = sorted(known)
    for name in given:
        if name not in allowed:
            raise UnknownArgumentError(
                f"{owner} got an unexpected keyword argument {name!r}"
                f"{near_names(name, allowed)} Allowed: {', '.join(allowed)}"
            )


def is_folder(path: str | Path) -> bool:
    """Say whether there is a folder; no name is too long or too strange to be asked for.

    Example:
        >>> is_folder("x" * 10_000)
        False
    """
    try:
        return Path(path).is_dir()
    except OSError:  # a name that is too long
        return False
