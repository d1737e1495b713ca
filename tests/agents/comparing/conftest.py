from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.comparing.matrix import Extent, Matrix, build_matrix
from agents.evaluation.suites import Suite
from agents.opponents.base import Opponent

# Worker processes import opponents by name, and `tests` is a name that other packages take.
sys.path.insert(0, str(Path(__file__).parent))

MakeMatrix = Callable[..., Matrix]


@pytest.fixture
def make_matrix() -> MakeMatrix:
    """Make matrices of a few short quadratics."""
    from quadratic_opponents import NEAR

    def make(opponents: Sequence[Opponent], suites: Sequence[Suite] = (), **changes: Any) -> Matrix:
        usual: dict[str, Any] = {
            "num_tasks": 2,
            "num_seeds": 2,
            "num_tuning_tasks": 3,
            "initial_rates": (0.01, 0.1),
        }
        return build_matrix(
            opponents, ("learning_rate",), suites or (NEAR,), Extent(**(usual | changes))
        )

    return make
