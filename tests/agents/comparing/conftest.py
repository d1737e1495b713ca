from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from agents.comparing.matrix import Extent, Matrix, build_matrix
from agents.evaluation.suites import Suite
from agents.opponents.base import Opponent
from tests.agents.comparing.opponents import NEAR

MakeMatrix = Callable[..., Matrix]


@pytest.fixture
def make_matrix() -> MakeMatrix:
    """Make matrices of a few short quadratics."""

    def make(
        opponents: Sequence[Opponent], suites: Sequence[Suite] = (NEAR,), **changes: Any
    ) -> Matrix:
        usual: dict[str, Any] = {
            "num_tasks": 2,
            "num_seeds": 2,
            "num_tuning_tasks": 3,
            "initial_rates": (0.01, 0.1),
        }
        return build_matrix(opponents, ("learning_rate",), suites, Extent(**(usual | changes)))

    return make
