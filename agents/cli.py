"""The command line `hpo-control`: finds the command, calls it, and turns errors into exit codes."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from hpo_env.errors import HPOControlError

from .commands import COMMANDS, Main, load_command
from .standard_streams import survive_any_encoding

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells expect


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 when done, 2 on an error, 130 after Ctrl-C.

    Args:
        args: The words after `hpo-control`; those of this process by default.
    """
    survive_any_encoding()
    words = list(sys.argv[1:] if args is None else args)
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        sys.exit(0 if words else EXIT_ERROR)
    try:
        command = load_command(words[0])
    except HPOControlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    exit_with(command, words[1:])


def exit_with(command: Main, args: Sequence[str]) -> None:
    """Call a command and exit; errors raised on purpose are shown without a traceback."""
    survive_any_encoding()
    try:
        command(args)
    except HPOControlError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(EXIT_ERROR)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(0)


def _help() -> str:
    width = max(len(name) for name in COMMANDS)
    lines = [f"  {name:<{width}}  {command.help}" for name, command in COMMANDS.items()]
    return "\n".join(
        [
            "usage: hpo-control COMMAND [OPTIONS]",
            "",
            "commands:",
            *lines,
            "",
            "`hpo-control COMMAND --help` explains the options of a command.",
        ]
    )
