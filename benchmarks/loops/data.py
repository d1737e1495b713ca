"""Data that is there without a network: source code as text, digits, characters, photographs.

Axes: `B` rows, `L` characters.
"""

from __future__ import annotations

import functools
import sysconfig
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from sklearn.datasets import load_digits, load_sample_image
from torch import Tensor

Array = NDArray[np.float64]

NUM_CHARACTERS = 96
"""Printable ASCII from the space on, and the line's end; anything else is left out."""

_CHARACTERS = "abdeghkmnqrt"
"""Drawn as pictures: those that are told apart at twelve pixels, with some trouble."""
_FONTS = ("DejaVuSans*.ttf", "DejaVuSerif*.ttf", "STIXGeneral*.ttf")
"""Of those that matplotlib ships."""
_SIDE = 12

Part = tuple[Tensor, Tensor]
"""Inputs and targets, first axis `B`."""


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Rows to train on, to validate on, and to test on."""

    train: Part
    validation: Part
    test: Part


def split(
    x: Tensor,
    y: Tensor,
    *,
    seed: int,
    num_train: int | None = None,
    ends: tuple[float, float] = (0.6, 0.8),
) -> Parts:
    """Divide rows at random.

    Args:
        x: Inputs, first axis `B`.
        y: Targets, the same.
        seed: Of the division.
        num_train: Keep only so many of the rows to train on.
        ends: Shares of the rows that lie before those that validate, and before those that test.
    """
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(x)))
    bounds = [int(end * len(x)) for end in ends]
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


@functools.cache
def characters(num_pictures: int, *, noise: float = 0.25) -> Part:
    """Draw characters, turned, moved and noisy, `[B, 1, 12, 12]`; which one each is, classes `[B]`.

    Args:
        num_pictures: `B`, always the same.
        noise: Its standard deviation, of ink that is 1.
    """
    rng = np.random.default_rng(0)
    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    files = {file for pattern in _FONTS for file in folder.glob(pattern)}
    files = {file for file in files if "Display" not in file.name}  # signs alone
    sizes = range(20, 29, 2)
    fonts = [ImageFont.truetype(str(file), size) for file in sorted(files) for size in sizes]
    classes = rng.integers(len(_CHARACTERS), size=num_pictures)
    drawn = [_drawn(_CHARACTERS[c], fonts[rng.integers(len(fonts))], rng) for c in classes]
    noisy = np.stack(drawn) + rng.normal(0.0, noise, (num_pictures, _SIDE, _SIDE))
    return torch.from_numpy(noisy.astype(np.float32))[:, None], torch.from_numpy(classes)


def _drawn(character: str, font: ImageFont.FreeTypeFont, rng: np.random.Generator) -> Array:
    """Draw one character, in twice the size at first, `[12, 12]`; ink is 1, paper 0."""
    canvas = Image.new("L", (2 * _SIDE, 2 * _SIDE))
    across, down = _SIDE + rng.uniform(-2.0, 2.0, size=2)
    place = (float(across), float(down))
    ImageDraw.Draw(canvas).text(place, character, fill=255, font=font, anchor="mm")
    askew = canvas.rotate(rng.uniform(-20.0, 20.0), Image.Resampling.BILINEAR)
    small = askew.resize((_SIDE, _SIDE), Image.Resampling.BOX)
    return np.asarray(small, dtype=np.float64) / 255.0


def turned(images: Tensor) -> Part:
    """Turn square images by 0, 90, 180 or 270 degrees; which is to be said, classes `[B]`."""
    turns = torch.arange(len(images)) % 4
    together = [torch.rot90(image, int(k), (1, 2)) for image, k in zip(images, turns, strict=True)]
    return torch.stack(together), turns
