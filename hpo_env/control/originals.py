"""What was found where a run writes, so that a later run starts from it and not from what is left.

A rate that a run leaves behind is the end of its schedule. Whoever attaches again to the same
optimiser means the rate that he once set, unless he has set another since.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

_kept: WeakKeyDictionary[Any, dict[Any, tuple[float, float]]] = WeakKeyDictionary()


def keep(owner: Any, place: Any, *, original: float, written: float) -> None:
    """Note that a value was found in a place and another written over it.

    Args:
        owner: The object that holds the place; nothing is kept of it when it is gone.
        place: Which place of the owner, hashable.
        original: The value to start from next time.
        written: The value in the place now, as it is read back.
    """
    _kept.setdefault(owner, {})[place] = (original, written)


def original(owner: Any, place: Any, found: float) -> float:
    """Return the value to start from, where `found` is the value in the place now.

    Example:
        >>> class Layer:
        ...     rate = 0.5
        >>> layer = Layer()
        >>> keep(layer, "rate", original=0.1, written=0.5)
        >>> original(layer, "rate", layer.rate), original(layer, "rate", 0.3)
        (0.1, 0.3)
    """
    start, written = _kept.get(owner, {}).get(place, (found, found))
    return start if found == written else found
