"""Tasks of meta-training, stored by how their first interval looked, and what each start gained.

As Matching networks predict (Vinyals et al., "Matching networks for one shot learning", 2016): what
a start is worth on a new task is what it was worth on the stored ones, weighted by how much their
looks are like the new one's. `condensed` puts the mean of tasks that look alike in their place,
which are the prototypes of Snell, Swersky and Zemel ("Prototypical networks", 2017). A policy's
folder may bring such a table, and a memory (`run_memory`) goes by it where it explores.

Axes: `T` tasks, `S` starts, `E` entries of a look.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.arguments import is_number
from hpo_env.control.looks import SPREADS, Look, check_look, distance
from hpo_env.errors import ConfigurationError
from hpo_env.whole_files import write_atomically

Array = NDArray[np.float64]

STORED_TASKS_FILE = "stored_tasks.json"
"""In the folder of a policy."""

FORMAT, FORMAT_VERSION = "hpo-control-stored-tasks", 1
_MAX_BYTES = 1_000_000
_WIDTH = 0.5
"""Of the attention, in distances of looks: of .5, 1, 2, 4, 8 and no attention the best, where tasks
of meta-training were judged by those of other data sets."""
_ROUNDS = 30  # of moving prototypes; few tasks come to rest sooner


@dataclass(frozen=True, kw_only=True, eq=False)
class StoredTasks:
    """The table.

    Args:
        starts: Values to begin at, by hyperparameter, S of them.
        looks: The first interval of each task from a user's values, T of them.
        gains: Log validation loss at the end from each start, less that from the user's values; a
            negative number is a gain. `[T, S]`.
        sizes: How many tasks each row stands for `[T]`; not given: one.

    Raises:
        ConfigurationError: There is no task or start, or the shapes or numbers cannot be.

    Example:
        >>> table = StoredTasks(
        ...     starts=({"learning_rate": 0.1}, {"learning_rate": 0.001}),
        ...     looks=({"log_loss": 0.0}, {"log_loss": 2.0}),
        ...     gains=np.array([[-0.2, 0.1], [0.3, -0.1]]),
        ... )
        >>> table.ranked({"log_loss": 0.1})[0], table.ranked({"log_loss": 1.9})[0]
        ({'learning_rate': 0.1}, {'learning_rate': 0.001})
    """

    starts: Sequence[Mapping[str, float]]
    looks: Sequence[Look]
    gains: Array
    sizes: Array | None = None

    def __post_init__(self) -> None:
        """Check the parts against each other."""
        shape = (len(self.looks), len(self.starts))
        if min(shape) < 1 or self.gains.shape != shape or not np.isfinite(self.gains).all():
            raise ConfigurationError(
                f"gains must be finite, [tasks, starts] = {shape}, with at least one of each; got "
                f"shape {self.gains.shape}"
            )
        if self.sizes is not None and (self.sizes.shape != shape[:1] or self.sizes.min() <= 0.0):
            raise ConfigurationError(f"sizes must be {shape[0]} positive numbers")
        for look in self.looks:
            check_look(look)
        for start in self.starts:
            if not start or not all(map(_is_finite, start.values())):
                raise ConfigurationError(f"a start must have finite values; got {start!r}")

    def expected(self, look: Look) -> Array:
        """Say what each start should gain on a task that looks so, `[S]`.

        Rows count by a Gaussian of their distance; where nothing is shared, all alike.
        """
        gaps = np.array([distance(look, other) for other in self.looks])
        gaps = np.where(np.isfinite(gaps), gaps, 0.0 if not np.isfinite(gaps).any() else np.inf)
        weights = np.exp(-0.5 * (gaps**2 - gaps.min() ** 2) / _WIDTH**2)
        if self.sizes is not None:
            weights = weights * self.sizes
        means: Array = weights @ self.gains / weights.sum()
        return means

    def ranked(self, look: Look) -> list[dict[str, float]]:
        """Return the starts, what should gain most first."""
        return [dict(self.starts[s]) for s in np.argsort(self.expected(look), kind="stable")]

    def condensed(self, count: int, rng: np.random.Generator) -> StoredTasks:
        """Return prototypes: the means of `count` groups of tasks that look alike (k-means).

        Args:
            count: At least 1; no more than there are tasks.
            rng: For the tasks that groups begin with.

        Raises:
            ConfigurationError: The count is out of range, or a look lacks an entry.
        """
        if not 1 <= count <= len(self.looks):
            raise ConfigurationError(
                f"count of prototypes must be 1 to {len(self.looks)}, the tasks; got {count}"
            )
        points = self._points()
        centres = points[rng.choice(len(points), size=count, replace=False)]
        for _ in range(_ROUNDS):
            group = np.square(points[:, None] - centres).sum(axis=2).argmin(axis=1)
            kept = np.unique(group)
            centres = np.stack([points[group == g].mean(axis=0) for g in kept])
        group = np.square(points[:, None] - centres).sum(axis=2).argmin(axis=1)
        kept = np.unique(group)
        means = [points[group == g].mean(axis=0) * list(SPREADS.values()) for g in kept]
        return StoredTasks(
            starts=self.starts,
            looks=[dict(zip(SPREADS, mean.tolist(), strict=True)) for mean in means],
            gains=np.stack([self.gains[group == g].mean(axis=0) for g in kept]),
            sizes=np.array([(group == g).sum() for g in kept], dtype=np.float64),
        )

    def _points(self) -> Array:
        """Return the looks as points whose distance is theirs, `[T, E]`."""
        if any(set(look) != set(SPREADS) for look in self.looks):
            raise ConfigurationError(f"prototypes need looks with all entries, {sorted(SPREADS)}")
        return np.array(
            [[look[n] / spread for n, spread in SPREADS.items()] for look in self.looks]
        )

    def to_json(self) -> dict[str, Any]:
        """Describe the table in plain data; `from_json` is the inverse."""
        rows = [
            {"look": dict(look), "gains": gains.tolist()}
            for look, gains in zip(self.looks, self.gains, strict=True)
        ]
        if self.sizes is not None:
            rows = [{**r, "size": float(size)} for r, size in zip(rows, self.sizes, strict=True)]
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "starts": [dict(start) for start in self.starts],
            "tasks": rows,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StoredTasks:
        """Build the table that `to_json` described.

        Raises:
            ConfigurationError: An entry is missing, or breaks a rule.
        """
        try:
            if data["format"] != FORMAT or data["format_version"] != FORMAT_VERSION:
                raise ConfigurationError(f"format must be {FORMAT!r}, version {FORMAT_VERSION}")
            rows = list(data["tasks"])
            sizes = [row["size"] for row in rows if "size" in row]
            return cls(
                starts=tuple(data["starts"]),
                looks=tuple(row["look"] for row in rows),
                gains=np.array([row["gains"] for row in rows], dtype=np.float64),
                sizes=np.array(sizes, dtype=np.float64) if sizes else None,
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ConfigurationError(f"no table of stored tasks: {error}") from error


def read_stored_tasks(folder: Path) -> StoredTasks:
    """Read the table in the folder of a policy.

    Raises:
        ConfigurationError: There is none, or it is damaged or too large.
    """
    path = folder / STORED_TASKS_FILE
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"the policy in {folder} has stored no tasks ({STORED_TASKS_FILE}); leave "
            "explores='matched' out, or make the table: python tools/stored_tasks.py"
        ) from error
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror or error}") from error
    if len(content) > _MAX_BYTES:
        raise _refused(path, f"is larger than {_MAX_BYTES:,} bytes, which no table is")
    try:
        return StoredTasks.from_json(json.loads(content))
    except (ValueError, RecursionError) as error:  # a ConfigurationError is a ValueError
        raise _refused(path, f"is damaged: {error!s:.200}") from error


def write_stored_tasks(table: StoredTasks, folder: Path) -> Path:
    """Write a table into the folder of a policy, whole or not at all."""
    path = folder / STORED_TASKS_FILE
    text = json.dumps(table.to_json(), allow_nan=False, indent=1)
    write_atomically(path, text.encode("utf-8"))
    return path


def _refused(path: Path, why: str) -> ConfigurationError:
    return ConfigurationError(f"{path} {why}. Take the policy's folder anew, or remove the file")


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)
