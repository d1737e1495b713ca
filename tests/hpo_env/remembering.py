"""Policies with a memory, for tests."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hpo_env.lstm import NUM_GATES, Lstm
from hpo_env.policy import Policy


def remembering(policy: Policy, width: int = 5, seed: int = 0) -> Policy:
    """Put a memory of random weights between the observation and the first layer."""
    rng = np.random.default_rng(seed)

    def draw(*shape: int) -> NDArray[np.float32]:
        return rng.normal(0.0, 0.6, shape).astype(np.float32)

    rows, num_fields = NUM_GATES * width, len(policy.fields)
    return replace(
        policy,
        weights=(np.float32(3.0) * draw(policy.weights[0].shape[0], width), *policy.weights[1:]),
        memory=Lstm(
            input_weight=draw(rows, num_fields),
            hidden_weight=draw(rows, width),
            bias=draw(rows),
        ),
    )
