"""Quadratics of which each breaks one rule, and their addresses lead here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Engine, Suite, Task, Trainer
from hpo_env.tasks.quadratic import QuadraticFamily, QuadraticTask, QuadraticTrainer
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Lanes = NDArray[np.int64]
Change = Callable[[Any], dict[str, Any]]

TEST_SCALE = 1.0
"""What `TestRowsShown` tests on; other families test on what they validate on."""


# ------------------------------------------------------------------------------- declarations


class StartsOutOfRange(QuadraticFamily):
    starts = (0.1, 1e9)


class NoFloor(QuadraticFamily):
    loss_floor = 0.0


class NothingForResults(QuadraticFamily):
    suites: ClassVar = (
        Suite(name="validation", help="", options={"split": "validation"}, is_for_results=False),
    )


class ResultsFromTraining(QuadraticFamily):
    suites: ClassVar = (Suite(name="easy", help="", options={"split": "train"}),)


class SuiteOfNothing(QuadraticFamily):
    suites: ClassVar = (Suite(name="far", help="", options={"split": "test", "distance": 3}),)


class TrainerOptionOfNobody(QuadraticFamily):
    trainer_options = ("rounds",)


# -------------------------------------------------------------------------------------- tasks


class _Redrawn(QuadraticFamily):
    """Draws a sound task and changes it."""

    def changed(self, task: QuadraticTask) -> Any:
        raise NotImplementedError

    def sample(self, rng: np.random.Generator) -> QuadraticTask:
        task: QuadraticTask = self.changed(super().sample(rng))
        return task


class NotDeterministic(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return replace(task, noise=np.random.default_rng().random())


class RemembersItsDraws(_Redrawn):
    num_drawn = 0

    def changed(self, task: QuadraticTask) -> Any:
        self.num_drawn += 1
        return replace(task, noise=0.1 + 0.01 * self.num_drawn)


class ArrayInTask(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        noise: Any = np.float32(task.noise)
        return replace(task, noise=noise)


class NoInitialValues(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return replace(task, initial=())


class InitialOutOfRange(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return replace(task, initial=(0.0,))


class DecisionsOfItsOwn(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return replace(task, num_decisions=4)


class SplitsAlike(QuadraticFamily):
    def sample(self, rng: np.random.Generator) -> QuadraticTask:
        return QuadraticFamily(num_decisions=self.num_decisions).sample(rng)


@dataclass(frozen=True, kw_only=True)
class _ForgetfulTask(QuadraticTask):
    def to_json(self) -> dict[str, Any]:
        return super().to_json() | {"noise": 0.5}


@dataclass(frozen=True, kw_only=True)
class _NumberedTask(QuadraticTask):
    @property
    def labels(self) -> Mapping[str, str]:
        labels: Any = {"noise": round(self.noise, 1)}
        return labels


@dataclass(frozen=True, kw_only=True)
class _OtherwiseLabelledTask(QuadraticTask):
    @property
    def labels(self) -> Mapping[str, str]:
        return {"quiet" if self.noise < 0.3 else "loud": "yes"}


@dataclass(frozen=True, kw_only=True)
class _LonelyTask(QuadraticTask):
    @property
    def alike(self) -> Any:
        return "quiet" if self.noise < 0.3 else 1


def _as(kind: type[QuadraticTask], task: QuadraticTask) -> QuadraticTask:
    return kind(**{f.name: getattr(task, f.name) for f in fields(task)})


class ForgetsInJson(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return _as(_ForgetfulTask, task)


class LabelsThatAreNumbers(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return _as(_NumberedTask, task)


class LabelsOfOtherNames(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return _as(_OtherwiseLabelledTask, task)


class AlikeThatCannotBeSorted(_Redrawn):
    def changed(self, task: QuadraticTask) -> Any:
        return _as(_LonelyTask, task)


class NoEffort(QuadraticFamily):
    def effort(self, task: Task) -> float:
        return 0.0


class SharedDefaults(QuadraticFamily):
    def defaults(self, task: Task) -> Array:
        return self.space.defaults


# ------------------------------------------------------------------------------------ trainers


def _family(trainer: Callable[[int], Trainer]) -> type[QuadraticFamily]:
    """Make the family of a trainer."""

    class Broken(QuadraticFamily):
        def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
            return trainer(num_lanes)

    return Broken


class _Mismeasuring(QuadraticTrainer):
    """Measures what it should and hands over something else."""

    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        raise NotImplementedError

    def reset(self, lanes: Lanes, tasks: list[Task], seeds: list[int]) -> Telemetry:
        telemetry = super().reset(lanes, tasks, seeds)
        return replace(telemetry, **self.handed_over(telemetry))

    def _run_interval(self, values: Array) -> Telemetry:
        telemetry = super()._run_interval(values)
        return replace(telemetry, **self.handed_over(telemetry))


class _WrongShape(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"train_loss": telemetry.train_loss[:, None]}


class _WrongDtype(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"update_ratio": telemetry.update_ratio.astype(np.float32)}


class _NegativeValidation(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"validation_loss": -telemetry.validation_loss}


class _NegativeTraining(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"train_loss": -telemetry.train_loss}


class _NoValidation(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"validation_loss": np.full(len(telemetry), np.nan)}


class _NeverDiverges(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        loss = telemetry.validation_loss
        lost = np.where(telemetry.diverged, np.nan, loss)
        return {"diverged": np.zeros(len(loss), dtype=bool), "validation_loss": lost}


class _ReusedArrays(_Mismeasuring):
    def __init__(self, num_lanes: int) -> None:
        super().__init__(num_lanes)
        self.kept = np.zeros(num_lanes)

    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        self.kept[:] = telemetry.validation_loss
        return {"validation_loss": self.kept}


class _NeighboursMean(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        spread = np.full(len(telemetry), np.nanmean(telemetry.validation_loss))
        return {"train_loss_spread": spread}


class _GlobalNoise(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"train_loss_spread": np.random.default_rng().random(len(telemetry))}


class _RoundedValues(QuadraticTrainer):
    def advance(self, values: Array) -> tuple[Telemetry, Array]:
        telemetry, used = super().advance(values)
        return telemetry, used.astype(np.float32).astype(np.float64)


class _WritesIntoValues(QuadraticTrainer):
    def advance(self, values: Array) -> tuple[Telemetry, Array]:
        telemetry, used = super().advance(values)
        values *= 0.5
        return telemetry, used


class _IgnoresSeeds(QuadraticTrainer):
    def reset(self, lanes: Lanes, tasks: list[Task], seeds: list[int]) -> Telemetry:
        return super().reset(lanes, tasks, [0 for _ in seeds])


class _SharedGenerator(QuadraticTrainer):
    def draw_normal(self, *shape: int) -> Array:
        return np.stack([self.rngs[0].standard_normal(shape) for _ in self.rngs])


class _SharedWeights(QuadraticTrainer):
    def _run_interval(self, values: Array) -> Telemetry:
        telemetry = super()._run_interval(values)
        weights = self.state["weights"]
        self.state["weights"] = weights + 1e-9 * weights[-1]
        return telemetry


class _ResetsEverybody(QuadraticTrainer):
    def reset(self, lanes: Lanes, tasks: list[Task], seeds: list[int]) -> Telemetry:
        self.state["weights"][:] = 1.0
        return super().reset(lanes, tasks, seeds)


class _ForgetsItsGenerator(QuadraticTrainer):
    def snapshot(self, lanes: Lanes) -> Any:
        arrays, _ = super().snapshot(lanes)
        return arrays, [np.random.default_rng(0).bit_generator.state for _ in lanes]


class _ForgetsTheNoise(QuadraticTrainer):
    def restore(self, lanes: Lanes, snapshot: Any) -> None:
        arrays, states = snapshot
        known = {name: array for name, array in arrays.items() if name != "noise"}
        super().restore(lanes, (known, states))


class _RollsNothingBack(QuadraticTrainer):
    def roll_back(self, lanes: Lanes) -> None:
        return


class _RollsEverybodyBack(QuadraticTrainer):
    def roll_back(self, lanes: Lanes) -> None:
        super().roll_back(np.arange(len(self.rngs)))


class _DrawsInTests(QuadraticTrainer):
    def test(self, lanes: Lanes) -> tuple[Array, Array]:
        self.draw_normal(1)
        return super().test(lanes)


class _TestOfAll(QuadraticTrainer):
    def test(self, lanes: Lanes) -> tuple[Array, Array]:
        return super().test(np.arange(len(self.rngs)))


class _TestsInAnotherOrder(QuadraticTrainer):
    def test(self, lanes: Lanes) -> tuple[Array, Array]:
        return super().test(np.sort(lanes))


class _ShowsTestRows(_Mismeasuring):
    def handed_over(self, telemetry: Telemetry) -> dict[str, Any]:
        return {"train_loss_spread": TEST_SCALE * np.ones(len(telemetry))}

    def test(self, lanes: Lanes) -> tuple[Array, Array]:
        loss, metric = super().test(lanes)
        return TEST_SCALE * loss, metric


WrongShape = _family(_WrongShape)
WrongDtype = _family(_WrongDtype)
NegativeValidation = _family(_NegativeValidation)
NegativeTraining = _family(_NegativeTraining)
NoValidation = _family(_NoValidation)
NeverDiverges = _family(_NeverDiverges)
ReusedArrays = _family(_ReusedArrays)
NeighboursMean = _family(_NeighboursMean)
GlobalNoise = _family(_GlobalNoise)
RoundedValues = _family(_RoundedValues)
WritesIntoValues = _family(_WritesIntoValues)
IgnoresSeeds = _family(_IgnoresSeeds)
SharedGenerator = _family(_SharedGenerator)
SharedWeights = _family(_SharedWeights)
ResetsEverybody = _family(_ResetsEverybody)
ForgetsItsGenerator = _family(_ForgetsItsGenerator)
ForgetsTheNoise = _family(_ForgetsTheNoise)
RollsNothingBack = _family(_RollsNothingBack)
RollsEverybodyBack = _family(_RollsEverybodyBack)
DrawsInTests = _family(_DrawsInTests)
TestOfAll = _family(_TestOfAll)
TestsInAnotherOrder = _family(_TestsInAnotherOrder)
ShowsTestRows = _family(_ShowsTestRows)
