"""Data that is there without a network: source code as text, digits, patches of photographs.

Axes: `B` rows, `L` characters.
"""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor

NUM_CHARACTERS = 96
"""Printable ASCII from the space on, and the line's end; anything else is left out."""

Part = tuple[Tensor, Tensor]
"""Inputs and targets, first axis `B`."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Rows to train on, to validate on, and to test on."""

    train: Part
    validation: Part
    test: Part


def split(x: Tensor, y: Tensor, *, seed: int, num_train: int | None = None) -> Parts:
    """Divide rows 60/20/20 at random.

    Args:
        x: Inputs, first axis `B`.
        y: Targets, the same.
        seed: Of the division.
        num_train: Keep only so many of the rows to train on.
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    bounds = [int(0.6 * len(x)), int(0.8 * len(x))]
    train, validation, test = torch.tensor_split(order, bounds)
    train = train[:num_train]
    return Parts(
        train=(x[train], y[train]),
        validation=(x[validation], y[validation]),
        test=(x[test], y[test]),
    )


@functools.cache
def source_text(packages: Sequence[str]) -> Tensor:
    """Return the characters of packages of the standard library, int64 `[L]`.

    Args:
        packages: Their names, folders or single files.
    """
    root = Path(sysconfig.get_paths()["stdlib"])
    files = [
        file
        for name in packages
        for file in (sorted((root / name).rglob("*.py")) or [root / f"{name}.py"])
        if "test" not in file.parts
    ]
    codes = np.frombuffer("\n".join(f.read_text("utf-8") for f in files).encode(), dtype=np.uint8)
    codes = codes[(codes == ord("\n")) | ((codes >= ord(" ")) & (codes < 127))]
    codes = np.where(codes == ord("\n"), NUM_CHARACTERS - 1, codes - ord(" "))
    return torch.from_numpy(codes.astype(np.int64))


def text_parts(text: Tensor, length: int) -> Parts:
    """Cut a text into pieces; of ten pieces eight train, some of the ninth and the tenth measure.

    Args:
        text: Characters.
        length: Of a piece; the target of each character is the next one.
    """
    pieces = text[: len(text) // (length + 1) * (length + 1)].view(-1, length + 1)
    number = torch.arange(len(pieces)) % 10
    validation = pieces[number == 8][:: max(len(pieces) // 10 // 64, 1)]  # all over the text
    test = pieces[number == 9][:: max(len(pieces) // 10 // 256, 1)]
    parts = ((p[:, :-1], p[:, 1:]) for p in (pieces[number < 8], validation, test))
    train, validation_part, test_part = parts
    return Parts(train=train, validation=validation_part, test=test_part)


@functools.cache
def digits() -> Part:
    """Return the 1,797 digits, 8 by 8: images `[B, 1, 8, 8]`, classes `[B]`."""
    data = load_digits()
    images = torch.from_numpy(data.images.astype(np.float32))[:, None] / 8.0 - 1.0
    return images, torch.from_numpy(data.target.astype(np.int64))


def with_wrong_labels(parts: Parts, share: float, *, seed: int, num_classes: int) -> Parts:
    """Give some of the rows that train another label, drawn from all."""
    rng = np.random.default_rng(seed)
    x, y = parts.train
    wrong = torch.from_numpy(rng.random(len(y)) < share)
    drawn = torch.from_numpy(rng.integers(num_classes, size=len(y)))
    train = (x, torch.where(wrong, drawn, y))
    return Parts(train=train, validation=parts.validation, test=parts.test)


@functools.cache
def patches(photograph: str, size: int, num_patches: int) -> Tensor:
    """Cut squares out of one of scikit-learn's photographs, float32 `[B, 3, size, size]`.

    Args:
        photograph: "china" or "flower".
        size: Pixels of a side.
        num_patches: `B`, always the same places.
    """
    image = load_sample_image(f"{photograph}.jpg").astype(np.float32) / 127.5 - 1.0
    rng = np.random.default_rng(0)
    tops = rng.integers(image.shape[0] - size, size=num_patches)
    lefts = rng.integers(image.shape[1] - size, size=num_patches)
    cut = [
        image[top : top + size, left : left + size] for top, left in zip(tops, lefts, strict=True)
    ]
    return torch.from_numpy(np.stack(cut).transpose(0, 3, 1, 2).copy())


@functools.cache
def photographs() -> Part:
    """Return squares of two photographs, `[B, 3, 8, 8]`; of which one each is, classes `[B]`."""
    both = [patches(name, 8, 1000) for name in ("china", "flower")]
    return torch.cat(both), torch.arange(2).repeat_interleave(1000)


def turned(images: Tensor) -> Part:
    """Turn square images by 0, 90, 180 or 270 degrees; which is to be said, classes `[B]`."""
    turns = torch.arange(len(images)) % 4
    together = [torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, turns, strict=True)]
    return torch.stack(together), turns
