"""A whole comparison: draw tasks, tune the opponents on the training side, run every method.

Used by `hpo-control evaluate` and by the demo.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from agents.evaluation.methods import (
    MethodContext,
    TunedRates,
    check_fits,
    check_methods,
    make_method,
)
from agents.evaluation.protocol import Results, make_tasks, run_method
from agents.evaluation.tuning import tune_rates
from hpo_env.policy import Policy
from hpo_env.tasks.base import Engine, Split
from hpo_env.tasks.registry import make_family

DEFAULT_METHODS = (
    "controller",
    "constant",
    "initial",
    "constant_tuned",
    "cosine_tuned",
    "one_cycle_tuned",
    "cosine_per_optimizer",
    "random",
)
"""What a comparison runs when nobody says otherwise."""

INITIAL_RATES: dict[str, tuple[float, ...]] = {"supervised": (1e-4, 1e-3, 1e-2, 1e-1)}
"""Rates that a family's tasks are started from; families without keep the rates they drew."""

OnStage = Callable[[str, int, int], None]
"""Called with what is being done, the work done in it, and all the work in it."""

_TRAINER_OPTIONS = ("updates_per_decision",)
"""Family options that hold for the tuning tasks too. The others choose what to evaluate on, and
opponents are tuned where the agent was trained: never on the data that they are evaluated on."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to compare on what.

    Args:
        family: The task family.
        split: The side of the data sets and architectures.
        num_tasks: Tasks to draw.
        num_seeds: Runs of each task from each initial rate.
        num_tuning_tasks: Meta-training tasks on which opponents' rates are chosen.
        methods: Names in `METHODS`; the controller is always run.
        initial_rates: Every task is started from each of them; None takes the family's own.
        seed: From which tasks, weights and minibatches follow.
        engine: How inner runs are computed.
        device: A torch device.
        max_lanes: Runs that go on at once.
        options: Options of the family: `dataset`, `target`, `model`, `architectures` ...

    Raises:
        UnknownNameError: A method is not in the registry.
    """

    family: str = "supervised"
    split: Split = "test"
    num_tasks: int = 16
    num_seeds: int = 1
    num_tuning_tasks: int = 16
    methods: tuple[str, ...] = DEFAULT_METHODS
    initial_rates: tuple[float, ...] | None = None
    seed: int = 0
    engine: Engine = "auto"
    device: str = "cpu"
    max_lanes: int = 256
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check the methods' names."""
        check_methods(self.methods)


@dataclass(frozen=True, kw_only=True, eq=False)
class Comparison:
    """The outcome of a plan.

    Args:
        plan: The plan.
        results: By method, the controller first.
        tuned: Rates that were chosen, by schedule.
    """

    plan: Plan
    results: dict[str, Results]
    tuned: dict[str, TunedRates]


def compare(
    policy: Policy,
    plan: Plan,
    *,
    on_stage: OnStage | None = None,
    tuned: Mapping[str, TunedRates] | None = None,
) -> Comparison:
    """Carry out a plan.

    Args:
        policy: The controller's policy.
        plan: What to compare.
        on_stage: Called as the work goes on.
        tuned: Rates that an earlier comparison has chosen, by schedule; they are not chosen again.

    Raises:
        ConfigurationError: The family has no such option, or the policy does not fit the family.
    """
    rates = INITIAL_RATES.get(plan.family) if plan.initial_rates is None else plan.initial_rates
    family = make_family(plan.family, split=plan.split, **plan.options)
    check_fits(policy, family.space, plan.family)
    tasks = make_tasks(family, plan.num_tasks, plan.seed, initial_rates=rates)
    seeds = [plan.seed + i for i in range(plan.num_seeds)]
    shared = {
        "family": plan.family,
        "engine": plan.engine,
        "device": plan.device,
        "max_lanes": plan.max_lanes,
        **{name: plan.options[name] for name in _TRAINER_OPTIONS if name in plan.options},
    }
    rates_by_schedule = dict(tuned or {})

    def tune_once(schedule: str) -> TunedRates:
        if schedule not in rates_by_schedule:
            training = make_family(plan.family, split="train")
            rates_by_schedule[schedule] = tune_rates(
                schedule,
                make_tasks(training, plan.num_tuning_tasks, plan.seed),
                seeds[:1],
                on_progress=_stage(on_stage, f"tuning {schedule}"),
                **shared,
            )
        return rates_by_schedule[schedule]

    context = MethodContext(policy=policy, space=family.space, tuned=tune_once)
    results = {
        name: run_method(
            make_method(name, context),
            tasks,
            seeds,
            on_progress=_stage(on_stage, f"running {name}"),
            **shared,
        )
        for name in dict.fromkeys(("controller", *plan.methods))
    }
    return Comparison(plan=plan, results=results, tuned=rates_by_schedule)


def _stage(on_stage: OnStage | None, name: str) -> Callable[[int, int], None] | None:
    return None if on_stage is None else partial(on_stage, name)
