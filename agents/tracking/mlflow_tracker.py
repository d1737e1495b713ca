"""MLflow; `MLFLOW_TRACKING_URI` and `MLFLOW_EXPERIMENT_NAME` say where, as everywhere."""

from __future__ import annotations

import io
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .base import PROJECT, Histogram, Tracker, require

_LONGEST_PARAMETER = 500
"""Characters that every store of MLflow takes."""

_LARGEST_BATCH = 1000
"""Metrics that a server takes at once."""


class MlflowTracker(Tracker):
    """A run of MLflow; arguments are those of `Tracker`.

    It has no pictures over time: pictures, texts and histograms are files, `tag/step.png` and so
    on. Where nothing names a server, runs go to the database `mlflow.db` beside the run folder, and
    their files to `mlartifacts`.
    """

    def __init__(
        self, name: str, config: Mapping[str, Any], folder: Path, identity: str | None
    ) -> None:
        mlflow = require("mlflow")
        beside = folder.absolute().parent
        uri = os.environ.get("MLFLOW_TRACKING_URI")
        files = None if uri else (beside / "mlartifacts").as_uri()
        self._client: Any = mlflow.MlflowClient(uri or f"sqlite:///{beside / 'mlflow.db'}")
        self._identity = identity or self._create(name, config, files)
        self._client.update_run(self._identity, status="RUNNING")

    def _create(self, name: str, config: Mapping[str, Any], files: str | None) -> str:
        experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        found = self._client.get_experiment_by_name(experiment)
        number = (
            found.experiment_id
            if found is not None
            else self._client.create_experiment(experiment, artifact_location=files)
        )
        run = self._client.create_run(number, run_name=name)
        for key, value in config.items():
            self._client.log_param(run.info.run_id, key, str(value)[:_LONGEST_PARAMETER])
        return str(run.info.run_id)

    @property
    def identity(self) -> str:
        """See `Tracker.identity`."""
        return self._identity

    def log_scalars(self, scalars: Mapping[str, float], step: int) -> None:
        """See `Tracker.log_scalars`."""
        entity = require("mlflow").entities.Metric
        now = int(1000 * time.time())
        metrics = [entity(_allowed(tag), value, now, step) for tag, value in scalars.items()]
        for start in range(0, len(metrics), _LARGEST_BATCH):
            self._client.log_batch(self._identity, metrics[start : start + _LARGEST_BATCH])

    def log_picture(self, tag: str, png: bytes, step: int) -> None:
        """See `Tracker.log_picture`."""
        from PIL import Image

        picture = Image.open(io.BytesIO(png))
        self._client.log_image(self._identity, picture, artifact_file=_file(tag, step, "png"))

    def log_text(self, tag: str, markdown: str, step: int) -> None:
        """See `Tracker.log_text`."""
        self._client.log_text(self._identity, markdown, _file(tag, step, "md"))

    def log_histogram(self, tag: str, histogram: Histogram, step: int) -> None:
        """See `Tracker.log_histogram`."""
        content = {"edges": list(histogram.edges), "counts": list(histogram.counts)}
        self._client.log_dict(self._identity, content, _file(tag, step, "json"))

    def close(self, *, is_complete: bool) -> None:
        """See `Tracker.close`."""
        status = "FINISHED" if is_complete else "KILLED"
        self._client.set_terminated(self._identity, status=status)


def _allowed(tag: str) -> str:
    """Return a tag with what MLflow forbids in names as `_`.

    Example:
        >>> _allowed("meta_validation/final_loss/a+b")
        'meta_validation/final_loss/a_b'
    """
    return re.sub(r"[^\w\-. /]", "_", tag)


def _file(tag: str, step: int, ending: str) -> str:
    return f"{_allowed(tag)}/{step}.{ending}"
