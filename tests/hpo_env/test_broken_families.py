"""A family that breaks its contract is named at run time, with field, rule, value and lane."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.errors import ContractError
from hpo_env.tasks.base import Engine, Task, Trainer
from hpo_env.tasks.quadratic import QuadraticFamily, QuadraticTask, QuadraticTrainer
from hpo_env.telemetry import Telemetry
from hpo_env.vector_env import HPOControlVectorEnv

Broken = Callable[[Telemetry], Telemetry]


def honest(telemetry: Telemetry) -> Telemetry:
    return telemetry


def with_entry(name: str, value: float, *, diverged: bool = False) -> Broken:
    def break_it(telemetry: Telemetry) -> Telemetry:
        getattr(telemetry, name)[-1] = value
        telemetry.diverged[-1] = diverged
        return telemetry

    return break_it


def a_lane_short(telemetry: Telemetry) -> Telemetry:
    return telemetry.take(np.arange(len(telemetry) - 1))


def with_a_column(telemetry: Telemetry) -> Telemetry:
    return replace(telemetry, update_agreement=telemetry.update_agreement[:, None])


class BrokenTrainer(QuadraticTrainer):
    start: Broken = staticmethod(honest)
    interval: Broken = staticmethod(honest)
    loses_values = False

    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        return self.start(super().reset(lanes, tasks, seeds))

    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        telemetry, used = super().advance(values)
        return self.interval(telemetry), used[:, :0] if self.loses_values else used


@dataclass(frozen=True, kw_only=True)
class LabelledTask(QuadraticTask):
    level: Any = "easy"

    @property
    def labels(self) -> Mapping[str, str]:
        return {"level": self.level}


class BrokenFamily(QuadraticFamily):
    name = "broken"
    facts: Mapping[str, Any] = {}

    def sample(self, rng: np.random.Generator) -> LabelledTask:
        return LabelledTask(**{**vars(super().sample(rng)), "initial": (1e-3,), **self.facts})

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        return BrokenTrainer(num_lanes)


def make_env(**options: Any) -> HPOControlVectorEnv:
    family = "tests.hpo_env.test_broken_families:BrokenFamily"
    return HPOControlVectorEnv(3, family=family, **options)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (a_lane_short, r"'broken': train_loss must be an array of one entry .* 3 lanes.* \(2,\)"),
        (with_a_column, r"update_agreement must be an array .*\(3,\); got \(3, 1\)"),
        (with_entry("train_loss", -0.5), r"train_loss must not be negative.*-0\.5 in lane 2"),
        (with_entry("update_ratio", -2.0), r"update_ratio must not be negative.*-2 in lane 2"),
        (with_entry("validation_loss", -1.0), "validation_loss must not be negative"),
        (with_entry("validation_loss", np.nan), r"validation_loss must be finite.*nan in lane 2"),
        (with_entry("validation_loss", np.inf), r"validation_loss must be finite.*inf in lane 2"),
        (lambda telemetry: telemetry.train_loss, "train_loss must be an array.*got no array"),
    ],
)
def test_what_a_trainer_measures_is_checked(
    break_it: Broken, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env()
    monkeypatch.setattr(BrokenTrainer, "start", staticmethod(break_it))
    with pytest.raises(ContractError, match=message):
        env.reset(seed=0)
    monkeypatch.setattr(BrokenTrainer, "start", staticmethod(honest))
    env.reset(seed=0)
    env.step(np.zeros((3, 1)))
    monkeypatch.setattr(BrokenTrainer, "interval", staticmethod(break_it))
    with pytest.raises(ContractError, match=message):
        env.step(np.zeros((3, 1)))


@pytest.mark.parametrize("on_divergence", ["roll_back", "cut", "end"])
def test_a_lane_that_has_diverged_may_lack_its_loss(
    on_divergence: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    env = make_env(on_divergence=on_divergence, num_decisions=4)
    env.reset(seed=0)
    lost = with_entry("validation_loss", np.nan, diverged=True)
    monkeypatch.setattr(BrokenTrainer, "interval", staticmethod(lost))
    for _ in range(4):
        observations, rewards, *_ = env.step(np.zeros((3, 1)))
        assert np.isfinite(observations).all()
        assert np.isfinite(rewards).all()


def test_the_values_that_were_used_have_to_be_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    env = make_env()
    env.reset(seed=0)
    monkeypatch.setattr(BrokenTrainer, "loses_values", True)
    with pytest.raises(ContractError, match=r"must return the values.*\(3, 1\); got \(3, 0\)"):
        env.step(np.zeros((3, 1)))


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"initial": (0.1, 0.2)}, r"one finite value for each of \['learning_rate'\]"),
        ({"initial": (np.nan,)}, "one finite value"),
        ({"num_decisions": 0}, "num_decisions must be at least 1; got 0"),
        ({"level": 3}, "labels must be strings.*got 'level': 3"),
    ],
)
def test_tasks_are_checked_before_a_trainer_gets_them(
    facts: dict[str, Any], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BrokenFamily, "facts", facts)
    with pytest.raises(
        ContractError, match=f"task 'quadratic' of task family 'broken': .*{message}"
    ):
        make_env().reset(seed=0)
