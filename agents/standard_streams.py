"""What a terminal cannot show must not end what took hours."""

from __future__ import annotations

import io
import sys


def survive_any_encoding() -> None:
    """Let standard output and standard error show what their encoding lacks as `?`.

    A pipe under `LANG=C`, a Windows console and many job systems know no more than ASCII or one
    code page. What they do know looks as before. Streams that somebody has put in their place and
    that cannot be told are left alone.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="replace")
