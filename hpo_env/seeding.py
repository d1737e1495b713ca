"""Random streams: one seed a lane, one named stream a purpose, no global state.

A lane owns one generator that draws its tasks; every episode gets one integer seed from it, and all
that is random inside the episode is a function of that integer.
"""

from __future__ import annotations

import zlib

import numpy as np

MAX_EPISODE_SEED = 2**31 - 1  # fits the int32 arithmetic of the compiled training step


def stream(seed: int, *names: str | int) -> np.random.Generator:
    """Return the generator that belongs to a seed and a purpose.

    Args:
        seed: Any non-negative integer.
        names: What the stream is for; other names give an independent stream.

    Example:
        >>> a, b = stream(7, "init").random(), stream(7, "init").random()
        >>> a == b, a == stream(7, "rows").random()
        (True, False)
    """
    # crc32 and not hash(): Python's string hash changes from process to process.
    # A path that is not UTF-8 has surrogates in it.
    keys = [
        zlib.crc32(n.encode("utf-8", "surrogatepass")) if isinstance(n, str) else n for n in names
    ]
    return np.random.default_rng(np.random.SeedSequence([seed, *keys]))


def lane_seeds(seed: int, num_lanes: int) -> list[int]:
    """Give lane `i` the seed `seed + i`, Gymnasium's convention for vector environments."""
    return [seed + i for i in range(num_lanes)]


def draw_episode_seed(rng: np.random.Generator) -> int:
    """Draw the integer from which everything random in one episode follows."""
    return int(rng.integers(MAX_EPISODE_SEED))
