"""Hashed numbers are the same in NumPy and torch, spread evenly, and unrelated."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from hpo_env.networks.random_numbers import (
    combine,
    dropout_key,
    dropout_uniforms,
    mix,
    uniform,
)

KEYS = st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20)


@given(keys=KEYS, place=st.integers(0, 2**32 - 1))
def test_torch_and_numpy_agree_bit_for_bit(keys: list[int], place: int) -> None:
    in_numpy = uniform(combine(np.array(keys), np.array(place)))
    in_torch = uniform(combine(torch.tensor(keys), torch.tensor(place)))
    assert in_numpy.dtype == np.float32
    np.testing.assert_array_equal(in_numpy, in_torch.numpy())


@given(key=st.integers(0, 2**32 - 1))
def test_the_hash_is_what_whole_numbers_without_overflow_give(key: int) -> None:
    x = key
    for _ in range(2):
        x = ((x >> 16) ^ x) * 0x119DE1F3 % 2**32
    assert mix(np.array(key)) == (x >> 16) ^ x


def test_numbers_are_uniform_in_the_unit_interval() -> None:
    numbers = dropout_uniforms(seed=3, update=5, site=1, shape=(400, 500))
    assert 0.0 <= numbers.min() < numbers.max() < 1.0
    counts, _ = np.histogram(numbers, bins=20, range=(0.0, 1.0))
    expected = numbers.size / 20
    chi_squared = ((counts - expected) ** 2 / expected).sum()
    assert chi_squared < 43.8  # 0.1 % of uniform samples exceed it (19 degrees of freedom)


def test_seed_update_site_and_element_all_change_the_numbers() -> None:
    first = dropout_uniforms(seed=3, update=5, site=0, shape=(64, 32))
    others = (
        dropout_uniforms(seed=4, update=5, site=0, shape=(64, 32)),
        dropout_uniforms(seed=3, update=6, site=0, shape=(64, 32)),
        dropout_uniforms(seed=3, update=5, site=1, shape=(64, 32)),
        np.roll(first, 1, axis=0),
        np.roll(first, 1, axis=1),
    )
    for other in others:
        correlation = np.corrcoef(first.ravel(), other.ravel())[0, 1]
        assert abs(correlation) < 0.1  # 4.5 standard deviations of 2,048 independent pairs


def test_a_layers_numbers_do_not_depend_on_how_many_rows_it_has() -> None:
    few = dropout_uniforms(seed=3, update=5, site=0, shape=(7, 32))
    many = dropout_uniforms(seed=3, update=5, site=0, shape=(64, 32))
    np.testing.assert_array_equal(few, many[:7])


def test_keys_of_lanes_are_computed_together() -> None:
    together = dropout_key(torch.tensor([3, 4]), torch.tensor([5, 9]))
    assert together.tolist() == [dropout_key(3, 5), dropout_key(4, 9)]
