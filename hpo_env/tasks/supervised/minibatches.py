"""In which order the training rows come, and for how many of them an update is computed.

At reset a lane's rows are shuffled. Epoch `e` then visits row `(stride * position + start) mod R`
at each of its R positions, `stride` being coprime to R, so that every row comes once. Strides come
from a table of the lane's own, starts from a hash of its seed and the epoch. There is nothing to
store but how many rows were consumed, and a minibatch may reach over the end of an epoch.

Windows of a text are too many for epochs: each is drawn from all, by a hash of the lane's seed and
of how many were drawn before it.

Axes: `N` lanes, `U` updates, `B` rows of the largest minibatch, `R` training rows, `E` epochs.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.networks.random_numbers import ORDER, WINDOWS, combine, mix, uniform
from hpo_env.seeding import stream
from hpo_env.tasks.supervised.data import LARGE_TRAIN_ROWS, MAX_TRAIN_TOKENS
from hpo_env.tasks.supervised.rows import Rows, Windows

NUM_STRIDES = 16
"""Strides repeat after that many epochs; starts do not."""
FEWEST_ROWS = 64
"""The step computes so many rows at least: half as many would not take half the time."""

# float32 holds every whole number up to 2^24, and the quotients below are exact when floored.
assert LARGE_TRAIN_ROWS * (LARGE_TRAIN_ROWS + 1) < 2**24
assert MAX_TRAIN_TOKENS < 2**24


def shuffled(rows: Rows | Windows, seed: int) -> Rows | Windows:
    """Shuffle training rows as the lane of an episode seed does at reset; windows stay."""
    if isinstance(rows, Windows):
        return rows
    return rows.take(stream(seed, "rows").permutation(len(rows)))


def window_starts(seed: Any, place: Any, num_starts: Any) -> Any:
    """Return where windows of a text begin, whole numbers in `[0, num_starts)` as float32.

    Args:
        seed: Episode seeds; NumPy arrays or torch tensors of int64, as all arguments, which
            broadcast.
        place: How many windows were drawn before each.
        num_starts: How many tokens a window may begin at.
    """
    numbers = uniform(combine(combine(mix(seed), WINDOWS), place))
    if isinstance(numbers, Tensor):
        return torch.floor(numbers * num_starts.float())
    return np.floor(numbers * num_starts.astype(np.float32))


def drawn_windows(
    seed: NDArray[np.int64],
    num_consumed: NDArray[np.int64],
    num_starts: NDArray[np.int64],
    batch_size: NDArray[np.int64],
    *,
    num_updates: int,
    batch: int,
    device: torch.device,
) -> Tensor:
    """Compute where the windows of one interval begin; see `interval_rows`, which it stands for.

    Returns:
        First tokens `[U, N, B]`, int64.
    """
    facts = torch.from_numpy(np.stack([seed, num_consumed, num_starts, batch_size])).to(device)
    seeds, first, starts, size = facts[:, :, None].unbind(0)
    update = torch.arange(num_updates, device=device)[:, None, None]
    place = first + update * size + torch.arange(batch, device=device)
    begun: Tensor = window_starts(seeds, place, starts).long()
    return begun


def order_strides(num_rows: int, seed: int) -> NDArray[np.int64]:
    """Draw strides `[NUM_STRIDES]` that are coprime to the number of rows."""
    coprime = _coprime(num_rows)
    strides: NDArray[np.int64] = coprime[
        stream(seed, "order").integers(len(coprime), size=NUM_STRIDES)
    ]
    return strides


@lru_cache(maxsize=4096)
def _coprime(num_rows: int) -> NDArray[np.int64]:
    candidates = np.arange(1, max(num_rows, 2))
    coprime: NDArray[np.int64] = candidates[np.gcd(candidates, num_rows) == 1]
    return coprime


def order_start(seed: Any, epoch: Any, num_rows: Any) -> NDArray[np.float32]:
    """Return where epochs start, whole numbers in `[0, R)`; the arguments broadcast."""
    numbers = uniform(combine(combine(mix(seed), ORDER), epoch))
    starts: NDArray[np.float32] = np.floor(numbers * num_rows.astype(np.float32))
    return starts


def interval_rows(
    seed: NDArray[np.int64],
    num_consumed: NDArray[np.int64],
    num_rows: NDArray[np.int64],
    batch_size: NDArray[np.int64],
    strides: NDArray[np.int64],
    *,
    num_updates: int,
    batch: int,
    device: torch.device,
) -> Tensor:
    """Compute the minibatches of one interval for all lanes at once.

    Whole numbers are divided as float32, which vectorises and is exact at this size.

    Args:
        seed: Episode seeds `[N]`.
        num_consumed: Rows that each lane has consumed `[N]`.
        num_rows: R of each lane `[N]`.
        batch_size: Rows that it consumes in an update, at most `B`, `[N]`.
        strides: `[N, NUM_STRIDES]`.
        num_updates: U.
        batch: `B`.
        device: Where the result is needed.

    Returns:
        Row numbers `[U, N, B]`, int64; those beyond a lane's batch size are the next in its order.
    """
    first_epoch, first_position = np.divmod(num_consumed, num_rows)
    last_epoch = (num_consumed + (num_updates - 1) * batch_size + batch) // num_rows
    epoch = first_epoch[:, None] + np.arange((last_epoch - first_epoch).max() + 1)  # [N, E]
    starts = order_start(seed[:, None], epoch, num_rows[:, None])
    stride = np.take_along_axis(strides, epoch % NUM_STRIDES, axis=1).astype(np.float32)
    facts = np.stack([first_position, batch_size, num_rows]).astype(np.float32)

    first, size, total = torch.from_numpy(facts).to(device)[:, :, None].unbind(0)
    update = torch.arange(num_updates, dtype=torch.float32, device=device)[:, None, None]
    place = torch.arange(batch, dtype=torch.float32, device=device)
    consumed = first + update * size + place  # [U, N, B], counted from the first epoch's start
    ahead = torch.floor(consumed / total)
    position = consumed - ahead * total
    # [U, N, B] -> the epoch's start and stride, by a lookup in the flattened tables
    which = (ahead + torch.arange(len(seed), device=device)[:, None] * epoch.shape[1]).long()
    at = torch.from_numpy(starts.ravel()).to(device)[which]
    by = torch.from_numpy(stride.ravel()).to(device)[which]
    row = by * position + at
    return (row - torch.floor(row / total) * total).long()


def row_bounds(batch_sizes: NDArray[np.int64], largest: int) -> NDArray[np.int64]:
    """Return how many rows the step computes for lanes, masking those beyond a minibatch, `[N]`.

    A power of 2, so that there are few compilations. It follows from a lane's own minibatch, as
    sums over another number of rows are rounded otherwise.

    Args:
        batch_sizes: Rows of a minibatch `[N]`.
        largest: The most that there may be.

    Example:
        >>> row_bounds(np.array([8, 64, 65, 200]), 256).tolist()
        [64, 64, 128, 256]
    """
    powers = 2 ** np.ceil(np.log2(batch_sizes)).astype(np.int64)
    return np.minimum(np.maximum(powers, FEWEST_ROWS), largest)
