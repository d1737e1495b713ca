from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agents.config import TrainConfig


@pytest.fixture
def tiny(tmp_path: Path) -> Callable[..., TrainConfig]:
    """Make configurations of runs that take about a second."""

    def make(**settings: Any) -> TrainConfig:
        usual = {
            "family": "quadratic",
            "num_envs": 8,
            "num_decisions": 6,
            "steps": 1200,
            "segment_steps": 300,
            "validation_lanes": 4,
            "run_dir": tmp_path / "logs",
            "progress": "quiet",
        }
        return TrainConfig.of(**{**usual, **settings})

    return make
