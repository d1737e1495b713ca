"""The workloads, each a small training of a kind that people run.

Those for validation choose what is changed in the project; those for the test are run when all is
chosen. A workload's `steps` are its usual length, which `--scale` multiplies.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from benchmarks.loops import data, models
from hpo_env.datasets import load_dataset

Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, kw_only=True)
class Training:
    """A model and what it is trained on.

    Args:
        model: Those of its weights are trained that want a gradient.
        parts: Its rows.
        loss: Mean over the rows of a minibatch, from outputs and targets.
        batch_size: Rows of a minibatch.
    """

    model: nn.Module
    parts: data.Parts
    loss: Loss
    batch_size: int

    def minibatch_loss(self, generator: torch.Generator) -> Tensor:
        """Draw a minibatch and return its loss."""
        x, y = self.parts.train
        rows = torch.randint(len(x), (self.batch_size,), generator=generator)
        return self.loss(self.model(x[rows]), y[rows])

    def measure(self, part: Literal["validation", "test"]) -> float:
        """Return the loss on rows that are not trained on."""
        x, y = getattr(self.parts, part)
        self.model.eval()
        with torch.no_grad():
            loss = float(self.loss(self.model(x), y))
        self.model.train()
        return loss


@dataclass(frozen=True, kw_only=True)
class Workload:
    """A training that can be begun anew.

    Args:
        steps: Updates.
        build: Builds it, weights and rows by a seed.
        is_test: Whether it is left alone until all is chosen.
        is_tuned_already: Whether it begins at weights that were trained.
    """

    steps: int
    build: Callable[[int], Training]
    is_test: bool = False
    is_tuned_already: bool = False


def _of_characters(logits: Tensor, y: Tensor) -> Tensor:
    return F.cross_entropy(logits.flatten(0, 1), y.flatten())


def _rebuilt(outputs: Tensor, y: Tensor) -> Tensor:
    return F.mse_loss(outputs, y.flatten(1))


def _train(training: Training, steps: int, rate: float) -> None:
    """Train by a cosine: what a fine-tuning begins with."""
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    generator = torch.Generator().manual_seed(0)
    for _ in range(steps):
        optimizer.zero_grad()
        training.minibatch_loss(generator).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()


def _gpt(
    seed: int, *, packages: tuple[str, ...], length: int, width: int, layers: int, batch: int
) -> Training:
    torch.manual_seed(seed)
    model = models.CharacterGpt(data.NUM_CHARACTERS, length, width=width, layers=layers)
    parts = data.text_parts(data.source_text(packages), length)
    return Training(model=model, parts=parts, loss=_of_characters, batch_size=batch)


def _recurrent(
    seed: int, *, packages: tuple[str, ...], width: int, kind: type[nn.LSTM | nn.GRU]
) -> Training:
    torch.manual_seed(seed)
    model = models.CharacterRecurrent(data.NUM_CHARACTERS, width=width, kind=kind)
    parts = data.text_parts(data.source_text(packages), 24)
    return Training(model=model, parts=parts, loss=_of_characters, batch_size=16)


def _transformer_of_digits(seed: int) -> Training:
    torch.manual_seed(seed)
    model = models.Tokens(4, 16, 10, width=32, layers=2, patch=2)
    parts = data.split(*data.digits(), seed=seed)
    return Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=32)


def _transformer_of_turned_digits(seed: int) -> Training:
    torch.manual_seed(seed)
    model = models.Tokens(4, 16, 4, width=40, layers=3, patch=2, dropout=0.1)
    parts = data.split(*data.turned(data.digits()[0]), seed=seed)
    return Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=32)


def _residual(
    seed: int, *, rows: Callable[[], data.Part], width: int, ends: tuple[float, float] = (0.6, 0.8)
) -> Training:
    torch.manual_seed(seed)
    x, y = rows()
    model = models.residual_net(x.shape[1], int(y.max()) + 1, width=width)
    parts = data.split(x, y, seed=seed, ends=ends)
    return Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=32)


def _autoencoder(
    seed: int,
    *,
    images: Callable[[], Tensor],
    width: int,
    code: int,
    ends: tuple[float, float] = (0.6, 0.8),
) -> Training:
    torch.manual_seed(seed)
    rows = images()
    model = models.autoencoder(rows[0].numel(), width=width, code=code)
    parts = data.split(rows, rows, seed=seed, ends=ends)
    return Training(model=model, parts=parts, loss=_rebuilt, batch_size=64)


def _regression(seed: int, *, table: str, width: int) -> Training:
    torch.manual_seed(seed)
    x, y = _standardised(table)
    y = ((y - y.mean()) / y.std())[:, None]
    model = models.perceptron(x.shape[1], 1, width=width)
    parts = data.split(x, y.float(), seed=seed)
    return Training(model=model, parts=parts, loss=F.mse_loss, batch_size=64)


def _wrong_labels(seed: int) -> Training:
    torch.manual_seed(seed)
    parts = data.split(*data.digits(), seed=seed)
    parts = data.with_wrong_labels(parts, 0.3, seed=seed, num_classes=10)
    model = models.plain_convolutions(1, 10, width=12)
    model(parts.train[0][:1])  # the lazy layer gets its shape
    return Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=32)


def _fine_tuned_digits(seed: int) -> Training:
    torch.manual_seed(seed)
    x, y = data.digits()
    is_old = y < 6
    model = models.plain_convolutions(1, 10, width=12)
    parts = data.split(x[is_old], y[is_old], seed=seed)
    training = Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=32)
    model(x[:1])
    _train(training, 200, 3e-3)
    parts = data.split(x, y, seed=seed, num_train=150)
    return Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=16)


@functools.cache
def _trained_gpt(seed: int, packages: tuple[str, ...]) -> Training:
    """Train a decoder once; whoever fine-tunes it takes a copy."""
    training = _gpt(seed, packages=packages, length=32, width=48, layers=2, batch=10)
    _train(training, 300, 3e-3)
    return training


def _fine_tuned_text(
    seed: int, *, rank: int | None, before: tuple[str, ...], then: tuple[str, ...]
) -> Training:
    model = copy.deepcopy(_trained_gpt(seed, before).model)
    assert isinstance(model, models.CharacterGpt)
    torch.manual_seed(seed)
    if rank is not None:
        model = models.with_low_rank(model, rank)
    parts = data.text_parts(data.source_text(then), 32)
    return Training(model=model, parts=parts, loss=_of_characters, batch_size=10)


def _columns(seed: int, *, table: str, width: int) -> Training:
    torch.manual_seed(seed)
    x, y = _standardised(table)
    model = models.Columns(x.shape[1], int(y.max()) + 1, width=width, layers=2)
    parts = data.split(x, y, seed=seed)
    return Training(model=model, parts=parts, loss=F.cross_entropy, batch_size=32)


def _standardised(table: str) -> data.Part:
    """Return the columns of a table, standardised, and its target as it is."""
    held = load_dataset(table)
    x = torch.tensor(held.x).nan_to_num()
    x = ((x - x.mean(dim=0)) / (x.std(dim=0) + 1e-6)).clamp(-5.0, 5.0).float()
    return x, torch.tensor(held.y)


_VALIDATION: dict[str, Workload] = {
    "gpt": Workload(
        steps=400,
        build=functools.partial(
            _gpt, packages=("asyncio", "email"), length=32, width=48, layers=2, batch=10
        ),
    ),
    "digits_transformer": Workload(steps=400, build=_transformer_of_digits),
    "digits_residual": Workload(
        steps=250, build=functools.partial(_residual, rows=data.digits, width=8)
    ),
    "characters_residual": Workload(
        steps=400,
        build=functools.partial(
            _residual,
            rows=functools.partial(data.characters, 8000),
            width=8,
            ends=(0.25, 0.375),  # 2,000 rows train, and 5,000 test
        ),
    ),
    "lstm": Workload(
        steps=400,
        build=functools.partial(_recurrent, packages=("json", "logging"), width=64, kind=nn.LSTM),
    ),
    "patch_autoencoder": Workload(
        steps=700,
        build=functools.partial(
            _autoencoder,
            images=functools.partial(data.patches, "flower", 8, 4000),
            width=96,
            code=12,
        ),
    ),
    "small_gru": Workload(
        steps=500,
        build=functools.partial(
            _recurrent,
            packages=("argparse", "optparse", "tarfile", "zipfile"),
            width=56,
            kind=nn.GRU,
        ),
    ),
    "housing_regression": Workload(
        steps=600, build=functools.partial(_regression, table="texas_housing", width=64)
    ),
    "character_autoencoder": Workload(
        steps=800,
        build=functools.partial(
            _autoencoder,
            images=lambda: data.characters(8000, noise=0.0)[0],
            width=128,
            code=24,
            ends=(0.5, 0.625),  # 4,000 rows train, and 3,000 test
        ),
    ),
    "digits_fine_tuning": Workload(steps=200, build=_fine_tuned_digits, is_tuned_already=True),
    "low_rank_8": Workload(
        steps=250,
        build=functools.partial(
            _fine_tuned_text, rank=8, before=("asyncio", "email"), then=("idlelib",)
        ),
        is_tuned_already=True,
    ),
}
_TEST: dict[str, Workload] = {
    "deep_gpt": Workload(
        steps=700,
        build=functools.partial(
            _gpt, packages=("xml", "http", "unittest"), length=40, width=64, layers=3, batch=8
        ),
        is_test=True,
    ),
    "turned_transformer": Workload(steps=600, build=_transformer_of_turned_digits, is_test=True),
    "photographs_residual": Workload(
        steps=400, build=functools.partial(_residual, rows=data.photographs, width=10), is_test=True
    ),
    "gru": Workload(
        steps=500,
        build=functools.partial(
            _recurrent, packages=("multiprocessing", "ctypes"), width=80, kind=nn.GRU
        ),
        is_test=True,
    ),
    "wide_autoencoder": Workload(
        steps=900,
        build=functools.partial(
            _autoencoder,
            images=functools.partial(data.patches, "china", 6, 4000),
            width=160,
            code=20,
        ),
        is_test=True,
    ),
    "wrong_labels": Workload(steps=450, build=_wrong_labels, is_test=True),
    "columns": Workload(
        steps=500,
        build=functools.partial(_columns, table="breast_cancer", width=32),
        is_test=True,
    ),
    "text_fine_tuning": Workload(
        steps=350,
        build=functools.partial(
            _fine_tuned_text, rank=None, before=("asyncio", "email"), then=("tkinter",)
        ),
        is_test=True,
        is_tuned_already=True,
    ),
    "low_rank_32": Workload(
        steps=400,
        build=functools.partial(
            _fine_tuned_text, rank=32, before=("xml", "http"), then=("concurrent", "sqlite3")
        ),
        is_test=True,
        is_tuned_already=True,
    ),
}
WORKLOADS = _VALIDATION | _TEST
"""All by name."""
