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
        module: The file beside this one that has its `main`.
        help: What it does, in a line.
    """

    module: str
    help: str


COMMANDS: dict[str, Command] = {
    "demo": Command("demo", "meta-train for minutes, then compare on data and models not seen"),
    "train": Command("train", "meta-train an agent and export its policy"),
    "adapt": Command("adapt", "adapt a policy to a task of your own, from a few hundred runs"),
    "evaluate": Command("evaluate", "compare a policy with schedules on held-out data"),
    "compare": Command("compare", "compare a policy with all opponents, run by run"),
    "fit": Command("fit", "fit a table of your own, and predict new rows"),
    "forecast": Command("forecast", "forecast the series of a file of your own"),
    "few-shot": Command("few_shot", "meta-train a model that adapts from a few examples"),
    "dashboard": Command("dashboard", "look at runs in TensorBoard"),
    "report": Command("report", "write the analysis of a run as one HTML file to share"),
    "zoo": Command("zoo", "the policies that are shipped: list, card, verify, make"),
    "data": Command("data", "list and describe data sets, check a file of your own"),
    "doctor": Command("doctor", "say what this machine has and lacks, and what mends it"),
}


def load_command(name: str) -> Main:
    """Import a command.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
        ModuleNotFoundError: It needs a package that is not installed.
    """
    if name not in COMMANDS:
        raise unknown_name("command", name, COMMANDS)
    main: Main = import_module(f"{__name__}.{COMMANDS[name].module}").main
    return main
