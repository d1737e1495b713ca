"""Environments to compare, and what it means that two of them say the same."""

from __future__ import annotations

from contextlib import closing
from typing import Any

import numpy as np

from hpo_env.sharding import make_vector_env
from tests.hpo_env.families import SMALL


def sharded(
    num_envs: int, num_workers: int, family: str = "quadratic", **change: Any
) -> closing[Any]:
    """Make a small environment that is closed at the end of a `with` block."""
    arguments = SMALL[family] | change
    if family == "supervised":  # one data set, as each worker has to load it
        arguments = {"dataset": "breast_cancer"} | arguments
    return closing(make_vector_env(num_envs, num_workers=num_workers, family=family, **arguments))


def draw_actions(env: Any, count: int, seed: int = 0) -> list[np.ndarray]:
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def assert_same_info(info: dict[str, Any], expected: dict[str, Any]) -> None:
    """Same keys, same masks, same values where the masks say that they mean something."""
    assert info.keys() == expected.keys()
    for key, value in expected.items():
        if isinstance(value, dict):
            assert_same_info(info[key], value)
        elif key.startswith("_"):
            assert np.array_equal(info[key], value), key
        else:
            where = expected[f"_{key}"]
            assert info[key].dtype == value.dtype
            assert np.array_equal(info[key][where], value[where]), key


def assert_same_results(results: tuple[Any, ...], expected: tuple[Any, ...]) -> None:
    """Same observations (and rewards and ends), to the last bit, and the same info."""
    for array, expected_array in zip(results[:-1], expected[:-1], strict=True):
        assert array.dtype == expected_array.dtype
        assert np.array_equal(array, expected_array)
    assert_same_info(results[-1], expected[-1])
