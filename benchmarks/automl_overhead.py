"""What the controller adds to a run of boosting, in processor time of one core.

    python benchmarks/automl_overhead.py --out benchmarks/results/automl/overhead.json

The same rounds are made under the controller, and along the course that it took with the same
values written. Along it the validation loss is measured after each round, as early stopping does,
and once more both losses, which is what a watched training does. The rest is the controller's: its
observations, its policy, what it notes, and the training loss before each decision, which is the
library's own work and said apart. Times are medians over repetitions, in turns.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro

from hpo_env.automl.boosters import BOOSTERS, Booster, Goal
from hpo_env.automl.fitting import SPACE
from hpo_env.automl.growing import Deadline, Grown, grow
from hpo_env.automl.rows import Rows
from hpo_env.controller import Controller
from hpo_env.tasks.automl.space import LIBRARY_NAMES


@dataclass(frozen=True, kw_only=True)
class Config:
    """What to time.

    Args:
        out: Where to write the figures.
        policy: Name of a shipped policy, or the folder of one.
        rows: Sizes of training rows.
        columns: Of the table.
        rounds: Of a run.
        repetitions: Of each.
    """

    out: Path
    policy: str = "automl"
    rows: tuple[int, ...] = (1000, 5000, 20_000)
    columns: int = 20
    rounds: int = 200
    repetitions: int = 5


def table(num_rows: int, num_columns: int) -> Rows:
    """Draw a table with two classes that takes all rounds to learn."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(num_rows, num_columns))
    score = x[:, 0] + x[:, 1] * x[:, 2] + np.sin(3.0 * x[:, 3]) + 0.5 * rng.normal(size=num_rows)
    return Rows(x=x, y=(score > 0.0).astype(np.float64))


class Spent:
    """Processor seconds of the library's own calls in controlled runs.

    Args:
        kind: Of booster.

    Attributes:
        kind: The same, whose calls are timed.
        writing: Of being given new values.
        measuring: Of measuring the training loss, beyond the validation loss.
    """

    def __init__(self, kind: type[Booster]) -> None:
        self.writing = self.measuring = 0.0

        def write(booster: Booster, values: Mapping[str, float]) -> None:
            before = time.process_time()
            kind.write(booster, values)
            self.writing += time.process_time() - before

        def losses(booster: Booster, *, of_training: bool = True) -> tuple[float, float]:
            before = time.process_time()
            found = kind.losses(booster, of_training=of_training)
            if of_training:
                between = time.process_time()
                kind.losses(booster, of_training=False)  # what the plain run measures, too
                self.measuring += between - before - (time.process_time() - between)
            return found

        self.kind: type[Booster] = type(kind.__name__, (kind,), {"write": write, "losses": losses})


def along(
    kind: type[Booster],
    goal: Goal,
    train: Rows,
    validation: Rows,
    grown: Grown,
    *,
    of_training: bool,
) -> None:
    """Make the rounds of a controlled run without a controller."""
    booster = kind(goal, train, validation, seed=grown.seed)
    due = {int(row["step"]): row for row in grown.schedule}
    for made in range(len(grown.losses)):
        if made in due:
            booster.write({name: due[made][name] for name in LIBRARY_NAMES})
        booster.update()
        booster.losses(of_training=of_training)
    booster.model()


def measure(library: str, num_rows: int, config: Config) -> dict[str, float | str]:
    """Time one size of table on one library.

    Returns:
        Times of a run in milliseconds; by how much the controlled one takes longer, in per cent;
        and of a decision what it takes longer, what of that is the library's measuring of the
        training loss, and what the library takes to be given new values, which the course along
        which the plain run goes needs as well.
    """
    kind, controller = BOOSTERS[library], Controller.from_pretrained(config.policy)
    goal = Goal(
        target="binary",
        num_classes=2,
        is_categorical=np.zeros(config.columns, dtype=bool),
        num_threads=1,
    )
    train, validation = table(num_rows, config.columns), table(num_rows // 3, config.columns)
    initial = dict(zip(SPACE.names, SPACE.defaults.tolist(), strict=True))

    def controlled_run(kind: type[Booster]) -> Grown:
        return grow(
            kind,
            goal,
            train,
            validation,
            controller,
            num_rounds=config.rounds,
            initial=initial,
            start=None,
            linear_share=0.0,
            seed=0,
            deadline=Deadline(None),
            report=lambda made, total, loss, best: None,
        )

    times: dict[str, list[float]] = {"controlled": [], "stopped": [], "watched": []}
    measuring, writing = [], []
    grown = controlled_run(kind)  # warms up what is compiled, cached or loaded once
    for _ in range(config.repetitions):
        before = time.process_time()
        grown = controlled_run(kind)
        times["controlled"].append(time.process_time() - before)
        for name in ("stopped", "watched"):
            before = time.process_time()
            along(kind, goal, train, validation, grown, of_training=name == "watched")
            times[name].append(time.process_time() - before)
        spent = Spent(kind)
        controlled_run(spent.kind)
        measuring.append(spent.measuring)
        writing.append(spent.writing)
    controlled, stopped, watched = (statistics.median(took) for took in times.values())
    measured, written = statistics.median(measuring), statistics.median(writing)
    decisions = len(grown.decisions)
    return {
        "library": library,
        "rows": num_rows,
        "controlled_ms": round(1e3 * controlled, 2),
        "along_its_course_ms": round(1e3 * stopped, 2),
        "along_its_course_watched_ms": round(1e3 * watched, 2),
        "overhead_per_cent": round(100.0 * (controlled / stopped - 1.0), 2),
        "overhead_of_watched_per_cent": round(100.0 * (controlled / watched - 1.0), 2),
        "decisions": decisions,
        "a_decision_ms": round(1e3 * (controlled - stopped) / decisions, 3),
        "of_it_training_loss_ms": round(1e3 * measured / decisions, 3),
        "writing_ms": round(1e3 * written / decisions, 3),
    }


def main(config: Config) -> None:
    rows = [measure(library, num_rows, config) for library in BOOSTERS for num_rows in config.rows]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main(tyro.cli(Config))
