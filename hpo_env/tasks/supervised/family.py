"""Supervised learning on real tables and images: an inner network under an optimiser of torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number, share, whole_number
from hpo_env.datasets import (
    Dataset,
    InMemory,
    Kind,
    Reading,
    absolute,
    hold,
    is_held,
    is_named,
    is_path,
    load,
)
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.networks.base import ModelSplit
from hpo_env.networks.optimizers import optimizer_info, trained_optimizers
from hpo_env.networks.registry import architecture
from hpo_env.networks.updaters import Updater
from hpo_env.tasks.base import (
    Capability,
    Engine,
    Recipe,
    Split,
    Suite,
    Task,
    TaskFamily,
    Trainer,
    check_choice,
)
from hpo_env.tasks.supervised.data import HeldOut, SupervisedTask, check_fingerprint
from hpo_env.tasks.supervised.distribution import (
    Clock,
    Distribution,
    Modalities,
    effort_of_update,
)
from hpo_env.tasks.supervised.draws import (
    USUAL_INITIAL,
    Initial,
    checked_initial,
)
from hpo_env.tasks.supervised.recipes import RECIPES
from hpo_env.tasks.supervised.space import HYPERPARAMETERS
from hpo_env.tasks.supervised.suites import DEMO_SCENES, SCENES, SUITES


class SupervisedFamily(TaskFamily):
    """Networks on real data, by data set, architecture, optimiser and initial learning rate.

    The train split varies every second task: subsets of rows and features, noise on labels or
    targets, the inputs' scale, the initial weight decay and batch size. The rest, data sets asked
    for by name and the other splits differ from call to call in the split of the rows, the model,
    the optimiser and the initial learning rate.

    Args:
        split: Which data sets; they lie on one side each.
        num_decisions: Decision intervals of every task; None: 15 to 60 (log-uniform) in the train
            split and 30 in the others.
        updates_per_decision: Updates of the inner network in one interval.
        dataset: Only this data set: its name, the path of a CSV, Parquet or NPZ file, a pandas
            DataFrame, or a pair `(x, y)` of arrays. What is in memory is known in this process and
            in those that are given it.
        target: The column that a file's or DataFrame's rows are to predict.
        kind: What that column is; None: guessed from its values.
        decimal: What stands before decimals in its text, "." or ","; None: a point, unless points
            seem to group digits.
        thousands: What groups digits by three in its text; None: nothing does.
        missing: Texts that mean "not known", one or several.
        units: Texts beside numbers that are left out, such as "$", one or several.
        dates: Columns of ISO dates, one or several; or column -> `strftime` format.
        categories: Columns whose values are names although they look like numbers.
        fingerprint: What `pinned_options` said of the data; other data is refused.
        modalities: What is trained: "tables" (and images as such), "images" (by residual
            convolutions), "tokens" (next characters of texts), or "all" of these, each as often.
            None: what `model` or `dataset` is for, and tables where neither is given.
        clock: "usual", or "wide": every task draws 10 to 150 decisions, unless `num_decisions` is
            given, of 5 to 1,000 updates each (both log-uniform), as many as its model's cost
            allows; `updates_per_decision` is not used then. "mixed": every second task so.
            "by_modality": texts and images so, tables as usual. "blended": the same, but that
            every fourth table draws 10 to 100 updates (log-uniform) in place of
            `updates_per_decision`, enough to overfit some hundred rows.
        most_effort: The most that a task whose clock is drawn may cost, in multiplications of
            forward passes (see `effort`); long intervals are for small models. 1e10 are a few
            seconds of one core.
        share_of_tables: Share in [0, 1] of tables where `modalities` is "all", of the others half
            the rest each; None: a third.
        share_of_large: Share in [0, 1] of large ones among the tables: those with a number to
            predict and 2,500 rows or more, of which up to 4,000 are trained on (else 1,024) and
            none left out, so that training and validation loss long fall together. A clock by
            modality, or a blended one, is drawn for them as for texts.
        model: Only this architecture; None: any of `architectures` that fits the data.
        optimizer: Only this optimiser; None: any but those held out from meta-training.
        architectures: Which side of the architectures to draw from; None: that of `split`.
        initial: Initial values that replace the family's own, by hyperparameter: a number, or a
            range `(low, high)` from which each task draws evenly on the hyperparameter's scale.
        augmented: Share of the tasks of the train split that are varied, in [0, 1].
        held_out: Leave a fifth of the rows of `dataset` out of all tasks, the same in each
            ("unused"), or test every task on that fifth ("tested").

    Raises:
        UnknownNameError: A name is in no registry; the nearest are suggested.
        ConfigurationError: A number is out of its range, or model and data do not fit.
        DatasetError: The file makes no task.

    Example:
        >>> family = SupervisedFamily(dataset="digits", split="test", optimizer="adamw")
        >>> task = family.sample(np.random.default_rng(0))
        >>> task.name, task.num_decisions, task.optimizer
        ('digits', 30, 'adamw')
    """

    name: ClassVar[str] = "supervised"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = HYPERPARAMETERS
    default_controlled: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay")
    base_schedule: ClassVar[str] = "cosine"
    twin: ClassVar[str] = "hpo_env.tasks.supervised.twin:train"
    starts: ClassVar[tuple[float, ...]] = (1e-4, 1e-3, 1e-2, 1e-1)
    suites: ClassVar[tuple[Suite, ...]] = SUITES
    quick_suites: ClassVar[tuple[str, ...] | None] = ("interpolation", "architecture")
    scenes: ClassVar[tuple[Suite, ...] | None] = SCENES
    scene_starts: ClassVar[tuple[float, ...] | None] = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
    demo_scenes: ClassVar[tuple[Suite, ...] | None] = DEMO_SCENES
    recipes: ClassVar[tuple[Recipe, ...]] = RECIPES
    trainer_options: ClassVar[tuple[str, ...]] = ("updates_per_decision",)
    relocatable_options: ClassVar[tuple[str, ...]] = ("dataset",)
    adapting_options: ClassVar[Mapping[str, Any]] = {"split": "validation", "held_out": "unused"}
    held_out_options: ClassVar[Mapping[str, Any]] = {"split": "validation", "held_out": "tested"}
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"gradients", "optimizer"})
    optimizer_hyperparameters: ClassVar[tuple[str, ...]] = (
        "learning_rate",
        "weight_decay",
        "momentum",
    )

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        updates_per_decision: int = 10,
        dataset: str | Path | InMemory | None = None,
        target: str | None = None,
        kind: Kind | None = None,
        decimal: str | None = None,
        thousands: str | None = None,
        missing: str | Sequence[str] = (),
        units: str | Sequence[str] = (),
        dates: str | Sequence[str] | Mapping[str, str] = (),
        categories: str | Sequence[str] = (),
        fingerprint: str | None = None,
        modalities: Modalities | None = None,
        clock: Clock = "usual",
        most_effort: float = 1e10,
        share_of_tables: float | None = None,
        share_of_large: float = 0.0,
        model: str | None = None,
        optimizer: str | None = None,
        architectures: ModelSplit | None = None,
        initial: Mapping[str, Initial] | None = None,
        augmented: float = 0.5,
        held_out: HeldOut | None = None,
    ) -> None:
        super().__init__(split=split, num_decisions=num_decisions)
        augmented = share("augmented", augmented)
        names = {"model": model, "optimizer": optimizer, "target": target, "kind": kind}
        for argument, value in names.items():
            if value is not None and not isinstance(value, str):
                raise ConfigurationError(f"{argument} must be a name; got {value!r}")
        if whole_number("updates_per_decision", updates_per_decision) < 1:
            raise ConfigurationError(
                f"updates_per_decision must be a positive integer; got {updates_per_decision}"
            )
        if not (is_number(most_effort) and most_effort > 0.0):
            raise ConfigurationError(f"most_effort must be a positive number; got {most_effort!r}")
        reading = Reading.of(
            decimal=decimal,
            thousands=thousands,
            missing=missing,
            units=units,
            dates=dates,
            categories=categories,
        )
        given = {"target": target, "kind": kind, "fingerprint": fingerprint, **reading.options()}
        given = {name: value for name, value in given.items() if value is not None}
        if given and dataset is None:
            of = ", ".join(f"{name}={value!r}" for name, value in given.items())
            raise ConfigurationError(f"{of} needs a dataset: the path of the file it is in")
        self.updates_per_decision = updates_per_decision
        self.target, self.kind = target, kind
        self.reading = None if reading == Reading() else reading
        self._in_memory: Dataset | None = None
        self.dataset = None if dataset is None else self._address(dataset)
        self.model = model
        self.optimizers = trained_optimizers() if optimizer is None else (optimizer,)
        optimizer_info(self.optimizers[0])
        self.architectures: ModelSplit = split if architectures is None else architectures
        check_choice("side of architectures", self.architectures, ModelSplit)
        check_choice("clock", clock, Clock)
        if modalities is not None:
            check_choice("modality", modalities, Modalities)
        self.initial = checked_initial(self.space, initial)
        self.augmented = augmented if split == "train" and dataset is None else 0.0
        self.fingerprint = fingerprint
        self.held_out = held_out
        self._distribution = Distribution(
            split=split,
            modalities=modalities,
            clock=clock,
            most_effort=float(most_effort),
            share_of_tables=share_of_tables,
            share_of_large=share("share_of_large", share_of_large),
            num_decisions=self.num_decisions,
            updates_per_decision=updates_per_decision,
            dataset=self.dataset,
            target=self.target,
            kind=self.kind,
            held_out=held_out,
            reading=self.reading,
            model=model,
            optimizers=self.optimizers,
            architectures=self.architectures,
            initial=self.initial,
            augmented=self.augmented,
        )
        if self.dataset is not None and fingerprint is not None:
            check_fingerprint(
                self._distribution.load(self.dataset), fingerprint, where=self.dataset
            )

    def _address(self, dataset: str | Path | InMemory) -> str:
        """Say by name or by absolute path which data is meant; tables in memory are kept."""
        if isinstance(dataset, str | Path):
            return str(absolute(dataset)) if is_path(dataset) else str(dataset)
        options = {} if self.reading is None else self.reading.options()
        self._in_memory = load(dataset, self.target, kind=self.kind, **options)
        self.target = self.kind = self.reading = None  # all said in what is kept
        return hold(self._in_memory)

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Take its table along into the process that it is unpickled in."""
        self.__dict__.update(state)
        if self._in_memory is not None:
            hold(self._in_memory)

    def pinned_options(self) -> dict[str, Any]:
        """Return the absolute path of the file and the fingerprint of its rows.

        Raises:
            ConfigurationError: The data is in memory, and cannot be found again.
        """
        if self.dataset is None or is_named(self.dataset):
            return {}
        if is_held(self.dataset):
            raise ConfigurationError(
                "a dataset in memory cannot be written down, for a later process to find it again. "
                "Save it to a file, e.g. with DataFrame.to_parquet, and give its path"
            )
        return {
            "dataset": self.dataset,
            "fingerprint": self._distribution.load(self.dataset).fingerprint,
        }

    def sample(self, rng: np.random.Generator) -> SupervisedTask:
        """Draw a task."""
        return self._distribution.sample(rng)

    def defaults(self, task: Task) -> NDArray[np.float64]:
        """Return the defaults of the hyperparameters, with the momentum usual for the optimiser.

        The rate is 1e-3 for all: torch's own for SGD and AdamW, where for RMSprop and Adagrad it
        has 1e-2.
        """
        values = super().defaults(task)
        assert isinstance(task, SupervisedTask)
        for name, value in USUAL_INITIAL.get(task.optimizer, {}).items():
            values[self.space.index(name)] = value
        return values

    @classmethod
    def set_num_threads(cls, num_threads: int) -> None:
        """Set the threads of the native kernel, which end instead of spinning."""
        from hpo_env.tasks.supervised.native.kernel import set_num_threads

        set_num_threads(num_threads)

    @classmethod
    def has_trained_on(cls, label: str, value: str) -> bool:
        """Say whether meta-training has an architecture, or an optimiser."""
        if label == "architecture":
            return architecture(value).split == "train"
        return value in trained_optimizers()

    def interval_updates(self, task: Task) -> int:
        """Return those of the task's own clock, where it has one."""
        assert isinstance(task, SupervisedTask)
        return task.updates_per_decision or self.updates_per_decision

    def effort(self, task: Task) -> float:
        """Estimate the multiplications of forward passes, and what an update costs besides."""
        assert isinstance(task, SupervisedTask)
        updates = task.num_decisions * self.interval_updates(task)
        return float(updates * effort_of_update(task))

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str = "cpu") -> Trainer:
        """Build the batched trainer, or the reference trainer for `engine="reference"`."""
        check_choice("engine", engine, Engine)
        if engine == "reference":
            from hpo_env.tasks.supervised.reference import ReferenceTrainer

            return ReferenceTrainer(
                num_lanes, updates_per_decision=self.updates_per_decision, device=device
            )
        return self._batched(num_lanes, engine, device, None)

    def make_updated_trainer(
        self, updater: Updater, num_lanes: int, *, engine: Engine, device: str = "cpu"
    ) -> Trainer:
        """Build the batched trainer around an update rule."""
        check_choice("engine", engine, Engine)
        if engine == "reference":
            raise ConfigurationError(
                "engine 'reference' has the optimisers of torch alone; for another update rule "
                "use engine='auto' or 'eager'"
            )
        return self._batched(num_lanes, engine, device, updater)

    def _batched(
        self, num_lanes: int, engine: Engine, device: str, updater: Updater | None
    ) -> Trainer:
        from hpo_env.tasks.supervised.batched import BatchedTrainer

        return BatchedTrainer(
            num_lanes,
            updates_per_decision=self.updates_per_decision,
            engine=engine,
            device=device,
            updater=updater,
        )
