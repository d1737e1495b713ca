"""Every registered opponent keeps to the contract, on every family that offers what it needs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from agents.opponents.registry import OPPONENTS
from hpo_env.tasks.base import Engine, Task, Trainer
from hpo_env.tasks.local_level import LocalLevelTrainer
from hpo_env.testing import OpponentContract
from tests.awkward.small import Awkward
from tests.hpo_env.families import UNDER_TEST, Supervised

FOLLOWERS = (
    "cosine",
    "plateau",
    "warm_restarts",
    "greedy_lr",
    "interval_hypergradient",
    "cosine_tuned",
    "portfolio",
    "user_constant",
    "frozen",
    "grid_search",
    "pbt_constant",
)


def make_worse(monkeypatch: pytest.MonkeyPatch, trainer: type[Trainer]) -> None:
    """Let a trainer measure ten times its test loss."""
    test = trainer.test

    def worse(self: Trainer, lanes: Any) -> Any:
        loss, metric = test(self, lanes)
        return 10.0 * loss, metric

    monkeypatch.setattr(trainer, "test", worse)


class TestOnSupervised(Supervised, OpponentContract):
    opponents: ClassVar[tuple[str, ...]] = tuple(OPPONENTS)
    engine: ClassVar[Engine] = "auto"
    options: ClassVar[Mapping[str, Any]] = {
        "dataset": "diabetes",
        "model": "mlp_32x2_relu",
        "updates_per_decision": 2,
    }
    held_out: ClassVar[Mapping[str, Any]] = {"split": "test", "architectures": "train"}

    def hopeless_task(self) -> Task:
        task = self.make_tasks(1, optimizer="sgd", initial={"learning_rate": 1.0})[0]
        return replace(task, target_noise=0.0, input_scale=30.0)


class TestOnQuadratics(UNDER_TEST["quadratic"], OpponentContract):  # type: ignore[misc, name-defined, valid-type]
    """Those that have a rate to follow; the others are no different here."""

    opponents: ClassVar[tuple[str, ...]] = tuple(name for name in OPPONENTS if name in FOLLOWERS)

    def make_tasks(self, count: int, **change: Any) -> list[Task]:
        return [replace(task, initial=(0.05,)) for task in super().make_tasks(count, **change)]

    def hopeless_task(self) -> Task:
        return replace(self.make_tasks(1)[0], initial=(100.0,))


class TestOnLocalLevels(UNDER_TEST["local_level"], OpponentContract):  # type: ignore[misc, name-defined, valid-type]
    """One of a kind."""

    opponents: ClassVar[tuple[str, ...]] = (
        "controller",
        "default",
        "fixed_tuned",
        "random_search",
        "pbt",
    )

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_worse(monkeypatch, LocalLevelTrainer)


class TestOnForecasting(UNDER_TEST["forecasting"], OpponentContract):  # type: ignore[misc, name-defined, valid-type]
    """No rate, no gradients, nothing that the seed changes, and a loss that is hidden."""

    opponents: ClassVar[tuple[str, ...]] = ("controller", "default", "oracle_greedy")

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_worse(monkeypatch, type(self.make_trainer(1)))


class TestOnBoosting(UNDER_TEST["automl"], OpponentContract):  # type: ignore[misc, name-defined, valid-type]
    """What is tuned, and what others recommend, where most of the gain is a setting."""

    opponents: ClassVar[tuple[str, ...]] = (
        "controller_learned_start",
        "learned_start",
        "course_tuned",
        "lightgbm_slow",
        "tabarena_lightgbm",
        "lightgbm_td",
    )


class TestOnTheAwkward(Awkward, OpponentContract):
    opponents: ClassVar[tuple[str, ...]] = tuple(OPPONENTS)

    def hopeless_task(self) -> Task:
        task = self.make_tasks(1, game="bowl")[0]
        return replace(task, initial=(1.0, 12.0), distance=0.3)


class TestOnReinforcement(UNDER_TEST["reinforcement"], OpponentContract):  # type: ignore[misc, name-defined, valid-type]
    """Those that agents are compared with; nothing there makes a run diverge."""

    opponents: ClassVar[tuple[str, ...]] = (
        "controller",
        "default",
        "linear",
        "kl_adaptive",
        "ultho",
        "goto",
        "fixed_tuned",
        "optuna_tpe",
        "pbt",
        "pb2",
    )
    options: ClassVar[Mapping[str, Any]] = {
        "shape": (2, 16, 2),
        "hidden": 32,
        "start": "default",
        "environment": "cart_pole",
    }
    held_out: ClassVar[Mapping[str, Any]] = {"physics": "long"}
