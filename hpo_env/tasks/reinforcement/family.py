"""Learning by reinforcement as a task: agents of PPO, A2C and DQN whose hyperparameters are turned.

A lane is one agent on one environment. It keeps to Stable-Baselines3 in every rule, so that what a
policy sees of it a callback sees of a user's model; `measures` says which number is which. A
decision is taken where Stable-Baselines3 calls `_on_rollout_end`, once in so many rollouts or, of
DQN, which learns while it plays, in so many steps.

What is to fall is the regret of the return against the best that is known for the environment. That
is privileged, makes the reward and the figures, and is never observed.

Splits hold types of environment and not physics: a policy is judged on what it never saw.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from hpo_env.addresses import load_address
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.starts import Problem
from hpo_env.tasks.base import (
    Capability,
    Engine,
    Split,
    Suite,
    Task,
    TaskFamily,
    Trainer,
    check_choice,
)
from hpo_env.tasks.building import BuildError
from hpo_env.tasks.reinforcement.dqn import TRAIN_FREQ
from hpo_env.tasks.reinforcement.environments.base import EnvironmentType
from hpo_env.tasks.reinforcement.environments.registry import TYPE, TYPES, types_of
from hpo_env.tasks.reinforcement.facts import CONTINUOUS, DISCRETE
from hpo_env.tasks.reinforcement.features import FEATURES
from hpo_env.tasks.reinforcement.memory import MAX_ENVS
from hpo_env.tasks.reinforcement.native.kernel import Kernel, set_num_threads
from hpo_env.tasks.reinforcement.recipes import PPO_SETTINGS, RECIPES
from hpo_env.tasks.reinforcement.reference import Reference
from hpo_env.tasks.reinforcement.returns import REGRET_FLOOR
from hpo_env.tasks.reinforcement.space import CONTROLLED, HYPERPARAMETERS, LACKS
from hpo_env.tasks.reinforcement.starts import (
    LEARNED_START,
    Start,
    default_values,
    draw_start,
)
from hpo_env.tasks.reinforcement.task import Algorithm, ReinforcementTask
from hpo_env.tasks.reinforcement.trainer import ReinforcementTrainer

_REFERENCE = "hpo_env.integrations.sb3_agents.reference:ReferenceTrainer"
"""Where the trainer is that needs Stable-Baselines3."""

_SHAPES = ((1, 2048, 1), (8, 128, 1), (4, 256, 1), (16, 64, 1), (1, 1024, 1), (4, 512, 1))
"""Environments side by side, steps of a rollout, rollouts in an interval: 1,024 to 2,048 steps."""

_A2C_SHAPES = ((8, 16, 8), (16, 5, 13), (4, 32, 8))
_DQN_SHAPES = ((1, 2048, 1), (1, 1024, 1), (4, 256, 1))
_SHAPES_OF: Mapping[Algorithm, tuple[tuple[int, int, int], ...]] = {
    "ppo": _SHAPES,
    "a2c": _A2C_SHAPES,
    "dqn": _DQN_SHAPES,
}
_A2C_SHARE = 0.15
_DECISIONS = (15, 20, 30, 50)
_MANY_DECISIONS = 100
_MANY_SHARE = 0.2
_LONGEST = 1000  # steps of an episode, as the longest that are usual
_REWARD_SCALES = (0.1, 30.0)


class ReinforcementFamily(TaskFamily):
    """Agents of PPO, A2C or DQN on small environments.

    Args:
        split: Which types of environment; see `environments.registry`.
        num_decisions: Of every run; None draws 15, 20, 30 or 50.
        environment: Name of a type; None draws from all of the split.
        physics: Name of a physics of that type; None draws.
        algorithm: "ppo", "a2c", "dqn", or None to draw one of the first two, PPO six times as
            often. DQN is for discrete actions, and moves `space.DQN_CONTROLLED`.
        hidden: 32 or 64 units of each hidden layer.
        shape: Environments side by side, steps of each in a rollout, rollouts in an interval; None
            draws. Of DQN a multiple of 4 steps, which are those of an interval, and 1.
        start: Which initial values: "default" for those of Stable-Baselines3, "tuned" for
            what is good on the training types (`starts.LEARNED_START`), "random" for any, "mixed"
            for all of these.
        normalises: Whether observations and rewards are normalised as by `VecNormalize`; None
            draws.
        stretch: Steps of the learner that make one step of the environment; see
            `ReinforcementTask`.
        is_wide: Whether tasks differ as users' do: half of them stretched to episodes of at most
            1,000 steps, half with rewards scaled by .1 to 30, a fifth of 100 intervals.

    Raises:
        ConfigurationError: An option is out of range or contradicts another.
        UnknownNameError: There is no such environment on this side.
    """

    name = "reinforcement"
    hyperparameters: ClassVar = HYPERPARAMETERS
    default_controlled = CONTROLLED
    starts = (1e-4, 3e-4, 3e-3)
    suites = (
        Suite(
            name="validation",
            help="types of environment for decisions; not for results",
            options={"split": "validation", "start": "default", "algorithm": "ppo"},
            is_for_results=False,
        ),
        Suite(
            name="unseen",
            help="a type of environment that no policy was trained or chosen on",
            options={"split": "test", "start": "default", "algorithm": "ppo"},
        ),
    )
    recipes = RECIPES
    scenes = (
        Suite(
            name="unseen",
            help="a type of environment that no policy was trained or chosen on",
            options={"split": "test", "start": "default", "algorithm": "ppo"},
        ),
    )
    trainer_options = ("shape",)  # what an interval is, a policy is compared on as it was trained
    features: ClassVar[Mapping[str, str]] = FEATURES
    learned_start = LEARNED_START
    # The regret is hidden, but it ranks runs as their returns do, and those a user knows.
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"policy_divergence", "loss"})
    is_loss_hidden = True
    twin = "hpo_env.integrations.sb3_agents.reference:train"
    loss_floor = REGRET_FLOOR
    agent_settings: ClassVar = {"ppo": PPO_SETTINGS}

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        environment: str | None = None,
        physics: str | None = None,
        algorithm: Algorithm | None = None,
        hidden: int = 32,
        shape: Sequence[int] | None = None,
        start: Start = "mixed",
        normalises: bool | None = None,
        stretch: int = 1,
        is_wide: bool = False,
    ) -> None:
        super().__init__(split=split, num_decisions=num_decisions)
        if algorithm is not None:
            check_choice("algorithm", algorithm, Algorithm)
        check_choice("start", start, Start)
        self.algorithm = algorithm
        self.start: Start = start
        self.hidden = hidden
        self.shape = None if shape is None else tuple(int(part) for part in shape)
        self.normalises = normalises
        self.stretch = stretch
        self.is_wide = is_wide
        self.types = _types(split, environment)
        if algorithm == "dqn":
            self.types = _discrete(self.types)
        self.physics = physics
        self._check()

    @classmethod
    def set_num_threads(cls, num_threads: int) -> None:
        """Set the threads over which the kernel spreads the lanes of this process."""
        set_num_threads(num_threads)

    def sample(self, rng: np.random.Generator) -> ReinforcementTask:
        """Draw an environment, how much a rollout and an interval hold, and initial values."""
        kind = self.types[int(rng.integers(len(self.types)))]
        names = tuple(kind.physics)
        physics = self.physics or names[int(rng.integers(len(names)))]
        drawn: Algorithm = "a2c" if rng.random() < _A2C_SHARE else "ppo"
        algorithm = self.algorithm or drawn
        shapes = _SHAPES_OF[algorithm]
        shape = self.shape or shapes[int(rng.integers(len(shapes)))]
        count = int(_DECISIONS[int(rng.integers(len(_DECISIONS)))])
        normalises = bool(rng.random() < 0.5) if self.normalises is None else self.normalises
        normalises &= algorithm != "dqn"  # which does so when it replays, if at all
        task = ReinforcementTask(
            name=kind.name,
            num_decisions=self.num_decisions or count,
            initial=(),
            environment=kind.name,
            physics=physics,
            algorithm=algorithm,
            hidden=self.hidden,
            num_envs=shape[0],
            num_steps=shape[1],
            rollouts_per_decision=shape[2],
            normalises=normalises,
            stretch=self.stretch,
        )
        initial = draw_start(rng, self.start, algorithm, self.problem(task), self.space)
        task = replace(task, initial=tuple(initial.tolist()))
        return self._widened(rng, task) if self.is_wide else task

    def _widened(self, rng: np.random.Generator, task: ReinforcementTask) -> ReinforcementTask:
        """Draw how long episodes and the run are, and the size of rewards."""
        is_stretched, is_scaled, is_long = rng.random(3) < (0.5, 0.5, _MANY_SHARE)
        fit = stretches(task.environment, _LONGEST)
        stretch = fit[int(rng.integers(len(fit)))] if is_stretched and fit else task.stretch
        values = list(task.initial)
        if is_scaled:
            scale = math.exp(rng.uniform(*np.log(_REWARD_SCALES)))
            values[self.space.index("reward_scale")] = scale
        is_longer = is_long and self.num_decisions is None
        count = _MANY_DECISIONS if is_longer else task.num_decisions
        return replace(task, stretch=stretch, num_decisions=count, initial=tuple(values))

    def defaults(self, task: Task) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return what Stable-Baselines3 starts the task's algorithm with `[H]`."""
        assert isinstance(task, ReinforcementTask)
        return default_values(task.algorithm, self.space)

    def problem(self, task: Task) -> Problem:
        """Say which algorithm learns, and by what kind of actions."""
        assert isinstance(task, ReinforcementTask)
        return Problem(kind=task.facts.kind)

    @property
    def kinds(self) -> tuple[str, ...]:
        """What learns in its tasks: PPO by the kinds of action of its types, A2C, or DQN."""
        if self.algorithm == "dqn":
            return ("dqn",)
        acts = {DISCRETE if kind.rules.is_discrete else CONTINUOUS for kind in self.types}
        ppo = () if self.algorithm == "a2c" else sorted(acts, reverse=True)
        return (*ppo, *(() if self.algorithm == "ppo" else ("a2c",)))

    def has(self, task: Task) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Each algorithm lacks what is another's; see `TaskFamily.has`."""
        assert isinstance(task, ReinforcementTask)
        return ~np.isin(self.space.names, LACKS[task.algorithm])

    def effort(self, task: Task) -> float:
        """Estimate the work: samples that pass through both nets, forward and back."""
        assert isinstance(task, ReinforcementTask)
        epochs = task.initial[self.space.index("epochs")] if task.algorithm == "ppo" else 1.0
        weights = task.hidden * (task.hidden + task.rules.observation_size)
        if task.algorithm == "dqn":  # a minibatch passes twice forward and once back
            size = task.initial[self.space.index("batch_size")]
            return float(task.total_steps * (1.0 + size * 4.0 / TRAIN_FREQ) * weights)
        return float(task.total_steps * (1.0 + 3.0 * epochs) * 2 * weights)

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer, on device "cpu".

        Engine "native", "eager" (NumPy, slow), "reference" (Stable-Baselines3's own agents, slower
        still), or "auto".
        """
        if device != "cpu" or engine == "compiled":
            raise ConfigurationError(
                "task family 'reinforcement' runs on the CPU with engine 'native', 'eager', "
                f"'reference' or 'auto'; got engine={engine!r}, device={device!r}"
            )
        if engine == "reference":
            reference: Trainer = load_address("trainer", _REFERENCE)(num_lanes)
            return reference
        if engine == "eager":
            return ReinforcementTrainer(num_lanes, engine=Reference())
        try:
            return ReinforcementTrainer(num_lanes, engine=Kernel())
        except BuildError as error:
            if engine == "native":
                raise ConfigurationError(f"engine 'native' cannot be had: {error}") from error
            return ReinforcementTrainer(num_lanes, engine=Reference())

    def _check(self) -> None:
        if self.hidden not in (32, 64):
            raise ConfigurationError(f"hidden must be 32 or 64; got {self.hidden}")
        if self.stretch < 1:
            raise ConfigurationError(f"stretch must be a positive whole number; got {self.stretch}")
        if self.shape is not None and (len(self.shape) != 3 or min(self.shape) < 1):
            raise ConfigurationError(
                "shape must be three positive numbers: environments, steps of a rollout, rollouts "
                f"in an interval; got {self.shape}"
            )
        if self.shape is not None and self.shape[0] > MAX_ENVS:
            raise ConfigurationError(
                f"shape must have at most {MAX_ENVS} environments side by side; got {self.shape[0]}"
            )
        if self.algorithm == "dqn":
            self._check_dqn()
        if self.physics is not None:
            if len(self.types) != 1:
                raise ConfigurationError(
                    f"physics={self.physics!r} belongs to one type: environment must be given, too"
                )
            if self.physics not in self.types[0].physics:
                raise unknown_name(
                    f"physics of {self.types[0].name}", self.physics, self.types[0].physics
                )

    def _check_dqn(self) -> None:
        if self.normalises:
            raise ConfigurationError(
                "normalises must be False or None for algorithm 'dqn', whose lanes replay what the "
                "environment shows and pays; got normalises=True"
            )
        if self.shape is not None and (self.shape[1] % TRAIN_FREQ or self.shape[2] != 1):
            raise ConfigurationError(
                f"shape of algorithm 'dqn' must have a multiple of {TRAIN_FREQ} steps, at which it "
                f"learns, and 1 rollout in an interval; got {self.shape}"
            )


def stretches(environment: str, longest: int) -> tuple[int, ...]:
    """Return by what a type can be stretched, so that no episode is longer than so many steps.

    Args:
        environment: Name of the type.
        longest: Steps of the learner.

    Returns:
        Some of 2, 4 and 8.

    Example:
        >>> stretches("cart_pole", 1000)
        (2,)
    """
    return tuple(n for n in (2, 4, 8) if n * TYPE[environment].rules.max_steps <= longest)


def _types(split: Split, environment: str | None) -> tuple[EnvironmentType, ...]:
    types = types_of(split)
    if environment is None:
        return types
    chosen = tuple(kind for kind in types if kind.name == environment)
    if not chosen:
        elsewhere = [kind.split for kind in TYPES if kind.name == environment]
        if elsewhere:
            raise ConfigurationError(
                f"environment {environment!r} is on the {elsewhere[0]} side, for good; got "
                f"split={split!r}"
            )
        raise unknown_name(f"environment of the {split} side", environment, [k.name for k in types])
    return chosen


def _discrete(types: tuple[EnvironmentType, ...]) -> tuple[EnvironmentType, ...]:
    found = tuple(kind for kind in types if kind.rules.is_discrete)
    if not found:
        raise ConfigurationError(
            f"environment {types[0].name!r} has continuous actions, of which algorithm 'dqn' knows "
            "nothing: give another environment, or algorithm='ppo'"
        )
    return found
