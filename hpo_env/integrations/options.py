"""Further arguments that a callback hands on when a training begins: looked at when it is made."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable

from hpo_env.arguments import check_known


def check_options(
    owner: str,
    given: Iterable[str],
    *,
    of: Callable[..., object],
    taken: Iterable[str],
    own: Iterable[str] = (),
) -> None:
    """Check the names of arguments that a method of the controller is to have.

    Args:
        owner: Who hands them on.
        given: Their names.
        of: The method.
        taken: Names of its arguments that the owner gives itself.
        own: Further names that the owner knows.

    Raises:
        UnknownArgumentError: There is no such argument, with the nearest that are.

    Example:
        >>> from hpo_env.controller import Controller
        >>> check_options("the callback", ["num_decisions"], of=Controller.steer, taken=["host"])
    """
    known = {
        name
        for name, parameter in inspect.signature(of).parameters.items()
        if parameter.kind is parameter.KEYWORD_ONLY
    }
    check_known(owner, given, (known - set(taken)) | set(own))
