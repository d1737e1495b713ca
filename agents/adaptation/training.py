"""Meta-training: batches of tasks, steps of Adam, and the best by validation tasks.

A step's tasks and draws follow from the seed and the step's number, so a run that was stopped goes
on bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Self

import numpy as np
import torch

from hpo_env.errors import ConfigurationError
from hpo_env.few_shot import FewShotSource, FewShotTasks
from hpo_env.seeding import stream

from ..learners.base import State
from ..learners.settings import Settings
from .base import Algorithm, MetaGradient
from .episodes import Episodes, Examples
from .model import FewShotModel
from .networks import Parameters, usual_network
from .problems import problem_of
from .registry import algorithm_class

_TASKS, _DRAWS, _START, _VALIDATION = "tasks", "draws", "start", "validation"


@dataclass(frozen=True, kw_only=True)
class TrainingSettings(Settings):
    """The outer loop.

    Args:
        num_steps: Steps of the outer loop, at least 1.
        tasks_per_step: Tasks in a step, at least 1.
        learning_rate: Of Adam; it falls to a tenth.
        validate_every: Steps between two validations.
        num_validation_tasks: Tasks of a validation.
    """

    num_steps: int = 10_000
    tasks_per_step: int = 16
    learning_rate: float = 1e-3
    validate_every: int = 500
    num_validation_tasks: int = 200

    positive: ClassVar[tuple[str, ...]] = ("learning_rate",)
    at_least: ClassVar[dict[str, float]] = {
        "num_steps": 1,
        "tasks_per_step": 1,
        "validate_every": 1,
        "num_validation_tasks": 1,
    }


class Progress(NamedTuple):
    """Where meta-training stands after a step.

    Attributes:
        step: From 1.
        loss: Mean query loss of the step's tasks.
        score: Of the validation tasks, see `Problem.score`; None where they were not looked at.
    """

    step: int
    loss: float
    score: float | None


class MetaTraining:
    """An algorithm with its meta-parameters, on its way.

    Args:
        algorithm: What is trained.
        source: Where tasks come from.
        settings: The outer loop.
        seed: All that is random follows from it; at least 0.

    Raises:
        ConfigurationError: The algorithm's network is of another shape than the tasks, or the
            algorithm cannot do their kind.
    """

    def __init__(
        self, algorithm: Algorithm, source: FewShotSource, settings: TrainingSettings, *, seed: int
    ) -> None:
        _check_fit(algorithm, source)
        self.algorithm = algorithm
        self.source = source
        self.settings = settings
        self.seed = seed
        self.step = 0
        self.best_score: float | None = None
        drawn = algorithm.initial(torch_generator(seed, _START))
        self.meta: Parameters = {name: value.requires_grad_() for name, value in drawn.items()}
        self.best = self._copy()
        self._adam = torch.optim.Adam(list(self.meta.values()), lr=settings.learning_rate)
        self._validation = as_episodes(
            source.sample("validation", settings.num_validation_tasks, stream(seed, _VALIDATION))
        )

    @classmethod
    def of(
        cls,
        algorithm: str,
        source: FewShotSource,
        settings: TrainingSettings,
        *,
        seed: int,
        algorithm_settings: Mapping[str, Any] | None = None,
    ) -> Self:
        """Build everything for a source's tasks, with the network that is usual for them.

        Args:
            algorithm: A name of the registry, or `module:Class`.
            source: Where tasks come from.
            settings: The outer loop.
            seed: See above.
            algorithm_settings: Settings of the algorithm by name; others at their defaults.

        Raises:
            UnknownNameError: There is no such algorithm.
            ConfigurationError: A setting is unknown or out of range, or the algorithm cannot do
                such tasks.
        """
        found = algorithm_class(algorithm)
        try:
            told = found.settings(**(algorithm_settings or {}))
        except TypeError as error:
            raise ConfigurationError(
                f"algorithm {algorithm!r} has the settings {', '.join(found.settings.names())}; "
                f"got {', '.join(algorithm_settings or ())}"
            ) from error
        network = usual_network(problem_of(source))
        return cls(found(network, told), source, settings, seed=seed)

    def run(self, watch: Callable[[Progress], None] = lambda progress: None) -> None:
        """Train to the end, from wherever it stands.

        Args:
            watch: Is told of every step.

        Raises:
            ConfigurationError: The loss is no longer a number, as rates are too high; or the
                network has no second derivative, and the algorithm needs it.
        """
        while self.step < self.settings.num_steps:
            watch(self.advance())

    def advance(self) -> Progress:
        """Take one step, and look at the validation tasks when it is time."""
        number = self.step
        tasks = self.source.sample(
            "train", self.settings.tasks_per_step, stream(self.seed, _TASKS, number)
        )
        gradient, loss = self._gradient(
            as_episodes(tasks), torch_generator(self.seed, _DRAWS, number)
        )
        if not math.isfinite(loss):
            raise ConfigurationError(
                f"{self.algorithm.name}: the loss is {loss} at step {number + 1}; lower "
                "learning_rate, or the rates of the inner loop"
            )
        for name, value in self.meta.items():
            value.grad = gradient[name]
        self._adam.param_groups[0]["lr"] = self._rate(number)
        self._adam.step()
        self.step = number + 1
        is_due = self.step % self.settings.validate_every == 0
        score = self._validate() if is_due or self.step == self.settings.num_steps else None
        return Progress(self.step, loss, score)

    def model(self) -> FewShotModel:
        """Return what scored best on the validation tasks so far; what it began with at first."""
        return FewShotModel(self.algorithm, dict(self.best))

    def state(self) -> State:
        """Copy all that later steps depend on; `load` is the inverse."""
        state: State = {"step": self.step}
        if self.best_score is not None:
            state["best_score"] = self.best_score
        moments = self._adam.state
        for name, value in self.meta.items():
            state[f"meta.{name}"] = value.detach().numpy().copy()
            state[f"best.{name}"] = self.best[name].numpy().copy()
            for key in ("exp_avg", "exp_avg_sq"):
                if value in moments:
                    state[f"{key}.{name}"] = moments[value][key].numpy().copy()
        return state

    def load(self, state: Mapping[str, Any]) -> None:
        """Put a state back, bit for bit.

        Raises:
            KeyError: A part is missing.
            ValueError: A part has another shape.
        """
        self.step = int(state["step"])
        score = state.get("best_score")
        self.best_score = None if score is None else float(score)
        self._adam.state.clear()
        for name, value in self.meta.items():
            with torch.no_grad():
                value.copy_(_tensor(state, f"meta.{name}", value))
            self.best[name] = _tensor(state, f"best.{name}", value)
            if self.step:
                self._adam.state[value] = {
                    "step": torch.tensor(float(self.step)),
                    "exp_avg": _tensor(state, f"exp_avg.{name}", value),
                    "exp_avg_sq": _tensor(state, f"exp_avg_sq.{name}", value),
                }

    def _gradient(self, episodes: Episodes, generator: torch.Generator) -> MetaGradient:
        try:
            return self.algorithm.gradient(self.meta, episodes, generator)
        except NotImplementedError as error:  # torch's, of a derivative that it does not have
            raise ConfigurationError(
                f"{type(self.algorithm.network).__name__} cannot be differentiated as often as "
                f"{self.algorithm.name!r} asks for: {error} Take first_order_maml or reptile, "
                "which need first derivatives alone"
            ) from error

    def _rate(self, number: int) -> float:
        turned = 0.5 * (1.0 + math.cos(math.pi * number / self.settings.num_steps))
        return self.settings.learning_rate * (0.1 + 0.9 * turned)

    def _validate(self) -> float:
        score = float(scores(self.algorithm, self.meta, self._validation).mean())
        sign = 1.0 if self.algorithm.problem.is_higher_better else -1.0
        if self.best_score is None or sign * score > sign * self.best_score:
            self.best_score, self.best = score, self._copy()
        return score

    def _copy(self) -> Parameters:
        return {name: value.detach().clone() for name, value in self.meta.items()}


def scores(
    algorithm: Algorithm,
    meta: Parameters,
    episodes: Episodes,
    *,
    num_steps: int | None = None,
) -> torch.Tensor:
    """Adapt to tasks and judge, `[B]`: accuracy or squared error, see `Problem.score`.

    Args:
        algorithm: What adapts.
        meta: Meta-parameters.
        episodes: The tasks.
        num_steps: See `Algorithm.predict`.
    """
    outputs = algorithm.predict(meta, episodes.support, episodes.query.inputs, num_steps=num_steps)
    return algorithm.problem.score(outputs.detach(), episodes.query.targets)


def as_episodes(tasks: FewShotTasks) -> Episodes:
    """Return tasks as tensors, which share their memory."""
    return Episodes(
        Examples(torch.from_numpy(tasks.support_inputs), torch.from_numpy(tasks.support_targets)),
        Examples(torch.from_numpy(tasks.query_inputs), torch.from_numpy(tasks.query_targets)),
    )


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """Return torch's generator for a seed and a purpose, see `hpo_env.seeding.stream`."""
    generator = torch.Generator()
    generator.manual_seed(int(stream(seed, *names).integers(np.iinfo(np.int64).max)))
    return generator


def _check_fit(algorithm: Algorithm, source: FewShotSource) -> None:
    problem = algorithm.problem
    if source.kind not in algorithm.kinds:
        raise ConfigurationError(
            f"algorithm {algorithm.name!r} can do {' and '.join(algorithm.kinds)}; source "
            f"{source.name!r} asks for {source.kind}"
        )
    wanted = (source.kind, source.input_shape, source.num_outputs)
    if (problem.kind, problem.input_shape, problem.num_outputs) != wanted:
        raise ConfigurationError(
            f"the network is made for {problem}; source {source.name!r} gives kind, input_shape "
            f"and num_outputs {wanted}: build it with problem_of(source)"
        )


def _tensor(state: Mapping[str, Any], name: str, like: torch.Tensor) -> torch.Tensor:
    array = np.array(state[name], dtype=np.float32)
    if array.shape != tuple(like.shape):
        raise ValueError(f"{name} has shape {array.shape} in place of {tuple(like.shape)}")
    return torch.from_numpy(array)
