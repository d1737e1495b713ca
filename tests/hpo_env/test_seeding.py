"""Streams are reproducible, and independent of one another."""

from __future__ import annotations

import numpy as np

from hpo_env.seeding import MAX_EPISODE_SEED, draw_episode_seed, lane_seeds, stream


def test_other_names_and_other_seeds_give_other_streams() -> None:
    draws = {
        stream(seed, *names).random() for seed in (0, 1) for names in (("a",), ("b",), ("a", 1))
    }
    assert len(draws) == 6


def test_a_name_that_is_not_utf_8_has_a_stream() -> None:
    assert stream(0, "\udcff").random() != stream(0, "\udcfe").random()


def test_lane_i_gets_seed_plus_i() -> None:
    assert lane_seeds(7, 3) == [7, 8, 9]


def test_episode_seeds_fit_int32() -> None:
    rng = np.random.default_rng(0)
    assert all(0 <= draw_episode_seed(rng) < MAX_EPISODE_SEED for _ in range(1000))
