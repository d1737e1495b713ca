"""Estimators without their policy do what they are told, and all else that estimators do."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("lightgbm")

from benchmarks.automl_courses import along, estimator, tuned_course
from hpo_env.automl.fitting import SPACE
from hpo_env.controller import Controller

ROWS = 300


def fitted(*, is_course: bool) -> list[dict[str, float]]:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(ROWS, 3))
    model = estimator(
        "regression", 225, is_course=is_course, rounds=20, validation_fraction=0.25, random_state=0
    )
    return list(model.fit(x, x[:, 0] + rng.normal(size=ROWS)).course_)


@pytest.mark.filterwarnings("ignore:there are 75 validation rows")
def test_a_run_goes_along_the_tuned_course() -> None:
    begins, corrections = tuned_course("regression", 225, 10)
    asked = SPACE.values(np.tile(begins, (10, 1)), corrections)
    for row in fitted(is_course=True):
        made = [row[name] for name in SPACE.names]
        np.testing.assert_allclose(made, asked[int(row["step"]) // 2], rtol=1e-9)


@pytest.mark.filterwarnings("ignore:there are 75 validation rows")
def test_the_learned_start_is_kept() -> None:
    policy = Controller.from_pretrained("automl").policy
    assert policy.learned_start is not None
    (row,) = fitted(is_course=False)
    learned = policy.learned_start.cases[0]
    assert learned.kind == "regression"
    assert {name: row[name] for name in learned.values} == pytest.approx(dict(learned.values))


def test_a_course_that_moves_cannot_follow_is_refused() -> None:
    steep = np.zeros((2, len(SPACE)))
    steep[1] = 1.5 * SPACE.steps
    with pytest.raises(ValueError, match=r"1\.50 largest moves"):
        along(Controller.from_pretrained("automl").policy, steep)
