"""Paired runs: every method on the same tasks, the same initial weights, the same minibatch order.

Each pair of task and seed is a lane, and a lane is a function of its task, its seed and its
hyperparameters alone. So two methods differ in what they do to the hyperparameters and in nothing
else, and their difference can be taken lane by lane.

Axes: `E` runs, `T` decision intervals of the longest run.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from functools import partial
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from agents.evaluation.methods import Method, with_rate
from hpo_env.errors import ConfigurationError
from hpo_env.reward import DIVERGENCE_LOG_RATIO, log_loss
from hpo_env.seeding import draw_episode_seed, stream
from hpo_env.tasks.base import Engine, Task, TaskFamily
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]
OnProgress = Callable[[int, int], None]
"""Called with the decision intervals that are done, summed over lanes, and with all there are."""

_NUM_CANDIDATES = 8  # enough that a data set which is still missing is nearly always among them


@dataclass(frozen=True, kw_only=True, eq=False)
class Results:
    """What one method reached; entry `e` of every array is the same lane for every method.

    Args:
        method: Its name.
        tasks: The tasks as they were given, before the method changed the initial values, E.
        seeds: `[E]`.
        first_loss: Validation loss before the first update `[E]`.
        last_loss: Validation loss at the end `[E]`; NaN where diverged.
        test_loss: Test loss at the end `[E]`; may be anything where diverged.
        test_metric: Accuracy or R² on test rows `[E]`; NaN where the family has none.
        diverged: bool `[E]`.
        hyperparameters: Effective values in each interval `[E, T]`, by name; NaN after the end.
        validation_loss: Validation loss after each interval `[E, T]`; NaN after the end.
    """

    method: str
    tasks: tuple[Task, ...]
    seeds: NDArray[np.int64]
    first_loss: Array
    last_loss: Array
    test_loss: Array
    test_metric: Array
    diverged: NDArray[np.bool_]
    hyperparameters: dict[str, Array]
    validation_loss: Array

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def names(self) -> NDArray[np.str_]:
        """Names of the tasks `[E]`: the data set in supervised learning."""
        return np.array([task.name for task in self.tasks])

    @property
    def architectures(self) -> NDArray[np.str_]:
        """Architectures `[E]`; empty in families without."""
        return np.array([getattr(task, "architecture", "") for task in self.tasks])

    @property
    def optimizers(self) -> NDArray[np.str_]:
        """Optimisers `[E]`; empty in families without."""
        return np.array([getattr(task, "optimizer", "") for task in self.tasks])

    def initial(self, column: int) -> Array:
        """Return the given initial value of one of the family's hyperparameters `[E]`."""
        return np.array([task.initial[column] for task in self.tasks])

    @property
    def units(self) -> NDArray[np.str_]:
        """What each run is a repetition of `[E]`: runs that differ in initial values alone agree.

        Such runs share data, weights and minibatches, so they are not independent, and resampling
        has to keep them together.
        """
        pairs = zip(self.tasks, self.seeds, strict=True)
        return np.array([str(lane_seed(task, int(seed))) for task, seed in pairs])

    @property
    def log_test_loss(self) -> Array:
        """Log test losses `[E]`, what methods are compared by. Lower is better.

        A diverged run is given the first validation loss times `exp(DIVERGENCE_LOG_RATIO + 1)`, the
        loss that the reward gives it, and no finished run is given more.
        """
        return self._log_loss(self.test_loss)

    @property
    def log_last_loss(self) -> Array:
        """Log final validation losses `[E]`, divergence as in `log_test_loss`; for tuning."""
        return self._log_loss(self.last_loss)

    def _log_loss(self, loss: Array) -> Array:
        worst = log_loss(self.first_loss) + DIVERGENCE_LOG_RATIO + 1.0
        bad = self.diverged | ~np.isfinite(loss)
        return np.where(bad, worst, np.minimum(log_loss(np.where(bad, 1.0, loss)), worst))

    def take(self, rows: NDArray[Any]) -> Results:
        """Return some of the runs, by index or by mask."""
        index = np.arange(len(self))[rows]
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        changed = {n: v[index] for n, v in values.items() if isinstance(v, np.ndarray)}
        changed["tasks"] = tuple(self.tasks[e] for e in index)
        changed["hyperparameters"] = {n: v[index] for n, v in self.hyperparameters.items()}
        return Results(**(values | changed))


def make_tasks(
    family: TaskFamily, count: int, seed: int, *, initial_rates: Sequence[float] | None = None
) -> list[Task]:
    """Draw tasks, the first ones being the same however many are drawn.

    Each is the one of several draws whose data set, and then whose architecture, came up least so
    far: a few tasks then cover the family as evenly as many would.

    Args:
        family: Where they come from, its split included.
        count: How many to draw, at least 1.
        seed: Any non-negative integer.
        initial_rates: With these, each task is repeated once for every rate, alike but for it.

    Returns:
        `count` tasks, or `count * len(initial_rates)`, the repetitions of a task side by side.

    Raises:
        ConfigurationError: No tasks, no rates, or a rate outside the range.
    """
    if count < 1:
        raise ConfigurationError(f"at least 1 task must be drawn; got {count}")
    tasks: list[Task] = []
    for i in range(count):
        rng = stream(seed, "evaluation task", i)
        candidates = [family.sample(rng) for _ in range(_NUM_CANDIDATES)]
        tasks.append(min(candidates, key=partial(_how_often, tasks)))
    if initial_rates is None:
        return tasks
    if not len(initial_rates):
        raise ConfigurationError("initial_rates must hold at least one rate, or be None")
    return [with_rate(task, family.space, rate) for task in tasks for rate in initial_rates]


def _how_often(tasks: Sequence[Task], candidate: Task) -> tuple[int, int]:
    """Count the tasks of the candidate's data set, and those of its architecture."""
    architecture = getattr(candidate, "architecture", "")
    return (
        sum(task.name == candidate.name for task in tasks),
        sum(getattr(task, "architecture", "") == architecture for task in tasks),
    )


def lane_seed(task: Task, seed: int) -> int:
    """Return the seed of a lane: a function of the seed and of the task but its initial values.

    Repetitions of a task at several initial rates so get the same weights and minibatches.
    """
    data = {key: value for key, value in task.to_json().items() if key != "initial"}
    return draw_episode_seed(stream(seed, "lane", json.dumps(data, sort_keys=True)))


def run_method(
    method: Method,
    tasks: Sequence[Task],
    seeds: Sequence[int],
    *,
    family: str = "supervised",
    engine: Engine = "auto",
    device: str = "cpu",
    max_lanes: int = 256,
    on_progress: OnProgress | None = None,
    **family_options: Any,
) -> Results:
    """Run a method once on every pair of task and seed.

    Runs that the method makes equal (a tuned schedule ignores the initial rate that it is given)
    are run once and counted as often as they occur.

    Args:
        method: What to run.
        tasks: As `make_tasks` returns them.
        seeds: Each task is run with each of them.
        family: The family that the tasks are from.
        engine: How inner runs are computed, as in `HPOControlVectorEnv`.
        device: A torch device.
        max_lanes: Runs that go on at once; bounds the memory.
        on_progress: Called as the work goes on.
        **family_options: What the family's trainer needs beside the task, such as
            `updates_per_decision`.

    Returns:
        Results, E = len(tasks) * len(seeds), the seeds of a task side by side.

    Raises:
        ConfigurationError: No tasks or no seeds, or the method does not fit the family.
    """
    if not len(tasks) or not len(seeds) or max_lanes < 1:
        raise ConfigurationError(
            "at least one task, one seed and one lane must be given; "
            f"got {len(tasks)} tasks, {len(seeds)} seeds and {max_lanes=}"
        )
    space = make_family(family, **family_options).space
    pairs = [(task, int(seed)) for task in tasks for seed in seeds]
    lanes = [(method.prepare(task, space), lane_seed(task, seed)) for task, seed in pairs]
    distinct = sorted(dict.fromkeys(lanes), key=_alike)
    place = {lane: i for i, lane in enumerate(distinct)}
    arguments = {"family": family, "engine": engine, "device": device, **family_options}
    total, chunks = sum(task.num_decisions for task, _ in distinct), []
    for start in range(0, len(distinct), max_lanes):
        chunk = distinct[start : start + max_lanes]
        done = sum(task.num_decisions for task, _ in distinct[:start])
        tell = None if on_progress is None else partial(_tell, on_progress, done, total)
        chunks.append(_run_chunk(method, chunk, start, arguments, tell))
    merged = {key: _stack([chunk[key] for chunk in chunks]) for key in chunks[0]}
    index = np.array([place[lane] for lane in lanes])
    knobs = {key: merged.pop(key)[index] for key in list(merged) if key in space.names}
    return Results(
        method=method.name,
        tasks=tuple(task for task, _ in pairs),
        seeds=np.array([seed for _, seed in pairs]),
        hyperparameters=knobs,
        **{key: values[index] for key, values in merged.items()},
    )


def _tell(on_progress: OnProgress, done_before: int, total: int, done: int) -> None:
    on_progress(done_before + done, total)


def _alike(lane: tuple[Task, int]) -> tuple[int, str]:
    """Sort runs so that those of equal length and architecture run together."""
    return lane[0].num_decisions, getattr(lane[0], "architecture", "")


def _run_chunk(
    method: Method,
    lanes: Sequence[tuple[Task, int]],
    seed: int,
    arguments: dict[str, Any],
    tell: Callable[[int], None] | None,
) -> dict[str, NDArray[Any]]:
    """Run each lane once and return arrays over the chunk's lanes."""
    env = HPOControlVectorEnv(
        len(lanes),
        hyperparameters=method.hyperparameters,
        base_schedule=method.base_schedule,
        action_mode="continuous",
        on_divergence=method.on_divergence,
        autoreset_mode=AutoresetMode.DISABLED,
        tasks=[task for task, _ in lanes],
        **arguments,
    )
    act = method.start(env, seed)
    observations, info = env.reset(seed=[seed for _, seed in lanes])
    num_intervals = max(task.num_decisions for task, _ in lanes)
    record = _Record(len(lanes), num_intervals, env.space.names, info["validation_loss"])
    running = np.ones(len(lanes), dtype=bool)
    for interval in range(num_intervals):
        observations, _, terminated, _, info = env.step(act(observations))
        record.take(interval, info, running)
        ended = running & terminated
        if ended.any():
            record.close(info, ended)
        if tell is not None:
            tell(sum(min(interval + 1, task.num_decisions) for task, _ in lanes))
        running &= ~terminated
        if not running.any():
            break
        if terminated.any():  # such a lane runs on with an episode that nobody looks at
            observations, _ = env.reset(options={"reset_mask": terminated})
    env.close()
    return record.arrays


class _Record:
    """Arrays over a chunk's lanes, filled as the runs go on."""

    def __init__(
        self, num_lanes: int, num_intervals: int, names: Sequence[str], first_loss: Array
    ) -> None:
        self._names = tuple(names)
        single = ("last_loss", "test_loss", "test_metric")
        curves = ("validation_loss", *self._names)
        self.arrays: dict[str, NDArray[Any]] = {
            "first_loss": first_loss.copy(),
            "diverged": np.zeros(num_lanes, dtype=bool),
            **{name: np.full(num_lanes, np.nan) for name in single},
            **{name: np.full((num_lanes, num_intervals), np.nan) for name in curves},
        }

    def take(self, interval: int, info: dict[str, Any], running: NDArray[np.bool_]) -> None:
        """Note what an interval measured in the lanes that still run."""
        self.arrays["validation_loss"][running, interval] = info["validation_loss"][running]
        for name in self._names:
            self.arrays[name][running, interval] = info["hyperparameters"][name][running]

    def close(self, info: dict[str, Any], ended: NDArray[np.bool_]) -> None:
        """Note the outcome of the lanes whose run has ended."""
        for name in ("test_loss", "test_metric", "diverged"):
            self.arrays[name][ended] = info[name][ended]
        finished = ended & ~self.arrays["diverged"]
        self.arrays["last_loss"][finished] = info["validation_loss"][finished]


def _stack(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Join arrays along the first axis; curves of shorter chunks are padded with NaN."""
    if parts[0].ndim == 1:
        return np.concatenate(parts)
    width = max(part.shape[1] for part in parts)
    padded = [
        np.pad(part, ((0, 0), (0, width - part.shape[1])), constant_values=np.nan) for part in parts
    ]
    return np.concatenate(padded)
