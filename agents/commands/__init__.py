"""The commands of `hpo-control`: one file a command, one line here.

A command's module has `main(args)`, which parses its arguments and does the work, and is imported
only when the command is called: `hpo-control --help` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module

from hpo_env.errors import unknown_name

Main = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Command:
    """A command.

    Args:
        module: Where its `main` is.
        help: What it does, in a line.
    """

    module: str
    help: str


COMMANDS: dict[str, Command] = {
    "train": Command("agents.commands.train", "meta-train an agent and export its policy"),
    "evaluate": Command(
        "agents.commands.evaluate", "compare a policy with schedules on held-out data"
    ),
    "compare": Command(
        "agents.commands.compare", "compare a policy with all opponents, run by run"
    ),
    "fit": Command("agents.commands.fit", "fit a table of your own, and predict new rows"),
    "forecast": Command("agents.commands.forecast", "forecast the series of a file of your own"),
    "dashboard": Command("agents.commands.dashboard", "look at runs in TensorBoard"),
    "report": Command(
        "agents.commands.report", "write the analysis of a run as one HTML file to share"
    ),
    "zoo": Command(
        "agents.commands.zoo", "the policies that are shipped: list, card, verify, make"
    ),
    "data": Command(
        "agents.commands.data", "list and describe data sets, check a file of your own"
    ),
}


def load_command(name: str) -> Main:
    """Import a command.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    main: Main = import_module(COMMANDS[name].module).main
    return main
