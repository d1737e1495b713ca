"""What a meta-training is: one frozen record, its defaults, and the check that it makes sense.

A setting that is `None` was not given. `TrainConfig.resolved` fills it from the tables here: the
preset says how long, the agent how, and some pairs of family and agent have values of their own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from agents.family_options import FAMILY_OPTIONS
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.schedules import schedule
from hpo_env.sharding import Workers
from hpo_env.tasks.base import Engine, check_choice
from hpo_env.tasks.registry import FAMILIES
from hpo_env.vector_env import ActionMode

Critic = Literal["task", "observation"]

PRESETS: dict[str, dict[str, Any]] = {
    "quick": {"steps": 500_000, "segment_steps": 50_000, "validation_lanes": 128},
    "standard": {"steps": 2_000_000, "segment_steps": 100_000, "validation_lanes": 256},
    "full": {"steps": 10_000_000, "segment_steps": 250_000, "validation_lanes": 256},
}
"""How long to train, and how often and how widely to look at meta-validation tasks."""

_POLICY_GRADIENT = {"gae_lambda": 0.95, "ent_coef": 0.002, "gamma": 1.0, "net_arch": (64, 64)}
_PPO = _POLICY_GRADIENT | {
    "learning_rate": 2.5e-3,
    "n_steps": 20,
    "batch_size": 512,
    "n_epochs": 8,
    "clip_range": 0.2,
}
_OFF_POLICY = {
    "learning_rate": 1e-3,
    "gamma": 1.0,
    "net_arch": (64, 64),
    "batch_size": 512,
    "buffer_size": 200_000,
    "learning_starts": 5_000,
    "gradient_steps": 8,
}

AGENT_SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": _PPO | {"critic": "task"},
    "a2c": _POLICY_GRADIENT | {"learning_rate": 1e-3, "n_steps": 10, "critic": "task"},
    "sac": _OFF_POLICY,
    "td3": _OFF_POLICY,
    "tqc": _OFF_POLICY,
    "dqn": _OFF_POLICY | {"learning_rate": 5e-4},
    "recurrent_ppo": _PPO | {"n_steps": 40, "n_epochs": 4},
}
"""The settings that each agent reads, with our values; others are refused."""

ACTION_MODES: dict[str, tuple[str, ...]] = {
    "ppo": ("discrete", "continuous"),
    "a2c": ("discrete", "continuous"),
    "sac": ("continuous",),
    "td3": ("continuous",),
    "tqc": ("continuous",),
    "dqn": ("discrete",),
    "recurrent_ppo": ("discrete", "continuous"),
}
"""The action modes that each agent can learn in; the first is taken when none is given."""

BASE_SCHEDULES: dict[str, str] = {"local_level": "constant"}
"""Base schedules of the families whose hyperparameters no schedule applies to; cosine elsewhere."""

PAIR_SETTINGS: dict[tuple[str, str], dict[str, Any]] = {
    # All lanes' episodes are equally long and begin together, so a rollout shorter than an episode
    # would see one stage of it only.
    ("quadratic", "ppo"): {"n_steps": 40, "learning_rate": 3e-3},
    ("local_level", "ppo"): {"n_steps": 30, "learning_rate": 3e-3},
}
"""Settings of an agent on one family other than its usual ones, found with
`benchmarks/known_answers.py`."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """Meta-train an agent on HPOControl-v0 and export the policy that did best on validation tasks.

    Args:
        family: The task family to train on: supervised, quadratic or local_level.
        agent: The learning algorithm: ppo, a2c, sac, td3, dqn, tqc or recurrent_ppo. The last two
            need `pip install 'hpo-control[contrib]'`.
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
            leaves in force. Not given: cosine, the best schedule to start from.
        availability: How often hyperparameters other than the learning rate can be moved in a
            training episode: users' loops do not have all of them, and a policy has to have met
            that. Each episode draws the probability evenly between this and 1, in [0, 1].
        num_decisions: Decisions in an episode; the family draws its own when not given.
        updates_per_decision: Inner updates between two decisions; the family's own when not given.
        family_options: Further options of the family, for instance `dataset=digits optimizer=sgd`.
        engine: How inner runs are computed: compiled (fastest, takes seconds to start), eager,
            reference (one after another, slow) or auto.
        device: Torch device of the inner training. The agent itself stays on the CPU, where its
            small network runs faster.
        num_threads: Threads over which the native kernel spreads the lanes of this process; one a
            core when not given. The outcome does not depend on it.
        num_workers: Worker processes that the lanes are spread over; 0 keeps them in this process.
            The outcome does not depend on it.
        workers: process for workers on this machine, ray for actors on a Ray cluster.
        ray_address: The Ray cluster to join, such as auto or 10.0.0.1:6379; with workers=ray only.
        run_dir: Folder in which the run's own folder is made.
        resume: Run folder of an interrupted run to go on with; all other settings come from there.
        progress: bar (a live bar), lines (a line a segment), quiet, or auto: a bar on a terminal,
            lines elsewhere.
        segment_steps: Environment steps between two checkpoints; meta-validation runs at each, and
            an interrupted run loses at most one segment.
        validation_lanes: Episodes on meta-validation tasks that score a checkpoint.
        learning_rate: The agent's learning rate at the start; it falls linearly to nearly 0, which
            calms the policy down before the end.
        gamma: Discount of the agent, in [0, 1]. 1 because what counts is the loss at the end of a
            run of known length.
        net_arch: Width of each hidden layer of the agent's networks.
        n_steps: Steps in each lane between two updates of the agent (policy-gradient agents).
        batch_size: Transitions in a minibatch of the agent's update; for policy-gradient agents it
            must divide `n_steps * num_envs`.
        n_epochs: Passes over each rollout (PPO kinds).
        clip_range: How far the probability ratio may move in an update (PPO kinds).
        gae_lambda: Weight of longer returns in the advantage estimate, in [0, 1].
        ent_coef: Weight of the entropy bonus, which keeps exploration up (policy-gradient agents).
        critic: What the value network sees: observation, or task, which adds what the task is (in
            training only; policy-gradient agents without memory). The returns of tasks differ by
            far more than policies make them differ; a critic that knows the task keeps that out
            of the advantages.
        buffer_size: Transitions that the replay buffer holds (off-policy agents).
        learning_starts: Environment steps taken at random before learning (off-policy agents).
        gradient_steps: Updates of the agent after each step of all lanes (off-policy agents).

    Raises:
        UnknownNameError: A name is in no registry; the nearest are suggested.
        ConfigurationError: A number is out of range, or settings contradict each other.

    Example:
        >>> config = TrainConfig(family="quadratic", preset="quick", seed=3).resolved()
        >>> config.steps, config.action_mode, config.base_schedule
        (500000, 'discrete', 'cosine')
    """

    family: str = "supervised"
    agent: str = "ppo"
    preset: str = "standard"
    steps: int | None = None
    seed: int = 0
    num_envs: int = 128
    hyperparameters: tuple[str, ...] | None = None
    action_mode: str | None = None
    base_schedule: str | None = None
    availability: float = 1.0
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
    resume: Path | None = None
    progress: str = "auto"
    segment_steps: int | None = None
    validation_lanes: int | None = None

    learning_rate: float | None = None
    gamma: float | None = None
    net_arch: tuple[int, ...] | None = None
    n_steps: int | None = None
    batch_size: int | None = None
    n_epochs: int | None = None
    clip_range: float | None = None
    gae_lambda: float | None = None
    ent_coef: float | None = None
    critic: str | None = None
    buffer_size: int | None = None
    learning_starts: int | None = None
    gradient_steps: int | None = None

    def __post_init__(self) -> None:
        _check_names(self)
        _check_numbers(self)

    def resolved(self) -> TrainConfig:
        """Return the same configuration with every setting that was not given filled in.

        Raises:
            ConfigurationError: A setting was given that the agent does not read, or the batch size
                does not divide the rollout.
        """
        pair = PAIR_SETTINGS.get((self.family, self.agent), {})
        table = PRESETS[self.preset] | AGENT_SETTINGS[self.agent] | pair
        table["action_mode"] = ACTION_MODES[self.agent][0]
        table["base_schedule"] = BASE_SCHEDULES.get(self.family, "cosine")
        missing = {n: v for n, v in table.items() if getattr(self, n) is None}
        if "batch_size" in missing and "n_steps" in table:
            rollout = (self.n_steps or table["n_steps"]) * self.num_envs
            missing["batch_size"] = _divisor_near(rollout, missing["batch_size"])
        config = replace(self, **missing)
        _check_agent_settings(config)
        return config

    def segment_bounds(self) -> list[int]:
        """Return the environment steps at which segments end, whole rollouts each.

        The last bound is the first multiple of a rollout that reaches `steps`. The configuration
        must be resolved.

        Example:
            >>> config = TrainConfig(
            ...     family="quadratic", steps=1000, segment_steps=400, num_envs=10, n_steps=10
            ... )
            >>> config.resolved().segment_bounds()
            [400, 800, 1000]
        """
        assert self.steps is not None
        assert self.segment_steps is not None
        rollout = self.num_envs * (self.n_steps or 1)
        total = -(-self.steps // rollout)
        per_segment = max(1, self.segment_steps // rollout)
        return [min(k + per_segment, total) * rollout for k in range(0, total, per_segment)]

    def to_json(self) -> dict[str, Any]:
        """Describe the run in plain data: all that decides its outcome, and nothing else."""
        data = asdict(self)
        for name in _NOT_STORED:
            del data[name]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> TrainConfig:
        """Build the configuration that `to_json` described.

        Raises:
            ConfigurationError: A setting is unknown.
        """
        known = {f.name for f in fields(cls)} - set(_NOT_STORED)
        unknown = sorted(set(data) - known)
        if unknown:
            raise ConfigurationError(
                f"unknown settings {unknown}: written by another version of this package?"
            )
        values: dict[str, Any] = {
            n: tuple(v) if isinstance(v, list) else v for n, v in data.items()
        }
        return cls(**values)

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
            "engine": self.engine,
            "device": self.device,
            **options,
        }


_NOT_STORED = ("run_dir", "resume", "progress")
_PROGRESS = ("auto", "bar", "lines", "quiet")
_ALL_AGENT_SETTINGS = sorted({name for table in AGENT_SETTINGS.values() for name in table})


def _check_names(config: TrainConfig) -> None:
    for kind, name, allowed in (
        ("task family", config.family, FAMILIES),
        ("agent", config.agent, AGENT_SETTINGS),
        ("preset", config.preset, PRESETS),
        ("progress", config.progress, _PROGRESS),
    ):
        if name not in allowed:
            raise unknown_name(kind, name, allowed)
    check_choice("engine", config.engine, Engine)
    if config.critic is not None:
        check_choice("critic", config.critic, Critic)
    if config.base_schedule is not None:
        schedule(config.base_schedule)
    if config.action_mode is not None:
        check_choice("action mode", config.action_mode, ActionMode)
        modes = ACTION_MODES[config.agent]
        if config.action_mode not in modes:
            able = [a for a, m in ACTION_MODES.items() if config.action_mode in m]
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
    "n_steps": 1,
    "batch_size": 2,  # advantages of a single transition cannot be normalised
    "n_epochs": 1,
    "buffer_size": 1,
    "learning_starts": 0,
    "gradient_steps": 1,
    "ent_coef": 0,
}
_UP_TO_ONE = ("gamma", "gae_lambda")
_POSITIVE = ("learning_rate", "clip_range")


def _check_numbers(config: TrainConfig) -> None:
    for name, lowest in _AT_LEAST.items():
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value >= lowest):
            raise ConfigurationError(f"{name} must be at least {lowest}; got {value}")
    for name in _UP_TO_ONE:
        value = getattr(config, name)
        if value is not None and not 0.0 <= value <= 1.0:
            raise ConfigurationError(f"{name} must lie in [0, 1]; got {value}")
    for name in _POSITIVE:
        value = getattr(config, name)
        if value is not None and not (math.isfinite(value) and value > 0.0):
            raise ConfigurationError(f"{name} must be positive and finite; got {value}")
    if config.net_arch is not None and not (config.net_arch and min(config.net_arch) >= 1):
        raise ConfigurationError(
            f"net_arch must name the width of at least one layer; got {config.net_arch}"
        )


def _check_agent_settings(config: TrainConfig) -> None:
    reads = AGENT_SETTINGS[config.agent]
    for name in _ALL_AGENT_SETTINGS:
        if name not in reads and getattr(config, name) is not None:
            raise ConfigurationError(
                f"agent {config.agent!r} does not read {name}; it reads {', '.join(sorted(reads))}"
            )
    if config.n_steps is None or config.batch_size is None:
        return
    rollout = config.n_steps * config.num_envs
    if rollout % config.batch_size:
        raise ConfigurationError(
            f"batch_size must divide n_steps * num_envs = {rollout}; got {config.batch_size}, "
            f"the nearest that does is {_divisor_near(rollout, config.batch_size)}"
        )


def _divisor_near(number: int, wanted: int) -> int:
    """Return the divisor of `number` (2 or more where there is one) nearest to `wanted`."""
    divisors = [d for d in range(1, number + 1) if number % d == 0 and d >= min(2, number)]
    return min(divisors, key=lambda d: abs(math.log(d / wanted)))
