"""Looking at the variables of functions that are running."""

from __future__ import annotations

import inspect
from types import FrameType
from typing import Any


def variables(frame: FrameType) -> dict[str, Any]:
    """Return the local variables of a function or a module that is running, by name.

    Reading them leaves nothing behind: up to Python 3.12 a frame keeps the dictionary in which it
    shows its variables, and with it all that these hold, for as long as it runs.
    """
    shown = frame.f_locals
    found = dict(shown)
    if isinstance(shown, dict) and frame.f_code.co_flags & inspect.CO_OPTIMIZED:
        shown.clear()  # a copy: only modules and classes keep their variables in it
    return found
