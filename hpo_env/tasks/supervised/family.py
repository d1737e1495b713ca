"""Supervised learning on real tables and images: an inner network under an optimiser of torch."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import share, whole_number
from hpo_env.datasets import (
    Dataset,
    InMemory,
    Kind,
    Reading,
    absolute,
    dataset_names,
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
from hpo_env.networks.registry import ARCHITECTURES, architecture
from hpo_env.networks.updaters import Updater
from hpo_env.seeding import draw_episode_seed
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
from hpo_env.tasks.supervised.data import (
    HeldOut,
    SupervisedTask,
    check_fingerprint,
    check_held_out,
    load_task_dataset,
    split_off,
)
from hpo_env.tasks.supervised.draws import (
    USUAL_INITIAL,
    Initial,
    checked_initial,
    choose,
    draw_noise,
    draw_num_features,
    draw_num_rows,
    draw_value,
    initial_ranges,
    log_uniform,
)
from hpo_env.tasks.supervised.recipes import RECIPES
from hpo_env.tasks.supervised.space import HYPERPARAMETERS
from hpo_env.tasks.supervised.suites import DEMO_SCENES, SCENES, SUITES

MAX_TABLE_FEATURES = 32
"""Features that a task of the distribution uses at most; a data set asked for by name keeps all."""

_EVALUATION_DECISIONS = 30
_TRAIN_DECISIONS = (15, 60)
_MAX_LABEL_NOISE = 0.2
_MAX_TARGET_NOISE = 0.5
_INPUT_SCALES = (0.3, 3.0)
_TYPICAL_INPUTS = 20
_FIXED_EFFORT = 1e5
"""Of an update, whatever the model: the optimiser, and calls; in multiplications."""


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
        self.initial = checked_initial(self.space, initial or {})
        self.augmented = augmented if split == "train" and dataset is None else 0.0
        self._check_model()
        self.fingerprint = fingerprint
        if self.dataset is not None:
            check_fingerprint(self._load(self.dataset), fingerprint, where=self.dataset)
        self.held_out = held_out
        if held_out is not None:
            check_held_out(held_out, None if self.dataset is None else self._load(self.dataset))

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
        return {"dataset": self.dataset, "fingerprint": self._load(self.dataset).fingerprint}

    def _check_model(self) -> None:
        if self.model is None:
            if self.dataset is not None:
                self._load(self.dataset)  # so that a bad file is refused here
            return
        chosen = architecture(self.model)
        if not chosen.images_only:
            if self.dataset is not None:
                self._load(self.dataset)
            return
        if not self._choose_datasets():
            where = f"data set {self.dataset!r}" if self.dataset else f"no set of {self.split!r}"
            fits = ", ".join(name for name, a in ARCHITECTURES.items() if not a.images_only)
            raise ConfigurationError(
                f"model {self.model!r} needs images of shape {chosen.images}, and {where} has"
                f" them not. Models for tables: {fits}"
            )

    def _load(self, dataset: str) -> Dataset:
        if dataset != self.dataset:
            return load_task_dataset(dataset)
        return load_task_dataset(dataset, self.target, self.kind, self.reading)

    def _choose_datasets(self) -> list[str]:
        """List the data sets that some model of this family fits."""
        names = dataset_names(split=self.split) if self.dataset is None else (self.dataset,)
        if self.model is None:
            return list(names)
        chosen = architecture(self.model)
        if not chosen.images_only:
            return list(names)
        return [name for name in names if chosen.fits(self._load(name).image_shape)]

    def sample(self, rng: np.random.Generator) -> SupervisedTask:
        """Draw a task."""
        dataset_name = choose(self._choose_datasets(), rng)
        dataset = self._load(dataset_name)
        optimizer = choose(self.optimizers, rng)
        # No number is drawn where the answer is known, so that tasks of other splits stay the same.
        is_augmented = self.augmented == 1.0 or (
            self.augmented > 0.0 and bool(rng.random() < self.augmented)
        )
        num_rows = len(split_off(len(dataset.x), self.held_out)[0])
        return SupervisedTask(
            name=dataset.name,
            num_decisions=self._draw_num_decisions(rng),
            initial=self._draw_initial(optimizer, rng, is_augmented=is_augmented),
            dataset=dataset_name,
            target=self.target,
            kind=self.kind,
            reading=self.reading,
            fingerprint=None if is_named(dataset_name) else dataset.fingerprint,
            architecture=self._draw_architecture(dataset, rng),
            optimizer=optimizer,
            augmentation_seed=draw_episode_seed(rng),
            num_rows=draw_num_rows(num_rows, rng) if is_augmented else num_rows,
            num_features=draw_num_features(
                dataset, MAX_TABLE_FEATURES if self.dataset is None else None, rng, is_augmented
            ),
            label_noise=draw_noise(_MAX_LABEL_NOISE, rng) if is_augmented else 0.0,
            target_noise=draw_noise(_MAX_TARGET_NOISE, rng) if is_augmented else 0.0,
            input_scale=log_uniform(*_INPUT_SCALES, rng) if is_augmented else 1.0,
            held_out=self.held_out,
        )

    def _draw_num_decisions(self, rng: np.random.Generator) -> int:
        if self.num_decisions is not None:
            return self.num_decisions
        if self.split != "train":
            return _EVALUATION_DECISIONS
        return round(log_uniform(*_TRAIN_DECISIONS, rng))

    def _draw_architecture(self, dataset: Dataset, rng: np.random.Generator) -> str:
        if self.model is not None:
            return self.model
        fitting = [
            name
            for name, candidate in ARCHITECTURES.items()
            if candidate.split == self.architectures and candidate.fits(dataset.image_shape)
        ]
        return choose(fitting, rng)

    def _draw_initial(
        self, optimizer: str, rng: np.random.Generator, *, is_augmented: bool
    ) -> tuple[float, ...]:
        ranges = {**initial_ranges(optimizer, is_augmented=is_augmented), **self.initial}
        return tuple(
            draw_value(h, ranges.get(h.name, h.default), rng) for h in self.hyperparameters
        )

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

    def effort(self, task: Task) -> float:
        """Estimate the multiplications of forward passes, and what an update costs besides."""
        assert isinstance(task, SupervisedTask)
        model = architecture(task.architecture)
        num_inputs = _TYPICAL_INPUTS if model.images is None else math.prod(model.images)
        weights = sum(parameter.size for parameter in model.parameters(num_inputs, 1))
        batch_size = task.initial[self.space.index("batch_size")]
        per_update = _FIXED_EFFORT + batch_size * model.rows_per_input * weights
        return float(task.num_decisions * self.updates_per_decision * per_update)

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
