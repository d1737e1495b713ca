"""A supervised task in a plain loop of torch, with a controller attached."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.tasks.base import TaskFamily
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.reference import Learner, Values

_IN_PARAM_GROUPS = ("learning_rate", "weight_decay", "momentum")
_CLIP = "gradient_clip"


def train(family: TaskFamily, task: SupervisedTask, seed: int, controller: Controller) -> Run[Any]:
    """Train a task with an optimiser of torch; see `TaskFamily.twin`."""
    values = dict(zip(family.space.names, task.initial, strict=True))
    learner = Learner(task, seed)
    settings = learner.info.settings(*(values[name] for name in _IN_PARAM_GROUPS))
    learner.optimizer = learner.info.torch_class(learner.module.parameters(), **settings)
    moved = [n for n in controller.policy.space.names if n not in _IN_PARAM_GROUPS]
    updates = family.interval_updates(task)
    total_steps = task.num_decisions * updates
    run = controller.attach(
        learner.optimizer,
        total_steps=total_steps,
        num_decisions=task.num_decisions,
        model=learner.module,
        validate=lambda: learner.evaluate(learner.problem.validation)[0],
        bind={name: _setter(values, name) for name in moved if name != _CLIP},
        initial={name: values[name] for name in moved},
        start="user",  # as lanes do, which begin wherever they are put
    )
    if _CLIP in moved:
        values[_CLIP] = math.inf  # the controller clips, after it has measured
    for _ in range(total_steps):
        loss, _ = learner.update(Values(**values))
        run.step(loss)
    run.close()
    return run


def _setter(values: dict[str, float], name: str) -> Callable[[float], None]:
    def write(value: float) -> None:
        values[name] = value

    return write
