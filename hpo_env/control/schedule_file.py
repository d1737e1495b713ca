"""Schedules of hyperparameters as files, and their replay in a loop without a controller."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from hpo_env.arguments import file_path
from hpo_env.errors import ConfigurationError

ScheduleRow = dict[str, float]
"""The values from one update on: "step", counted from 0, and one entry a hyperparameter.

Where there are several param groups, each has an entry "name/number" beside it while it is there.
"""

FORMAT = "hpo-control-schedule"
FORMAT_VERSION = 1


def write_schedule(
    path: str | Path, rows: Sequence[Mapping[str, float]], *, total_steps: int
) -> Path:
    """Write a schedule; `read_schedule` is the inverse, digit for digit.

    Args:
        path: Ends in `.json` or `.csv`.
        rows: In the order of their steps.
        total_steps: Updates in the whole run.

    Raises:
        ConfigurationError: Another ending.
    """
    path = file_path("the path of a schedule", path)
    if path.suffix == ".json":
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "total_steps": total_steps,
            "schedule": list(rows),
        }
        path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            columns = list(dict.fromkeys(name for row in rows for name in row))
            writer = csv.DictWriter(file, columns or ["step"])
            writer.writeheader()
            writer.writerows(rows)
    else:
        raise _wrong_ending(path)
    return path


def read_schedule(path: str | Path) -> list[ScheduleRow]:
    """Read a schedule that `write_schedule` wrote, or a person.

    Raises:
        ConfigurationError: The file is missing, of another kind, or says something impossible.
    """
    path = file_path("the path of a schedule", path)
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".json":
            document = json.loads(text)
            if not isinstance(document, dict) or document.get("format") != FORMAT:
                raise ConfigurationError(f"{path}: 'format' must be {FORMAT!r}")
            if document.get("format_version") != FORMAT_VERSION:
                raise ConfigurationError(
                    f"{path}: 'format_version' must be {FORMAT_VERSION}; "
                    f"got {document.get('format_version')!r}"
                )
            found: list[Any] = document["schedule"]
        elif path.suffix == ".csv":
            found = list(csv.DictReader(text.splitlines()))
        else:
            raise _wrong_ending(path)
        rows = [
            {str(k): float(v) for k, v in dict(row).items() if v != "" or "/" not in k}
            for row in found
        ]
    except ConfigurationError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ConfigurationError(f"{path}: not a schedule: {error}") from error
    _check(path, rows)
    return rows


class Replay:
    """A schedule that is written without a controller: call `step()` after every update.

    Args:
        rows: As `read_schedule` returns them.
        write: Sets one hyperparameter to a value, by name.
    """

    def __init__(
        self, rows: Sequence[ScheduleRow], write: Mapping[str, Callable[[float], object]]
    ) -> None:
        self._rows = list(rows)
        self._write = write
        self._next = 0
        self.num_steps = 0
        self._apply()

    def step(self, loss: object = None) -> None:
        """Count an update and write what is due; a loss is accepted and ignored."""
        self.num_steps += 1
        self._apply()

    def state_dict(self) -> dict[str, int]:
        """Return where the replay is; `load_state_dict` is the inverse."""
        return {"num_steps": self.num_steps}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """Go on where `state_dict` was called."""
        self.num_steps, self._next = state["num_steps"], 0
        self._apply()

    def _apply(self) -> None:
        row = None
        while self._next < len(self._rows) and self._rows[self._next]["step"] <= self.num_steps:
            row = self._rows[self._next]
            self._next += 1
        for name, value in (row or {}).items():
            if name != "step":
                self._write[name](value)


def _check(path: Path, rows: Sequence[ScheduleRow]) -> None:
    if not rows or "step" not in rows[0] or len(rows[0]) < 2:
        raise ConfigurationError(
            f"{path}: a schedule needs rows with 'step' and at least one hyperparameter"
        )
    steps = [row.get("step", math.nan) for row in rows]
    if steps[0] != 0 or any(a >= b for a, b in pairwise(steps)):
        raise ConfigurationError(f"{path}: steps must start at 0 and increase; got {steps[:10]}")
    always = {name for name in rows[0] if "/" not in name}  # param groups may come and go
    for row in rows:
        there = {name for name in row if "/" not in name}
        if there != always or not all(map(math.isfinite, row.values())):
            raise ConfigurationError(
                f"{path}: every row must have finite {sorted(rows[0])}; got {row}"
            )


def _wrong_ending(path: Path) -> ConfigurationError:
    return ConfigurationError(f"{path}: a schedule's file must end in .json or .csv")
