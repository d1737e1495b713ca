from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class

MakePolicy = Callable[..., Policy]


@pytest.fixture
def constant_policy() -> MakePolicy:
    """Make policies that always move the same way."""

    def make(family: str = "quadratic", move: float = 0.0, schedule: str = "constant") -> Policy:
        cls = family_class(family)
        space = cls().space.subset(cls.default_controlled)
        shape: Any = (len(space), len(field_names(space.names)))
        return Policy(
            family=family,
            space=space,
            base_schedule=schedule,
            head="clipped",
            activation="tanh",
            weights=(np.zeros(shape, dtype=np.float32),),
            biases=(np.full(len(space), move, dtype=np.float32),),
        )

    return make
