"""Splits of a continuous parameter do not overlap, and each spans the range."""

from __future__ import annotations

import numpy as np

from hpo_env.tasks.bands import band_owner, draw_banded


def test_every_draw_belongs_to_its_split_and_they_span_the_range() -> None:
    rng = np.random.default_rng(0)
    for split in ("train", "validation", "test"):
        draws = [draw_banded(rng, 1e-3, 1e1, split) for _ in range(300)]
        assert {band_owner(value) for value in draws} == {split}
        assert min(draws) < 1e-2
        assert max(draws) > 1.0
