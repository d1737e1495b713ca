"""The matrix: every opponent on every instance of every suite, as the cells that have to be run.

Several rows of the table may share a cell: an opponent that ignores where the user starts has one
outcome for all of the starts, and suites may share instances.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.base import Engine, Suite
from hpo_env.tasks.registry import family_class, make_family

from ..opponents.base import Instance, Opponent
from ..opponents.drawing import make_tasks
from ..opponents.lanes import Workload
from . import keys


@dataclass(frozen=True, kw_only=True)
class EvaluationProtocol:
    """How much is run.

    Args:
        num_tasks: Tasks of each suite.
        num_seeds: Runs of each task from each start.
        num_tuning_tasks: Meta-training tasks on which opponents are tuned.
        starts: Values of the leading hyperparameter, from each of which every task is started; None
            keeps those drawn.
        seed: From which tasks, weights and minibatches follow.
        engine: How inner runs are computed.
        device: A torch device.
        options: Options of the family that hold for all suites, and for the tasks that opponents
            are tuned on: what its trainer reads, such as `updates_per_decision`.

    Raises:
        ConfigurationError: A number is not positive, or the seed is negative.
    """

    num_tasks: int
    num_seeds: int
    num_tuning_tasks: int
    starts: tuple[float, ...] | None
    seed: int = 0
    engine: Engine = "auto"
    device: str = "cpu"
    options: Mapping[str, Any] = field(default_factory=dict)

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
        workload: Where.
        instances: On what.
    """

    key: str
    inputs: dict[str, Any]
    opponent: Opponent
    workload: Workload
    instances: tuple[Instance, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Cell:
    """What one opponent reaches on one canonical instance.

    Args:
        key: Hash of `inputs`.
        inputs: All that decides the outcome.
        opponent: Who trains.
        suite: The first suite that has it.
        workload: Where.
        instance: On what.
        preparation: Key of what it needs; None if nothing.
    """

    key: str
    inputs: dict[str, Any]
    opponent: Opponent
    suite: str
    workload: Workload
    instance: Instance
    preparation: str | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Row:
    """A row of the table.

    Args:
        opponent: Its name.
        suite: The suite's name.
        instance: As the user gave it.
        start: The user's own value of the leading hyperparameter.
        cell: Key of the cell that it is made from.
    """

    opponent: str
    suite: str
    instance: Instance
    start: float
    cell: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Matrix:
    """All rows, and what they are made from.

    Args:
        family: Name of the task family.
        rows: One for each opponent, suite and instance.
        cells: By key; fewer than there are rows.
        preparations: By key; opponents of equal lessons share one.
        lessons: Key of its preparation, by opponent; nothing of those who need none.
    """

    family: str
    rows: tuple[Row, ...]
    cells: Mapping[str, Cell]
    preparations: Mapping[str, Preparation]
    lessons: Mapping[str, str]


def build_matrix(
    opponents: Sequence[Opponent],
    hyperparameters: Sequence[str],
    family: str,
    suites: Sequence[Suite],
    protocol: EvaluationProtocol,
) -> Matrix:
    """List what there is to run.

    Args:
        opponents: Of distinct names.
        hyperparameters: Those that opponents may choose.
        family: The task family.
        suites: Where they are compared.
        protocol: How much is run.

    Raises:
        ConfigurationError: A start is outside the range, or an identity is not plain data.
    """
    described = {o.name: keys.describe_opponent(o, hyperparameters) for o in opponents}
    prepared = _preparations(opponents, described, family, protocol)
    rows: list[Row] = []
    cells: dict[str, Cell] = {}
    for suite in suites:
        workload, instances = (
            suite_workload(suite, family, protocol),
            _instances(suite, family, protocol),
        )
        workload_data = keys.describe_workload(workload)
        for opponent in opponents:
            needed = prepared.get(opponent.name)
            preparation = None if needed is None else needed.key
            for instance in instances:
                canonical = opponent.canonical(instance, workload)
                inputs = keys.describe_cell(
                    described[opponent.name], workload_data, canonical, preparation
                )
                key = keys.digest(inputs)
                rows.append(
                    Row(
                        opponent=opponent.name,
                        suite=suite.name,
                        instance=instance,
                        start=instance.task.initial[workload.column],
                        cell=key,
                    )
                )
                if key not in cells:
                    cells[key] = Cell(
                        key=key,
                        inputs=inputs,
                        opponent=opponent,
                        suite=suite.name,
                        workload=workload,
                        instance=canonical,
                        preparation=preparation,
                    )
    return Matrix(
        family=family,
        rows=tuple(rows),
        cells=cells,
        preparations={preparation.key: preparation for preparation in prepared.values()},
        lessons={name: preparation.key for name, preparation in prepared.items()},
    )


def needs_preparation(opponent: Opponent) -> bool:
    """Say whether an opponent learns anything on the meta-training tasks."""
    return type(opponent).prepare is not Opponent.prepare


def suite_workload(suite: Suite, family: str, protocol: EvaluationProtocol) -> Workload:
    """Make the workload of a suite: of its options, the trainer reads those that it asks for."""
    asked = family_class(family).trainer_options
    options = {name: suite.options[name] for name in asked if name in suite.options}
    return _workload(family, protocol, options | dict(protocol.options))


def _workload(family: str, protocol: EvaluationProtocol, options: dict[str, Any]) -> Workload:
    pins = make_family(family, **options).pinned_options()
    return Workload(
        family=family, engine=protocol.engine, device=protocol.device, options={**options, **pins}
    )


def _instances(suite: Suite, family: str, protocol: EvaluationProtocol) -> list[Instance]:
    source = make_family(family, **{**suite.options, **protocol.options})
    tasks = make_tasks(source, protocol.num_tasks, protocol.seed, starts=protocol.starts)
    instances = [Instance(task=task, seed=seed) for task in tasks for seed in protocol.seeds]
    return list(dict.fromkeys(instances))  # of few tasks that differ, one may be drawn twice


def _preparations(
    opponents: Sequence[Opponent],
    described: Mapping[str, Any],
    family: str,
    protocol: EvaluationProtocol,
) -> dict[str, Preparation]:
    """Return what opponents learn, by name: on the agent's side, and on nothing of a suite."""
    learning = [opponent for opponent in opponents if needs_preparation(opponent)]
    if not learning:
        return {}
    options = dict(protocol.options)
    source = make_family(family, **{**options, "split": "train"})
    tasks = make_tasks(source, protocol.num_tuning_tasks, protocol.seed)
    instances = tuple(Instance(task=task, seed=protocol.seed) for task in tasks)
    workload = _workload(family, protocol, options)
    return {o.name: _preparation(o, described[o.name], workload, instances) for o in learning}


def _preparation(
    opponent: Opponent,
    described: dict[str, Any],
    workload: Workload,
    instances: tuple[Instance, ...],
) -> Preparation:
    lesson = described | {"identity": opponent.lesson()}
    inputs = keys.describe_preparation(lesson, keys.describe_workload(workload), instances)
    return Preparation(
        key=keys.digest(inputs),
        inputs=inputs,
        opponent=opponent,
        workload=workload,
        instances=instances,
    )
