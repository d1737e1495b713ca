"""What `--help` says of a command with many options: the usual ones, and the names of the rest.

`--help-all` is the whole text, made by tyro; it needs the defaults of the family and of the agent,
and with them torch. The short text needs neither and is there at once.
"""

from __future__ import annotations

import re
import shutil
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from typing import Any

from docstring_parser import parse

_FLAGS = ("-h", "--help")
_ALL = "--help-all"
_WIDTHS = (60, 100)
_INDENT = 24


def asks_for_short_help(args: Sequence[str]) -> bool:
    """Say whether the usual options are asked for, and nothing more."""
    return any(arg in _FLAGS for arg in args)


def with_all_help(args: Sequence[str]) -> list[str]:
    """Return the arguments as tyro understands them: its own flag asks for everything."""
    return ["--help" if arg == _ALL else arg for arg in args]


def short_help(
    config: type[Any],
    usual: Sequence[str],
    *,
    prog: str,
    names: Mapping[str, Iterable[str]] | None = None,
    more: str = "",
) -> str:
    """Write the short text.

    Args:
        config: The dataclass of the command, whose docstring explains every field.
        usual: The fields that are explained, in this order.
        prog: What was typed.
        names: What may be given for a field, where that is a name of a registry.
        more: A line about options that are no fields of the dataclass.
    """
    text = parse(config.__doc__ or "")
    meanings = {param.arg_name: param.description or "" for param in text.params}
    known = {field.name: field for field in fields(config)}
    positional = [name for name in usual if "Positional" in str(known[name].type)]
    width = min(max(shutil.get_terminal_size().columns, _WIDTHS[0]), _WIDTHS[1])
    lines = [" ".join(["usage:", prog, *(f"[{name.upper()}]" for name in positional), "[OPTIONS]"])]
    lines += ["", *textwrap.wrap(text.short_description or "", width), ""]
    for name in usual:
        label = name.upper() if name in positional else _flag(name)
        said = _first_sentence(meanings[name])
        if names and name in names:
            said = f"{said} One of {', '.join(names[name])}."
        said += _default(known[name])
        wrapped = textwrap.wrap(said, width - _INDENT)
        lines.append(f"  {label:<{_INDENT - 2}}{wrapped[0]}")
        lines += [" " * _INDENT + line for line in wrapped[1:]]
    rest = [_flag(name) for name in known if name not in usual and name != "settings"]
    listed = textwrap.fill(", ".join(rest), width - 2, break_on_hyphens=False)
    lines += ["", "more options:", textwrap.indent(listed, "  ")]
    lines += ["", *([more] if more else []), f"{_ALL} explains every option."]
    return "\n".join(lines)


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _first_sentence(meaning: str) -> str:
    flat = " ".join(meaning.split())
    found = re.match(r".*?[.](?= [A-Z`]|$)", flat)
    return found.group() if found else flat


def _default(field: Field[Any]) -> str:
    default = field.default
    if default is MISSING or default is None or default is False:
        return ""
    return f" [{' '.join(default) if isinstance(default, tuple) else default}]"
