"""The command line `hpo-control`: finds the command, calls it, and turns errors into exit codes."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Sequence

from hpo_env.errors import HPOControlError

from .commands import COMMANDS, Main, load_command
from .missing_packages import how_to_install
from .standard_streams import survive_any_encoding

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, what shells expect
EXIT_NO_READER = 141  # 128 + SIGPIPE


def main(args: Sequence[str] | None = None) -> None:
    """Run a command and exit: 0 when done, 2 on an error, 130 after Ctrl-C.

    Args:
        args: The words after `hpo-control`; those of this process by default.
    """
    exit_with(_call, sys.argv[1:] if args is None else args)


def exit_with(command: Main, args: Sequence[str]) -> None:
    """Call a command and exit; errors raised on purpose are shown without a traceback."""
    survive_any_encoding()
    try:
        code = _exit_code(command, args)
        sys.stdout.flush()
    except BrokenPipeError:  # such as `hpo-control data list | head`
        if not _reader_has_left():
            raise
        code = EXIT_NO_READER
    sys.exit(code)


def _exit_code(command: Main, args: Sequence[str]) -> int | str | None:
    try:
        command(args)
    except HPOControlError as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_ERROR
    except ModuleNotFoundError as error:
        advice = how_to_install(error.name)
        if advice is None:
            raise
        print(f"error: {advice}", file=sys.stderr)
        return EXIT_ERROR
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    except SystemExit as error:
        return error.code
    return 0


def _call(words: Sequence[str]) -> None:
    if not words or words[0] in ("-h", "--help"):
        print(_help())
        sys.exit(0 if words else EXIT_ERROR)
    load_command(words[0])(words[1:])


def _reader_has_left() -> bool:
    """Say whether nobody reads standard output any more, and let nothing be written to it then."""
    poll = select.poll()
    poll.register(sys.stdout, 0)  # nothing but errors
    has_left = any(event & select.POLLERR for _, event in poll.poll(0))
    if has_left:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return has_left


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
