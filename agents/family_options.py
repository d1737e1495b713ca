"""Options of a family on a command line: `--family-options NAME=VALUE NAME=VALUE`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import tyro


def parse_family_options(words: Sequence[str]) -> dict[str, Any]:
    """Read options; a value is JSON where it can be, and text where not.

    Raises:
        ValueError: A word is not written `NAME=VALUE`.

    Example:
        >>> parse_family_options(["dataset=digits", "augmented=0.5"])
        {'dataset': 'digits', 'augmented': 0.5}
    """
    options: dict[str, Any] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not (name and equals):
            raise ValueError(f"family options are written NAME=VALUE; got {word!r}")
        try:
            options[name] = json.loads(text)
        except (json.JSONDecodeError, RecursionError):  # what is no JSON is a text
            options[name] = text
    return options


FAMILY_OPTIONS = tyro.constructors.PrimitiveConstructorSpec[Any](
    nargs="*",
    metavar="NAME=VALUE",
    instance_from_str=parse_family_options,
    is_instance=lambda value: isinstance(value, dict),
    str_from_instance=lambda options: [f"{k}={json.dumps(v)}" for k, v in options.items()],
)
"""How tyro reads a mapping of options; the field's annotation holds it."""
