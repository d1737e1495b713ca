"""A line on the error stream that says how far a fit has come."""

from __future__ import annotations

import math
import sys
import time
from typing import TextIO

_WIDTH = 24
_SECONDS_BETWEEN = 0.1


class ProgressBar:
    """Rewrites one line; ends it when it is closed.

    Args:
        is_shown: Whether anything is written.
        stream: Where to; None: the error stream.
    """

    def __init__(self, is_shown: bool, stream: TextIO | None = None) -> None:
        self._stream = (sys.stderr if stream is None else stream) if is_shown else None
        self._title = ""
        self._last = -math.inf
        self._length = 0

    def begin(self, title: str) -> None:
        """Say what comes now."""
        self._title, self._last = title, -math.inf

    def __call__(self, made: int, total: int, loss: float, best: float) -> None:
        """See `growing.Report`."""
        now = time.monotonic()
        if self._stream is None or (made < total and now - self._last < _SECONDS_BETWEEN):
            return
        self._last = now
        full = _WIDTH * made // max(total, 1)
        text = f"{self._title} [{'#' * full}{'.' * (_WIDTH - full)}] {made}/{total} rounds"
        if math.isfinite(best):
            text += f", validation loss {loss:.5g}, best {best:.5g}"
        self._stream.write("\r" + text.ljust(self._length))
        self._stream.flush()
        self._length = len(text)

    def close(self) -> None:
        """End the line."""
        if self._stream is not None and self._length:
            self._stream.write("\n")
            self._stream.flush()
