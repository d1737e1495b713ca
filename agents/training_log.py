"""What is logged while an agent learns: aggregates over lanes, once a rollout.

A point in TensorBoard costs about 50 µs, so nothing is logged per lane or per step. All tags come
from `tags`.

Axes: `N` lanes, `H` controlled hyperparameters, `T` steps since the last point.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from . import tags
from .learners.stepping import LaneStep

_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}
MOVE_BINS = np.linspace(-1.05, 1.05, 22)
"""Edges of the bins of moves; each of the five discrete moves is in the middle of one."""
_SATURATED = 0.999  # |action| from here on counts as the end of its range

ReportRollout = Callable[[int, float | None], None]
"""Called with the environment steps so far and the mean return; None when no episode ended."""


class TrainingLog:
    """TensorBoard's file of a meta-training: measurements are gathered, then written as one point.

    Args:
        folder: The run folder.
        resumed_after: Environment steps of the checkpoint that training goes on from; TensorBoard
            drops what was written for later steps, so that curves have no point twice. None for a
            new run.
    """

    def __init__(self, folder: Path, *, resumed_after: int | None) -> None:
        if resumed_after is not None:
            _await_next_second(folder)
        purge_step = None if resumed_after is None else resumed_after + 1
        self.writer = SummaryWriter(str(folder), purge_step=purge_step)
        self._gathered: dict[str, float] = {}

    def record(self, tag: str, value: float) -> None:
        """Gather a measurement; a later one of the same tag takes its place."""
        self._gathered[tag] = value

    def dump(self, num_steps: int) -> None:
        """Write all that was gathered, after so many environment steps."""
        for tag, value in self._gathered.items():
            self.writer.add_scalar(tag, value, num_steps)
        self._gathered = {}
        self.writer.flush()

    def close(self) -> None:
        """Finish the file."""
        self.writer.close()


class LaneMetrics:
    """Watches a learner, and logs what its lanes went through at the end of a rollout.

    Args:
        log: Where points go.
        names: Of the controlled hyperparameters, `H` of them.
        every_steps: Environment steps between two points, at least. Off-policy agents have a
            rollout at every step, and a point at each would cost more than the learning.
        num_steps: Environment steps that are done already.
        report: Called at each point, for a progress display.
    """

    def __init__(
        self,
        log: TrainingLog,
        names: Sequence[str],
        *,
        every_steps: int,
        num_steps: int,
        report: ReportRollout,
    ) -> None:
        self._log = log
        self._names = names
        self._every_steps = every_steps
        self._report = report
        self._num_steps = num_steps
        self._steps: list[LaneStep] = []
        self._move_counts: NDArray[np.int64] | None = None  # [H, bins], since training started
        self._begin_window()

    def record(self, tag: str, value: float) -> None:
        """See `agents.learners.base.Watcher`."""
        self._log.record(tag, value)

    def stepped(self, step: LaneStep, num_steps: int) -> None:
        """See `agents.learners.base.Watcher`."""
        self._steps.append(step)
        self._num_steps = num_steps

    def rolled_out(self, num_steps: int) -> None:
        """See `agents.learners.base.Watcher`."""
        if num_steps - self._window_start >= self._every_steps:
            self.write()

    def write(self) -> None:
        """Write the point now, if any step was taken since the last."""
        if not self._steps:
            return
        mean_return = self._record_episodes()
        rolled_back = [step.rolled_back.mean() for step in self._steps]
        self._log.record(tags.ROLLED_BACK, float(np.mean(rolled_back)))
        self._record_hyperparameters()
        self._record_throughput()
        self._log.dump(self._num_steps)
        self._steps = []
        self._begin_window()
        self._report(self._num_steps, mean_return)

    def _begin_window(self) -> None:
        self._window_start = self._num_steps
        self._window_clock = time.perf_counter()

    def _record_episodes(self) -> float | None:
        ended = np.stack([step.ended for step in self._steps])  # [T, N]
        if not ended.any():
            return None
        returns = np.stack([step.returns for step in self._steps])[ended]
        lengths = np.stack([step.lengths for step in self._steps])[ended]
        mean_return = float(returns.mean())
        self._log.record(tags.RETURN, mean_return)
        for label, value in _quantiles(returns):
            self._log.record(tags.RETURN_QUANTILE.format(quantile=label), value)
        self._log.record(tags.LENGTH, float(lengths.mean()))
        return mean_return

    def _record_hyperparameters(self) -> None:
        values = np.concatenate([step.values for step in self._steps])  # [T * N, H]
        moves = np.concatenate([step.moves for step in self._steps])  # [T * N, H]
        progress = np.concatenate([step.progress for step in self._steps])  # [T * N]
        thirds = np.minimum((progress * len(tags.THIRDS)).astype(int), len(tags.THIRDS) - 1)
        for h, name in enumerate(self._names):
            column = values[:, h]
            for label, value in _quantiles(column):
                tag = tags.QUANTILE.format(hyperparameter=name, quantile=label)
                self._log.record(tag, value)
            for index, third in enumerate(tags.THIRDS):
                if (thirds == index).any():
                    tag = tags.BY_THIRD.format(hyperparameter=name, third=third)
                    self._log.record(tag, float(np.median(column[thirds == index])))
            saturated = np.abs(moves[:, h]) >= _SATURATED
            self._log.record(
                tags.ACTION_MEAN.format(hyperparameter=name), float(moves[:, h].mean())
            )
            self._log.record(
                tags.ACTION_SATURATION.format(hyperparameter=name), float(saturated.mean())
            )

        self._count_moves(moves)

    def _count_moves(self, moves: NDArray[np.float64]) -> None:
        counts = np.stack([np.histogram(column, bins=MOVE_BINS)[0] for column in moves.T])
        self._move_counts = counts if self._move_counts is None else self._move_counts + counts

    def write_histograms(self, third: str) -> None:
        """Write how often each move was made since training started.

        Args:
            third: The third of the whole meta-training that this was.
        """
        if self._move_counts is None:
            return
        centres = (MOVE_BINS[1:] + MOVE_BINS[:-1]) / 2.0
        for name, counts in zip(self._names, self._move_counts, strict=True):
            self._log.writer.add_histogram_raw(
                tags.ACTION_HISTOGRAM.format(hyperparameter=name, third=third),
                min=-1.0,
                max=1.0,
                num=int(counts.sum()),
                sum=float((counts * centres).sum()),
                sum_squares=float((counts * centres**2).sum()),
                bucket_limits=MOVE_BINS[1:].tolist(),
                bucket_counts=counts.tolist(),
                global_step=self._num_steps,
            )

    def _record_throughput(self) -> None:
        seconds = max(time.perf_counter() - self._window_clock, 1e-9)
        steps = self._num_steps - self._window_start
        in_env = sum(step.seconds for step in self._steps)
        self._log.record(tags.STEPS_PER_SECOND, steps / seconds)
        self._log.record(tags.ENV_SHARE, in_env / seconds)


def _quantiles(values: NDArray[np.float64]) -> list[tuple[str, float]]:
    levels = np.quantile(values, list(_QUANTILES.values()))
    return list(zip(_QUANTILES, levels.tolist(), strict=True))


def _await_next_second(folder: Path) -> None:
    """Wait until a new event file sorts behind the old ones, whose names begin with the second."""
    newest = max((path.stat().st_mtime for path in folder.glob("events.out.*")), default=0.0)
    while int(newest) == int(time.time()):
        time.sleep(0.05)
