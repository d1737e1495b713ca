from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from agents.comparing.matrix import EvaluationProtocol, Matrix, build_matrix
from agents.opponents.base import Opponent
from hpo_env.tasks.base import Suite

# Worker processes import opponents by name, and `tests` is a name that other packages take.
sys.path.insert(0, str(Path(__file__).parent))

MakeMatrix = Callable[..., Matrix]


@pytest.fixture
def make_matrix() -> MakeMatrix:
    """Make matrices of a few short quadratics."""
    from quadratic_opponents import NEAR

    def make(
        opponents: Sequence[Opponent],
        suites: Sequence[Suite] = (),
        family: str = "quadratic",
        **changes: Any,
    ) -> Matrix:
        usual: dict[str, Any] = {
            "num_tasks": 2,
            "num_seeds": 2,
            "num_tuning_tasks": 3,
            "starts": (0.01, 0.1),
        }
        protocol = EvaluationProtocol(**(usual | changes))
        return build_matrix(opponents, ("learning_rate",), family, suites or (NEAR,), protocol)

    return make
