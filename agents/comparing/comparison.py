"""A whole comparison: who is compared on what, and the table of what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.tasks.base import Suite, TaskFamily
from hpo_env.tasks.registry import family_class, make_family

from ..opponents.base import Instance, Opponent, Setup, label_need
from ..opponents.in_environment import check_fits
from ..opponents.registry import make_opponent
from .jobs import make_jobs
from .matrix import EvaluationProtocol, Matrix, build_matrix
from .records import REFERENCE, record, to_frame
from .running import ComparisonProgress, IncompleteComparisonError, run_jobs
from .store import MemoryStore, Store
from .workers import InProcess

OnProgress = Callable[[ComparisonProgress], None]
"""Called when a job has ended."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """Who is compared on what.

    Args:
        policy: The controller's.
        family: Name of the task family.
        suites: What is held out.
        opponents: Who is compared, the controller first.
        left_out: Who is not, by name: what each needs and the family does not offer.
        protocol: How much is run.
        matrix: All that there is to run.
    """

    policy: Policy
    family: str
    suites: tuple[Suite, ...]
    opponents: tuple[Opponent, ...]
    left_out: Mapping[str, tuple[str, ...]]
    protocol: EvaluationProtocol
    matrix: Matrix

    def instances(self, suite: str) -> list[Instance]:
        """List what was run of a suite, as the user gave it, in the order in which it was drawn."""
        mine = (row for row in self.matrix.rows if row.suite == suite)
        return list(dict.fromkeys(row.instance for row in mine))

    @property
    def remarks(self) -> list[str]:
        """One line for each opponent that is left out."""
        return [
            f"left out: {name} needs {' and '.join(needs)}, which family {self.family!r} does not "
            "offer"
            for name, needs in self.left_out.items()
        ]


def make_comparison(
    family: str,
    suites: Sequence[Suite],
    names: Iterable[str],
    protocol: EvaluationProtocol,
    setup: Setup,
) -> Comparison:
    """Choose the opponents that fit the family, and list what there is to run.

    Args:
        family: The task family.
        suites: What is held out; `chosen_suites` finds them by name.
        names: Opponents of the registry, or their addresses. The controller always runs.
        protocol: How much is run.
        setup: What opponents are made from, the controller's policy among it.

    Raises:
        UnknownNameError: There is no such opponent.
        MissingExtraError: The package that one needs is not installed.
        ConfigurationError: The policy does not fit the family, or a start is outside the range.
    """
    known = family_class(family)
    check_fits(setup.policy, known().space, family)
    made = [make_opponent(name, setup) for name in dict.fromkeys((REFERENCE, *names))]
    lacking = {opponent.name: _lacking(opponent, known) for opponent in made}
    opponents = tuple(opponent for opponent in made if not lacking[opponent.name])
    suites = tuple(_pinned(suite, family) for suite in suites)
    return Comparison(
        policy=setup.policy,
        family=family,
        suites=suites,
        opponents=opponents,
        left_out={name: needs for name, needs in lacking.items() if needs},
        protocol=protocol,
        matrix=build_matrix(opponents, setup.hyperparameters, family, suites, protocol),
    )


def _pinned(suite: Suite, family: str) -> Suite:
    """Return the suite that is the same in another folder and on another day."""
    pins = make_family(family, **suite.options).pinned_options()
    return replace(suite, options={**suite.options, **pins}) if pins else suite


def _lacking(opponent: Opponent, family: type[TaskFamily]) -> tuple[str, ...]:
    """List what an opponent needs and the family does not offer."""
    missing = opponent.needs - family.offers()
    if missing:
        labels = family().sample(stream(0, "labels")).labels
        missing -= {label_need(label) for label in labels}
    return tuple(sorted(missing))


def chosen_suites(family: str, names: Iterable[str]) -> tuple[Suite, ...]:
    """Find suites of a family by name.

    Raises:
        UnknownNameError: The family has no such suite; the nearest are suggested.
        ConfigurationError: No names.
    """
    known = {suite.name: suite for suite in family_class(family).suites}
    chosen = tuple(dict.fromkeys(names))
    if not chosen:
        raise ConfigurationError("suites must name at least one; see --list")
    for name in chosen:
        if name not in known:
            raise unknown_name(f"suite of family {family!r}", name, known)
    return tuple(known[name] for name in chosen)


def check_trainer_options(family: str, options: Mapping[str, Any]) -> None:
    """Check options that are to hold for all suites: suites alone say which tasks are drawn.

    Raises:
        UnknownNameError: The family's trainer does not read one of them.
        ConfigurationError: A value is impossible.
    """
    asked = family_class(family).trainer_options
    for name in options:
        if name not in asked:
            raise unknown_name(f"option of the trainers of family {family!r}", name, asked)
    make_family(family, **options)


@dataclass(frozen=True, kw_only=True, eq=False)
class Compared:
    """What came of a comparison.

    Args:
        frame: The table, see `records.py`.
        prepared: What opponents learned on meta-training tasks, by opponent.
    """

    frame: pd.DataFrame
    prepared: Mapping[str, Any]


def run_here(
    comparison: Comparison, *, store: Store | None = None, on_progress: OnProgress | None = None
) -> Compared:
    """Run all that is missing in this process, and return what came of it.

    Args:
        comparison: What to run.
        store: What is finished already, and where the rest goes; memory when not given.
        on_progress: Called when a job has ended.

    Raises:
        IncompleteComparisonError: An opponent raised.
    """
    kept = MemoryStore() if store is None else store
    matrix = comparison.matrix
    missing = [key for key in matrix.cells if kept.read_cell(key) is None]
    failures = run_jobs(
        make_jobs(matrix, missing, kept),
        InProcess(),
        kept,
        on_progress=on_progress or (lambda progress: None),
        on_failure=lambda failure: None,
    )
    if failures:
        raise IncompleteComparisonError(
            "; ".join(f"{failure.job}: {failure.error}" for failure in failures)
        )
    return Compared(
        frame=collect(matrix, kept),
        prepared={name: kept.read_prepared(key) for name, key in matrix.lessons.items()},
    )


def collect(matrix: Matrix, store: Store) -> pd.DataFrame:
    """Make the table of all rows whose cell is there; see `records.py`."""
    outcomes = {key: store.read_cell(key) for key in matrix.cells}
    floor = family_class(matrix.family).loss_floor
    rows = []
    for row in matrix.rows:
        outcome = outcomes[row.cell]
        if outcome is not None:
            rows.append(
                record(
                    row.opponent,
                    row.suite,
                    row.instance,
                    outcome,
                    start=row.start,
                    loss_floor=floor,
                )
            )
    return to_frame(rows)
