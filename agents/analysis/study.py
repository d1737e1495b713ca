"""The closing analysis: written once, at the end of a meta-training or of an evaluation.

    <folder>/
        analysis.json     the numbers behind the pictures and tables
        figures/          every picture as PNG and SVG
        events.out.*      the pictures, the projector and the outcome for TensorBoard
        methods/<method>/     a run of TensorBoard a method: its schedule, its losses, its table row
        held_out/<task>/      a run of TensorBoard a task, with the tags of a user's own runs

`analysis.json` is written last: where it is, all is.
"""

from __future__ import annotations

import json
import math
import re
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tensorboard.compat.proto.summary_pb2 import Summary
from torch.utils.tensorboard import SummaryWriter

from agents import tags
from agents.analysis import figures
from agents.analysis.hparams import write_end, write_start
from agents.analysis.importance import partial_dependence, permutation_importance, strongest
from agents.analysis.introduction import table, write_text
from agents.analysis.layout import make_layout
from agents.analysis.projector import embed, gains, principal_plane, write_projector
from agents.analysis.recording import Lanes, Recording, record, still
from agents.analysis.regret import Regret, compute_regret, task_groups
from agents.analysis.style import save_figure
from agents.evaluation.comparison import Comparison
from agents.evaluation.figures import over_progress
from agents.evaluation.protocol import Results
from agents.evaluation.statistics import summarize
from agents.run_folder import to_json_bytes, write_atomically
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.vector_env import HPOControlVectorEnv

ANALYSIS = "analysis.json"
_MAX_RECORDED = 64  # runs: the pictures of observations do not change with more
_MAX_SINGLE_RUNS = 8  # beside which a user's own run is laid
_NUM_DEPENDENCES = 6
_BASE = "initial"  # the registry's name for the controller switched off


@dataclass(frozen=True, kw_only=True, eq=False)
class Study:
    """All that a closing analysis looks at.

    Args:
        title: What was run.
        split: The side of the tasks.
        policy: The controller's policy.
        space: All hyperparameters of the family.
        results: By method, the controller first.
        controller: What the controller saw and did.
        base: The same runs with the controller switched off.
    """

    title: str
    split: str
    policy: Policy
    space: HyperparameterSpace
    results: dict[str, Results]
    controller: Recording
    base: Recording


def study_policy(policy: Policy, lanes: Lanes, *, title: str, split: str, seed: int) -> Study:
    """Run a policy, and its base schedule alone, once in every lane of an environment.

    Args:
        policy: An exported policy.
        lanes: With the policy's hyperparameters and base schedule.
        title: What this is.
        split: The side of the lanes' tasks.
        seed: Of lane 0.
    """
    controller = record(lanes, policy.actor(lanes.num_envs), method="controller", seed=seed)
    base = record(lanes, still(lanes), method=_BASE, seed=seed)
    return Study(
        title=title,
        split=split,
        policy=policy,
        space=lanes.space,
        results={"controller": controller.results, _BASE: base.results},
        controller=controller,
        base=base,
    )


def study_comparison(comparison: Comparison, policy: Policy, *, title: str = "") -> Study:
    """Add to a comparison what the controller saw, on the first of its tasks.

    Args:
        comparison: Any.
        policy: The policy that was compared.
        title: What this is; the plan in words by default.
    """
    plan, results = comparison.plan, comparison.results
    tasks = results["controller"].tasks
    tasks = tasks[:: -(-len(tasks) // _MAX_RECORDED)]
    kept = {n: v for n, v in plan.options.items() if n == "updates_per_decision"}
    lanes = HPOControlVectorEnv(
        len(tasks),
        family=plan.family,
        split=plan.split,
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        engine=plan.engine,
        device=plan.device,
        tasks=tasks,
        **kept,
    )
    recorded = study_policy(policy, lanes, title="", split=plan.split, seed=plan.seed)
    lanes.close()
    return Study(
        title=title or f"{plan.family}, {plan.split} tasks",
        split=plan.split,
        policy=policy,
        space=recorded.space,
        results=results,
        controller=recorded.controller,
        base=recorded.base,
    )


def record_comparison(
    comparison: Comparison, policy: Policy, folder: Path, *, title: str = ""
) -> Path:
    """Write the closing analysis of a comparison into a folder; returns the folder."""
    study = study_comparison(comparison, policy, title=title)
    with SummaryWriter(str(folder)) as writer:
        writer.add_custom_scalars(make_layout(policy.space.names))
        write_text(writer, "evaluation", table({"title": study.title, "split": study.split}))
    return write_study(study, folder, step=0)


def write_study(study: Study, folder: Path, *, step: int) -> Path:
    """Write the closing analysis.

    Args:
        study: What to analyse.
        folder: A run folder, or a new one.
        step: Environment steps of meta-training behind the policy.

    Returns:
        The folder.
    """
    results, policy = study.results, study.policy
    groups = task_groups(results["controller"])
    regret = compute_regret(results, groups)
    seen = study.controller.seen
    importance = permutation_importance(policy, seen)
    fields = strongest(policy, importance, _NUM_DEPENDENCES)
    dependences = [partial_dependence(policy, seen, field) for field in fields]
    plane, gain = principal_plane(embed(study.base)), gains(study.controller, study.base)
    names = policy.space.names
    drawings: dict[str, Callable[[], Any]] = {
        f"schedules_{name}": partial(figures.schedules_figure, results, groups, study.space, name)
        for name in names
    }
    drawings |= {
        "regret": lambda: figures.regret_figure(regret),
        "importance": lambda: figures.importance_figure(importance, policy.fields, names),
        "dependence": lambda: figures.dependence_figure(dependences, names),
        "task_map": lambda: figures.map_figure(plane, gain, study.controller.results.names),
    }
    with SummaryWriter(str(folder)) as writer:
        for name, draw in drawings.items():
            picture = save_figure(draw, folder / "figures", name)
            _write_picture(writer, tags.FIGURE.format(figure=name), picture, step)
        write_projector(writer, study.controller, study.base, policy.family, step)
        write_text(writer, "card", policy_card(policy), step)
    for method in results:
        _write_method(study, method, folder / "methods" / method)
    _write_single_runs(study, folder / "held_out")
    numbers = _numbers(study, regret, importance, gain)
    write_atomically(folder / ANALYSIS, to_json_bytes(_finite(numbers)))
    return folder


def policy_card(policy: Policy) -> str:
    """Describe a policy as a Markdown table."""
    metadata = {n: v for n, v in policy.metadata.items() if n not in ("config", "versions")}
    return table(
        {
            "family": policy.family,
            "moves": ", ".join(policy.space.names),
            "base schedule": policy.base_schedule,
            "actions": policy.action_mode,
            "network": " - ".join(map(str, policy.layer_sizes)),
            **metadata,
        }
    )


def _write_picture(writer: SummaryWriter, tag: str, png: Path, step: int) -> None:
    """Write a PNG file as it is, and not drawn again."""
    content = png.read_bytes()
    width, height = struct.unpack(">II", content[16:24])  # where every PNG has them
    image = Summary.Image(width=width, height=height, colorspace=4, encoded_image_string=content)
    file_writer: Any = writer.file_writer
    file_writer.add_summary(Summary(value=[Summary.Value(tag=tag, image=image)]), step)


def _write_method(study: Study, method: str, folder: Path) -> None:
    """Write a method's schedule over the course of a run, in per cent, and its row."""
    results, reference = study.results[method], study.results["controller"]
    finished = results.take(~results.diverged)
    row: dict[str, Any] = {"Kind": "evaluation", "Family": study.policy.family, "Method": method}
    row |= {"num_runs": len(results), "hyperparameters": " ".join(study.policy.space.names)}
    with SummaryWriter(str(folder)) as writer:
        write_start(writer, row)
        if len(finished):
            for name in study.policy.space.names:
                template = tags.SCHEDULE_QUANTILE.replace("{hyperparameter}", name)
                _write_band(writer, template, finished.hyperparameters[name])
            _write_band(writer, tags.SCHEDULE_LOSS, figures.loss_change(finished))
        scalars = {
            tags.EVALUATION_LOSS: float(results.log_test_loss.mean()),
            tags.EVALUATION_DIVERGED: float(results.diverged.mean()),
        }
        if method == "controller":
            for other, losses in study.results.items():
                if other != method:
                    difference = losses.log_test_loss - reference.log_test_loss
                    tag = tags.EVALUATION_GAIN.format(method=other)
                    scalars[tag] = float(difference.mean())
        for tag, value in scalars.items():
            writer.add_scalar(tag, value, 0)
        write_end(writer)


def _write_band(writer: SummaryWriter, template: str, curves: NDArray[np.float64]) -> None:
    bands = np.quantile(over_progress(curves), figures.BAND, axis=0)
    percent = ((np.arange(bands.shape[1]) + 0.5) / bands.shape[1] * 100.0).round().astype(int)
    for label, values in zip(("p10", "median", "p90"), bands, strict=True):
        for step, value in zip(percent, values, strict=True):
            writer.add_scalar(template.format(quantile=label), float(value), int(step))


def _write_single_runs(study: Study, folder: Path) -> None:
    """Write single runs of the controller as a user's own run is written."""
    recording = study.controller
    results = recording.results
    for e in np.linspace(0, len(results) - 1, min(_MAX_SINGLE_RUNS, len(results))).astype(int):
        task = results.tasks[e]
        words = [task.name, getattr(task, "architecture", ""), getattr(task, "optimizer", "")]
        label = re.sub(r"[^\w.-]+", "_", "-".join([word for word in words if word] + [str(e)]))
        with SummaryWriter(str(folder / label)) as writer:
            write_start(
                writer,
                {
                    "Kind": "held-out task",
                    "Family": study.policy.family,
                    "Method": "controller",
                    "Task": task.name,
                    "architecture": words[1] or None,
                    "optimizer": words[2] or None,
                    "initial_rate": task.initial[0],
                    "hyperparameters": " ".join(recording.controlled),
                },
            )
            for tag, step, value in _single_run(recording, int(e)):
                writer.add_scalar(tag, value, step)
            write_end(writer)


def _single_run(recording: Recording, e: int) -> Iterator[tuple[str, int, float]]:
    """Yield tag, updates and value of every point of one run.

    A decision is marked where its interval begins, and what the interval measured where it ends.
    """
    results, updates = recording.results, recording.updates_per_decision
    measured = {
        "validation_loss": results.validation_loss[e],
        "train_loss": recording.train_loss[e],
    }
    curves = [(tags.RUN_MEASURED.format(measurement=n), updates, c) for n, c in measured.items()]
    for h, name in enumerate(recording.controlled):
        moves, values = recording.moves[e, :, h], results.hyperparameters[name][e]
        curves.append((tags.RUN_MOVE.format(hyperparameter=name), 0, moves))
        curves.append((tags.RUN_VALUE.format(hyperparameter=name), 0, values))
    for tag, offset, curve in curves:
        for t in np.flatnonzero(np.isfinite(curve)):
            yield tag, int(t) * updates + offset, float(curve[t])


def _numbers(
    study: Study, regret: Regret, importance: NDArray[np.float64], gain: NDArray[np.float64]
) -> dict[str, Any]:
    policy = study.policy
    return {
        "title": study.title,
        "split": study.split,
        "family": policy.family,
        "hyperparameters": list(policy.space.names),
        "methods": [asdict(summary) for summary in summarize(study.results)],
        "num_runs": len(study.results["controller"]),
        "regret": regret.to_json(),
        "importance": {
            field: dict(zip(policy.space.names, row.round(4).tolist(), strict=True))
            for field, row in zip(policy.fields, importance, strict=True)
        },
        "gain": {
            "mean": float(gain.mean()),
            "share_better": float((gain > 0.0).mean()),
            "worst": float(gain.min()),
        },
    }


def read_numbers(folder: Path) -> dict[str, Any] | None:
    """Return the numbers of a closing analysis; None where there is none that is whole."""
    try:
        data = json.loads((folder / ANALYSIS).read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None


def _finite(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
