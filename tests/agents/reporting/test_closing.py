from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.comparing.comparison import Compared, Comparison, run_here
from agents.comparing.matrix import EvaluationProtocol
from agents.comparing.schedules import compare_schedules
from agents.reporting.closing import draw_schedules
from agents.reporting.schedules import over_progress
from hpo_env.policy import Policy
from hpo_env.tasks.base import Suite
from tests.agents.opponents.policies import steady_policy


def test_runs_of_different_lengths_are_put_on_one_axis() -> None:
    nan = np.nan
    curves = np.array([[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, nan, nan]])
    short = over_progress(curves)
    assert short.shape == (2, 60)
    assert short[0, ::15].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert short[1, ::15].tolist() == [5.0, 5.0, 6.0, 6.0]


def pixels(path: Path) -> Any:
    from matplotlib.image import imread

    return imread(path)


def compared(
    policy: Policy, starts: tuple[float, ...] | None, num_tasks: int, *names: str
) -> tuple[Comparison, Compared]:
    protocol = EvaluationProtocol(
        num_tasks=num_tasks, num_seeds=1, num_tuning_tasks=2, starts=starts
    )
    suite = Suite(name="test", help="", options={"split": "test"})
    comparison = compare_schedules(policy, "quadratic", [suite], protocol, names=names)
    return comparison, run_here(comparison)


@pytest.mark.parametrize("starts", [(1e-3, 1e-1), (1e-3, 1e1), None], ids=["two", "wild", "drawn"])
def test_a_picture_is_drawn(tmp_path: Path, starts: tuple[float, ...] | None) -> None:
    pair = compared(steady_policy("quadratic", ("learning_rate",)), starts, 12, "cosine_tuned")
    path = draw_schedules(*pair, "test", tmp_path / "new" / "a.png")
    image = pixels(path)
    assert image.ndim == 3
    assert min(image.shape[:2]) > 400
    assert len(np.unique(image.reshape(-1, 4), axis=0)) > 20  # more than an empty frame


def test_the_baseline_is_left_out_where_it_was_not_run(tmp_path: Path) -> None:
    policy = steady_policy("quadratic", ("learning_rate",))
    for name in ("cosine_tuned", "frozen"):
        pair = compared(policy, (1e-3, 1e-1), 2, name)
        draw_schedules(*pair, "test", tmp_path / f"{name}.png")
    pictures = [pixels(tmp_path / f"{name}.png") for name in ("cosine_tuned", "frozen")]
    assert not np.array_equal(*pictures)
