"""Suites: what is held out, one axis at a time and all at once.

All suites draw from the test side of the data sets, so each also asks for new data. `interpolation`
asks for nothing else; each further suite leaves what was seen in meta-training along one axis, so
that a loss can be traced to the axis that caused it; `extrapolation` leaves it along all of them.

Meta-training has MLPs of 2 and 3 hidden layers of at most 128 units under SGD, AdamW and RMSprop,
minibatches of at most 64 rows, 10 updates a decision, and tables.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.evaluation.protocol import make_tasks
from hpo_env.errors import unknown_name
from hpo_env.tasks.base import Task
from hpo_env.tasks.registry import make_family

_FOUR_TIMES_LONGER = {"updates_per_decision": 40}
_FOUR_TIMES_LARGER = {"batch_size": 256.0}
_TRAINED_MODELS = {"architectures": "train"}


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A distribution of held-out tasks.

    Args:
        name: Key in `SUITES`.
        help: What it asks for, in one line.
        family: The task family.
        family_options: Options from which tasks are drawn.
        trainer_options: Options that the trainer needs too.
    """

    name: str
    help: str
    family: str = "supervised"
    family_options: Mapping[str, Any] = field(default_factory=dict)
    trainer_options: Mapping[str, Any] = field(default_factory=dict)


SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            name="validation",
            help="data sets and models of meta-validation; for decisions, not for results",
            family_options={"split": "validation"},
        ),
        Suite(
            name="interpolation",
            help="new data sets, models of meta-training",
            family_options={"split": "test", **_TRAINED_MODELS},
        ),
        Suite(
            name="wider",
            help="new data sets, MLPs four times as wide as the widest of meta-training",
            family_options={"split": "test", "model": "mlp_512x2_relu"},
        ),
        Suite(
            name="deeper",
            help="new data sets, MLPs twice as deep as the deepest of meta-training",
            family_options={"split": "test", "model": "mlp_64x6_relu"},
        ),
        Suite(
            name="architecture",
            help="new data sets, attention instead of MLPs",
            family_options={"split": "test", "model": "attention_8x32"},
        ),
        Suite(
            name="optimizer",
            help="new data sets, an optimiser that meta-training does not have: Adagrad",
            family_options={"split": "test", "optimizer": "adagrad", **_TRAINED_MODELS},
        ),
        Suite(
            name="longer",
            help="new data sets, runs of four times as many updates",
            family_options={"split": "test", **_TRAINED_MODELS},
            trainer_options=_FOUR_TIMES_LONGER,
        ),
        Suite(
            name="batch",
            help="new data sets, minibatches of 256 rows",
            family_options={"split": "test", "initial": _FOUR_TIMES_LARGER, **_TRAINED_MODELS},
        ),
        Suite(
            name="modality",
            help="images under convolutions instead of tables",
            family_options={"split": "test", "dataset": "digits", "model": "cnn_8x8"},
        ),
        Suite(
            name="extrapolation",
            help="new data sets, models, optimiser, longer runs and larger minibatches at once",
            family_options={
                "split": "test",
                "optimizer": "adagrad",
                "initial": _FOUR_TIMES_LARGER,
            },
            trainer_options=_FOUR_TIMES_LONGER,
        ),
    )
}
"""Every suite by name."""


def suite_tasks(
    suite: Suite, num_tasks: int, seed: int, initial_rates: Sequence[float] | None
) -> list[Task]:
    """Draw a suite's tasks, the first ones being the same however many are drawn.

    Args:
        suite: One of `SUITES`.
        num_tasks: How many to draw.
        seed: Any non-negative integer.
        initial_rates: Each task is repeated from each of these; None keeps the rates drawn.

    Returns:
        `num_tasks * len(initial_rates)` tasks, the repetitions of a task side by side.
    """
    family = make_family(suite.family, **suite.family_options, **suite.trainer_options)
    return make_tasks(family, num_tasks, seed, initial_rates=initial_rates)


def check_suites(names: Iterable[str]) -> None:
    """Check names before anything expensive begins.

    Raises:
        UnknownNameError: There is no such suite; the nearest are suggested.
    """
    for name in names:
        if name not in SUITES:
            raise unknown_name("suite", name, SUITES)
