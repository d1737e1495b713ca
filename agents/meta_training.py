"""Meta-training: an agent learns over many inner training runs, in segments that can be resumed.

Exact resumption needs no copy of every random generator and of every inner run: at the start of
segment `k` all random streams are seeded from `(seed, k)` and all lanes start new episodes, so that
a segment is a function of the checkpoint before it. A run that is killed at any moment and resumed
ends with the same weights as one that was not.

At the end of each segment the deterministic policy is scored on meta-validation tasks. The
checkpoint with the highest score is exported.
"""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hpo_env.errors import DatasetError, RunFolderError
from hpo_env.policy_file import load
from hpo_env.tasks.registry import family_class

from . import tags
from .checkpoints import (
    Position,
    checkpoint_path,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from .config import TrainConfig
from .export import export_policy
from .factory import make_env, make_learner, moved, pinned
from .initial_weights import begin_with
from .mirror import Mirror
from .progress import ProgressDisplay, make_display
from .reporting.tensorboard import conclude, introduce
from .run_folder import RunFolder
from .standard_streams import survive_any_encoding
from .training_log import LaneMetrics, TrainingLog
from .validation import VALIDATION_SEED, ValidationReport, validate_policy

_POINT_STEPS = 2048  # least distance of two TensorBoard points, in env steps
_ANALYSED_FROM = 20_000  # env steps; a shorter run is a trial, over before pictures are drawn


def meta_train(config: TrainConfig) -> Path:
    """Train, or go on training, and export the best policy.

    Args:
        config: What to train, resolved or not; with `resume`, only that, `progress`, `tracker` and
            those `family_options` are read that say where a file has moved to.

    Returns:
        The run folder, with `result.json` and, where the learner has one, `policy/`.

    Raises:
        RunFolderError: The folder exists, cannot be resumed or begun with, or the disk is full.
        ConfigurationError: Settings contradict each other.
        DatasetError: A file of the run is gone, or not what it was when the run began.
        MissingExtraError: The agent is in a package that is not installed.
        KeyboardInterrupt: The user pressed Ctrl-C; the last finished segment is on disk, and how to
            go on was printed.
    """
    # More threads than one are many times slower as soon as another process is busy, because
    # OpenMP's threads spin at their barriers; and sums would depend on how many there are.
    torch.set_num_threads(1)
    survive_any_encoding()
    if config.resume is not None:
        folder = RunFolder.open(config.resume)
        with folder.in_use():
            run = _found_again(folder, config.family_options)
            path, position = newest_checkpoint(folder.checkpoints)
            training = MetaTraining(run, folder)
            training.position = load_checkpoint(path, training.learner)
            folder.rewind_progress(position.segment)
            folder.note_command()
            _train(training, config, is_resumed=True)
        return folder.path
    run = pinned(config.resolved())
    training = MetaTraining(run, folder=None)
    training.try_out()  # a configuration, or a family, that fails leaves no folder
    training.take_over()
    training.folder = folder = RunFolder.create(run)
    with folder.in_use():
        _train(training, config, is_resumed=False)
    return folder.path


def _train(training: MetaTraining, asked: TrainConfig, *, is_resumed: bool) -> None:
    path = training.folder.path
    with (
        training,
        _disk_full_explained(training.folder),
        _interruption_explained(training),
        Mirror(asked.tracker, path, training.config.to_json()) as mirror,
    ):
        training.run(asked.progress, is_resumed=is_resumed, on_segment=mirror.follow)


def _found_again(folder: RunFolder, options: Mapping[str, Any]) -> TrainConfig:
    """Read the configuration of a run, and look whether all that it names is still what it was."""
    config = folder.read_config()
    try:
        if not options:
            return pinned(config)
        config = moved(config, options)
    except DatasetError as error:
        raise DatasetError(
            f"{error}. If a file has moved, say where it is now: --resume {folder.path} "
            "--family-options dataset=PATH"
        ) from error
    folder.write_config(config)
    return config


def _num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class MetaTraining:
    """One meta-training: its environments, its learner and where it stands.

    Args:
        config: A resolved configuration.
        folder: Where it writes; may be set later, but before `run`.
    """

    def __init__(self, config: TrainConfig, folder: RunFolder | None) -> None:
        assert config.validation_lanes is not None
        self.config = config
        self.bounds = config.segment_bounds()
        if config.num_workers == 0:
            threads = config.num_threads or _num_cores()  # these end instead of spinning
            family_class(config.family).set_num_threads(threads)
        self.env = make_env(config, split="train", num_envs=config.num_envs)
        self.validation_env = make_env(config, split="validation", num_envs=config.validation_lanes)
        self.learner = make_learner(config, self.env)
        self.position = Position(segment=0)
        self._folder = folder

    @property
    def folder(self) -> RunFolder:
        """The run folder."""
        assert self._folder is not None
        return self._folder

    @folder.setter
    def folder(self, folder: RunFolder) -> None:
        self._folder = folder

    def __enter__(self) -> MetaTraining:
        return self

    def __exit__(self, *_: object) -> None:
        self.env.close()
        self.validation_env.close()

    def try_out(self) -> None:
        """Take a step in each environment, so that a family that breaks its contract is noticed.

        Nothing that is learned depends on it: every segment begins with seeds and episodes of its
        own.

        Raises:
            ContractError: The family's tasks or its trainer break their contract.
        """
        try:
            for env in (self.env, self.validation_env):
                env.reset(seed=0)
                env.step(np.zeros_like(env.action_space.sample()))
        except BaseException:
            self.__exit__()
            raise

    def take_over(self) -> None:
        """Begin with the weights of an earlier run, where the configuration names one.

        Raises:
            RunFolderError: See `begin_with`.
            ConfigurationError: The same.
        """
        if self.config.initial is None:
            return
        try:
            begin_with(self.config.initial, self.learner, self.config)
        except BaseException:
            self.__exit__()
            raise

    def run(
        self,
        progress: str,
        *,
        is_resumed: bool,
        on_segment: Callable[[], object] = lambda: None,
    ) -> None:
        """Train the segments that are left, then export.

        Args:
            progress: Kind of display, see `make_display`.
            is_resumed: Whether the position comes from a checkpoint.
            on_segment: Called after each segment, when all of it is on disk.
        """
        steps = self.learner.num_steps
        log = TrainingLog(self.folder.path, resumed_after=steps if is_resumed else None)
        display = make_display(progress, total_steps=self.bounds[-1], start=steps)
        try:
            with display:
                self._introduce(display, is_resumed=is_resumed)
                if not is_resumed:
                    introduce(self.folder.path, self.config.to_json(), self.env.controlled.names)
                    save_checkpoint(self.folder.checkpoints, self.learner, self.position)
                for segment in range(self.position.segment + 1, len(self.bounds) + 1):
                    self._train_segment(segment, log, display)
                    on_segment()
        finally:
            log.close()
        self.finish(is_complete=True)

    def finish(self, *, is_complete: bool) -> None:
        """Export the best policy so far, or the last, and write the result."""
        _, position = newest_checkpoint(self.folder.checkpoints)
        is_last = self.config.exported == "last"
        chosen = position.segment if is_last else position.best_segment
        load_checkpoint(checkpoint_path(self.folder.checkpoints, chosen), self.learner)
        validation = {n["segment"]: n["validation"] for n in self.folder.read_progress()}
        result: dict[str, Any] = {
            "complete": is_complete,
            "steps": self._steps_after(position.segment),
            "best_steps": self._steps_after(chosen),
            "best_segment": chosen,
            "score": position.score if is_last else position.best_score,
            "validation": validation.get(chosen),
            "seconds": round(position.seconds, 1),
            "policy": None,
        }
        if self.learner.no_policy is None:
            metadata = {"config": self.config.to_json(), "meta_validation_score": result["score"]}
            policy = self.learner.policy(metadata)
            export_policy(policy, self.learner.moves, self.folder.policy)
            result["policy"] = self.folder.policy.name
        self.folder.write_result(result)
        if is_complete:
            conclude(self.folder.path)
        if is_complete and result["policy"] and self.bounds[-1] >= _ANALYSED_FROM:
            self._analyse(result["best_steps"])

    def _analyse(self, steps: int) -> None:
        """Draw what the exported policy does on the meta-validation tasks, once."""
        # Here, because matplotlib takes a second to import, which no short run waits for.
        from .reporting.analysis import analyse_policy, read_numbers, write_analysis

        if read_numbers(self.folder.path) is None:
            analysis = analyse_policy(
                load(self.folder.policy),
                self.validation_env,
                title="meta-validation tasks, at the end of meta-training",
                split="validation",
                seed=VALIDATION_SEED,
            )
            write_analysis(analysis, self.folder.path, step=steps)

    def interrupt(self) -> str:
        """Bring the run folder in order after Ctrl-C, and say how to go on."""
        try:
            _, position = newest_checkpoint(self.folder.checkpoints)
        except RunFolderError:
            return "interrupted before there was anything to resume"
        if position.segment:
            self.finish(is_complete=False)
        return (
            f"interrupted. The checkpoint after {self._steps_after(position.segment):,} steps, the "
            f"end of the last finished segment, is in {self.folder.checkpoints}\n"
            f"resume with: python meta_train.py --resume {self.folder.path}"
        )

    def _steps_after(self, segment: int) -> int:
        return self.bounds[segment - 1] if segment else 0

    def _introduce(self, display: ProgressDisplay, *, is_resumed: bool) -> None:
        config = self.config
        verb = "resuming" if is_resumed else "meta-training"
        display.say(
            f"{verb} {config.agent} on {config.family}, {self.bounds[-1]:,} steps in "
            f"{len(self.bounds)} segments, in {self.folder.path}"
        )
        if self.learner.no_policy is not None:
            display.say(
                f"note: {config.agent} will be trained and scored, but no policy is exported: "
                f"{self.learner.no_policy}"
            )
        if is_resumed:
            for name, (then, now) in self.folder.changed_versions().items():
                display.say(
                    f"note: {name} was {then} when the run began and is {now} now; the weights may "
                    "differ from those of an uninterrupted run"
                )

    def _train_segment(self, segment: int, log: TrainingLog, display: ProgressDisplay) -> None:
        start = time.perf_counter()
        self.learner.seed(segment)
        metrics = LaneMetrics(
            log,
            self.env.controlled.names,
            every_steps=_POINT_STEPS,
            num_steps=self.learner.num_steps,
            report=display.rollout,
        )
        self.learner.learn(self.bounds[segment - 1], metrics)
        metrics.write()
        third = (segment - 1) * len(tags.THIRDS) // len(self.bounds)
        metrics.write_histograms(tags.THIRDS[third])
        report = validate_policy(self.learner, self.validation_env)
        previous = self.position
        is_best = previous.best_score is None or report.score > previous.best_score
        position = Position(
            segment=segment,
            score=report.score,
            best_segment=segment if is_best else previous.best_segment,
            best_score=report.score if is_best else previous.best_score,
            seconds=previous.seconds + time.perf_counter() - start,
        )
        self._log_validation(log, report, position)
        self.folder.append_progress(
            {
                "segment": segment,
                "steps": self.learner.num_steps,
                "score": report.score,
                "is_best": is_best,
                "seconds": round(position.seconds, 1),
                "validation": report.to_json(),
            }
        )
        # Last: whatever was written before and is not covered by a checkpoint is written again.
        save_checkpoint(self.folder.checkpoints, self.learner, position)
        self.position = position
        display.segment(self.learner.num_steps, report.score, is_best)

    def _log_validation(
        self, log: TrainingLog, report: ValidationReport, position: Position
    ) -> None:
        assert position.best_score is not None
        log.record(tags.SCORE, report.score)
        log.record(tags.BEST_SCORE, position.best_score)
        log.record(tags.VALIDATION_ROLLED_BACK, report.rolled_back)
        for name, loss in report.final_loss.items():
            log.record(tags.FINAL_LOSS.format(dataset=name), loss)
        log.dump(self.learner.num_steps)


@contextmanager
def _interruption_explained(training: MetaTraining) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print(f"\n{training.interrupt()}", flush=True)
        raise


@contextmanager
def _disk_full_explained(folder: RunFolder) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise RunFolderError(
            f"the disk is full: {error}. The last checkpoint in {folder.checkpoints} is intact; "
            f"make room, then go on with --resume {folder.path}"
        ) from error
