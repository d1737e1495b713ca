"""From which tasks a family of supervised learning draws, and how.

Each modality has data of its own to draw from, models that read it, and usual settings; the rest
(optimisers, initial values, lengths of runs) is common.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from hpo_env.arguments import share
from hpo_env.datasets import (
    Dataset,
    Kind,
    Reading,
    dataset_names,
    image_names,
    is_named,
    is_text,
    large_names,
    load_text,
    text_names,
)
from hpo_env.errors import ConfigurationError
from hpo_env.networks.base import Architecture, ImageShape, Modality, ModelSplit
from hpo_env.networks.registry import ARCHITECTURES, architecture
from hpo_env.seeding import draw_episode_seed
from hpo_env.tasks.base import Split
from hpo_env.tasks.supervised.data import (
    LARGE_TRAIN_ROWS,
    MAX_TRAIN_ROWS,
    MAX_TRAIN_TOKENS,
    HeldOut,
    SupervisedTask,
    check_held_out,
    load_task_dataset,
    split_off,
)
from hpo_env.tasks.supervised.draws import (
    SHARE_UNCHANGED,
    Initial,
    choose,
    draw_noise,
    draw_num_rows,
    draw_value,
    initial_ranges,
    log_uniform,
)
from hpo_env.tasks.supervised.space import HYPERPARAMETERS

Modalities = Literal["tables", "images", "tokens", "all"]
"""One modality, or each as often as the others."""
Clock = Literal["usual", "wide", "mixed", "by_modality", "blended"]

MAX_TABLE_FEATURES = 32
"""Features that a task of the distribution uses at most; a data set asked for by name keeps all."""

_EVALUATION_DECISIONS = 30
_TRAIN_DECISIONS = (15.0, 60.0)
_WIDE_DECISIONS = (10.0, 150.0)
_WIDE_UPDATES = (5.0, 1000.0)
_SHARE_WIDE = 0.5
"""Of the tasks under a mixed clock."""
_SHARE_LONGER = 0.25
_LONGER_UPDATES = (10.0, 100.0)
"""Of tables under a blended clock: long enough to overfit on some hundred rows."""
_MAX_LABEL_NOISE = 0.2
_MAX_TOKEN_NOISE = 0.1
_MAX_TARGET_NOISE = 0.5
_INPUT_SCALES = (0.3, 3.0)
_FEWEST_TOKENS = 2**14
"""To train on in a varied task: the fewest are seen a hundred times, all are not seen once."""
_USUAL_WINDOWS: dict[str, Initial] = {"batch_size": 16.0}
_VARIED_WINDOWS: dict[str, Initial] = {"batch_size": (8.0, 32.0)}
_TYPICAL_INPUTS = 20
_TYPICAL_VOCABULARY = 48
_FIXED_EFFORT = 1e5
"""Of an update, whatever the model: the optimiser, and calls; in multiplications."""
_BATCH_SIZE = [h.name for h in HYPERPARAMETERS].index("batch_size")


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """What a family's user has asked for; see `SupervisedFamily` for the arguments.

    Raises:
        UnknownNameError: A name is in no registry; the nearest are suggested.
        ConfigurationError: Model, data and modality do not fit.
        DatasetError: The file makes no task.
    """

    split: Split
    modalities: Modalities | None
    clock: Clock
    most_effort: float
    share_of_tables: float | None
    share_of_large: float
    num_decisions: int | None
    updates_per_decision: int
    dataset: str | None
    target: str | None
    kind: Kind | None
    reading: Reading | None
    held_out: HeldOut | None
    model: str | None
    optimizers: tuple[str, ...]
    architectures: ModelSplit
    initial: Mapping[str, Initial]
    augmented: float

    def __post_init__(self) -> None:
        """Load what was asked for by name, and check that all fits."""
        has_rows = self.dataset is not None and not is_text(self.dataset)
        asked = self.load(self.dataset) if self.dataset and has_rows else None  # a bad file raises
        if self.held_out is not None:
            check_held_out(self.held_out, asked)
        wanted = self._drawn_modalities()
        if self.modalities not in (None, "all", *wanted):
            what = f"model {self.model!r}" if self.model else f"data set {self.dataset!r}"
            raise ConfigurationError(
                f"modalities={self.modalities!r} does not fit {what}, which is of modality "
                f"{wanted[0]!r}; leave modalities out, or say {wanted[0]!r}"
            )
        if len(wanted) == 1 and not self._names(wanted[0]):
            raise ConfigurationError(self._misfit())
        if self.share_of_tables is not None:
            share("share_of_tables", self.share_of_tables)
            if len(wanted) == 1:
                raise ConfigurationError(
                    "share_of_tables is for modalities='all' and neither model nor dataset; got "
                    f"modalities={self.modalities!r}, model={self.model!r}, "
                    f"dataset={self.dataset!r}"
                )
        if self.share_of_large > 0.0 and (self.dataset is not None or "tables" not in wanted):
            raise ConfigurationError(
                f"share_of_large={self.share_of_large:g} is for tables that are drawn, and says "
                f"how many of them are large; got modalities={self.modalities!r}, "
                f"model={self.model!r}, dataset={self.dataset!r}"
            )

    def _misfit(self) -> str:
        """Say why models and data do not go together."""
        if self.model is None:
            shapes = {a.images for a in ARCHITECTURES.values() if self._may_draw(a, "images")}
            return (
                f"no model of side {self.architectures!r} takes the images of data set "
                f"{self.dataset!r}; there are models for {sorted(map(str, shapes))}. Say which "
                "side's by architectures, or leave modalities out"
            )
        chosen = architecture(self.model)
        needs = "texts" if chosen.window else f"images of shape {chosen.images}"
        if self.dataset is not None and is_text(self.dataset):
            needs, has, others = "rows of numbers", f"text {self.dataset!r}", "texts"
            fits = [name for name, a in ARCHITECTURES.items() if a.window]
        else:
            has = f"data set {self.dataset!r}" if self.dataset else f"no set of {self.split!r}"
            others = "tables"
            fits = [n for n, a in ARCHITECTURES.items() if not a.images_only and not a.window]
        return (
            f"model {self.model!r} needs {needs}, and {has} has them not. "
            f"Models for {others}: {', '.join(fits)}"
        )

    # --- Data -------------------------------------------------------------------------------------

    def load(self, dataset: str) -> Dataset:
        """Load rows of numbers by their name."""
        if dataset != self.dataset:
            return load_task_dataset(dataset)
        return load_task_dataset(dataset, self.target, self.kind, self.reading)

    def _drawn_modalities(self) -> tuple[Modality, ...]:
        """List the modalities that tasks are drawn from."""
        if self.model is not None:
            return (architecture(self.model).modality,)
        if self.dataset is not None:
            if is_text(self.dataset):
                return ("tokens",)
            return ("images",) if self.modalities == "images" else ("tables",)
        if self.modalities == "all":
            return get_args(Modality)
        return (self.modalities or "tables",)

    def _names(self, modality: Modality) -> list[str]:
        """List the data sets of a modality that some model of this family fits."""
        own = [] if self.dataset is None else [self.dataset]
        if modality == "tokens":
            return [name for name in own if is_text(name)] or (
                [] if own else list(text_names(split=self.split))
            )
        every = image_names if modality == "images" else dataset_names
        names = [name for name in own or every(split=self.split) if not is_text(name)]
        models = [a for a in ARCHITECTURES.values() if self._may_draw(a, modality)]
        if self.model is not None:
            models = [architecture(self.model)]
        if not all(model.images_only for model in models):
            return names
        shapes = {name: self.load(name).image_shape for name in names}
        return [name for name in names if any(model.fits(shapes[name]) for model in models)]

    def _may_draw(self, model: Architecture, modality: Modality) -> bool:
        return model.modality == modality and model.split == self.architectures

    # --- Drawing ----------------------------------------------------------------------------------

    def sample(self, rng: np.random.Generator) -> SupervisedTask:
        """Draw a task."""
        modalities = self._drawn_modalities()
        # No number is drawn where the answer is known, so that tasks of other splits stay the same.
        modality = modalities[0] if len(modalities) == 1 else self._draw_modality(modalities, rng)
        is_large = (
            self.share_of_large > 0.0
            and modality == "tables"
            and bool(rng.random() < self.share_of_large)
        )
        names = large_names(split=self.split) if is_large else self._names(modality)
        name = choose(names, rng)
        optimizer = choose(self.optimizers, rng)
        is_augmented = self.augmented == 1.0 or (
            self.augmented > 0.0 and bool(rng.random() < self.augmented)
        )
        if modality == "tokens":
            task = self._sample_text(name, optimizer, rng, is_augmented=is_augmented)
        else:
            task = self._sample_rows(
                modality, name, optimizer, rng, is_augmented=is_augmented, is_large=is_large
            )
        if self.share_of_large > 0.0:  # said of all, so that all are described by as many numbers
            task = replace(task, most_rows=LARGE_TRAIN_ROWS if is_large else MAX_TRAIN_ROWS)
        if self.clock == "usual":
            return task
        by_modality = self.clock in ("by_modality", "blended")
        is_wide = self.clock == "wide" or (
            modality != "tables" or is_large if by_modality else rng.random() < _SHARE_WIDE
        )
        if is_wide:
            return self._with_wide_clock(task, rng)
        updates = self.updates_per_decision
        if self.clock == "blended" and rng.random() < _SHARE_LONGER:
            updates = round(log_uniform(*_LONGER_UPDATES, rng))
        # Said all the same, so that all tasks are described by as many numbers.
        return replace(task, updates_per_decision=updates)

    def _draw_modality(
        self, modalities: tuple[Modality, ...], rng: np.random.Generator
    ) -> Modality:
        """Draw evenly, or tables as often as was asked for and evenly from the others."""
        if self.share_of_tables is None:
            return choose(modalities, rng)
        if rng.random() < self.share_of_tables:
            return "tables"
        return choose([m for m in modalities if m != "tables"], rng)

    def _sample_rows(
        self,
        modality: Modality,
        name: str,
        optimizer: str,
        rng: np.random.Generator,
        *,
        is_augmented: bool,
        is_large: bool,
    ) -> SupervisedTask:
        dataset = self.load(name)
        num_rows = len(split_off(len(dataset.x), self.held_out)[0])
        return SupervisedTask(
            name=dataset.name,
            num_decisions=self._draw_num_decisions(rng),
            initial=self._draw_initial(initial_ranges(optimizer, is_augmented=is_augmented), rng),
            dataset=name,
            target=self.target,
            kind=self.kind,
            reading=self.reading,
            fingerprint=None if is_named(name) else dataset.fingerprint,
            architecture=self._draw_architecture(modality, dataset.image_shape, rng),
            optimizer=optimizer,
            augmentation_seed=draw_episode_seed(rng),
            num_rows=draw_num_rows(num_rows, rng) if is_augmented and not is_large else num_rows,
            num_features=self._draw_num_features(dataset, rng, is_augmented=is_augmented),
            label_noise=draw_noise(_MAX_LABEL_NOISE, rng) if is_augmented else 0.0,
            target_noise=draw_noise(_MAX_TARGET_NOISE, rng) if is_augmented else 0.0,
            input_scale=log_uniform(*_INPUT_SCALES, rng) if is_augmented else 1.0,
            held_out=self.held_out,
        )

    def _sample_text(
        self, name: str, optimizer: str, rng: np.random.Generator, *, is_augmented: bool
    ) -> SupervisedTask:
        chosen = self._draw_architecture("tokens", None, rng)
        window = architecture(chosen).window
        assert window is not None
        most = min(len(load_text(name).train), MAX_TRAIN_TOKENS)
        ranges = initial_ranges(optimizer, is_augmented=is_augmented)
        return SupervisedTask(
            name=name,
            num_decisions=self._draw_num_decisions(rng),
            initial=self._draw_initial(
                {**ranges, **(_VARIED_WINDOWS if is_augmented else _USUAL_WINDOWS)}, rng
            ),
            dataset=name,
            architecture=chosen,
            optimizer=optimizer,
            augmentation_seed=draw_episode_seed(rng),
            num_rows=round(log_uniform(_FEWEST_TOKENS, most, rng)) if is_augmented else most,
            num_features=window,
            label_noise=draw_noise(_MAX_TOKEN_NOISE, rng) if is_augmented else 0.0,
        )

    def _draw_num_decisions(self, rng: np.random.Generator) -> int:
        if self.num_decisions is not None:
            return self.num_decisions
        if self.split != "train":
            return _EVALUATION_DECISIONS
        return round(log_uniform(*_TRAIN_DECISIONS, rng))

    def _with_wide_clock(self, task: SupervisedTask, rng: np.random.Generator) -> SupervisedTask:
        """Draw how many decisions a run has, and how many updates each; long ones of small nets."""
        decisions = self.num_decisions or round(log_uniform(*_WIDE_DECISIONS, rng))
        low, high = _WIDE_UPDATES
        affordable = self.most_effort / (decisions * effort_of_update(task))
        updates = log_uniform(low, min(max(affordable, low), high), rng)
        return replace(task, num_decisions=decisions, updates_per_decision=round(updates))

    def _draw_architecture(
        self, modality: Modality, image_shape: ImageShape | None, rng: np.random.Generator
    ) -> str:
        if self.model is not None:
            return self.model
        fitting = [
            name
            for name, candidate in ARCHITECTURES.items()
            if self._may_draw(candidate, modality)
            and (candidate.window or candidate.fits(image_shape))
        ]
        return choose(fitting, rng)

    def _draw_num_features(
        self, dataset: Dataset, rng: np.random.Generator, *, is_augmented: bool
    ) -> int:
        present: int = dataset.x.shape[1]
        if dataset.image_shape is not None:
            return present
        most = min(present, MAX_TABLE_FEATURES) if self.dataset is None else present
        if not is_augmented or rng.random() < SHARE_UNCHANGED:
            return most
        return int(rng.integers(-(-most // 2), most + 1))

    def _draw_initial(
        self, usual: Mapping[str, Initial], rng: np.random.Generator
    ) -> tuple[float, ...]:
        ranges = {**usual, **self.initial}
        return tuple(draw_value(h, ranges.get(h.name, h.default), rng) for h in HYPERPARAMETERS)


def effort_of_update(task: SupervisedTask) -> float:
    """Estimate the multiplications of one forward pass, and what an update costs besides."""
    model = architecture(task.architecture)
    num_inputs = _TYPICAL_INPUTS if model.images is None else math.prod(model.images)
    num_outputs = 1 if model.window is None else _TYPICAL_VOCABULARY
    weights = sum(parameter.size for parameter in model.parameters(num_inputs, num_outputs))
    rows = task.initial[_BATCH_SIZE] * model.rows_per_input
    return float(_FIXED_EFFORT + rows * weights)
