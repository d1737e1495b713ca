"""Follows the TensorBoard files of a folder, and hands on what is new in them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader
from tensorboard.compat.proto.event_pb2 import Event

from .tracking.base import Histogram, Tracker, start_tracker
from .whole_files import to_json_bytes, write_atomically

EVENTS = "events.out.tfevents.*"
STATE_FILE = "tracker.json"
"""In the run folder: which run of the tracker it is, and how many events of each file it has."""


class Mirror:
    """What TensorBoard's files of a folder hold, in a tracker; used in a `with` statement.

    A run that is resumed goes on in the same run of the tracker, and events that were handed on
    are not handed on again.

    Args:
        kind: Name of the tracker; None for none, and then nothing happens.
        folder: The run folder.
        config: Settings of the run, plain data.
    """

    def __init__(self, kind: str | None, folder: Path, config: Mapping[str, Any]) -> None:
        self._kind = kind
        self._folder = folder
        self._config = config
        self._tracker: Tracker | None = None
        self._num_events: dict[str, int] = {}

    def __enter__(self) -> Self:
        """Start the tracker's run."""
        if self._kind is not None:
            state = self._read_state()
            self._num_events = dict(state.get("events", {}))
            self._tracker = start_tracker(
                self._kind, self._folder.name, self._config, self._folder, state.get("identity")
            )
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Hand on what is left, and close the tracker's run."""
        if self._tracker is not None:
            self.follow()
            self._tracker.close(is_complete=kind is None)

    def follow(self) -> None:
        """Hand on what was written since the last call."""
        if self._tracker is None:
            return
        for path in sorted(self._folder.rglob(EVENTS)):
            self._follow_file(self._tracker, path)
        state = {"kind": self._kind, "identity": self._tracker.identity}
        write_atomically(
            self._folder / STATE_FILE, to_json_bytes(state | {"events": self._num_events})
        )

    def _follow_file(self, tracker: Tracker, path: Path) -> None:
        place = path.relative_to(self._folder)
        prefix = "" if place.parent == Path() else f"{place.parent.as_posix()}/"
        known = self._num_events.get(place.as_posix(), 0)
        scalars: dict[str, float] = {}
        step = number = 0
        for number, event in enumerate(_events(path), 1):
            if number <= known:
                continue
            if event.step != step:
                _log_scalars(tracker, scalars, step)
                scalars, step = {}, event.step
            for value in event.summary.value:
                if value.HasField("simple_value"):
                    scalars[prefix + value.tag] = value.simple_value
                else:
                    _hand_on(tracker, prefix + value.tag, value, step)
        _log_scalars(tracker, scalars, step)
        self._num_events[place.as_posix()] = max(number, known)

    def _read_state(self) -> dict[str, Any]:
        path = self._folder / STATE_FILE
        state: dict[str, Any] = json.loads(path.read_bytes()) if path.is_file() else {}
        return state if state.get("kind") == self._kind else {}


def _events(path: Path) -> Iterator[Any]:
    """Yield the events of a file; an end that is still being written is left for later."""
    for record in RawEventFileLoader(str(path)).Load():
        yield Event.FromString(record)


def _log_scalars(tracker: Tracker, scalars: Mapping[str, float], step: int) -> None:
    finite = {tag: value for tag, value in scalars.items() if math.isfinite(value)}
    if finite:
        tracker.log_scalars(finite, step)


def _hand_on(tracker: Tracker, tag: str, value: Any, step: int) -> None:
    """Hand on what is no number; layouts, and rows of TensorBoard's own table, are left out."""
    if value.HasField("image"):
        tracker.log_picture(tag, value.image.encoded_image_string, step)
    elif value.HasField("histo"):
        limits = list(value.histo.bucket_limit)
        edges = [value.histo.min, *limits]
        tracker.log_histogram(tag, Histogram(edges=edges, counts=list(value.histo.bucket)), step)
    elif value.metadata.plugin_data.plugin_name == "text":
        text = b"\n".join(value.tensor.string_val).decode("utf-8", errors="replace")
        tracker.log_text(tag.removesuffix("/text_summary"), text, step)
