"""What can be compared: the controller, and opponents that need one run just as it does.

A method says which environment it runs in, what it makes of a task's initial values, and how it
acts. Every method runs on the same lanes; `protocol.py` sees to that.

Axes: `N` lanes, `D` observation fields, `H` controlled hyperparameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import LEVELS, HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task
from hpo_env.vector_env import HPOControlVectorEnv, OnDivergence

Act = Callable[[NDArray[np.float32]], NDArray[np.float64]]
"""Turns observations `[N, D]` into moves `[N, H]` in `[-1, 1]`."""


def rate_column(space: HyperparameterSpace) -> int:
    """Return the column of the hyperparameter that schedules are about: the learning rate.

    In a family that schedules none, the first.
    """
    scheduled = [h for h, known in enumerate(space.hyperparameters) if known.scheduled]
    return scheduled[0] if scheduled else 0


def with_rate(task: Task, space: HyperparameterSpace, rate: float) -> Task:
    """Return the task with another initial rate.

    Raises:
        ConfigurationError: The rate is outside the hyperparameter's range.
    """
    column = rate_column(space)
    known = space.hyperparameters[column]
    if not known.low <= rate <= known.high:
        raise ConfigurationError(
            f"initial {known.name} must lie in [{known.low:g}, {known.high:g}]; got {rate:g}"
        )
    return replace(task, initial=(*task.initial[:column], rate, *task.initial[column + 1 :]))


class Method(ABC):
    """Something that trains one model in one run.

    `base_schedule` and `hyperparameters` say which environment it needs; None leaves the choice of
    hyperparameters to the family.
    """

    name: str
    base_schedule: str
    hyperparameters: tuple[str, ...] | None
    on_divergence: ClassVar[OnDivergence] = "end"
    """What happens to a run that diverges: only those who decide as they go can be taken back."""

    def prepare(self, task: Task, space: HyperparameterSpace) -> Task:
        """Return the task as this method starts it; the task itself by default."""
        return task

    @abstractmethod
    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Begin runs in all lanes of an environment with continuous actions.

        Args:
            env: The environment, about to be reset.
            seed: From which everything random in the method's own decisions follows.
        """


def check_fits(policy: Policy, space: HyperparameterSpace, family: str) -> None:
    """Check that a policy moves what a family has, in the same ranges, scales and steps.

    Raises:
        ConfigurationError: It does not.
    """
    for trained in policy.space.hyperparameters:
        if trained.name not in space.names:
            names = ", ".join(map(repr, space.names))
            raise ConfigurationError(
                f"the policy moves {trained.name!r}, and family {family!r} has {names} only; take "
                f"a policy that was trained on {family!r} (this one: {policy.family!r})"
            )
        present = space.hyperparameters[space.index(trained.name)]
        if trained != present:
            raise ConfigurationError(
                f"the policy moves {trained}, but family {family!r} has {present}; "
                "train it again on this family"
            )


@dataclass(frozen=True, kw_only=True)
class Controlled(Method):
    """A meta-trained policy.

    Args:
        policy: It acts without randomness, on the base schedule that it was trained on.
        name: As it appears in tables.
    """

    policy: Policy
    name: str = "controller"
    on_divergence: ClassVar[OnDivergence] = "roll_back"

    @property
    def base_schedule(self) -> str:  # type: ignore[override]
        """The policy's own."""
        return self.policy.base_schedule

    @property
    def hyperparameters(self) -> tuple[str, ...]:  # type: ignore[override]
        """The policy's own."""
        return self.policy.space.names

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Check that the policy fits the family, and let it act.

        Raises:
            ConfigurationError: A hyperparameter has another range, scale or step than in training.
        """
        check_fits(self.policy, env.space, env.family.name)
        return self.policy.actor(env.num_envs)


@dataclass(frozen=True, kw_only=True)
class Scheduled(Method):
    """A schedule, and nobody who touches it.

    Args:
        name: As it appears in tables.
        base_schedule: Name of the schedule.
        rate: The initial rate of every task; None keeps the task's own.
        rate_per_optimizer: Initial rates by optimiser, which win over `rate`.
        hyperparameters: None; what could be moved does not matter.
    """

    name: str
    base_schedule: str
    rate: float | None = None
    rate_per_optimizer: Mapping[str, float] = field(default_factory=dict)
    hyperparameters: None = None

    def prepare(self, task: Task, space: HyperparameterSpace) -> Task:
        """Set the initial rate, where there is one to set."""
        rate = self.rate_per_optimizer.get(getattr(task, "optimizer", ""), self.rate)
        return task if rate is None else with_rate(task, space, rate)

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Do nothing: action 0 keeps the base schedule bit for bit."""
        nothing = np.zeros((env.num_envs, len(env.controlled)))
        return lambda observations: nothing


@dataclass(frozen=True, kw_only=True)
class RandomMoves(Method):
    """Moves drawn evenly from the discrete levels: what a policy that learned nothing does.

    Args:
        base_schedule: Name of the schedule.
        hyperparameters: What it moves.
        name: As it appears in tables.
    """

    base_schedule: str
    hyperparameters: tuple[str, ...] | None
    name: str = "random"
    on_divergence: ClassVar[OnDivergence] = "roll_back"

    def start(self, env: HPOControlVectorEnv, seed: int) -> Act:
        """Begin a new stream of draws."""
        rng, shape = stream(seed, "random moves"), (env.num_envs, len(env.controlled))
        return lambda observations: np.asarray(rng.choice(LEVELS, shape))


# ---------------------------------------------------------------------------------------- registry


@dataclass(frozen=True, kw_only=True)
class TunedRates:
    """Initial rates of a schedule, chosen on meta-training tasks.

    Args:
        base_schedule: The schedule that they are for.
        overall: The best single rate.
        per_optimizer: The best single rate of each optimiser.
        scores: Mean log final validation loss of each rate of the grid, over all tasks.
    """

    base_schedule: str
    overall: float
    per_optimizer: Mapping[str, float]
    scores: Mapping[float, float]


@dataclass(frozen=True, kw_only=True)
class MethodContext:
    """What methods are made from.

    Args:
        policy: The controller's policy.
        space: All hyperparameters of the family.
        tuned: Returns the rates of a schedule, tuned on meta-training tasks.
    """

    policy: Policy
    space: HyperparameterSpace
    tuned: Callable[[str], TunedRates]


def _default_rate(context: MethodContext) -> float:
    return context.space.hyperparameters[rate_column(context.space)].default


def _tuned(schedule: str, *, per_optimizer: bool) -> Callable[[str, MethodContext], Method]:
    def make(name: str, context: MethodContext) -> Method:
        rates = context.tuned(schedule)
        by_optimizer = rates.per_optimizer if per_optimizer else {}
        return Scheduled(
            name=name,
            base_schedule=schedule,
            rate=rates.overall,
            rate_per_optimizer=by_optimizer,
        )

    return make


METHODS: dict[str, Callable[[str, MethodContext], Method]] = {
    "controller": lambda name, c: Controlled(name=name, policy=c.policy),
    "constant": lambda name, c: Scheduled(
        name=name, base_schedule="constant", rate=_default_rate(c)
    ),
    "initial": lambda name, c: Scheduled(name=name, base_schedule=c.policy.base_schedule),
    "random": lambda name, c: RandomMoves(
        name=name, base_schedule=c.policy.base_schedule, hyperparameters=c.policy.space.names
    ),
    "constant_tuned": _tuned("constant", per_optimizer=False),
    "cosine_tuned": _tuned("cosine", per_optimizer=False),
    "one_cycle_tuned": _tuned("one_cycle", per_optimizer=False),
    "constant_per_optimizer": _tuned("constant", per_optimizer=True),
    "cosine_per_optimizer": _tuned("cosine", per_optimizer=True),
    "one_cycle_per_optimizer": _tuned("one_cycle", per_optimizer=True),
}
"""Every method by name.

- controller: the policy.
- constant: the default rate of 0.001, kept.
- initial: the task's own initial rate on the policy's base schedule; the controller switched off.
- random: random moves on the policy's base schedule.
- `SCHEDULE_tuned`: a schedule whose single initial rate was chosen on the meta-training tasks.
- `SCHEDULE_per_optimizer`: the same with one rate for each optimiser. These are the strongest
  opponents that, like the controller, look at no more than one run of the new task.
"""


def make_method(name: str, context: MethodContext) -> Method:
    """Make a method of the registry.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    check_methods([name])
    return METHODS[name](name, context)


def check_methods(names: Any) -> None:
    """Check names before anything expensive begins.

    Raises:
        UnknownNameError: One is not in the registry.
    """
    for name in names:
        if name not in METHODS:
            raise unknown_name("method", name, METHODS)
