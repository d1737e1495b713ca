"""What a meta-training is: one frozen record, its defaults, and the check that it makes sense.

A setting that is `None` was not given. `TrainConfig.resolved` fills it in: the preset says how
long, the family by which schedule, and the agent's own settings come from the agent's class, with
the family's wishes for it (`TaskFamily.agent_settings`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.schedules import schedule
from hpo_env.sharding import Workers
from hpo_env.tasks.base import Engine, check_choice
from hpo_env.tasks.registry import FAMILIES, check_family, family_class

from .family_options import FAMILY_OPTIONS
from .initial_policies.registry import ALGORITHMS, JOINT, check_algorithm, trained_class
from .learners.base import Learner
from .learners.registry import LEARNERS, learner_class
from .learners.settings import Settings, check_at_least
from .tracking.base import check_tracker

LearnedActions = Literal["continuous", "discrete"]
"""How learners act; one that knows joint choices alone makes them out of discrete ones itself."""

Exported = Literal["best", "last"]
"""Which checkpoint becomes the policy."""

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 500_000, "segment_steps": 50_000, "validation_lanes": 128},
    "standard": {"steps": 2_000_000, "segment_steps": 100_000, "validation_lanes": 256},
    "full": {"steps": 10_000_000, "segment_steps": 250_000, "validation_lanes": 256},
}
"""How long to train, and how often and how widely to look at meta-validation tasks."""


def _one_of(names: Iterable[str]) -> Any:
    """Show the names of a registry in the help text."""
    return tyro.conf.arg(metavar=" | ".join((*names, "module:Class")))


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Meta-train an agent on HPOControl-v0 and export the policy that did best on validation tasks.

    Args:
        family: The task family to train on: a name, or `module:Class` for one of your own.
        agent: The learning algorithm: a name, or `module:Class` for one of your own. tqc and
            recurrent_ppo need `pip install 'hpo-control[contrib]'`.
        algorithm: joint learns from all tasks together; with the others the agent, ppo, learns
            where to start so that a few updates adapt it to one data set.
        preset: How long to train: quick, standard or full. Sets `steps`, `segment_steps` and
            `validation_lanes`; a flag that you give wins over it.
        steps: Environment steps to train for, summed over lanes; a step is one decision interval of
            one inner training run.
        seed: The one seed of the run; with the same seed, machine and versions a run repeats bit
            for bit.
        num_envs: Inner training runs that go on at once (lanes). More lanes make each step cheaper
            and each update of the agent less noisy.
        hyperparameters: Names of the hyperparameters that the agent turns; the family's own choice
            when not given.
        action_mode: discrete (factors 1/m ... 1 ... m for each hyperparameter) or continuous. Not
            given: discrete where the agent can, because it transfers better.
        base_schedule: The schedule that actions correct, and what a policy that does nothing
            leaves in force. Not given: the family's own.
        availability: How often hyperparameters that not every loop has can be moved in a training
            episode: a policy has to have met loops without them. Each episode draws the probability
            evenly between this and 1, in [0, 1].
        learned_start: Share of the episodes, in [0, 1], that begin at the family's learned start
            in place of what the task drew; for families that have one.
        hidden_end: Share of the episodes, in [0, 1], whose end is hidden from the agent until a
            tenth to a half of them is left, as in a user's run of unknown length.
        num_decisions: Decisions in an episode; the family draws its own when not given.
        updates_per_decision: Inner updates between two decisions; the family's own when not given.
        family_options: Further options of the family, for instance `dataset=digits optimizer=sgd`.
        engine: How inner runs are computed: native (fastest, where the family has it), compiled
            (takes seconds to start), eager, reference (one after another, slow) or auto.
        device: Torch device of the inner training. The agent itself stays on the CPU, where its
            small network runs faster.
        num_threads: Threads over which the native kernel spreads the lanes of this process; one a
            core when not given. The outcome does not depend on it.
        num_workers: Worker processes that the lanes are spread over; 0 keeps them in this process.
            The outcome does not depend on it.
        workers: process for workers on this machine, ray for actors on a Ray cluster.
        ray_address: The Ray cluster to join, such as auto or 10.0.0.1:6379; with workers=ray only.
        run_dir: Folder in which the run's own folder is made.
        initial: Run folder of an earlier meta-training; this one begins with the weights that it
            exported. It may have had other tasks, but must have observed and moved the same. A
            policy's folder gives its actor alone, of several members the one of this seed (see
            `critic_steps`).
        resume: Run folder of an interrupted run to go on with; all other settings come from there.
            Only a file that has moved may be named, by family_options, for instance `dataset=PATH`.
        progress: bar (a live bar), lines (a line a segment), quiet, or auto: a bar on a terminal,
            lines elsewhere.
        tracker: Where curves and pictures go beside TensorBoard: wandb (WANDB_MODE=offline keeps
            them here) or mlflow.
        segment_steps: Environment steps between two checkpoints; meta-validation runs at each, and
            an interrupted run loses at most one segment.
        validation_lanes: Episodes on meta-validation tasks that score a checkpoint.
        exported: Which checkpoint becomes the policy: the best of these scores, or the last, where
            something else is to say what the training was worth.
        settings: What the agent itself is told. Which settings there are depends on --agent.

    Raises:
        UnknownNameError: A name is in no registry; the nearest are suggested.
        ConfigurationError: A number is out of range, or settings contradict each other.

    Example:
        >>> config = TrainConfig(family="quadratic", preset="quick", seed=3).resolved()
        >>> config.steps, config.action_mode, config.base_schedule
        (500000, 'discrete', 'cosine')
    """

    family: Annotated[str, _one_of(FAMILIES)] = "supervised"
    agent: Annotated[str, _one_of(LEARNERS)] = "ppo"
    algorithm: Annotated[str, tyro.conf.arg(metavar=" | ".join(ALGORITHMS))] = JOINT
    preset: str = "standard"
    steps: int | None = None
    seed: int = 0
    num_envs: int = 128
    hyperparameters: tuple[str, ...] | None = None
    action_mode: str | None = None
    base_schedule: str | None = None
    availability: float = 1.0
    learned_start: float = 0.0
    hidden_end: float = 0.0
    num_decisions: int | None = None
    updates_per_decision: int | None = None
    family_options: Annotated[Mapping[str, Any], FAMILY_OPTIONS] = field(default_factory=dict)
    engine: str = "auto"
    device: str = "cpu"
    num_threads: int | None = None
    num_workers: int = 0
    workers: Workers = "process"
    ray_address: str | None = None
    run_dir: Path = Path("logs")
    initial: Path | None = None
    resume: Path | None = None
    progress: str = "auto"
    tracker: str | None = None
    segment_steps: int | None = None
    validation_lanes: int | None = None
    exported: Exported = "best"

    settings: tyro.conf.OmitArgPrefixes[Settings] = field(default_factory=Settings)

    def __post_init__(self) -> None:
        _check_names(self)
        for name, lowest in _AT_LEAST.items():
            check_at_least(name, getattr(self, name), lowest)

    @classmethod
    def of(cls, **values: Any) -> TrainConfig:
        """Build a configuration from one flat mapping, the agent's settings among the others.

        Raises:
            ConfigurationError: A setting is none of a run's, and the agent does not read it either.

        Example:
            >>> TrainConfig.of(family="quadratic", n_steps=6, steps=1000).settings.n_steps
            6
        """
        return cls().with_values(**values)

    def with_values(self, **values: Any) -> TrainConfig:
        """Return a copy with other values, the agent's settings among the others.

        What the agent was told stays, unless there is another agent now.

        Raises:
            ConfigurationError: A setting is none of a run's, and the agent does not read it either.
        """
        own = {f.name for f in fields(self)}
        told = {name: value for name, value in values.items() if name not in own}
        config = replace(self, **{name: values[name] for name in values if name in own})
        if config.learner is not self.learner and "settings" not in values:
            config = replace(config, settings=Settings())
        if not told:
            return config
        return replace(config, settings=_settings(config, config.settings.to_json() | told))

    @property
    def learner(self) -> type[Learner]:
        """What learns: the agent, or an algorithm over it.

        Raises:
            ConfigurationError: See `learner_class`.
        """
        return trained_class(self.algorithm, self.agent)

    def filled(self) -> TrainConfig:
        """Return the same configuration with every setting that was not given filled in.

        What follows from other settings still waits: `resolved` settles that.

        Raises:
            ConfigurationError: The settings are those of another agent.
        """
        table = dict(PRESETS[self.preset])
        table["action_mode"] = self.learner.action_modes[0]
        table["base_schedule"] = family_class(self.family).base_schedule
        missing = {n: v for n, v in table.items() if getattr(self, n) is None}
        if type(self.settings) is Settings:
            missing["settings"] = _settings(self, {})
        return replace(self, **missing)

    def resolved(self) -> TrainConfig:
        """Return the configuration with nothing left open.

        Raises:
            ConfigurationError: The settings are those of another agent, or do not suit the number
                of lanes.
        """
        config = self.filled()
        kind = self.learner.settings
        if type(config.settings) is not kind:
            raise ConfigurationError(
                f"{_who(self)} takes settings of the kind {kind.__name__}; got "
                f"{type(config.settings).__name__}"
            )
        return replace(config, settings=config.settings.fitted(self.num_envs))

    def segment_bounds(self) -> list[int]:
        """Return the environment steps at which segments end, whole rollouts each.

        The last bound is the first multiple of a rollout that reaches `steps`. The configuration
        must be resolved.

        Example:
            >>> config = TrainConfig.of(
            ...     family="quadratic", steps=1000, segment_steps=400, num_envs=10, n_steps=10
            ... )
            >>> config.resolved().segment_bounds()
            [400, 800, 1000]
        """
        assert self.steps is not None
        assert self.segment_steps is not None
        rollout = self.settings.rollout_steps(self.num_envs)
        total = -(-self.steps // rollout)
        per_segment = max(1, self.segment_steps // rollout)
        return [min(k + per_segment, total) * rollout for k in range(0, total, per_segment)]

    def to_json(self) -> dict[str, Any]:
        """Describe the run in plain data: all that decides its outcome, and nothing else."""
        data = asdict(self)
        for name in _NOT_STORED:
            del data[name]
        data["initial"] = None if self.initial is None else self.initial.as_posix()
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Build the configuration that `to_json` described.

        Configurations that were written before agents had settings of their own, with all settings
        in one mapping and None for those that the agent does not read, mean the same.

        Raises:
            ConfigurationError: A setting is unknown.
        """
        own = {f.name for f in fields(cls)} - set(_NOT_STORED)
        values: dict[str, Any] = {name: _tuples(data[name]) for name in data if name in own}
        told = dict(values.pop("settings", {}))
        told |= {n: v for n, v in data.items() if n not in own and v is not None}
        if values.get("initial") is not None:
            values["initial"] = Path(values["initial"])
        config = cls(**values)
        if not told:
            return config
        kind = config.learner.settings
        unknown = sorted(set(told) - set(kind.names()))
        if unknown:
            raise ConfigurationError(
                f"unknown settings {unknown}: written by another version of this package?"
            )
        settings = kind(**{name: _tuples(value) for name, value in told.items()})
        return replace(config, settings=settings)

    def env_arguments(self) -> dict[str, Any]:
        """Return the arguments of the environment that this configuration asks for."""
        options = dict(self.family_options)
        if self.updates_per_decision is not None:
            options["updates_per_decision"] = self.updates_per_decision
        return {
            "family": self.family,
            "hyperparameters": self.hyperparameters,
            "num_decisions": self.num_decisions,
            "action_mode": self.action_mode,
            "base_schedule": self.base_schedule,
            "learned_start": self.learned_start,
            "hidden_end": self.hidden_end,
            "engine": self.engine,
            "device": self.device,
            **options,
        }


_NOT_STORED = ("run_dir", "resume", "progress", "tracker")
_PROGRESS = ("auto", "bar", "lines", "quiet")


def _check_names(config: TrainConfig) -> None:
    check_family(config.family)
    check_algorithm(config.algorithm, config.agent)
    check_tracker(config.tracker)
    for kind, name, allowed in (
        ("preset", config.preset, PRESETS),
        ("progress", config.progress, _PROGRESS),
    ):
        if name not in allowed:
            raise unknown_name(kind, name, allowed)
    check_choice("engine", config.engine, Engine)
    check_choice("exported checkpoint", config.exported, Exported)
    if config.base_schedule is not None:
        schedule(config.base_schedule)
    if config.action_mode is not None:
        check_choice("action mode", config.action_mode, LearnedActions)
        modes = config.learner.action_modes
        if config.action_mode not in modes:
            able = [a for a in LEARNERS if config.action_mode in learner_class(a).action_modes]
            raise ConfigurationError(
                f"agent {config.agent!r} learns {' or '.join(modes)} actions only; with "
                f"action_mode={config.action_mode!r} take one of {', '.join(able)}"
            )


_AT_LEAST = {
    "steps": 1,
    "seed": 0,
    "num_envs": 1,
    "num_threads": 1,
    "num_workers": 0,
    "num_decisions": 1,
    "updates_per_decision": 1,
    "segment_steps": 1,
    "validation_lanes": 1,
}


def _settings(config: TrainConfig, told: Mapping[str, Any]) -> Settings:
    """Build the settings of the agent from what it was told and what the family wishes."""
    learner = config.learner
    reads = learner.settings.names()
    for name in told:
        if name not in reads:
            raise ConfigurationError(
                f"{_who(config)} does not read {name}; it reads {', '.join(sorted(reads))}"
            )
    wishes = family_class(config.family).agent_settings.get(learner.name, {})
    return learner.settings(**{**wishes, **told})


def _who(config: TrainConfig) -> str:
    if config.algorithm == JOINT:
        return f"agent {config.agent!r}"
    return f"algorithm {config.algorithm!r}"


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
