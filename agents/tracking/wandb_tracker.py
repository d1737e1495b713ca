"""Weights & Biases; `WANDB_MODE=offline` keeps everything on this machine until `wandb sync`."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from .base import PROJECT, Histogram, Tracker, require

STEP = "step"
"""The x axis of all curves: environment steps, in meta-training."""


class WandbTracker(Tracker):
    """A run of Weights & Biases; arguments are those of `Tracker`."""

    def __init__(
        self, name: str, config: Mapping[str, Any], folder: Path, identity: str | None
    ) -> None:
        self._wandb = require("wandb")
        self._run: Any = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            name=name,
            config=dict(config),
            dir=str(folder),
            id=identity,
            resume=None if identity is None else "allow",
        )
        # W&B's own step must rise, and a resumed run goes back: steps are a metric of their own.
        self._run.define_metric("*", step_metric=STEP)

    @property
    def identity(self) -> str:
        """See `Tracker.identity`."""
        return str(self._run.id)

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """See `Tracker.log_scalars`."""
        self._run.log({**scalars, STEP: step})

    def log_picture(self, tag: str, png: bytes, step: int) -> None:
        """See `Tracker.log_picture`."""
        from PIL import Image

        picture = Image.open(io.BytesIO(png))
        self._run.log({tag: self._wandb.Image(picture), STEP: step})

    def log_text(self, tag: str, markdown: str, step: int) -> None:
        """See `Tracker.log_text`; a table of one cell, which is shown as it is."""
        table = self._wandb.Table(columns=["text"], data=[[markdown]])
        self._run.log({tag: table, STEP: step})

    def log_histogram(self, tag: str, histogram: Histogram, step: int) -> None:
        """See `Tracker.log_histogram`."""
        bins = np.array(histogram.counts), np.array(histogram.edges)
        self._run.log({tag: self._wandb.Histogram(np_histogram=bins), STEP: step})

    def close(self, *, is_complete: bool) -> None:
        """See `Tracker.close`."""
        self._run.finish(exit_code=0 if is_complete else 1)
