"""A memory over runs: each run of a job begins where the ones before it fared best.

    controller = Controller.from_pretrained("supervised", memory="runs/job.json")

The file holds, for every finished run, where it began, how its first interval looked, the course of
its validation loss and what it reached; numbers and names alone, and at most `MAX_RUNS` of them.
Whoever loses it begins anew.

What begins the next run is `chosen`: the user's own values until they were tried, then twice values
elsewhere, then mostly the best known, and now and then others again. Elsewhere is drawn widely, or
what gained most on tasks of meta-training that looked like this one (`stored_tasks`). Runs whose
first interval looked unlike that of the newest are of another task, and count less.

Needs numpy alone.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from hpo_env.arguments import file_path, is_number
from hpo_env.control.decider import Decision
from hpo_env.control.looks import SPREADS, check_look, distance
from hpo_env.control.stored_tasks import StoredTasks
from hpo_env.errors import ConfigurationError, ControllerWarning
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.starts import usual_ranges
from hpo_env.whole_files import write_atomically

if TYPE_CHECKING:
    from hpo_env.control.run import Run

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

FORMAT, FORMAT_VERSION = "hpo-control-memory", 1
MAX_RUNS = 64
"""The newest of them: what a job of last year reached says little of today's."""
_MAX_COURSE = 64
_MAX_BYTES = 1_000_000
_EXPLORED = 3
"""Runs from values other than the best known, the user's own among them, before those are used."""
_EXPLORES_EVERY = 4
Explores = Literal["drawn", "matched"]
"""Where a run begins that tries something else: drawn widely, or matched to a first interval."""

_NEAR = 1.8
"""Distance up to which two looks are of one task: eight in ten pairs of one task are nearer, and
two in ten of two tasks (meta-validation tasks of supervised learning)."""
_FOREIGN = 2.0 * _NEAR
"""Distance to the nearest of several looks beyond which a run is said to be of another task."""


@dataclass(frozen=True, kw_only=True)
class StoredRun:
    """A finished run.

    Args:
        identity: Unlike that of any other run.
        start: Where it began, by hyperparameter.
        reached: The log of its last validation loss; infinite after a divergence.
        look: What its first interval looked like, entries of `looks.SPREADS`.
        course: Validation losses, evenly thinned.
    """

    identity: str
    start: Mapping[str, float]
    reached: float
    look: Mapping[str, float] = field(default_factory=dict)
    course: Sequence[float] = ()

    def __post_init__(self) -> None:
        """Check what a file says."""
        numbers = self.start.values()
        if not (isinstance(self.identity, str) and self.start and all(map(_is_finite, numbers))):
            raise ConfigurationError(f"a stored run needs an identity and numbers; got {self!r}")
        check_look(self.look)
        if not is_number(self.reached) or math.isnan(self.reached):
            raise ConfigurationError(f"reached must be a number; got {self.reached!r}")
        if len(self.course) > _MAX_COURSE or not all(map(is_number, self.course)):
            raise ConfigurationError(f"a course has at most {_MAX_COURSE} numbers; got others")


class RunMemory:
    """The memory of one job, in a file.

    Args:
        path: The file; made with its folder when the first run has finished.
        policy: What steers: values that suit one policy say little of another.
        seed: Of what is drawn; None: never the same.
        stored: Tasks of meta-training that say where to explore; None: draws do.

    Raises:
        ConfigurationError: The file is none of a memory, damaged, too large, or of another policy.
    """

    def __init__(
        self,
        path: str | Path,
        policy: Policy,
        *,
        seed: int | None = None,
        stored: StoredTasks | None = None,
    ) -> None:
        self.path, self._stored = file_path("memory", path), stored
        self._policy = _fingerprint(policy)
        self.rng = np.random.default_rng(seed)
        self.read()

    def read(self) -> list[StoredRun]:
        """Return the runs in the file, oldest first; none where there is no file.

        Raises:
            ConfigurationError: See the class.
        """
        try:
            with self.path.open("rb") as file:
                content = file.read(_MAX_BYTES + 1)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise self._refused(f"cannot be read: {error.strerror or error}") from error
        if len(content) > _MAX_BYTES:
            raise self._refused(f"is larger than {_MAX_BYTES:,} bytes, which no memory is")
        try:
            document = json.loads(content)
            if document["format"] != FORMAT or document["format_version"] != FORMAT_VERSION:
                raise self._refused(f"its format must be {FORMAT!r}, version {FORMAT_VERSION}")
            if document["policy"] != self._policy:
                raise self._refused("was written under another policy")
            return [StoredRun(**_with_infinity(entry)) for entry in document["runs"]][-MAX_RUNS:]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            if isinstance(error, ConfigurationError) and str(self.path) in str(error):
                raise
            raise self._refused(f"is damaged: {error!r:.200}") from error

    def _refused(self, why: str) -> ConfigurationError:
        return ConfigurationError(
            f"memory {self.path}: {why}. Give another path, or remove the file to begin anew"
        )

    def start(self, space: HyperparameterSpace, own: Mapping[str, float]) -> dict[str, float]:
        """Choose where the next run begins.

        Args:
            space: Of the policy.
            own: The user's values of what can be moved, by hyperparameter.
        """
        return chosen(self.read(), space, own, self.rng, self._stored)

    def add(self, run: StoredRun) -> None:
        """Add a run, or put it in the place of what it was; other processes may do so, too.

        Raises:
            ConfigurationError: The file was damaged in the meantime, or cannot be written.
        """
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._alone():
                kept = [other for other in self.read() if other.identity != run.identity]
                self._replace([*kept, run][-MAX_RUNS:])
        except OSError as error:
            raise self._refused(f"cannot be written: {error.strerror or error}") from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other processes out, where the system can; else the last one to write wins."""
        if fcntl is None:
            yield
            return
        with self.path.with_name(f".{self.path.name}.lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back when the file is closed
            yield

    def _replace(self, runs: Sequence[StoredRun]) -> None:
        """Write the whole file, or leave the one that is there."""
        document = {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "policy": self._policy,
            "runs": [_without_infinity(asdict(run)) for run in runs],
        }
        text = json.dumps(document, indent=1, allow_nan=False)
        write_atomically(self.path, text.encode("utf-8"))


class Recorder:
    """Notes a run for the memory; a `RunLogger`.

    Args:
        memory: Where the run is added when its last interval is over.
        start: Where it begins.
        identity: Unlike that of any other run.

    Attributes:
        run: The run, once there is one.
    """

    def __init__(self, memory: RunMemory, start: Mapping[str, float], identity: str) -> None:
        self.run: Run[Any] | None = None
        self._memory, self._start, self._identity = memory, dict(start), identity
        self._look: dict[str, float] = {}
        self._course: list[float] = []

    def log_decision(self, decision: Decision) -> None:
        """Note how the first interval looked, and say when no run in the memory looked so."""
        loss = decision.validation_loss
        if decision.interval == 0 and 0.0 < loss < math.inf:
            self._look["log_loss"] = math.log(loss)
        if decision.interval == 1:
            self._look |= {n: v for n, v in decision.observation.items() if n in SPREADS}
            looks = [run.look for run in self._memory.read() if run.look]
            nearest = min((distance(self._look, look) for look in looks), default=0.0)
            if len(looks) >= _EXPLORED and nearest > _FOREIGN:
                warnings.warn(
                    f"this run's first interval looks unlike those of all runs in "
                    f"{self._memory.path}: where it began may not suit it. The next run trusts "
                    "those less",
                    ControllerWarning,
                    stacklevel=2,
                )

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Note the validation loss, and add the run when it is over."""
        if "validation_loss" in measured:
            self._course.append(measured["validation_loss"])
        if self.run is not None and self.run.is_over and self._course:
            last = self._course[-1]
            reached = math.log(max(last, 1e-300)) if math.isfinite(last) else math.inf
            stride = -(-len(self._course) // _MAX_COURSE)
            course = [loss for loss in self._course[::stride] if math.isfinite(loss)]
            self._memory.add(
                StoredRun(
                    identity=self._identity,
                    start=self._start,
                    reached=reached,
                    look=self._look,
                    course=course,
                )
            )

    def close(self) -> None:
        """Do nothing: a run that was not finished is not compared with those that were."""


def chosen(
    runs: Sequence[StoredRun],
    space: HyperparameterSpace,
    own: Mapping[str, float],
    rng: np.random.Generator,
    stored: StoredTasks | None = None,
) -> dict[str, float]:
    """Choose where the next run of a job begins.

    Args:
        runs: The runs so far, oldest first.
        space: Of the policy.
        own: The user's values of what can be moved.
        rng: For what is drawn.
        stored: Tasks of meta-training that say where to explore; None: draws do.

    Returns:
        Values of the same hyperparameters.
    """
    alike = [
        (weight, run)
        for weight, run in zip(trust(runs), runs, strict=True)
        if set(run.start) == set(own) and (run.start == dict(own) or _lies_in(run.start, space))
    ]
    mine = [w for w, run in alike if run.start == dict(own)]
    if not mine or sum(mine) < 0.5:
        return dict(own)
    count = round(sum(weight for weight, _ in alike))
    is_exploring = count < _EXPLORED or count % _EXPLORES_EVERY == 1
    if not is_exploring:
        return _best(alike)
    matched = None if stored is None else _matched([run for _, run in alike], space, own, stored)
    return drawn(own, space, rng) if matched is None else matched


def trust(runs: Sequence[StoredRun]) -> list[float]:
    """Say how much each run counts, in [0, 1]: as it looks like the newest that has a look."""
    newest = next((run.look for run in reversed(runs) if run.look), None)
    if newest is None:
        return [1.0] * len(runs)
    gaps = [distance(run.look, newest) if run.look else 0.0 for run in runs]
    return [1.0 if gap <= _NEAR else math.exp(-((gap / _NEAR) ** 2 - 1.0)) for gap in gaps]


def _best(alike: Sequence[tuple[float, StoredRun]]) -> dict[str, float]:
    """Return the values that fared best; a start that was tried once may have been lucky.

    So each mean is drawn to the mean of all, by as much as one run more would.
    """
    worst = max((r.reached for _, r in alike if math.isfinite(r.reached)), default=0.0)
    scored = [(w, run, min(run.reached, worst + 1.0)) for w, run in alike]
    total = sum(w for w, _, _ in scored)
    mean = sum(w * reached for w, _, reached in scored) / total
    by_start: dict[tuple[tuple[str, float], ...], list[float]] = {}
    for weight, run, reached in scored:
        sums = by_start.setdefault(tuple(sorted(run.start.items())), [1.0, mean])
        sums[0] += weight
        sums[1] += weight * reached
    return dict(min(by_start.items(), key=lambda entry: entry[1][1] / entry[1][0])[0])


def _matched(
    runs: Sequence[StoredRun],
    space: HyperparameterSpace,
    own: Mapping[str, float],
    stored: StoredTasks,
) -> dict[str, float] | None:
    """Return what should gain most by the look from the user's own values, of what was not tried.

    None where no such run has a look, or all was tried.
    """
    look = next((r.look for r in reversed(runs) if r.look and r.start == dict(own)), None)
    if look is None:
        return None
    tried = [dict(run.start) for run in runs]
    for start in stored.ranked(look):
        values = {**own, **{name: start[name] for name in start if name in own}}
        if values not in tried and _lies_in(values, space):
            return values
    return None


def drawn(
    own: Mapping[str, float], space: HyperparameterSpace, rng: np.random.Generator
) -> dict[str, float]:
    """Draw values evenly from the usual ranges, each on its own axis."""
    values: dict[str, float] = {}
    for name, (low, high) in usual_ranges(space).items():
        if name in own:
            axis = space.subset([name])
            ends = axis.to_axis(np.array([[low], [high]]))
            share = rng.random() * (ends[1:] - ends[:1])
            drawn = axis.values(np.array([[low]]), share).item()
            values[name] = float(np.clip(drawn, low, high))
    return values


def _lies_in(values: Mapping[str, float], space: HyperparameterSpace) -> bool:
    spans = {h.name: (h.low, h.high) for h in space.hyperparameters}
    return all(spans[name][0] <= value <= spans[name][1] for name, value in values.items())


def _fingerprint(policy: Policy) -> str:
    """Hash what a policy moves, and its weights."""
    content = hashlib.sha256(json.dumps(policy.space.to_json(), sort_keys=True).encode())
    for name, tensor in sorted(policy.tensors().items()):
        content.update(name.encode() + np.ascontiguousarray(tensor).tobytes())
    return content.hexdigest()[:16]


def _is_finite(value: Any) -> bool:
    return is_number(value) and math.isfinite(value)


def _with_infinity(entry: Mapping[str, Any]) -> dict[str, Any]:
    """Read a run that diverged; JSON has no infinity. Inverse of `_without_infinity`."""
    return {**entry, "reached": math.inf if entry["reached"] is None else entry["reached"]}


def _without_infinity(entry: Mapping[str, Any]) -> dict[str, Any]:
    reached = entry["reached"]
    return {**entry, "reached": None if math.isinf(reached) else reached}
