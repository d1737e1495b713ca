"""Every epoch visits every row once, whatever the number of rows and the minibatch size."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from hpo_env.tasks.supervised.data import MAX_TRAIN_ROWS
from hpo_env.tasks.supervised.minibatches import (
    interval_rows,
    order_start,
    order_strides,
    row_bounds,
    shuffled,
)
from hpo_env.tasks.supervised.rows import Rows

CPU = torch.device("cpu")


def rows_of(
    *, seed: int, num_rows: int, batch_size: int, num_consumed: int = 0, num_updates: int = 10
) -> list[int]:
    """Rows that one lane consumes in an interval."""
    rows = interval_rows(
        np.array([seed]),
        np.array([num_consumed]),
        np.array([num_rows]),
        np.array([batch_size]),
        order_strides(num_rows, seed)[None],
        num_updates=num_updates,
        batch=64,
        device=CPU,
    )
    flat: list[int] = rows[:, 0, :batch_size].reshape(-1).tolist()
    return flat


def order_of(seed: int, num_rows: int, epoch: int) -> list[int]:
    """The definition, with Python's whole numbers."""
    stride = int(order_strides(num_rows, seed)[epoch % 16])
    start = int(order_start(np.array(seed), np.array(epoch), np.array(num_rows)))
    return [(stride * position + start) % num_rows for position in range(num_rows)]


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**31 - 1),
    num_rows=st.integers(1, MAX_TRAIN_ROWS),
    batch_size=st.integers(1, 64),
    num_consumed=st.integers(0, 10**7),
)
def test_float_arithmetic_gives_the_definitions_rows(
    seed: int, num_rows: int, batch_size: int, num_consumed: int
) -> None:
    got = rows_of(seed=seed, num_rows=num_rows, batch_size=batch_size, num_consumed=num_consumed)
    wanted: list[int] = []
    epoch, skipped = divmod(num_consumed, num_rows)
    while len(wanted) < skipped + len(got):
        wanted += order_of(seed, num_rows, epoch)
        epoch += 1
    assert got == wanted[skipped : skipped + len(got)]


@given(seed=st.integers(0, 2**31 - 1), num_rows=st.integers(1, MAX_TRAIN_ROWS))
def test_an_epoch_visits_every_row_once(seed: int, num_rows: int) -> None:
    for epoch in (0, 1, 17):
        assert sorted(order_of(seed, num_rows, epoch)) == list(range(num_rows))


def test_epochs_and_seeds_differ() -> None:
    orders = {tuple(order_of(seed, 997, epoch)) for seed in (1, 2) for epoch in range(20)}
    assert len(orders) == 40


def test_lanes_are_computed_together_as_alone() -> None:
    seeds, num_rows, sizes = np.array([3, 4, 5]), np.array([18, 700, 1024]), np.array([64, 9, 30])
    together = interval_rows(
        seeds,
        np.array([0, 5_000, 123]),
        num_rows,
        sizes,
        np.stack([order_strides(n, s) for n, s in zip(num_rows, seeds, strict=True)]),
        num_updates=10,
        batch=64,
        device=CPU,
    )
    for lane, consumed in enumerate((0, 5_000, 123)):
        alone = rows_of(
            seed=int(seeds[lane]),
            num_rows=int(num_rows[lane]),
            batch_size=int(sizes[lane]),
            num_consumed=consumed,
        )
        assert together[:, lane, : sizes[lane]].reshape(-1).tolist() == alone


def test_shuffling_keeps_inputs_beside_their_targets() -> None:
    x = np.arange(50, dtype=np.float32)[:, None]
    mixed = shuffled(Rows(x=x, y=x[:, 0]), seed=1)
    assert np.array_equal(mixed.x[:, 0], mixed.y)
    assert not np.array_equal(mixed.y, x[:, 0])
    assert np.array_equal(np.sort(mixed.y), x[:, 0])


@pytest.mark.parametrize("largest", [64, 256])
def test_bounds_of_minibatches_follow_from_each_lane_alone(largest: int) -> None:
    sizes = np.arange(1, largest + 1)
    bounds = row_bounds(sizes, largest)
    assert (bounds >= sizes).all()
    assert set(bounds.tolist()) == {b for b in (64, 128, 256) if b <= largest}
    np.testing.assert_array_equal(
        bounds, [row_bounds(sizes[i : i + 1], largest)[0] for i in sizes - 1]
    )
