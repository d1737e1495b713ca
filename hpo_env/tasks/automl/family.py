"""Boosting as a task: an ensemble of trees grows on a table while its hyperparameters are turned.

A lane is a part of a table and a number of rounds. Every few rounds there is a decision: shrinkage,
tree size, regularisation, sampling, and whether a linear stage is added. What is to fall is the log
loss, or the root mean square error, of the best round so far on validation rows, as a model is cut
off after its best round and that costs nothing.

Split are the tables: no table of the test side is seen in meta-training or chosen by.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

import numpy as np

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.starts import Problem
from hpo_env.tasks.automl.array_boosters import ArrayBoosters
from hpo_env.tasks.automl.boosters import Boosters
from hpo_env.tasks.automl.lightgbm_boosters import LightGBMBoosters
from hpo_env.tasks.automl.native.kernel import set_num_threads
from hpo_env.tasks.automl.native_boosters import NativeBoosters
from hpo_env.tasks.automl.progress import FEATURES, LOSS_FLOOR
from hpo_env.tasks.automl.published import PUBLISHED
from hpo_env.tasks.automl.recipes import RECIPES
from hpo_env.tasks.automl.space import HYPERPARAMETERS, LIBRARY_NAMES
from hpo_env.tasks.automl.starts import LEARNED_START
from hpo_env.tasks.automl.tables import (
    MOST_ROWS,
    NUM_VARIANTS,
    draw_part,
    table_names,
    target_of_table,
)
from hpo_env.tasks.automl.task import AutomlTask
from hpo_env.tasks.automl.trainer import AutomlTrainer
from hpo_env.tasks.base import Engine, Split, Suite, Task, TaskFamily, Trainer
from hpo_env.tasks.building import BuildError

_DECISIONS = (20, 25, 30, 40)
_ROUNDS = (2, 3, 4, 5, 6, 8, 10)
_MOST_ROUNDS = 200  # of a training run: longer ones teach nothing that these do not
_EVALUATION_DECISIONS, _EVALUATION_ROUNDS = 40, 5
_USUAL_STARTS, _RANDOM_STARTS = 0.35, 0.65
FEWEST_ROWS = 30
_WITHOUT_TRAINING_LOSS = 0.15  # of training runs, as many users' loops do not evaluate it

_VALIDATION = Suite(
    name="validation",
    help="tables of the fold for decisions; not for results",
    options={"split": "validation"},
    is_for_results=False,
)
_TEST = Suite(name="test", help="new tables", options={"split": "test", "most_rows": MOST_ROWS})
_LARGE = Suite(name="large", help="new tables, all of their rows", options={"split": "test"})


class AutomlFamily(TaskFamily):
    """Boosting on named tables.

    Args:
        split: "test" has tables of its own; training draws parts of rows and columns.
        num_decisions: Of every run; None: 20 to 40.
        rounds_per_decision: Boosting rounds between decisions; None: 2 to 10, and 5 where results
            are measured.
        most_rows: Rows of a table that are used at most; None: all of the test side's, 2,500 of
            others.
        table: Only this one, of the side.

    Raises:
        ConfigurationError: An option is out of range.
        UnknownNameError: There is no table of that name on this side.
        MissingExtraError: The package with the tables is not installed.
    """

    name = "automl"
    hyperparameters: ClassVar = HYPERPARAMETERS
    default_controlled = LIBRARY_NAMES
    starts = (0.01, 0.03, 0.1, 0.2, 0.4)
    suites = (_VALIDATION, _TEST, _LARGE)
    scenes = (_VALIDATION, _TEST)
    quick_suites = ("test",)
    features: ClassVar = FEATURES
    recipes = RECIPES
    published_settings: ClassVar = PUBLISHED
    learned_start = LEARNED_START
    can_roll_back = False  # LightGBM's and XGBoost's runs keep what has grown
    twin = "hpo_env.tasks.automl.host:train"
    loss_floor = LOSS_FLOOR

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        rounds_per_decision: int | None = None,
        most_rows: int | None = None,
        table: str | None = None,
    ) -> None:
        super().__init__(split=split, num_decisions=num_decisions)
        if rounds_per_decision is not None and rounds_per_decision < 1:
            raise ConfigurationError(
                f"rounds_per_decision must be a positive integer; got {rounds_per_decision}"
            )
        if most_rows is not None and most_rows < FEWEST_ROWS:
            raise ConfigurationError(
                f"most_rows must be at least {FEWEST_ROWS}, to be split three ways; got {most_rows}"
            )
        self.most_rows = MOST_ROWS if most_rows is None and split != "test" else most_rows
        self.rounds_per_decision = rounds_per_decision
        self.tables = table_names(split)
        if table is not None:
            if table not in self.tables:
                raise unknown_name(f"table of side {split!r}", table, self.tables)
            self.tables = (table,)

    @classmethod
    def set_num_threads(cls, num_threads: int) -> None:
        """Set the threads of the native booster."""
        set_num_threads(num_threads)

    def problem(self, task: Task) -> Problem:
        """Say what is predicted, and from how many rows that train."""
        assert isinstance(task, AutomlTask)
        return Problem(kind=task.target, size=float(task.num_train_rows))

    def effort(self, task: Task) -> float:
        """Estimate the work: rows, columns, scores and rounds."""
        assert isinstance(task, AutomlTask)
        rounds = task.num_decisions * task.rounds_per_decision
        return float(rounds * task.num_rows * (20 + task.num_columns))

    def tasks(self, split_seed: int = 0) -> list[AutomlTask]:
        """List a task of every table of this side, from the usual start."""
        return [self._task(table, split_seed, 0, 0) for table in self.tables]

    def sample(self, rng: np.random.Generator) -> AutomlTask:
        """Draw a task."""
        table = str(rng.choice(self.tables))
        if self.split != "train":
            return self._task(table, int(rng.integers(NUM_VARIANTS)), 0, 0)
        decisions = int(rng.choice(_DECISIONS))
        fitting = [rounds for rounds in _ROUNDS if rounds * decisions <= _MOST_ROUNDS]
        task = self._task(
            table, int(rng.integers(NUM_VARIANTS)), decisions, int(rng.choice(fitting))
        )
        if rng.random() >= _USUAL_STARTS:
            task = replace(task, initial=self.random_start(rng))
        return replace(task, knows_training_loss=bool(rng.random() >= _WITHOUT_TRAINING_LOSS))

    def random_start(self, rng: np.random.Generator) -> tuple[float, ...]:
        """Draw values anywhere in their ranges, evenly on their axes `[H]`; no linear stages."""
        space = self.space
        low, high, start = space.to_axis(np.stack([space.low, space.high, space.defaults]))
        distance = rng.uniform(low, high) - start
        values = space.values(space.defaults, distance)
        values[space.index("linear_shrinkage")] = 0.0
        return tuple(values.tolist())

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; "eager" is NumPy, "reference" LightGBM, device "cpu"."""
        if device != "cpu" or engine == "compiled":
            raise ConfigurationError(
                "task family 'automl' runs on the CPU with engine 'native', 'eager', 'reference' "
                f"(LightGBM) or 'auto'; got engine={engine!r}, device={device!r}"
            )
        return AutomlTrainer(_boosters(num_lanes, engine), num_lanes)

    # --------------------------------------------------------------------------------- the insides

    def _task(self, table: str, split_seed: int, decisions: int, rounds: int) -> AutomlTask:
        """Make a task from the usual start; 0 decisions or rounds are those of evaluation."""
        part = draw_part(
            table, split_seed, most_rows=self.most_rows, is_varied=self.split == "train"
        )
        return AutomlTask(
            name=table,
            target=target_of_table(table),
            num_decisions=self.num_decisions or decisions or _EVALUATION_DECISIONS,
            initial=tuple(self.space.defaults.tolist()),
            rounds_per_decision=self.rounds_per_decision or rounds or _EVALUATION_ROUNDS,
            **part._asdict(),
        )


def _boosters(num_lanes: int, engine: Engine) -> Boosters:
    if engine == "reference":
        return LightGBMBoosters(num_lanes)
    if engine == "eager":
        return ArrayBoosters(num_lanes)
    try:
        return NativeBoosters(num_lanes)
    except BuildError as error:
        if engine == "native":
            raise ConfigurationError(f"engine 'native' cannot be had: {error}") from error
        return ArrayBoosters(num_lanes)
