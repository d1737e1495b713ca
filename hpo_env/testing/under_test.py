"""The family that a suite is about, and small runs of it.

Axes: `N` lanes, `T` decision intervals, `H` hyperparameters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.errors import HPOControlError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Engine, Task, TaskFamily, Trainer
from hpo_env.tasks.registry import family_class, make_family
from hpo_env.telemetry import Telemetry
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]

NUM_DECISIONS = 4
"""Intervals of the runs of a suite: two before something happens, and two to see what it did."""

_MOVE = 0.3
"""Largest part of a whole step that the values of a run move in an interval: they change, and
little enough for training to go on."""


@dataclass(frozen=True, kw_only=True, eq=False)
class SmallRun:
    """All that a lane is a function of.

    Args:
        task: What is trained.
        seed: Of the episode.
        values: Effective values of each interval `[T, H]`.
    """

    task: Task
    seed: int
    values: Array


class FamilyUnderTest:
    """What a subclass says of its family; all suites about families read the same.

    Attributes:
        family: A name of the registry, or `module:Class`.
        options: Options of the family under which its tasks are small: one interval should take a
            few milliseconds.
        engine: How the trainer computes.
    """

    family: ClassVar[str]
    options: ClassVar[Mapping[str, Any]] = {}
    engine: ClassVar[Engine] = "auto"

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Change what runs are tested on, and nothing else, until the test is over.

        A suite then demands that the test results change and nothing besides; the one of opponents,
        that they get worse. The less a test loss has to do with the validation loss after the
        change, the more this shows: turn the test targets round, let the test games be harder.
        """
        pytest.skip(f"{type(self).__name__}.mislead does not say how to change what is tested on")

    # ------------------------------------------------------------------------------ what is made

    @property
    def family_class(self) -> type[TaskFamily]:
        """The class; an address that leads nowhere and broken declarations fail the test."""
        try:
            return family_class(self.family)
        except HPOControlError as error:
            raise AssertionError(str(error)) from error

    def make_family(self, **change: Any) -> TaskFamily:
        """Build the small family, `change` winning over `options`."""
        assert issubclass(self.family_class, TaskFamily)
        return make_family(
            self.family, **{"num_decisions": NUM_DECISIONS, **self.options, **change}
        )

    def make_trainer(self, num_lanes: int) -> Trainer:
        """Build the small family's trainer."""
        return self.make_family().make_trainer(num_lanes, engine=self.engine, device="cpu")

    def env_arguments(self, **change: Any) -> dict[str, Any]:
        """Return the arguments of the small family's environment."""
        usual = {"family": self.family, "engine": self.engine, "num_decisions": NUM_DECISIONS}
        return {**usual, **self.options, **change}

    def make_env(self, num_envs: int, **change: Any) -> HPOControlVectorEnv:
        """Build the small family's environment."""
        return HPOControlVectorEnv(num_envs, **self.env_arguments(**change))

    def make_runs(self, count: int) -> list[SmallRun]:
        """Draw runs, the first ones being the same however many are drawn."""
        family = self.make_family()
        runs = []
        for k in range(count):
            task = family.sample(stream(k, "task"))
            moves = stream(k, "moves").uniform(-_MOVE, _MOVE, (NUM_DECISIONS, len(family.space)))
            initial = np.tile(np.array(task.initial, dtype=np.float64), (NUM_DECISIONS, 1))
            corrections = family.space.move(np.zeros_like(initial), moves, initial)
            values = family.space.values(initial, corrections)
            runs.append(SmallRun(task=task, seed=1000 + k, values=values))
        return runs


# --------------------------------------------------------------------------------------- running


def start(trainer: Trainer, runs: list[SmallRun], lanes: list[int] | None = None) -> Telemetry:
    """Reset lanes, all in order where none are named, to the first update of runs."""
    index = np.arange(len(runs)) if lanes is None else np.array(lanes, dtype=np.int64)
    return trainer.reset(index, [run.task for run in runs], [run.seed for run in runs])


def advance(trainer: Trainer, runs: list[SmallRun], interval: int) -> Telemetry:
    """Train every lane through an interval, under the values of the run in it."""
    return trainer.advance(np.stack([run.values[interval] for run in runs]))[0]


def lane_of(telemetry: Telemetry, lane: int) -> Telemetry:
    """Return the record of one lane, `[1]`."""
    return telemetry.take(np.array([lane]))


def check_array(array: object, *, shape: tuple[int, ...], name: str, dtype: type = float) -> None:
    """Check that something is an array of a shape and a dtype."""
    wanted = f"{name} must be {np.dtype(dtype)} of shape {[*shape]}"
    assert isinstance(array, np.ndarray), f"{wanted}; got {array!r}"
    assert array.shape == shape, f"{wanted}; got shape {[*array.shape]}"
    assert array.dtype == dtype, f"{wanted}; got {array.dtype}"
