"""Characters drawn in many fonts: a character is a class, a font an example.

What Omniglot is to handwriting, from what Debian packages carry. Each side of the split has scripts
of its own, so that no character of a test task was ever seen: Latin, Greek, Cyrillic and Armenian
are trained on, Hebrew and Georgian choose, Thai, Arabic and Bengali judge. The classes of one task
are of one script. In training a character turned by a quarter is another class, which gives four
times as many (Santoro et al. 2016).

Axes: `B` tasks, `K` classes of a task, `F` fonts that have a character.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Split
from hpo_env.errors import ConfigurationError, MissingExtraError
from hpo_env.few_shot.base import FewShotSource, FewShotTasks
from hpo_env.few_shot.classes import tasks_of

SIDE = 20
"""Height and width of an image, in pixels."""

_MARGIN = 1  # pixels around a character
_DRAWN_AT = 60  # font size, in pixels; then scaled down
_MOST_STYLES = 4  # of one family of fonts: more would be near copies
_MOST_FONTS = 40  # of one character
_QUARTER_TURNS = 4


@dataclass(frozen=True, kw_only=True)
class Script:
    """Characters of one writing system.

    Args:
        name: What it is called.
        split: The side it lies on.
        ranges: First and last code point of each run of characters.
    """

    name: str
    split: Split
    ranges: tuple[tuple[int, int], ...]

    def code_points(self) -> list[int]:
        """List its characters."""
        return [point for first, last in self.ranges for point in range(first, last + 1)]


SCRIPTS = (
    Script(name="Latin", split="train", ranges=((0x30, 0x39), (0x41, 0x5A), (0x61, 0x7A))),
    Script(name="Greek", split="train", ranges=((0x391, 0x3A1), (0x3A3, 0x3A9), (0x3B1, 0x3C9))),
    Script(name="Cyrillic", split="train", ranges=((0x410, 0x44F),)),
    Script(name="Armenian", split="train", ranges=((0x531, 0x556), (0x561, 0x586))),
    Script(name="Hebrew", split="validation", ranges=((0x5D0, 0x5EA),)),
    Script(name="Georgian", split="validation", ranges=((0x10D0, 0x10F0),)),
    Script(name="Thai", split="test", ranges=((0xE01, 0xE2E),)),
    Script(name="Arabic", split="test", ranges=((0x621, 0x63A), (0x641, 0x64A))),
    Script(name="Bengali", split="test", ranges=((0x985, 0x9B9),)),
)

PACKAGES = {
    "culmus": "truetype/culmus",
    "fonts-beng-extra": "truetype/fonts-beng-extra",
    "fonts-dejavu-extra": "truetype/dejavu",
    "fonts-dustin": "truetype/dustin",
    "fonts-freefont-ttf": "truetype/freefont",
    "fonts-gfs-artemisia": "opentype/artemisia",
    "fonts-gfs-didot": "opentype/didot",
    "fonts-gfs-neohellenic": "opentype/neohellenic",
    "fonts-junicode": "opentype/junicode",
    "fonts-kacst": "truetype/kacst",
    "fonts-liberation": "truetype/liberation",
    "fonts-linuxlibertine": "opentype/linux-libertine",
    "fonts-oldstandard": "truetype/fonts-oldstandard",
    "fonts-thai-tlwg-ttf": "truetype/tlwg",
}
"""Debian packages and the folders of `/usr/share/fonts` that they fill."""

_FONTS = Path("/usr/share/fonts")


class Characters(FewShotSource):
    """Tell `num_ways` characters of an unknown script apart.

    Args:
        num_ways: `K`, classes of a task, at least 2.
        num_shots: Fonts of each class to adapt to.
        num_queries: Fonts of each class to be judged by.

    Raises:
        ConfigurationError: No script has so many characters in so many fonts.
        MissingExtraError: A package of fonts, or Pillow or fontTools, is not installed.
    """

    name = "characters"
    kind = "classification"

    def __init__(self, *, num_ways: int = 5, num_shots: int = 1, num_queries: int = 5) -> None:
        super().__init__(num_shots=num_shots, num_queries=num_queries)
        if num_ways < 2:
            raise ConfigurationError(f"num_ways must be at least 2; got {num_ways}")
        self.num_ways = num_ways
        self._num_fonts = num_shots + num_queries
        for split in ("train", "validation", "test"):
            self._usable(split)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """A grey image; ink is 1, paper 0."""
        return (1, SIDE, SIDE)

    @property
    def num_outputs(self) -> int:
        """`num_ways`."""
        return self.num_ways

    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """See `FewShotSource.sample`; examples are ordered by class."""
        scripts = self._usable(split)
        sizes = np.array([len(script) for script in scripts])
        images = np.empty((num_tasks, self.num_ways, self._num_fonts, 1, SIDE, SIDE), np.float32)
        for task in images:
            characters = scripts[rng.choice(len(scripts), p=sizes / sizes.sum())]
            chosen = rng.choice(len(characters), size=self.num_ways, replace=False)
            for place, character in zip(task, chosen, strict=True):
                drawn = characters[character]
                fonts = rng.choice(len(drawn), size=self._num_fonts, replace=False)
                turns = int(rng.integers(_QUARTER_TURNS)) if split == "train" else 0
                place[:, 0] = np.rot90(drawn[fonts], turns, axes=(1, 2)) / np.float32(255.0)
        return tasks_of(images, self.num_shots)

    def _usable(self, split: Split) -> list[list[NDArray[np.uint8]]]:
        """Return the characters of each script of a side that are in fonts enough."""
        usable = [
            [drawn for drawn in images.values() if len(drawn) >= self._num_fonts]
            for images in drawn_scripts(split).values()
        ]
        usable = [characters for characters in usable if len(characters) >= self.num_ways]
        if not usable:
            raise ConfigurationError(
                f"no script of the {split} side has {self.num_ways} characters (num_ways) in "
                f"{self._num_fonts} fonts each (num_shots + num_queries); ask for fewer"
            )
        return usable


@cache
def drawn_scripts(split: Split) -> dict[str, dict[str, NDArray[np.uint8]]]:
    """Draw all characters of a side, once a process; a second or three.

    Returns:
        Grey images `[F, SIDE, SIDE]` by character, by script.

    Raises:
        MissingExtraError: A package of fonts, or Pillow or fontTools, is not installed.
    """
    fonts = _readable_fonts()
    return {
        script.name: {
            chr(point): _distinct([_drawn(chr(point), path) for path in fonts[point]])
            for point in script.code_points()
            if point in fonts
        }
        for script in SCRIPTS
        if script.split == split
    }


@cache
def _readable_fonts() -> dict[int, list[Path]]:
    """List the fonts of each code point, a few styles of a family."""
    try:
        from fontTools.ttLib import TTFont
    except ImportError as error:
        raise _not_installed("fontTools", error) from error
    fonts: dict[int, list[Path]] = defaultdict(list)
    for folder in _folders():
        num_styles: dict[str, int] = defaultdict(int)
        for path in sorted([*folder.glob("*.ttf"), *folder.glob("*.otf")]):
            family = path.stem.split("-")[0].split("_")[0]
            num_styles[family] += 1
            if num_styles[family] > _MOST_STYLES:
                continue
            with TTFont(path, lazy=True) as font:
                for point in font.getBestCmap():
                    if len(fonts[point]) < _MOST_FONTS:
                        fonts[point].append(path)
    return dict(fonts)


def _folders() -> list[Path]:
    missing = [package for package, folder in PACKAGES.items() if not (_FONTS / folder).is_dir()]
    if missing:
        raise MissingExtraError(
            "source 'characters' draws with fonts of Debian packages, and some are not installed; "
            f"install them with: apt-get install {' '.join(missing)}"
        )
    return [_FONTS / folder for folder in PACKAGES.values()]


@cache
def _font(path: Path) -> Any:
    try:
        from PIL import ImageFont
    except ImportError as error:
        raise _not_installed("Pillow", error) from error
    return ImageFont.truetype(path, _DRAWN_AT)


def _drawn(character: str, path: Path) -> NDArray[np.uint8]:
    """Draw a character as large as the image allows, in its middle; zeros where it has no ink."""
    from PIL import Image, ImageDraw

    large = Image.new("L", (4 * _DRAWN_AT, 4 * _DRAWN_AT))
    ImageDraw.Draw(large).text((_DRAWN_AT, _DRAWN_AT), character, fill=255, font=_font(path))
    box = large.getbbox()
    image = Image.new("L", (SIDE, SIDE))
    if box is not None:
        cut = large.crop(box)
        scale = (SIDE - 2 * _MARGIN) / max(cut.size)
        width, height = (max(1, round(scale * length)) for length in cut.size)
        cut = cut.resize((width, height), Image.Resampling.BOX)
        image.paste(cut, ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(image)


def _distinct(images: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Leave out empty images and exact copies, which some fonts share: `[F, SIDE, SIDE]`."""
    kept = {image.tobytes(): image for image in images if image.any()}
    return np.array(list(kept.values()), dtype=np.uint8).reshape(-1, SIDE, SIDE)


def _not_installed(package: str, error: ImportError) -> MissingExtraError:
    return MissingExtraError(
        f"source 'characters' needs {package} ({error}); install it with: pip install {package}"
    )
