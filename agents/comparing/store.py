"""The files of a comparison's cells and preparations, each under the hash of its inputs.

    cells/ab/abcdef….json       an outcome
    prepared/ab/abcdef….json    what an opponent learned on meta-training tasks

Files are written whole or not at all, and hold a checksum: one that is damaged counts as missing.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np

from ..opponents.base import Outcome
from ..whole_files import write_atomically
from .keys import digest


class Store:
    """Reads and writes the files below a comparison's folder.

    Args:
        folder: The comparison's folder; made when something is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def cell_path(self, key: str) -> Path:
        """Return where a cell lies."""
        return self.folder / "cells" / key[:2] / f"{key}.json"

    def prepared_path(self, key: str) -> Path:
        """Return where a preparation lies."""
        return self.folder / "prepared" / key[:2] / f"{key}.json"

    def write_cell(self, key: str, inputs: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """Write an outcome, as `outcome_to_json` returned it; inverse of `read_cell`.

        Args:
            key: The cell's.
            inputs: What the key is the `digest` of; for people who look into the file.
            outcome: Plain data.
        """
        _write(self.cell_path(key), inputs, outcome)

    def read_cell(self, key: str) -> Outcome | None:
        """Return a cell's outcome; None if there is none, or the file is damaged."""
        content = _read(self.cell_path(key), key)
        return None if content is None else outcome_from_json(content)

    def write_prepared(
        self, key: str, inputs: Mapping[str, Any], prepared: Mapping[str, Any]
    ) -> None:
        """Write what was learned in a preparation; inverse of `read_prepared`, up to JSON."""
        _write(self.prepared_path(key), inputs, prepared)

    def read_prepared(self, key: str) -> dict[str, Any] | None:
        """Return what was learned; None if nothing is there, or the file is damaged."""
        return _read(self.prepared_path(key), key)


class MemoryStore(Store):
    """A store that leaves no files: what is in it goes with the process."""

    def __init__(self) -> None:
        super().__init__(Path())
        self._cells: dict[str, Outcome] = {}
        self._prepared: dict[str, dict[str, Any]] = {}

    def write_cell(self, key: str, inputs: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """See `Store.write_cell`."""
        self._cells[key] = outcome_from_json(outcome)

    def read_cell(self, key: str) -> Outcome | None:
        """See `Store.read_cell`."""
        return self._cells.get(key)

    def write_prepared(
        self, key: str, inputs: Mapping[str, Any], prepared: Mapping[str, Any]
    ) -> None:
        """See `Store.write_prepared`."""
        self._prepared[key] = dict(prepared)

    def read_prepared(self, key: str) -> dict[str, Any] | None:
        """See `Store.read_prepared`."""
        return self._prepared.get(key)


def _write(path: Path, inputs: Mapping[str, Any], content: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {"inputs": inputs, "content": content, "sha256": digest(content)}
    write_atomically(path, json.dumps(document, separators=(",", ":")).encode())


def _read(path: Path, key: str) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_bytes())
        content: dict[str, Any] = document["content"]
        is_whole = digest(content) == document["sha256"] and digest(document["inputs"]) == key
    except (OSError, ValueError, TypeError, KeyError, RecursionError):
        return None
    return content if is_whole else None


# --------------------------------------------------------------------------------- outcomes as JSON


def outcome_to_json(outcome: Outcome) -> dict[str, Any]:
    """Turn an outcome into plain data; inverse of `outcome_from_json`.

    JSON has no NaN and no infinity: they are written as the words "nan", "inf" and "-inf".
    """
    return {f.name: _to_json(getattr(outcome, f.name)) for f in fields(outcome)}


def outcome_from_json(data: Mapping[str, Any]) -> Outcome:
    """Turn plain data into an outcome; inverse of `outcome_to_json`."""
    return Outcome(**{f.name: _from_json(data[f.name], str(f.type)) for f in fields(Outcome)})


def _to_json(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _to_json(entry) for name, entry in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return _to_json(value.tolist())
    if isinstance(value, list):
        return [_to_json(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def _from_json(value: Any, kind: str) -> Any:
    """Read a value of a field of `Outcome`, by the field's annotation."""
    if isinstance(value, dict):
        return {name: np.array(entry, dtype=np.float64) for name, entry in value.items()}
    if isinstance(value, list):
        return np.array(value, dtype=np.int64 if "int64" in kind else np.float64)
    return float(value) if kind == "float" else value
