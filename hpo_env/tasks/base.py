"""What every task family is: it draws tasks as plain numbers and makes a trainer for them.

Adding a family costs one folder with a subclass of `TaskFamily`, and one line in `registry.py`; the
shared contract suite finds it through the registry. A family outside of this package needs no line:
its address, `module:Class`, stands wherever a family's name may.

All that others have to know of a family is declared here: what tells its tasks apart, what they are
evaluated on, from which values, by which schedule, what its hosts can do. Nobody else keeps a
table of families, or looks for a field that one of them happens to have. The file is long because
it is the whole contract, and is read from end to end by whoever writes a family.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import whole_number
from hpo_env.errors import ConfigurationError, ContractError, unknown_name
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.reward import LOSS_FLOOR
from hpo_env.scope import Scope
from hpo_env.starts import LearnedStart, Problem
from hpo_env.telemetry import Telemetry

if TYPE_CHECKING:  # torch is not needed to read what a family says of itself
    from hpo_env.networks.updaters import Updater

Split = Literal["train", "validation", "test"]
Engine = Literal["auto", "native", "compiled", "eager", "reference"]

Capability = Literal["rate", "gradients", "optimizer", "loss", "learned_start", "policy_divergence"]
"""What an opponent may need of a family.

- rate: a hyperparameter that the base schedule multiplies.
- gradients: `gradient_norm_first` and its like are measured.
- optimizer: a trainer that can be given another update rule, `TaskFamily.make_updated_trainer`.
- loss: a user's run knows the validation loss, or what ranks runs as it does, so that they can be
  chosen by it; elsewhere a search would be an oracle.
- learned_start: the setting to begin from, `TaskFamily.learned_start`.
- policy_divergence: what learns is a stochastic policy, `Trainer.policy_divergence`.

Runs can be snapshot and forked in every family: the contract of `Trainer` demands it.
"""


def setting_need(name: str) -> str:
    """Write that a family must have published a setting.

    Example:
        >>> setting_need("lightgbm_td")
        'setting lightgbm_td'
    """
    return f"setting {name}"


def check_choice(kind: str, value: str, choices: Any) -> None:
    """Check a value against a `Literal`.

    Raises:
        UnknownNameError: It is none of the choices; the nearest are suggested.
    """
    if not isinstance(value, str) or value not in get_args(choices):
        raise unknown_name(kind, value, get_args(choices))


@dataclass(frozen=True, kw_only=True)
class Task:
    """One thing to train, as plain numbers and names that can be logged and saved as JSON.

    Args:
        name: What a person would call it; results are grouped by it (the data set's name).
        num_decisions: Decision intervals in the run.
        initial: Initial value of every hyperparameter of the family, in the family's order `[H]`.
    """

    name: str
    num_decisions: int
    initial: tuple[float, ...]

    @property
    def labels(self) -> Mapping[str, str]:
        """What tells tasks of one name apart, for people: name of the label to its value, in order.

        Every task of a family has the same labels. They are columns of tables of results, opponents
        may tune a value for each, and what is drawn for evaluation is spread over them evenly.
        """
        return {}

    @property
    def alike(self) -> Hashable:
        """Equal for tasks that train fastest side by side; sortable among tasks of a family."""
        return ()

    def to_json(self) -> dict[str, Any]:
        """Describe the task in plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A distribution of held-out tasks.

    Args:
        name: Key among the family's suites.
        help: What it asks for, in one line.
        options: Options of the family from which the tasks are drawn, `split` among them.
        is_for_results: Whether its figures are results; False where decisions are taken on it.
    """

    name: str
    help: str
    options: Mapping[str, Any] = field(default_factory=dict)
    is_for_results: bool = True


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a policy of a family is made, as plain data.

    Args:
        name: The policy's.
        help: What it is, in one line.
        settings: Settings of meta-training other than the usual ones, by name.
        runs: Name of the folder of its seeds; recipes that share it share them.
        keeps: Hyperparameters that the policy moves; all that it was trained on when None.
        initial: Name of the recipe with whose weights, seed by seed, this one's training begins.
        begins_with: What of it: all that it learned ("networks"), or the actor alone beside a new
            critic ("policy"), where tasks are described otherwise.
        learned_share: Where the weights of the policy lie between those that it began with, 0, and
            those that came of it, 1.
        seeds: Meta-training seeds.
        members: How many of the seeds, the best on meta-validation tasks, make up the policy.
        scope: Where it decides in place of another policy of the same hyperparameters.
        lowest: The lowest values that it moves to, by name; see `hpo_env.limits`.
        most_decisions: In how long runs it moves a hyperparameter, by name; see `Policy`.
    """

    name: str
    help: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    runs: str
    keeps: tuple[str, ...] | None = None
    initial: str | None = None
    begins_with: Literal["networks", "policy"] = "networks"
    learned_share: float = 1.0
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    members: int = 3
    scope: Scope | None = None
    lowest: Mapping[str, float] = field(default_factory=dict)
    most_decisions: Mapping[str, int] = field(default_factory=dict)


class TaskFamily(ABC):
    """A distribution of tasks, split into training, validation and test parts.

    Args:
        split: Which part of the distribution to draw from; the parts share no data set and, for
            tests, no architecture.
        num_decisions: Fixed number of decision intervals; None leaves it to the family.

    Raises:
        UnknownNameError: The split does not exist.
        ConfigurationError: `num_decisions` is not a positive integer.
    """

    name: ClassVar[str]
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]]
    default_controlled: ClassVar[tuple[str, ...]]
    """The hyperparameters that an agent has when nobody says which."""

    base_schedule: ClassVar[str] = "constant"
    """The schedule that agents correct when nobody says which."""

    starts: ClassVar[tuple[float, ...]] = ()
    """Usual initial values of `leading`, from each of which an evaluation starts its tasks; where
    there are none, tasks keep what they drew."""

    learned_start: ClassVar[LearnedStart | None] = None
    """The setting that was best on the training tasks, in a few cases by `problem`. Policies of the
    family take it along, and training episodes may begin there; None: there is none."""

    published_settings: ClassVar[Mapping[str, LearnedStart]] = {}
    """Settings that others recommend for what this family trains, by the name of the opponent that
    keeps it."""

    suites: ClassVar[tuple[Suite, ...]] = (
        Suite(
            name="validation",
            help="tasks of meta-validation; for decisions, not for results",
            options={"split": "validation"},
            is_for_results=False,
        ),
        Suite(name="test", help="tasks of the test side", options={"split": "test"}),
    )
    """What policies are compared on."""

    scenes: ClassVar[tuple[Suite, ...] | None] = None
    """What the figures of a shipped policy are measured on; None: all suites."""

    scene_starts: ClassVar[tuple[float, ...] | None] = None
    """What scenes are started from, in the place of `starts`; None: the same."""

    demo_scenes: ClassVar[tuple[Suite, ...] | None] = None
    """What a demonstration shows; None: the quick suites."""

    recipes: ClassVar[tuple[Recipe, ...]] = ()
    """How policies of this family are made; see `all_recipes`."""

    quick_suites: ClassVar[tuple[str, ...] | None] = None
    """Names of the suites of a quick comparison; None: all that are for results."""

    trainer_options: ClassVar[tuple[str, ...]] = ()
    """Names of the options that the trainer reads too; the others only say which tasks to draw."""

    agent_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Settings of meta-training other than an agent's usual ones, by agent."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    """What opponents can rely on; see `Capability`. "rate", "learned_start" and "loss" follow from
    the declarations of hyperparameters, of these and of `is_loss_hidden`."""

    relocatable_options: ClassVar[tuple[str, ...]] = ()
    """Names of the options that say where something is, and not what it is: what a fingerprint of
    `pinned_options` recognises again in another place."""

    adapting_options: ClassVar[Mapping[str, Any]] = {}
    """Options under which a policy is adapted to somebody's own task: they leave out the data that
    the outcome is measured on."""

    held_out_options: ClassVar[Mapping[str, Any]] = {}
    """Options under which the outcome of that is measured, on what `adapting_options` left out."""

    optimizer_hyperparameters: ClassVar[tuple[str, ...]] = ()
    """Hyperparameters that belong to the tasks' own optimiser, and so mean nothing where another
    update rule replaces it. What stands there for a learning rate is read back as the first."""

    can_roll_back: ClassVar[bool] = True
    """Whether the hosts of this family can roll a failed interval back, as trainers can. Where they
    cannot, the environment does not either: the interval counts, and the guard moves next."""

    is_seeded: ClassVar[bool] = True
    """Whether the episode seed changes a run. Where not, a run is a function of its task and
    its values, and repeating it with another seed says nothing new."""

    twin: ClassVar[str | None] = None
    """Address of a function that trains one task as a user's own loop would, through the kind of
    host that this family has: `train(family, task, seed, controller) -> Run`. Under an episode seed
    it makes the updates that the trainer makes, so that a policy must see and do the same in both;
    `hpo_env.testing.parity` checks it. None: one lane of the trainer stands in for the loop."""

    loss_floor: ClassVar[float] = LOSS_FLOOR
    """A validation loss below this is as good as this: the reward ends here. Above 0; for a loss
    that reaches 0, such as a regret, the smallest difference that anybody cares about."""

    is_loss_hidden: ClassVar[bool] = False
    """Whether a user's run cannot know the validation loss, because it is a regret against the best
    known result or an error over points to come. It makes the reward and the figures then, and
    neither the observation nor the guard sees it: they follow the training loss. `diverged` must
    then follow from what such a run sees."""

    features: ClassVar[Mapping[str, str]] = {}
    """Entries of the observation that only this family has: their names and what they measure.
    `Trainer.features` measures them; they stand at the observation's end."""

    updates_per_decision: int = 1
    """Inner updates in one decision interval, of tasks that do not say themselves."""

    def __init__(self, *, split: Split = "train", num_decisions: int | None = None) -> None:
        check_choice("split", split, Split)
        if num_decisions is not None and whole_number("num_decisions", num_decisions) < 1:
            raise ConfigurationError(
                f"num_decisions must be a positive integer; got {num_decisions}"
            )
        self.split: Split = split
        self.num_decisions = None if num_decisions is None else int(num_decisions)
        self.space = HyperparameterSpace(self.hyperparameters)

    @classmethod
    def leading(cls) -> str:
        """Name the hyperparameter that schedules and grids are about.

        The first that the base schedule multiplies; without one, the first that an agent has.
        """
        scheduled = (h.name for h in cls.hyperparameters if h.scheduled)
        return next(scheduled, cls.default_controlled[0])

    @classmethod
    def offers(cls) -> frozenset[str]:
        """Return all that opponents can rely on: capabilities, and published settings."""
        found: set[str] = {*cls.capabilities, *map(setting_need, cls.published_settings)}
        if any(h.scheduled for h in cls.hyperparameters):
            found.add("rate")
        if cls.learned_start is not None:
            found.add("learned_start")
        if not cls.is_loss_hidden:
            found.add("loss")
        return frozenset(found)

    @classmethod
    def all_recipes(cls) -> tuple[Recipe, ...]:
        """Return the recipes; of a family without, one of its own name and the usual settings."""
        usual = Recipe(name=cls.name, help="what an agent has usually", runs=cls.name)
        return cls.recipes or (usual,)

    @classmethod
    def suites_for_results(cls) -> tuple[Suite, ...]:
        """Return the suites whose figures are results."""
        return tuple(suite for suite in cls.suites if suite.is_for_results)

    @classmethod
    def suites_in_short(cls) -> tuple[Suite, ...]:
        """Return the suites of a quick comparison."""
        if cls.quick_suites is None:
            return cls.suites_for_results()
        return tuple(suite for suite in cls.suites if suite.name in cls.quick_suites)

    @classmethod
    def set_num_threads(cls, num_threads: int) -> None:
        """Spread the lanes of this process's trainers over threads; outcomes do not depend on it.

        Nothing by default: most trainers have one thread.
        """
        return

    def interval_updates(self, task: Task) -> int:
        """Return the inner updates in one decision interval of a task, from 1 on.

        What runs have cost is counted by it, and the twin trains by it.
        """
        return self.updates_per_decision

    def effort(self, task: Task) -> float:
        """Estimate the work of one full run of a task, in multiplications, roughly.

        It decides which jobs go first; what they have really taken decides the time left.
        """
        return float(task.num_decisions * self.interval_updates(task))

    def pinned_options(self) -> dict[str, Any]:
        """Return options that make this family again in another folder and on another day.

        Whoever writes down what a run was made of puts them in place of the user's own: absolute
        paths for relative ones, and fingerprints of files by which the family refuses other data.

        Raises:
            ConfigurationError: It was made of what cannot be written down.
        """
        return {}

    @classmethod
    def has_trained_on(cls, label: str, value: str) -> bool | None:
        """Say whether tasks of the train split have a label of this value; None: not known.

        Args:
            label: Name of a label.
            value: One of its values.
        """
        return None

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> Task:
        """Draw a task; all that is random about the task itself comes from `rng`."""

    def defaults(self, task: Task) -> NDArray[np.float64]:
        """Return the values that somebody who chooses nothing would start the task with `[H]`."""
        return self.space.defaults.copy()

    def problem(self, task: Task) -> Problem:
        """Say of a task what the learned start goes by; a host says the same of a user's run."""
        return Problem()

    @property
    def kinds(self) -> tuple[str, ...] | None:
        """Kinds of problem (`Problem.kind`) that its tasks have.

        A policy of the family says that it knows these, and steers no run of another; None: it
        steers whatever runs.
        """
        return None

    def at_learned_start(self, task: Task) -> Task:
        """Return the task as it is begun from the learned start.

        Raises:
            ConfigurationError: The family has none.
        """
        if self.learned_start is None:
            raise ConfigurationError(f"task family {self.name!r} has no learned start")
        return self.begun_at(self.learned_start, task)

    def begun_at(self, start: LearnedStart, task: Task) -> Task:
        """Return the task with other initial values, where the start has some."""
        values = start.values_for(self.problem(task))
        pairs = zip(self.space.names, task.initial, strict=True)
        return replace(task, initial=tuple(values.get(name, own) for name, own in pairs))

    def has(self, task: Task) -> NDArray[np.bool_]:
        """Say which hyperparameters a user's run of the task has at all, bool `[H]`.

        What it lacks cannot be moved, and a policy is told so.
        """
        return np.ones(len(self.space), dtype=bool)

    def check_updater(self, updater: Updater) -> None:
        """Check whether an update rule can be given at all.

        Raises:
            ConfigurationError: The family does not offer "optimizer".
        """
        if "optimizer" not in self.offers():
            raise ConfigurationError(
                f"task family {self.name!r} has no optimiser that {type(updater).__name__} could "
                "replace: leave out what needs one"
            )

    @abstractmethod
    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer that runs tasks of this family.

        Args:
            num_lanes: `N`.
            engine: "native", "compiled", "eager", "reference", or "auto" to choose by the model and
                the size of the job.
            device: A torch device; families without tensors accept only "cpu".

        Raises:
            ConfigurationError: The engine or the device cannot be had.
        """

    def make_updated_trainer(
        self, updater: Updater, num_lanes: int, *, engine: Engine, device: str
    ) -> Trainer:
        """Build a trainer in which an update rule takes the place of the tasks' own optimiser.

        For families that offer "optimizer". What is read back of `optimizer_hyperparameters` is
        the rule's own rate and, for the others, NaN.

        Raises:
            ConfigurationError: As for `make_trainer`; or the family does not offer "optimizer".
            ContractError: It does, and has no such trainer.
        """
        self.check_updater(updater)
        raise ContractError(
            f"task family {self.name!r}: make_updated_trainer must be overridden, as the family "
            "declares the capability 'optimizer'"
        )


class Trainer(ABC):
    """Runs the inner training of N lanes, one decision interval at a time.

    A lane is a function of its task, its seed and its hyperparameter values alone: neither the
    number of lanes nor what runs in its neighbours changes it.

    A validation loss is a number from 0 on, finite unless the lane has diverged, and lower is
    better. The other measurements keep the signs that `Telemetry` states for them; what a family
    does not have, or has with another sign (the loss of a policy gradient), stays NaN.
    """

    @abstractmethod
    def reset(self, lanes: NDArray[np.int64], tasks: list[Task], seeds: list[int]) -> Telemetry:
        """Start new runs.

        Args:
            lanes: Which lanes, distinct, `[n]`.
            tasks: A task for each, n of them.
            seeds: An episode seed for each; initial weights, minibatch order and dropout follow
                from it.

        Returns:
            Telemetry `[n]` in the order of `lanes`, measured before the first update: training
            loss, validation loss and validation metric.
        """

    @abstractmethod
    def advance(self, values: NDArray[np.float64]) -> tuple[Telemetry, NDArray[np.float64]]:
        """Train every lane for one decision interval.

        Args:
            values: Effective hyperparameters `[N, H]`, H over all of the family's.

        Returns:
            Telemetry `[N]`, and the values read back from where they were used `[N, H]`.
        """

    def features(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Measure the entries of the observation that only this family has.

        Returns:
            As the lanes are now, `[n, F]` in `[-1, 1]`, in `TaskFamily.features`' order.
        """
        return np.zeros((len(lanes), 0))

    def policy_divergence(self, lanes: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return how far an update of the last interval moved each lane's policy.

        Of families that offer "policy_divergence".

        Returns:
            Kullback-Leibler divergence of the policy after an update from that before, in nats, the
            mean over the interval's updates and the states they saw `[n]`; NaN where not measured,
            as before the first interval.
        """
        return np.full(len(lanes), np.nan)

    @abstractmethod
    def test(self, lanes: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Measure test loss `[n]` and test metric `[n]`; never shown to an agent."""

    @abstractmethod
    def roll_back(self, lanes: NDArray[np.int64]) -> None:
        """Put back the weights that lanes had when `advance` was called last.

        The optimiser's memory is emptied, as it led to where they came from. The order of the
        minibatches goes on. May be called before anything else happens to the lanes.
        """

    @abstractmethod
    def snapshot(self, lanes: NDArray[np.int64]) -> Any:
        """Copy all state of the given lanes, so that `restore` continues bit for bit."""

    @abstractmethod
    def restore(self, lanes: NDArray[np.int64], snapshot: Any) -> None:
        """Put a snapshot of n lanes into n lanes, the same ones or others."""
