"""Every meta-learning algorithm on characters of unseen scripts, and on sinusoids.

    OMP_NUM_THREADS=1 python benchmarks/few_shot.py          # what is not measured yet
    OMP_NUM_THREADS=1 python benchmarks/few_shot.py --source characters --length 6 --seeds 0

Each algorithm is meta-trained with the settings of its paper where those are known, for the number
of steps that is stated, on one core; then what was best by validation tasks on the way is judged on
300 tasks of the test side, of two numbers of shots. Rows go to `scores.csv` as they come, and what
stands there is not measured again.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import tyro
from numpy.typing import NDArray

from agents.adaptation import MetaTraining, TrainingSettings
from agents.adaptation.training import as_episodes, scores
from hpo_env.few_shot import FewShotSource, make_source
from hpo_env.seeding import stream

NUM_TEST_TASKS = 300
RESULTS = Path(__file__).parent / "results" / "few_shot" / "scores.csv"
NEIGHBOUR = "nearest neighbour on pixels"


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One algorithm on one kind of task.

    Args:
        algorithm: A name of the registry.
        source: Where tasks come from.
        shots: Examples of meta-training's tasks to adapt to, of each class where there are any.
        steps: Of meta-training.
        options: Settings of the algorithm other than its usual ones.
        judged_after: Steps of adaptation at which test tasks are looked at; None where the
            algorithm takes none.
        learning_rate: Of the outer loop.
    """

    algorithm: str
    source: str
    shots: int
    steps: int
    options: Mapping[str, Any] = field(default_factory=dict)
    judged_after: tuple[int | None, ...] = (None,)
    learning_rate: float = 1e-3

    @property
    def training(self) -> TrainingSettings:
        """The outer loop: tasks a step, and how often validation tasks are looked at."""
        is_sine = self.source == "sinusoids"
        return TrainingSettings(
            num_steps=self.steps,
            tasks_per_step=25 if is_sine else 8,
            learning_rate=self.learning_rate,
            validate_every=max(1, self.steps // 5),
            num_validation_tasks=200 if is_sine else 60,
        )

    def source_of_tasks(self, shots: int) -> FewShotSource:
        """Build the source, which judges a task of characters by 5 queries a class."""
        queries = 50 if self.source == "sinusoids" else 5
        return make_source(self.source, num_shots=shots, num_queries=queries)


def _characters() -> Iterator[Entry]:
    # The inner rate of MAML and its kin was chosen on validation scripts, of .01, .1 and .4.
    steps = {"inner_rate": 0.1, "inner_steps": 3}
    implicit = {"inner_rate": 0.1, "inner_steps": 8}
    gradient = (0, 1, 3, 10)
    entry = partial(Entry, source="characters", shots=1)
    yield entry(algorithm="prototypical", steps=800)
    yield entry(algorithm="maml", steps=240, options=steps, judged_after=gradient)
    yield entry(algorithm="proto_maml", steps=120, judged_after=(0, 1, 5, 10))
    yield entry(algorithm="matching", steps=700)
    yield entry(algorithm="meta_sgd", steps=320, judged_after=gradient)
    yield entry(algorithm="first_order_maml", steps=280, options=steps, judged_after=gradient)
    yield entry(algorithm="leo", steps=480)
    options = {"inner_rate": 0.1}
    yield entry(algorithm="reptile", steps=130, options=options, judged_after=(0, 5, 20))
    yield entry(algorithm="imaml", steps=60, options=implicit, judged_after=(0, 5, 16))
    yield entry(algorithm="memory", steps=500)


def _sinusoids() -> Iterator[Entry]:
    both = (1, 10)
    one_step = {"inner_rate": 0.01, "inner_steps": 1}  # section 5.1 of Finn et al.
    entry = partial(Entry, source="sinusoids", shots=10)
    yield entry(algorithm="maml", steps=8_000, options=one_step, judged_after=both)
    yield entry(algorithm="meta_sgd", steps=4_000, judged_after=both)
    yield entry(algorithm="maml", shots=5, steps=15_000, options=one_step, judged_after=both)
    yield entry(algorithm="first_order_maml", steps=4_000, options=one_step, judged_after=both)
    options = {"inner_rate": 0.02}
    yield entry(algorithm="reptile", steps=1_000, options=options, judged_after=(*both, 50))
    yield entry(algorithm="leo", steps=700)
    yield entry(algorithm="proto_maml", steps=800, judged_after=(1, 5, 10))
    yield entry(algorithm="imaml", steps=300, judged_after=(*both, 16))
    yield entry(algorithm="matching", steps=3_000)
    yield entry(algorithm="memory", steps=400)


ENTRIES = (
    *islice(_sinusoids(), 3),
    *_characters(),
    *islice(_sinusoids(), 3, None),
)
JUDGED_BY = {"characters": (1, 5), "sinusoids": (5, 10)}
"""Shots of the test tasks; what was trained with one number adapts to any."""


# ----------------------------------------------------------------------------------------- measure


@dataclass(frozen=True, kw_only=True)
class Run:
    """Measure what is missing.

    Args:
        seeds: Of each entry, in this order.
        source: Only this one; None: all.
        algorithms: Only these; all by default.
        length: How many times the steps of each entry.
        out: The table of all rows.
    """

    seeds: tuple[int, ...] = (0, 1)
    source: str | None = None
    algorithms: tuple[str, ...] = ()
    length: int = 1
    out: Path = RESULTS


def run(config: Run) -> None:
    """Measure entry by entry, and write each down before the next."""
    torch.set_num_threads(1)
    config.out.parent.mkdir(parents=True, exist_ok=True)
    for seed in config.seeds:
        for short in ENTRIES:
            entry = replace(short, steps=short.steps * config.length)
            known = _read(config.out)
            is_asked = config.source in (None, entry.source)
            is_asked &= not config.algorithms or entry.algorithm in config.algorithms
            if is_asked and not _is_in(known, entry, seed):
                rows = [*_measured(entry, seed)]
                pd.concat([known, pd.DataFrame(rows)]).to_csv(config.out, index=False)
                print(rows[-1], flush=True)


def _read(path: Path) -> pd.DataFrame:
    return pd.read_csv(path) if path.exists() else pd.DataFrame(columns=_COLUMNS)


_COLUMNS = [
    *("algorithm", "source", "shots", "judged_shots", "seed", "steps", "seconds"),
    *("adapted", "mean", "spread"),
]


def _is_in(known: pd.DataFrame, entry: Entry, seed: int) -> bool:
    facts = {name: getattr(entry, name) for name in ("algorithm", "source", "shots", "steps")}
    found = np.ones(len(known), dtype=bool)
    for name, value in {**facts, "seed": seed}.items():
        found &= (known[name] == value).to_numpy()
    return bool(found.any())


def _measured(entry: Entry, seed: int) -> Iterator[dict[str, Any]]:
    """Meta-train and judge: a row for each number of shots and of steps of adaptation."""
    began = time.process_time()
    training = MetaTraining.of(
        entry.algorithm,
        entry.source_of_tasks(entry.shots),
        entry.training,
        seed=seed,
        algorithm_settings=entry.options,
    )
    training.run()
    seconds = time.process_time() - began
    facts = {k: v for k, v in asdict(entry).items() if k in _COLUMNS}
    facts |= {"seed": seed, "seconds": round(seconds)}
    for shots in JUDGED_BY[entry.source]:
        source = entry.source_of_tasks(shots)
        drawn = source.sample("test", NUM_TEST_TASKS, stream(seed, "test tasks"))
        for adapted in entry.judged_after:
            each = scores(
                training.algorithm, training.best, as_episodes(drawn), num_steps=adapted
            ).numpy()
            yield facts | _told(shots, adapted, each)
        if entry.algorithm == "prototypical":
            each = _neighbours(source, seed)
            yield facts | {"algorithm": NEIGHBOUR, "seconds": 0} | _told(shots, None, each)


def _told(shots: int, adapted: int | None, each: NDArray[Any]) -> dict[str, Any]:
    return {
        "judged_shots": shots,
        "adapted": adapted,
        "mean": float(each.mean()),
        "spread": float(each.std()),
    }


def _neighbours(source: FewShotSource, seed: int) -> NDArray[np.float64]:
    """Return the accuracy of the class of the nearest support image, a test task."""
    tasks = source.sample("test", NUM_TEST_TASKS, stream(seed, "test tasks"))
    found = []
    for known, classes, asked, right in zip(
        tasks.support_inputs,
        tasks.support_targets,
        tasks.query_inputs,
        tasks.query_targets,
        strict=True,
    ):
        distances = np.linalg.norm(
            asked.reshape(len(asked), 1, -1) - known.reshape(1, len(known), -1), axis=2
        )
        found.append(np.mean(classes[distances.argmin(axis=1)] == right))
    return np.array(found)


if __name__ == "__main__":
    run(tyro.cli(Run))
