"""Rows that are held out of an adaptation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError, DatasetError, UnknownNameError
from hpo_env.tasks.supervised.data import MAX_TEST_ROWS, SupervisedTask, prepare, split_off
from hpo_env.tasks.supervised.family import SupervisedFamily

ROWS = 900


def family(held_out: Any, num_rows: int = ROWS) -> SupervisedFamily:
    """A table whose only column says which row it is."""
    x = np.arange(num_rows, dtype=np.float32)[:, None]
    return SupervisedFamily(dataset=(x, x[:, 0] % 11 + 0.5), split="validation", held_out=held_out)


def drawn(held_out: Any, seed: int) -> SupervisedTask:
    return family(held_out).sample(np.random.default_rng(seed))


def test_held_out_rows_are_seen_by_no_task_and_test_the_others() -> None:
    kept, held_out = split_off(ROWS, "unused")
    assert len(held_out) == ROWS // 5
    assert not set(kept) & set(held_out)
    assert len(kept) + len(held_out) == ROWS
    again = split_off(ROWS, "tested")
    np.testing.assert_array_equal(again[1], held_out)
    for seed in range(3):
        unused, tested = prepare(drawn("unused", seed)), prepare(drawn("tested", seed))
        np.testing.assert_array_equal(unused.train.x, tested.train.x)
        np.testing.assert_array_equal(unused.validation.x, tested.validation.x)
        assert len(unused.train) + len(unused.validation) + len(unused.test) == len(kept)
        assert len(tested.test) == min(len(held_out), MAX_TEST_ROWS)
        # Inputs are standardised by the same training rows, and tell rows apart.
        seen = np.concatenate([unused.train.x, unused.validation.x, unused.test.x])
        assert not np.isin(tested.test.x, seen).any()


def test_a_task_that_holds_nothing_out_is_written_as_ever() -> None:
    assert "held_out" not in drawn(None, 0).to_json()
    assert drawn("unused", 0).to_json()["held_out"] == "unused"


@pytest.mark.parametrize(
    ("make", "error", "said"),
    [
        (lambda: family("unused", 199), DatasetError, "199 rows, and 200 are needed"),
        (lambda: family("all"), UnknownNameError, "use of held-out rows"),
        (lambda: SupervisedFamily(held_out="unused"), ConfigurationError, "name it, dataset="),
    ],
)
def test_what_cannot_be_held_out(make: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        make()
