"""`hpo-control few-shot`: meta-train a model that adapts to new tasks from a few examples."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import safetensors.numpy
import tyro
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from hpo_env.errors import ConfigurationError, RunFolderError
from hpo_env.few_shot import make_source
from hpo_env.few_shot.base import FewShotSource
from hpo_env.seeding import stream

from ..adaptation.training import (
    MetaTraining,
    Progress,
    TrainingSettings,
    as_episodes,
    scores,
)
from ..whole_files import write_atomically

_STEPS_SHOWN = (0, 1, 5, 10)
_CHECKPOINT, _MODEL = "checkpoint.safetensors", "model.safetensors"
_LOSS, _SCORE = "few_shot/query_loss", "few_shot/validation_score"


@dataclass(frozen=True, kw_only=True)
class FewShotConfig:
    """Meta-train an algorithm on few-shot tasks, and judge it on tasks never seen.

    Args:
        algorithm: maml, first_order_maml, reptile, imaml, meta_sgd, leo, memory,
            matching, prototypical, or module:Class.
        source: sinusoids, characters, or module:Class.
        out: The folder; a stopped run there goes on.
        shots: Examples to adapt to, of each class where there are classes.
        queries: Examples to be judged by, likewise.
        ways: Classes of a task, where it has any.
        algorithm_options: Its settings, as name=value.
        training: The outer loop.
        seed: All that is random follows from it.
        num_test_tasks: Tasks that judge in the end.
    """

    algorithm: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="ALGORITHM")]
    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SOURCE")]
    out: Path
    shots: int = 5
    queries: int = 10
    ways: int | None = None
    algorithm_options: tuple[str, ...] = ()
    training: TrainingSettings = field(default_factory=TrainingSettings)
    seed: int = 0
    num_test_tasks: int = 600


def main(args: Sequence[str]) -> None:
    """Train as the arguments say."""
    run(tyro.cli(FewShotConfig, args=list(args), prog="hpo-control few-shot"))


def run(config: FewShotConfig) -> None:
    """Train, judge and print.

    Raises:
        UnknownNameError: There is no such algorithm or source.
        ConfigurationError: An option is unknown or out of range.
        RunFolderError: The folder holds another run, or cannot be written.
    """
    source = _source(config)
    options = dict(_option(text) for text in config.algorithm_options)
    training = MetaTraining.of(
        config.algorithm, source, config.training, seed=config.seed, algorithm_settings=options
    )
    try:
        config.out.mkdir(parents=True, exist_ok=True)
        _resume(training, config)
        _train(training, config)
        training.model().save(config.out / _MODEL)
        result = _judged(training, source, config)
        write_atomically(config.out / "result.json", json.dumps(result, indent=2).encode())
    except OSError as error:
        raise RunFolderError(f"{config.out}: cannot be used: {error}") from error
    print(_table(training, result))
    print(f"model: {config.out / _MODEL}")


def _source(config: FewShotConfig) -> FewShotSource:
    options: dict[str, Any] = {"num_shots": config.shots, "num_queries": config.queries}
    if config.ways is not None:
        options["num_ways"] = config.ways
    return make_source(config.source, **options)


def _option(text: str) -> tuple[str, Any]:
    name, _, value = text.partition("=")
    try:
        return name, json.loads(value)
    except (json.JSONDecodeError, RecursionError) as error:
        raise ConfigurationError(
            f"algorithm_options must be name=value with a number; got {text!r}"
        ) from error


def _train(training: MetaTraining, config: FewShotConfig) -> None:
    writer = SummaryWriter(str(config.out), purge_step=training.step + 1)

    def watch(progress: Progress) -> None:
        if progress.score is None:
            return
        writer.add_scalar(_LOSS, progress.loss, progress.step)
        writer.add_scalar(_SCORE, progress.score, progress.step)
        print(
            f"step {progress.step:>7} of {config.training.num_steps}: query loss "
            f"{progress.loss:.4f}, {_judges(training)} {progress.score:.4f}",
            flush=True,
        )
        _save(training, config)

    try:
        training.run(watch)
    finally:
        writer.close()


def _save(training: MetaTraining, config: FewShotConfig) -> None:
    arrays: dict[str, NDArray[Any]] = {}
    numbers: dict[str, int | float] = {}
    for name, value in training.state().items():
        if isinstance(value, np.ndarray):
            arrays[name] = value
        else:
            numbers[name] = value
    metadata = {"numbers": json.dumps(numbers), "command": _command(config)}
    write_atomically(config.out / _CHECKPOINT, safetensors.numpy.save(arrays, metadata))


def _resume(training: MetaTraining, config: FewShotConfig) -> None:
    """Go on where the folder's run was stopped."""
    path = config.out / _CHECKPOINT
    if not path.exists():
        return
    try:
        with safetensors.safe_open(path, framework="np") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        if metadata.get("command") != _command(config):
            raise RunFolderError(
                f"{config.out} holds a run of other settings; choose another folder with --out"
            )
        training.load({**arrays, **json.loads(metadata["numbers"])})
    except (KeyError, ValueError, safetensors.SafetensorError) as error:
        raise RunFolderError(f"{path} cannot be read ({error}); remove it to begin anew") from error
    print(f"goes on after step {training.step}")


def _command(config: FewShotConfig) -> str:
    facts = {k: v for k, v in vars(config).items() if k not in ("out", "num_test_tasks")}
    return json.dumps(facts | {"training": config.training.to_json()}, sort_keys=True)


def _judged(training: MetaTraining, source: FewShotSource, config: FewShotConfig) -> dict[str, Any]:
    """Score the best on test tasks, by steps of adaptation."""
    tasks = as_episodes(
        source.sample("test", config.num_test_tasks, stream(config.seed, "test tasks"))
    )
    algorithm = training.algorithm
    shown: tuple[int | None, ...] = _STEPS_SHOWN if algorithm.is_adapted_by_steps else (None,)
    reached = []
    for num_steps in shown:
        each = scores(algorithm, training.best, tasks, num_steps=num_steps)
        interval = 1.96 * float(each.std()) / len(each) ** 0.5
        reached.append({"steps": num_steps, "mean": float(each.mean()), "half_interval": interval})
    return {
        "algorithm": algorithm.name,
        "source": source.name,
        "score": _judges(training),
        "validation": training.best_score,
        "test": reached,
    }


def _table(training: MetaTraining, result: Mapping[str, Any]) -> str:
    lines = [f"{result['score']} on test tasks (95 % interval of the mean):"]
    for row in result["test"]:
        steps = "" if row["steps"] is None else f"after {row['steps']:>2} steps  "
        reached = f"{row['mean']:.4f} ± {row['half_interval']:.4f}"
        lines.append(f"  {steps}{reached if math.isfinite(row['mean']) else 'diverges'}")
    return "\n".join(lines)


def _judges(training: MetaTraining) -> str:
    return "accuracy" if training.algorithm.problem.is_classification else "squared error"
