"""The matrix: every opponent on every instance of every suite, as the cells that have to be run.

Several rows of the table may share a cell: an opponent that ignores the user's initial rate has one
outcome for all of them, and suites may share instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from agents.comparing import keys
from agents.evaluation.methods import rate_column
from agents.evaluation.protocol import make_tasks
from agents.evaluation.suites import Suite, suite_tasks
from agents.opponents.base import Instance, Opponent
from agents.opponents.lanes import Bench
from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Engine
from hpo_env.tasks.registry import make_family


@dataclass(frozen=True, kw_only=True)
class Extent:
    """How much is run.

    Args:
        num_tasks: Tasks of each suite.
        num_seeds: Runs of each task from each initial rate.
        num_tuning_tasks: Meta-training tasks on which opponents are tuned.
        initial_rates: Every task is started from each of them; None keeps the rates drawn.
        seed: From which tasks, weights and minibatches follow.
        engine: How inner runs are computed.

    Raises:
        ConfigurationError: A number is not positive, or the seed is negative.
    """

    num_tasks: int
    num_seeds: int
    num_tuning_tasks: int
    initial_rates: tuple[float, ...] | None
    seed: int = 0
    engine: Engine = "auto"

    def __post_init__(self) -> None:
        """Check the numbers."""
        for name in ("num_tasks", "num_seeds", "num_tuning_tasks"):
            if getattr(self, name) < 1:
                raise ConfigurationError(f"{name} must be at least 1; got {getattr(self, name)}")
        if self.seed < 0:
            raise ConfigurationError(f"seed must not be negative; got {self.seed}")

    @property
    def seeds(self) -> list[int]:
        """The seeds of every task's runs."""
        return [self.seed + i for i in range(self.num_seeds)]


@dataclass(frozen=True, kw_only=True, eq=False)
class Preparation:
    """An opponent's learning on meta-training instances, once for all suites of a family.

    Args:
        key: Hash of `inputs`.
        inputs: All that decides what is learned.
        opponent: Who learns.
        bench: Where.
        instances: On what.
    """

    key: str
    inputs: dict[str, Any]
    opponent: Opponent
    bench: Bench
    instances: tuple[Instance, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """What one opponent reaches on one canonical instance.

    Args:
        key: Hash of `inputs`.
        inputs: All that decides the outcome.
        opponent: Who trains.
        suite: The first suite that has it.
        bench: Where.
        instance: On what.
        preparation: Key of what it needs; None if nothing.
    """

    key: str
    inputs: dict[str, Any]
    opponent: Opponent
    suite: str
    bench: Bench
    instance: Instance
    preparation: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A row of the table.

    Args:
        opponent: Its name.
        suite: The suite's name.
        instance: As the user gave it.
        initial_rate: The user's own learning rate.
        cell: Key of the cell that it is made from.
    """

    opponent: str
    suite: str
    instance: Instance
    initial_rate: float
    cell: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """All rows, and what they are made from.

    Args:
        rows: One for each opponent, suite and instance.
        cells: By key; fewer than there are rows.
        preparations: By key.
    """

    rows: tuple[Row, ...]
    cells: Mapping[str, Cell]
    preparations: Mapping[str, Preparation]


def build_matrix(
    opponents: Sequence[Opponent], knobs: Sequence[str], suites: Sequence[Suite], extent: Extent
) -> Matrix:
    """List what there is to run.

    Args:
        opponents: Of distinct names.
        knobs: The hyperparameters that opponents may choose.
        suites: Where they are compared.
        extent: How much is run.

    Raises:
        ConfigurationError: An initial rate is outside the range, or an identity is not plain data.
    """
    described = {o.name: keys.describe_opponent(o, knobs) for o in opponents}
    rows: list[Row] = []
    cells: dict[str, Cell] = {}
    preparations: dict[str, Preparation] = {}
    tuning: dict[str, tuple[Bench, tuple[Instance, ...]]] = {}
    for suite in suites:
        bench = Bench(
            family=suite.family, engine=extent.engine, options=dict(suite.trainer_options)
        )
        if suite.family not in tuning:
            tuning[suite.family] = _tuning_instances(suite.family, extent)
        instances = _instances(suite, extent)
        column, bench_data = rate_column(bench.space), keys.describe_bench(bench)
        for opponent in opponents:
            preparation = None
            if needs_preparation(opponent):
                found = _preparation(opponent, described[opponent.name], *tuning[suite.family])
                preparations[found.key] = found
                preparation = found.key
            for instance in instances:
                canonical = opponent.canonical(instance, bench)
                inputs = keys.describe_cell(
                    described[opponent.name], bench_data, canonical, preparation
                )
                key = keys.digest(inputs)
                rows.append(
                    Row(
                        opponent=opponent.name,
                        suite=suite.name,
                        instance=instance,
                        initial_rate=instance.task.initial[column],
                        cell=key,
                    )
                )
                if key not in cells:
                    cells[key] = Cell(
                        key=key,
                        inputs=inputs,
                        opponent=opponent,
                        suite=suite.name,
                        bench=bench,
                        instance=canonical,
                        preparation=preparation,
                    )
    return Matrix(rows=tuple(rows), cells=cells, preparations=preparations)


def needs_preparation(opponent: Opponent) -> bool:
    """Say whether an opponent learns anything on the meta-training tasks."""
    return type(opponent).prepare is not Opponent.prepare


def _instances(suite: Suite, extent: Extent) -> list[Instance]:
    tasks = suite_tasks(suite, extent.num_tasks, extent.seed, extent.initial_rates)
    return [Instance(task=task, seed=seed) for task in tasks for seed in extent.seeds]


def _tuning_instances(family: str, extent: Extent) -> tuple[Bench, tuple[Instance, ...]]:
    """Draw the instances that opponents are tuned on: the agent's side, and nothing of a suite."""
    tasks = make_tasks(make_family(family, split="train"), extent.num_tuning_tasks, extent.seed)
    instances = tuple(Instance(task=task, seed=extent.seed) for task in tasks)
    return Bench(family=family, engine=extent.engine), instances


def _preparation(
    opponent: Opponent, described: dict[str, Any], bench: Bench, instances: tuple[Instance, ...]
) -> Preparation:
    inputs = keys.describe_preparation(described, keys.describe_bench(bench), instances)
    return Preparation(
        key=keys.digest(inputs),
        inputs=inputs,
        opponent=opponent,
        bench=bench,
        instances=instances,
    )
