"""What a supervised task is, and the rows it trains on.

A task is plain numbers; `prepare` turns them into arrays. It draws rows and features, splits the
rows 60/20/20, adds noise, and imputes and standardises with the training rows alone. Of a text it
cuts a stretch out of each of its three parts.

Axes: R rows, `D` features, `L` tokens of a stretch of text, `S` of a window.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets import (
    Dataset,
    Kind,
    Reading,
    Text,
    is_path,
    is_text,
    load,
    load_text,
)
from hpo_env.datasets.texts import Tokens
from hpo_env.errors import ConfigurationError, DatasetError
from hpo_env.networks.objectives import Objective, objective
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task, check_choice
from hpo_env.tasks.supervised.rows import Rows, Windows

MAX_TRAIN_ROWS = 1024
LARGE_TRAIN_ROWS = 4000
"""To train on in a task of a large table: so many that a net of our sizes seldom overfits them."""
MAX_VALIDATION_ROWS = 512
MAX_TEST_ROWS = 512
MAX_TRAIN_TOKENS = 2**17
MAX_VALIDATION_TOKENS = 4096
MAX_TEST_TOKENS = 8192
_FEWEST_TO_HOLD_OUT = 200
HELD_OUT_SHARE = 0.2
"""Of the rows: what is held out of an adaptation, to measure its outcome on."""

HeldOut = Literal["unused", "tested"]
"""What becomes of the rows that are held out: nobody sees them, or they are the test rows."""

_TRAIN_SHARE = 0.6
_VALIDATION_SHARE = 0.2
_OF_SOME = frozenset(
    {"kind", "reading", "fingerprint", "held_out", "updates_per_decision", "most_rows"}
)
_LARGEST_INPUT = 8.0
"""Standard deviations at which an input is cut off: one wild cell must not decide a run."""


@dataclass(frozen=True, kw_only=True)
class SupervisedTask(Task):
    """A data set, a model and an optimiser, and how the data is varied.

    Args:
        dataset: A named data set, or the path of a file.
        target: The column to predict; for files only.
        kind: What the target is; for files only, guessed when None.
        reading: How the file's text is read; for files only.
        fingerprint: `Dataset.fingerprint` of the rows that the task was drawn from; for files and
            tables in memory only. Other rows are refused.
        architecture: One of `hpo_env.networks.registry.ARCHITECTURES`.
        optimizer: One of `hpo_env.networks.optimizers.OPTIMIZERS`.
        augmentation_seed: Decides which rows and features, their split, and the noise.
        num_rows: Rows in use, all splits together; of a text, the tokens to train on.
        num_features: Features in use; of a text, the tokens of a window.
        label_noise: Share of labels, or tokens, that are replaced by random ones.
        target_noise: Standard deviation of noise added to a standardised regression target.
        input_scale: Factor on the standardised inputs.
        held_out: What becomes of a fifth of the rows, the same in every task of the data set; None:
            none is held out.
        updates_per_decision: Updates of the network in one interval; None: as many as the trainer
            was told.
        most_rows: Rows to train on at most, up to `LARGE_TRAIN_ROWS`; None: `MAX_TRAIN_ROWS`.
    """

    dataset: str
    target: str | None = None
    kind: Kind | None = None
    reading: Reading | None = None
    fingerprint: str | None = None
    architecture: str
    optimizer: str
    augmentation_seed: int
    num_rows: int
    num_features: int
    label_noise: float = 0.0
    target_noise: float = 0.0
    input_scale: float = 1.0
    held_out: HeldOut | None = None
    updates_per_decision: int | None = None
    most_rows: int | None = None

    @property
    def labels(self) -> Mapping[str, str]:
        """Model and optimiser."""
        return {"architecture": self.architecture, "optimizer": self.optimizer}

    @property
    def alike(self) -> str:
        """Equal models train in one cohort."""
        return self.architecture

    def to_json(self) -> dict[str, Any]:
        """Describe the task in plain data; what only some have is left out where there is none."""
        written = super().to_json()
        written["reading"] = None if self.reading is None else self.reading.options()
        return {k: v for k, v in written.items() if v is not None or k not in _OF_SOME}


@dataclass(frozen=True, kw_only=True, eq=False, slots=True)
class Problem:
    """The arrays of a task.

    Args:
        train: Rows to train on, at most `most_rows`; or windows of a text.
        validation: Rows whose loss is rewarded, at most `MAX_VALIDATION_ROWS`; or windows.
        test: Rows for results, at most `MAX_TEST_ROWS`; or windows.
        objective: What y is, and what is to be made of it.
        num_outputs: Real outputs of the model: classes, tokens, or 1.
        is_image: Whether the features are the pixels of an image.
        most_rows: The most that `train` may have, `MAX_TRAIN_ROWS` but for large tables.
    """

    train: Rows | Windows
    validation: Rows | Windows
    test: Rows | Windows
    objective: Objective
    num_outputs: int
    is_image: bool
    most_rows: int = MAX_TRAIN_ROWS

    @property
    def num_features(self) -> int:
        """Real inputs of the model."""
        return self.train.width

    @property
    def is_text(self) -> bool:
        """Whether its rows are windows of a text."""
        return isinstance(self.train, Windows)


def load_task_dataset(
    dataset: str,
    target: str | None = None,
    kind: Kind | None = None,
    reading: Reading | None = None,
) -> Dataset:
    """Load a named data set or a file; an unchanged file is read once a process."""
    return _load(dataset, target, kind, reading, _state(dataset) if is_path(dataset) else None)


def _state(path: str) -> tuple[int, ...]:
    """Return what changes when somebody writes to a file; empty when there is none."""
    try:
        facts = Path(path).stat()
    except (OSError, ValueError):
        return ()
    return facts.st_mtime_ns, facts.st_size, facts.st_ino


@lru_cache(maxsize=64)
def _load(
    dataset: str,
    target: str | None,
    kind: Kind | None,
    reading: Reading | None,
    state: tuple[int, ...] | None,
) -> Dataset:
    del state  # part of the key only
    return load(dataset, target, kind=kind, **({} if reading is None else reading.options()))


def check_fingerprint(dataset: Dataset, fingerprint: str | None, *, where: str) -> None:
    """Refuse rows that are not those that somebody counts on; None is no expectation.

    Raises:
        DatasetError: They are others.
    """
    if fingerprint is not None and dataset.fingerprint != fingerprint:
        raise DatasetError(
            f"{where}: the data has changed since it was first used: its fingerprint was "
            f"{fingerprint[:12]}… and is {dataset.fingerprint[:12]}…. Bring the old data back, say "
            "where it lies now (dataset=PATH), or start anew"
        )


def prepare(task: SupervisedTask) -> Problem:
    """Make the arrays of a task; equal tasks give equal arrays.

    Raises:
        DatasetError: The file is gone, or holds other rows than when the task was drawn.
    """
    if is_text(task.dataset):
        return _prepared_text(task, load_text(task.dataset))
    dataset = load_task_dataset(task.dataset, task.target, task.kind, task.reading)
    check_fingerprint(dataset, task.fingerprint, where=task.dataset)
    rng = stream(task.augmentation_seed, "augmentation")
    kept, held_out = split_off(len(dataset.x), task.held_out)
    rows = kept[rng.permutation(len(kept))[: task.num_rows]]
    most_rows = task.most_rows or MAX_TRAIN_ROWS
    parts = _split(rows, most_rows)
    if task.held_out == "tested":
        parts[-1] = held_out[:MAX_TEST_ROWS]
    features = _choose_features(dataset.x.shape[1], task.num_features, rng)
    inputs = _standardized_inputs([dataset.x[part][:, features] for part in parts])
    wanted = objective(dataset.kind)
    targets = wanted.prepared(
        [dataset.y[part].astype(np.float64) for part in parts],
        num_classes=dataset.num_classes,
        label_noise=task.label_noise,
        target_noise=task.target_noise,
        rng=rng,
    )
    scale = np.float32(task.input_scale)
    train, validation, test = (
        Rows(x=x * scale, y=y.astype(np.float32)) for x, y in zip(inputs, targets, strict=True)
    )
    return Problem(
        train=train,
        validation=validation,
        test=test,
        objective=wanted,
        num_outputs=wanted.num_outputs(dataset.num_classes),
        is_image=dataset.image_shape is not None,
        most_rows=most_rows,
    )


def check_held_out(held_out: HeldOut, dataset: Dataset | None) -> None:
    """Check that rows can be held out of a data set.

    Raises:
        UnknownNameError: There is no such use of them.
        ConfigurationError: There is no one data set.
        DatasetError: It is too small.
    """
    check_choice("use of held-out rows", held_out, HeldOut)
    if dataset is None:
        raise ConfigurationError("rows are held out of one data set: name it, dataset=PATH")
    if len(dataset.x) < _FEWEST_TO_HOLD_OUT:
        raise DatasetError(
            f"{dataset.name}: has {len(dataset.x)} rows, and {_FEWEST_TO_HOLD_OUT} are needed to "
            f"hold a fifth out: on fewer than {_FEWEST_TO_HOLD_OUT // 5} rows a difference cannot "
            "be told from chance"
        )


def split_off(
    num_rows: int, held_out: HeldOut | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return which rows tasks are drawn from, and which are held out: the same in all of them."""
    if held_out is None:
        return np.arange(num_rows), np.arange(0)
    order = stream(num_rows, "held out").permutation(num_rows)
    first = int(HELD_OUT_SHARE * num_rows)
    return np.sort(order[first:]), order[:first]


def _prepared_text(task: SupervisedTask, text: Text) -> Problem:
    rng = stream(task.augmentation_seed, "augmentation")
    wanted = objective("tokens")
    stretches = [
        _stretch(text.train, task.num_rows, rng),
        _stretch(text.validation, MAX_VALIDATION_TOKENS + 1, rng),
        _stretch(text.test, MAX_TEST_TOKENS + 1, rng),
    ]
    if task.label_noise:
        noisy = wanted.prepared(
            [stretch.astype(np.float64) for stretch in stretches],
            num_classes=text.num_tokens,
            label_noise=task.label_noise,
            target_noise=0.0,
            rng=rng,
        )
        stretches = [stretch.astype(np.uint8) for stretch in noisy]
    train, validation, test = (
        Windows(tokens=stretch, width=task.num_features) for stretch in stretches
    )
    return Problem(
        train=train,
        validation=validation,
        test=test,
        objective=wanted,
        num_outputs=wanted.num_outputs(text.num_tokens),
        is_image=False,
    )


def _stretch(tokens: Tokens, length: int, rng: np.random.Generator) -> Tokens:
    """Cut a stretch of a length out of a part, from anywhere in it; all if it is shorter."""
    first = int(rng.integers(max(len(tokens) - length, 0) + 1))
    return tokens[first : first + length]


def _split(rows: NDArray[np.int64], most_rows: int) -> list[NDArray[np.int64]]:
    first = int(_TRAIN_SHARE * len(rows))
    second = first + int(_VALIDATION_SHARE * len(rows))
    return [
        rows[:first][:most_rows],
        rows[first:second][:MAX_VALIDATION_ROWS],
        rows[second:][:MAX_TEST_ROWS],
    ]


def _choose_features(
    num_present: int, num_wanted: int, rng: np.random.Generator
) -> NDArray[np.int64] | slice:
    if num_wanted >= num_present:
        return slice(None)
    return np.sort(rng.permutation(num_present)[:num_wanted])


def _standardized_inputs(parts: list[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Standardise by the first part; a missing cell becomes the mean, 0."""
    train = parts[0]
    is_present = ~np.isnan(train)
    count = np.maximum(is_present.sum(axis=0), 1)
    mean = np.where(is_present, train, 0.0).sum(axis=0, dtype=np.float64) / count
    centred = np.where(is_present, train - mean, 0.0)
    std = np.sqrt((centred * centred).sum(axis=0) / count)
    std = np.where(std > 1e-8 * np.abs(mean), std, 1.0)  # constant in these rows
    low, high = -_LARGEST_INPUT, _LARGEST_INPUT
    return [
        np.nan_to_num(np.clip((part - mean) / std, low, high), nan=0.0).astype(np.float32)
        for part in parts
    ]
