"""Small instances that searches are tried on."""

from __future__ import annotations

from typing import Any

import numpy as np

from agents.opponents.base import Instance, Outcome, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.search import Search
from agents.opponents.trials import Trials
from agents.testing.opponents import equal_outcomes
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.tasks.registry import family_class, make_family

__all__ = ["equal_outcomes"]

RATE = ("learning_rate",)
QUADRATIC = Workload(family="quadratic")
LOCAL_LEVEL = Workload(family="local_level")
SUPERVISED = Workload(family="supervised", options={"updates_per_decision": 2})


def instances(workload: Workload, count: int = 1, *, num_decisions: int = 9) -> list[Instance]:
    options: dict[str, Any] = {"num_decisions": num_decisions}
    if workload.family == "supervised":
        options |= {"dataset": "diabetes", "model": "mlp_32x2_relu", "optimizer": "adamw"}
    family = make_family(workload.family, split="train", **options, **workload.options)
    return [Instance(task=task, seed=3) for task in make_tasks(family, count, 0)]


def search_one(search: Search, workload: Workload, instance: Instance) -> Outcome:
    return search.run(workload, [search.canonical(instance, workload)], {})[0]


def open_trials(
    workload: Workload, instance: Instance, *, max_runs: int = 100, **changes: Any
) -> Trials:
    hyperparameters = workload.space.names[:1] if workload.family == "local_level" else RATE
    usual: dict[str, Any] = {"hyperparameters": hyperparameters, "schedule": "cosine"}
    return Trials(workload, instance, max_runs=max_runs, **{**usual, **changes})


def setup_of(family: str, runs: int, *, storage: str | None = None) -> Setup:
    """A setup whose policy moves the family's default hyperparameters."""
    cls = family_class(family)
    space = cls().space.subset(cls.default_controlled)
    policy = Policy(
        family=family,
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(np.zeros((len(space), len(field_names(space.names))), dtype=np.float32),),
        biases=(np.zeros(len(space), dtype=np.float32),),
    )
    return Setup(
        policy=policy,
        hyperparameters=space.names,
        num_runs=runs,
        num_lanes=max(runs, 2),
        storage=storage,
    )
