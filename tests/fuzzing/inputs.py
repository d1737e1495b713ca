"""How many inputs are tried, and what they are made of.

The gate has 2,000 of every kind, a kind being what one file of tests makes; `make fuzz` 100,000.
HPO_CONTROL_FUZZ says another number, HPO_CONTROL_FUZZ_SEED tries others.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

LONGEST_SECONDS = 1.0
"""What one input may take; a machine that is busy with other things gets some more in the gate."""

VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "é\ud800", "a\0b", "n" * 5000, "learning_rate", "inf", "-1"),
    *(0, 1, -1, 2, 2**31, 2**63, 2**64, 10**299, -(10**299)),
    *(0.0, -0.0, 0.5, 1.0, 2.5, -1.0, 1e308, 1e-308, 5e-324, float("nan"), float("inf")),
    *([], {}, [[]], [None], ["x"], [1, "x"], {"x": 1}, [[0.0] * 3] * 2, [10**299], [1e308] * 4),
)
"""Values that somebody's file or script has where another was meant; all but NaN are JSON."""


def amount() -> int:
    """Return how many inputs of a kind to try."""
    return int(os.environ.get("HPO_CONTROL_FUZZ", "2000"))


def generators(share: float) -> Iterator[np.random.Generator]:
    """Yield a generator an input, the same ones in every run.

    Args:
        share: Of the inputs of a kind; those of its tests add up to 1.
    """
    seed = int(os.environ.get("HPO_CONTROL_FUZZ_SEED", "1983"))
    for index in range(max(1, round(share * amount()))):
        yield np.random.default_rng([seed, index])


def pick(rng: np.random.Generator, values: Any) -> Any:
    """Choose one of some values."""
    return values[int(rng.integers(len(values)))]


@contextmanager
def in_time(what: object) -> Iterator[None]:
    """Fail when a block takes too long; processor time, as others may be at work."""
    begun = time.process_time()
    yield
    elapsed = time.process_time() - begun
    assert elapsed < LONGEST_SECONDS, f"{elapsed:.1f} s for {str(what)[:500]}"
