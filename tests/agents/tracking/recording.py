"""A tracker that keeps what it is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from agents.tracking.base import Histogram, Tracker


class Recording(Tracker):
    """Registered by tests under its address."""

    made: ClassVar[list[Recording]] = []

    def __init__(
        self, name: str, config: Mapping[str, Any], folder: Path, identity: str | None
    ) -> None:
        self.name, self.config, self.found = name, dict(config), identity
        self.scalars: list[tuple[str, int, float]] = []
        self.pictures: dict[str, bytes] = {}
        self.texts: dict[str, str] = {}
        self.histograms: dict[str, Histogram] = {}
        self.ended: bool | None = None
        self.made.append(self)

    @property
    def identity(self) -> str:
        return self.found or "first"

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        self.scalars += [(tag, step, value) for tag, value in scalars.items()]

    def log_picture(self, tag: str, png: bytes, step: int) -> None:
        self.pictures[tag] = png

    def log_text(self, tag: str, markdown: str, step: int) -> None:
        self.texts[tag] = markdown

    def log_histogram(self, tag: str, histogram: Histogram, step: int) -> None:
        self.histograms[tag] = histogram

    def close(self, *, is_complete: bool) -> None:
        self.ended = is_complete
