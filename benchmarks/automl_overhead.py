"""What the controller adds to a run of boosting, in processor time of one core.

    python benchmarks/automl_overhead.py --out benchmarks/results/automl/overhead.json

The same rounds are made under the controller, and along the course that it took with the same
values written. Along it the validation loss is measured after each round, as early stopping does,
and once more both losses, which is what a watched training does. The rest is the controller's: its
observations, its policy, what it notes, and the training loss before each decision. Times are
medians over repetitions, in turns.
"""

from __future__ import annotations

import json
import statistics
import time
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
    """Time one size of table on one library."""
    kind, controller = BOOSTERS[library], Controller.from_pretrained(config.policy)
    goal = Goal(
        target="binary",
        num_classes=2,
        is_categorical=np.zeros(config.columns, dtype=bool),
        num_threads=1,
    )
    train, validation = table(num_rows, config.columns), table(num_rows // 3, config.columns)
    initial = dict(zip(SPACE.names, SPACE.defaults.tolist(), strict=True))
    times: dict[str, list[float]] = {"controlled": [], "stopped": [], "watched": []}
    for _ in range(config.repetitions):
        before = time.process_time()
        grown = grow(
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
        times["controlled"].append(time.process_time() - before)
        for name in ("stopped", "watched"):
            before = time.process_time()
            along(kind, goal, train, validation, grown, of_training=name == "watched")
            times[name].append(time.process_time() - before)
    controlled, stopped, watched = (statistics.median(took) for took in times.values())
    return {
        "library": library,
        "rows": num_rows,
        "controlled_ms": round(1e3 * controlled, 2),
        "along_its_course_ms": round(1e3 * stopped, 2),
        "along_its_course_watched_ms": round(1e3 * watched, 2),
        "overhead_per_cent": round(100.0 * (controlled / stopped - 1.0), 2),
        "overhead_of_watched_per_cent": round(100.0 * (controlled / watched - 1.0), 2),
        "a_decision_ms": round(1e3 * (controlled - stopped) / len(grown.decisions), 3),
    }


def main(config: Config) -> None:
    rows = [measure(library, num_rows, config) for library in BOOSTERS for num_rows in config.rows]
    config.out.parent.mkdir(parents=True, exist_ok=True)
    config.out.write_text(json.dumps(rows, indent=1), encoding="utf-8")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main(tyro.cli(Config))
