"""Every registered family, small enough that a contract test of it takes well under a second."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any, ClassVar

import numpy as np
import pytest

from hpo_env.few_shot import characters
from hpo_env.tasks import local_level
from hpo_env.tasks.automl import native_boosters
from hpo_env.tasks.automl import problem as automl_problem
from hpo_env.tasks.automl.problem import Problem as TableProblem
from hpo_env.tasks.automl.problem import Side
from hpo_env.tasks.base import Engine
from hpo_env.tasks.few_shot import preparation
from hpo_env.tasks.few_shot import trainer as few_shot_trainer
from hpo_env.tasks.few_shot.preparation import Prepared
from hpo_env.tasks.few_shot.task import FewShotTask
from hpo_env.tasks.registry import FAMILIES
from hpo_env.tasks.reinforcement.trainer import ReinforcementTrainer
from hpo_env.tasks.supervised import data as supervised_data
from hpo_env.tasks.supervised.data import Problem
from hpo_env.tasks.supervised.rows import Rows
from hpo_env.testing.under_test import NUM_DECISIONS, FamilyUnderTest


def _reversed_test_problem(*, test: Rows, **rest: Any) -> Problem:
    """Turn the test targets round, so that the better a model is, the worse its test loss."""
    is_regression = rest["objective"].name == "regression"
    turned = -10.0 * test.y if is_regression else rest["num_outputs"] - 1 - test.y
    return Problem(test=Rows(x=test.x, y=turned), **rest)


class Supervised(FamilyUnderTest):
    family: ClassVar[str] = "supervised"
    options: ClassVar[Mapping[str, Any]] = {"updates_per_decision": 3, "model": "mlp_32x2_relu"}
    engine: ClassVar[Engine] = "eager"

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(supervised_data, "Problem", _reversed_test_problem)


class LocalLevel(FamilyUnderTest):
    family: ClassVar[str] = "local_level"

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(local_level, "_TEST", slice(96, 100))


def _turned(**parts: Any) -> TableProblem:
    """Turn the test targets round, so that the better a model is, the worse its test loss."""
    test, last = parts.pop("test"), parts["num_classes"] - 1
    y = -10.0 * test.y if parts["target"] == "regression" else last - test.y
    return TableProblem(test=Side(x=test.x, y=y), **parts)


class Automl(FamilyUnderTest):
    family: ClassVar[str] = "automl"
    options: ClassVar[Mapping[str, Any]] = {"rounds_per_decision": 2}

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(automl_problem, "Problem", _turned)
        for module, name in ((automl_problem, "prepare"), (native_boosters, "_native")):
            monkeypatch.setattr(module, name, cache(getattr(module, name).__wrapped__))


class Reinforcement(FamilyUnderTest):
    family: ClassVar[str] = "reinforcement"
    options: ClassVar[Mapping[str, Any]] = {"shape": (2, 32, 2)}

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        played = ReinforcementTrainer.test_returns
        monkeypatch.setattr(
            ReinforcementTrainer, "test_returns", lambda self, lanes: -2.0 * played(self, lanes)
        )


_HAS_FONTS = all((characters._FONTS / folder).is_dir() for folder in characters.PACKAGES.values())


class FewShot(FamilyUnderTest):
    family: ClassVar[str] = "few_shot"
    options: ClassVar[Mapping[str, Any]] = {} if _HAS_FONTS else {"source": "tables"}

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        prepared = preparation.prepare

        def misleading(task: FewShotTask, seed: int) -> Prepared:
            rows = prepared(task, seed)
            turned = np.roll(rows.test.targets, 1, axis=1) if task.ways > 1 else -rows.test.targets
            return replace(rows, test=replace(rows.test, targets=turned))

        monkeypatch.setattr(few_shot_trainer, "prepare", misleading)


def _named(name: str) -> type[FamilyUnderTest]:
    """Make the plain case: a family that is small already."""
    return type(name, (FamilyUnderTest,), {"family": name})


UNDER_TEST: dict[str, type[FamilyUnderTest]] = {
    **{name: _named(name) for name in FAMILIES},
    "automl": Automl,
    "supervised": Supervised,
    "local_level": LocalLevel,
    "reinforcement": Reinforcement,
    "few_shot": FewShot,
}
"""By name in the registry; one that is registered and not described here is taken as it is."""

SMALL: dict[str, dict[str, Any]] = {
    name: {"engine": small.engine, "num_decisions": NUM_DECISIONS, **small.options}
    for name, small in UNDER_TEST.items()
}
"""Arguments of a small environment of each."""
