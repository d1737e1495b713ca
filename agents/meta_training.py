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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm

from agents import tags
from agents.callbacks import LaneMetrics, tensorboard_logger
from agents.checkpoints import (
    Position,
    checkpoint_path,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from agents.config import TrainConfig
from agents.export import export_policy
from agents.factory import AGENTS, make_model, make_venv, segment_seed
from agents.progress import ProgressDisplay, make_display
from agents.reporting.tensorboard import conclude, introduce
from agents.run_folder import RunFolder
from agents.sb3_vec_env import unwrap
from agents.validation import VALIDATION_SEED, ValidationReport, validate_policy
from hpo_env.errors import RunFolderError
from hpo_env.policy_file import load
from hpo_env.tasks.supervised.native.kernel import set_num_threads

_POINT_STEPS = 2048  # least distance of two TensorBoard points, in env steps
_ANALYSED_FROM = 20_000  # env steps; a shorter run is a trial, over before pictures are drawn
_NEVER = 2**62  # Stable-Baselines3's own logging stays silent: `LaneMetrics` writes all points


def meta_train(config: TrainConfig) -> Path:
    """Train, or go on training, and export the best policy.

    Args:
        config: What to train, resolved or not; with `resume`, only that and `progress` are read.

    Returns:
        The run folder, with `result.json` and, for agents without memory, `policy/`.

    Raises:
        RunFolderError: The folder exists, cannot be resumed, or the disk is full.
        ConfigurationError: Settings contradict each other.
        MissingExtraError: The agent is in a package that is not installed.
        KeyboardInterrupt: The user pressed Ctrl-C; the last finished segment is on disk, and how to
            go on was printed.
    """
    # More threads than one are many times slower as soon as another process is busy, because
    # OpenMP's threads spin at their barriers; and sums would depend on how many there are.
    torch.set_num_threads(1)
    if config.num_workers == 0:
        set_num_threads(config.num_threads or _num_cores())  # these end instead of spinning
    if config.resume is not None:
        folder = RunFolder.open(config.resume)
        run = folder.read_config()
        path, position = newest_checkpoint(folder.checkpoints)
        training = MetaTraining(run, folder)
        training.position = load_checkpoint(path, training.model)
        folder.rewind_progress(position.segment)
        folder.note_command()
    else:
        run = config.resolved()
        training = MetaTraining(run, folder=None)  # a configuration that fails leaves no folder
        training.folder = folder = RunFolder.create(run)
    with training, _disk_full_explained(folder), _interruption_explained(training):
        training.run(config.progress, is_resumed=config.resume is not None)
    return folder.path


def _num_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


class MetaTraining:
    """One meta-training: its environments, its agent and where it stands.

    Args:
        config: A resolved configuration.
        folder: Where it writes; may be set later, but before `run`.
    """

    def __init__(self, config: TrainConfig, folder: RunFolder | None) -> None:
        assert config.validation_lanes is not None
        self.config = config
        self.bounds = config.segment_bounds()
        self.venv = make_venv(config, split="train", num_envs=config.num_envs)
        self.validation_venv = make_venv(
            config, split="validation", num_envs=config.validation_lanes
        )
        self.model = make_model(config, self.venv)
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
        self.venv.close()
        self.validation_venv.close()

    def run(self, progress: str, *, is_resumed: bool) -> None:
        """Train the segments that are left, then export.

        Args:
            progress: Kind of display, see `make_display`.
            is_resumed: Whether the position comes from a checkpoint.
        """
        steps = self.model.num_timesteps
        logger = tensorboard_logger(
            str(self.folder.path), resumed_after=steps if is_resumed else None
        )
        self.model.set_logger(logger)
        display = make_display(progress, total_steps=self.bounds[-1], start=steps)
        try:
            with display:
                self._introduce(display, is_resumed=is_resumed)
                if not is_resumed:
                    names = unwrap(self.venv).lanes.controlled.names
                    introduce(self.folder.path, self.config.to_json(), names)
                    save_checkpoint(self.folder.checkpoints, self.model, self.position)
                for segment in range(self.position.segment + 1, len(self.bounds) + 1):
                    self._train_segment(segment, display)
        finally:
            logger.close()
        self.finish(is_complete=True)

    def finish(self, *, is_complete: bool) -> None:
        """Export the best policy so far and write the result."""
        _, position = newest_checkpoint(self.folder.checkpoints)
        best = position.best_segment
        load_checkpoint(checkpoint_path(self.folder.checkpoints, best), self.model)
        validation = {n["segment"]: n["validation"] for n in self.folder.read_progress()}
        result: dict[str, Any] = {
            "complete": is_complete,
            "steps": self._steps_after(position.segment),
            "best_steps": self._steps_after(best),
            "best_segment": best,
            "score": position.best_score,
            "validation": validation.get(best),
            "seconds": round(position.seconds, 1),
            "policy": None,
        }
        if not AGENTS[self.config.agent].is_recurrent:
            metadata = {"config": self.config.to_json(), "meta_validation_score": result["score"]}
            env = unwrap(self.venv).lanes
            export_policy(self.model, env, self.folder.policy, metadata=metadata)
            result["policy"] = self.folder.policy.name
        self.folder.write_result(result)
        if is_complete:
            conclude(self.folder.path)
        if is_complete and result["policy"] and self.bounds[-1] >= _ANALYSED_FROM:
            self._analyse(result["best_steps"])

    def _analyse(self, steps: int) -> None:
        """Draw what the exported policy does on the meta-validation tasks, once."""
        # Here, because matplotlib takes a second to import, which no short run waits for.
        from agents.reporting.study import read_numbers, study_policy, write_study

        if read_numbers(self.folder.path) is None:
            study = study_policy(
                load(self.folder.policy),
                unwrap(self.validation_venv).lanes,
                title="meta-validation tasks, at the end of meta-training",
                split="validation",
                seed=VALIDATION_SEED,
            )
            write_study(study, self.folder.path, step=steps)

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
        if AGENTS[config.agent].is_recurrent:
            display.say(
                f"note: {config.agent} has a memory, which policy files cannot hold. It will be "
                "trained and scored, but no policy is exported; agent 'ppo' exports one."
            )
        if is_resumed:
            for name, (then, now) in self.folder.changed_versions().items():
                display.say(
                    f"note: {name} was {then} when the run began and is {now} now; the weights may "
                    "differ from those of an uninterrupted run"
                )

    def _train_segment(self, segment: int, display: ProgressDisplay) -> None:
        start = time.perf_counter()
        seed_segment(self.model, self.config.seed, segment)
        metrics = LaneMetrics(every_steps=_POINT_STEPS, report=display.rollout)
        self.model.learn(
            self.bounds[segment - 1] - self.model.num_timesteps,
            callback=metrics,
            log_interval=_NEVER,
            reset_num_timesteps=False,
        )
        metrics.write()
        third = (segment - 1) * len(tags.THIRDS) // len(self.bounds)
        metrics.write_histograms(tags.THIRDS[third])
        report = validate_policy(self.model, self.validation_venv)
        previous = self.position
        is_best = previous.best_score is None or report.score > previous.best_score
        position = Position(
            segment=segment,
            score=report.score,
            best_segment=segment if is_best else previous.best_segment,
            best_score=report.score if is_best else previous.best_score,
            seconds=previous.seconds + time.perf_counter() - start,
        )
        self._log_validation(report, position)
        self.folder.append_progress(
            {
                "segment": segment,
                "steps": self.model.num_timesteps,
                "score": report.score,
                "is_best": is_best,
                "seconds": round(position.seconds, 1),
                "validation": report.to_json(),
            }
        )
        # Last: whatever was written before and is not covered by a checkpoint is written again.
        save_checkpoint(self.folder.checkpoints, self.model, position)
        self.position = position
        display.segment(self.model.num_timesteps, report.score, is_best)

    def _log_validation(self, report: ValidationReport, position: Position) -> None:
        logger = self.model.logger
        logger.record(tags.SCORE, report.score)
        logger.record(tags.BEST_SCORE, position.best_score)
        logger.record(tags.VALIDATION_ROLLED_BACK, report.rolled_back)
        for name, loss in report.final_loss.items():
            logger.record(tags.FINAL_LOSS.format(dataset=name), loss)
        logger.dump(self.model.num_timesteps)


def seed_segment(model: BaseAlgorithm, seed: int, segment: int) -> None:
    """Make everything random in a segment a function of the run's seed and the segment's number.

    Args:
        model: The agent; its lanes start new episodes when it next learns.
        seed: The run's seed.
        segment: Number of the segment, from 1.
    """
    # Python, numpy, torch, action space and lanes
    model.set_random_seed(segment_seed(seed, segment))
    model._last_obs = None
    states = getattr(model, "_last_lstm_states", None)
    if states is not None:
        zeros = (tuple(torch.zeros_like(s) for s in part) for part in states)
        model._last_lstm_states = type(states)(*zeros)  # type: ignore[attr-defined]


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
