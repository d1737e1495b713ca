"""What is logged while an agent learns: aggregates over lanes, once a rollout.

A point in TensorBoard costs about 50 µs, so nothing is logged per lane or per step. All tags come
from `tags`.

Axes: `N` lanes, `H` controlled hyperparameters, `T` steps since the last point.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, TensorBoardOutputFormat
from torch.utils.tensorboard import SummaryWriter

from agents import tags
from agents.sb3_vec_env import LaneStep, unwrap

_QUANTILES = {"p10": 0.1, "median": 0.5, "p90": 0.9}
MOVE_BINS = np.linspace(-1.05, 1.05, 22)
"""Edges of the bins of moves; each of the five discrete moves is in the middle of one."""
_SATURATED = 0.999  # |action| from here on counts as the end of its range

ReportRollout = Callable[[int, float | None], None]
"""Called with the environment steps so far and the mean return; None when no episode ended."""


class LaneMetrics(BaseCallback):
    """Log what the lanes went through, at the end of a rollout.

    Args:
        every_steps: Environment steps between two points, at least. Off-policy agents have a
            rollout at every step, and a point at each would cost more than the learning.
        report: Called at each point, for a progress display.
    """

    def __init__(self, *, every_steps: int, report: ReportRollout) -> None:
        super().__init__()
        self._every_steps = every_steps
        self._report = report
        self._steps: list[LaneStep] = []
        self._move_counts: NDArray[np.int64] | None = None  # [H, bins], since training started

    def _on_training_start(self) -> None:
        self._steps = []
        self._move_counts = None
        self._begin_window()

    def _on_step(self) -> bool:
        step = unwrap(self.training_env).last
        assert step is not None
        self._steps.append(step)
        return True

    def _on_rollout_end(self) -> None:
        if self.num_timesteps - self._window_start >= self._every_steps:
            self.write()

    def write(self) -> None:
        """Write the point now, if any step was taken since the last."""
        if not self._steps:
            return
        mean_return = self._record_episodes()
        rolled_back = [step.rolled_back.mean() for step in self._steps]
        self.logger.record(tags.ROLLED_BACK, float(np.mean(rolled_back)))
        self._record_hyperparameters()
        self._record_throughput()
        self.logger.dump(self.num_timesteps)
        self._steps = []
        self._begin_window()
        self._report(self.num_timesteps, mean_return)

    def _begin_window(self) -> None:
        self._window_start = self.num_timesteps
        self._window_clock = time.perf_counter()
        self._window_env_seconds = unwrap(self.training_env).seconds

    def _record_episodes(self) -> float | None:
        ended = np.stack([step.ended for step in self._steps])  # [T, N]
        if not ended.any():
            return None
        returns = np.stack([step.returns for step in self._steps])[ended]
        lengths = np.stack([step.lengths for step in self._steps])[ended]
        mean_return = float(returns.mean())
        self.logger.record(tags.RETURN, mean_return)
        for label, value in _quantiles(returns):
            self.logger.record(tags.RETURN_QUANTILE.format(quantile=label), value)
        self.logger.record(tags.LENGTH, float(lengths.mean()))
        return mean_return

    def _record_hyperparameters(self) -> None:
        values = np.concatenate([step.values for step in self._steps])  # [T * N, H]
        moves = np.concatenate([step.moves for step in self._steps])  # [T * N, H]
        progress = np.concatenate([step.progress for step in self._steps])  # [T * N]
        thirds = np.minimum((progress * len(tags.THIRDS)).astype(int), len(tags.THIRDS) - 1)
        for h, name in enumerate(unwrap(self.training_env).lanes.controlled.names):
            column = values[:, h]
            for label, value in _quantiles(column):
                tag = tags.QUANTILE.format(hyperparameter=name, quantile=label)
                self.logger.record(tag, value)
            for index, third in enumerate(tags.THIRDS):
                if (thirds == index).any():
                    tag = tags.BY_THIRD.format(hyperparameter=name, third=third)
                    self.logger.record(tag, float(np.median(column[thirds == index])))
            saturated = np.abs(moves[:, h]) >= _SATURATED
            self.logger.record(
                tags.ACTION_MEAN.format(hyperparameter=name), float(moves[:, h].mean())
            )
            self.logger.record(
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
        names = unwrap(self.training_env).lanes.controlled.names
        for name, counts in zip(names, self._move_counts, strict=True):
            tag = tags.ACTION_HISTOGRAM.format(hyperparameter=name, third=third)
            for output in self.logger.output_formats:
                assert isinstance(output, TensorBoardOutputFormat)
                output.writer.add_histogram_raw(
                    tag,
                    min=-1.0,
                    max=1.0,
                    num=int(counts.sum()),
                    sum=float((counts * centres).sum()),
                    sum_squares=float((counts * centres**2).sum()),
                    bucket_limits=MOVE_BINS[1:].tolist(),
                    bucket_counts=counts.tolist(),
                    global_step=self.num_timesteps,
                )

    def _record_throughput(self) -> None:
        seconds = max(time.perf_counter() - self._window_clock, 1e-9)
        steps = self.num_timesteps - self._window_start
        in_env = unwrap(self.training_env).seconds - self._window_env_seconds
        self.logger.record(tags.STEPS_PER_SECOND, steps / seconds)
        self.logger.record(tags.ENV_SHARE, in_env / seconds)


def _quantiles(values: NDArray[np.float64]) -> list[tuple[str, float]]:
    levels = np.quantile(values, list(_QUANTILES.values()))
    return list(zip(_QUANTILES, levels.tolist(), strict=True))


class _TensorBoard(TensorBoardOutputFormat):
    """Stable-Baselines3's TensorBoard output, able to replace what a lost segment had written."""

    def __init__(self, folder: str, *, purge_step: int | None) -> None:
        self.writer = SummaryWriter(folder, purge_step=purge_step)
        self._is_closed = False


def tensorboard_logger(folder: str, *, resumed_after: int | None) -> Logger:
    """Build the logger that an agent writes its curves with.

    Args:
        folder: The run folder.
        resumed_after: Environment steps of the checkpoint that training goes on from; TensorBoard
            drops what was written for later steps, so that curves have no point twice. None for a
            new run.
    """
    purge_step = None
    if resumed_after is not None:
        purge_step = resumed_after + 1
        _await_next_second(Path(folder))
    return Logger(folder, [_TensorBoard(folder, purge_step=purge_step)])


def _await_next_second(folder: Path) -> None:
    """Wait until a new event file sorts behind the old ones, whose names begin with the second."""
    newest = max((path.stat().st_mtime for path in folder.glob("events.out.*")), default=0.0)
    while int(newest) == int(time.time()):
        time.sleep(0.05)
