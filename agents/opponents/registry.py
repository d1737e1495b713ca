"""Every opponent by name; its module is imported when it is asked for.

Adding one costs a line here: the name, and the function of a `Setup` that makes it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module

from agents.opponents.base import Opponent, Setup
from hpo_env.errors import unknown_name

OPPONENTS: dict[str, str] = {
    # One run, no tuning.
    "default": "agents.opponents.schedules:default",
}
"""Name of each opponent, and where its maker is: `module:function` of a name and a `Setup`."""


def make_opponent(name: str, setup: Setup) -> Opponent:
    """Make an opponent of the registry.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
        MissingExtraError: The package that it needs is not installed.
    """
    check_opponents([name])
    module, _, attribute = OPPONENTS[name].partition(":")
    maker: Callable[[str, Setup], Opponent] = getattr(import_module(module), attribute)
    return maker(name, setup)


def check_opponents(names: Iterable[str]) -> None:
    """Check names before anything expensive begins.

    Raises:
        UnknownNameError: One is not in the registry; the nearest are suggested.
    """
    for name in names:
        if name not in OPPONENTS:
            raise unknown_name("opponent", name, OPPONENTS)
