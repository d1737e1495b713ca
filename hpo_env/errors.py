"""Every error that the package raises on purpose.

Each also derives from the built-in that a caller would expect, so `except ValueError` works too.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class HPOControlError(Exception):
    """Base of all errors that the package raises on purpose."""


class UnknownNameError(HPOControlError, ValueError):
    """A name that is in no registry. A ValueError, because `str(KeyError)` quotes its message."""


class DatasetError(HPOControlError, ValueError):
    """Data that cannot be used as a task."""


class HyperparameterError(HPOControlError, ValueError):
    """A hyperparameter, or a set of them, that cannot be."""


class ConfigurationError(HPOControlError, ValueError):
    """Arguments that contradict each other, or lie outside what is allowed."""


class UnknownArgumentError(ConfigurationError, TypeError):
    """A keyword argument that nobody takes: a TypeError too, as tools expect that probe for one."""


class ContractError(HPOControlError, ValueError):
    """A plug-in that does something else than its contract says."""


class ActionError(HPOControlError, ValueError):
    """An action that no hyperparameter space can carry out."""


class PolicyFileError(HPOControlError, ValueError):
    """A policy file that is missing, damaged, doctored or of another version."""


class RunFolderError(HPOControlError, OSError):
    """A run folder that exists, is missing, or cannot be resumed."""


class MissingExtraError(HPOControlError, ImportError):
    """A package that belongs to an extra which is not installed."""


class RunStoppedError(HPOControlError):
    """What a logger raises to end a run early: the run closes itself, and the loop sees this."""


class ControllerWarning(UserWarning):
    """Something went wrong in a controlled run, which goes on."""


def unknown_name(kind: str, name: str, allowed: Iterable[str]) -> UnknownNameError:
    """Make the error for a name that is not registered, with the nearest names suggested.

    Args:
        kind: What the name stands for, as a person would call it ("data set").
        name: What was given.
        allowed: Every name that would have been accepted.

    Returns:
        The error, to be raised by the caller.

    Example:
        >>> str(unknown_name("data set", "digit", ["digits", "wine"]))
        "unknown data set 'digit': did you mean 'digits'? Allowed: digits, wine"
    """
    names = sorted(allowed)
    hint = near_names(name, names)
    return UnknownNameError(f"unknown {kind} {name!r}{hint} Allowed: {', '.join(names)}")


def near_names(name: str, allowed: Iterable[str]) -> str:
    """Suggest the nearest names, as a sentence's end.

    Args:
        name: What was given; anything that is no text has no neighbours.
        allowed: Every name that would have been accepted.

    Example:
        >>> near_names("digit", ["digits", "wine"])
        ": did you mean 'digits'?"
    """
    near = difflib.get_close_matches(name, list(allowed), n=3) if isinstance(name, str) else []
    return f": did you mean {' or '.join(map(repr, near))}?" if near else "."
