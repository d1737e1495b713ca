"""The closing analysis: written once, at the end of a meta-training or of an evaluation.

    <folder>/
        analysis.json     the numbers behind the pictures and tables
        figures/          every picture as PNG and SVG
        events.out.*      the pictures, the projector and the outcome for TensorBoard
        methods/<opponent>/   a run of TensorBoard an opponent: its schedule, losses and table row
        held_out/<task>/      a run of TensorBoard a task, with the tags of a user's own runs

`analysis.json` is written last: where it is, all is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch.utils.tensorboard import SummaryWriter

from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.tasks.base import Engine, Task
from hpo_env.vector_env import HPOControlVectorEnv
from hpo_env.whole_files import write_atomically

from .. import tags
from ..comparing.records import to_frame
from ..run_folder import to_json_bytes
from ..statistics.aggregate import summarise_suite
from ..statistics.pairing import REFERENCE, PairedRuns, mean_by, pair_runs
from ..statistics.regret import log_regret
from . import figures
from .comparisons import plain, summary_json
from .frames import rows_of
from .hparams import SWITCHED_OFF, write_end, write_start
from .importance import partial_dependence, permutation_importance, strongest
from .layout import make_layout
from .projector import embed, gains, principal_plane, write_projector
from .recording import Lanes, Recording, record, still
from .schedules import (
    Group,
    by_task,
    log_changes,
    over_progress,
    schedules,
    words_of,
)
from .style import BAND, save_figure
from .tensorboard import write_facts, write_picture

ANALYSIS = "analysis.json"
_MAX_RECORDED = 64  # runs: the pictures of observations do not change with more
_MAX_SINGLE_RUNS = 8  # beside which a user's own run is laid
_NUM_DEPENDENCES = 6
_ENDS = ("p10", "median", "p90")  # of a band, in the order of `BAND`
_MAX_GROUPS = 6


@dataclass(frozen=True, kw_only=True, eq=False)
class ClosingAnalysis:
    """All that a closing analysis looks at.

    Args:
        title: What was run.
        split: The side of the tasks.
        policy: The controller's policy.
        space: All hyperparameters of the family.
        frame: A table of one suite, the controller and its opponents.
        controller: What the controller saw and did.
        base: The same runs with the controller switched off.

    Raises:
        ConfigurationError: The table holds several suites, or a run twice.
    """

    title: str
    split: str
    policy: Policy
    space: HyperparameterSpace
    frame: pd.DataFrame
    controller: Recording
    base: Recording

    def __post_init__(self) -> None:
        """Line the table up, before anything is written."""
        _ = self.runs

    @cached_property
    def runs(self) -> PairedRuns:
        """The table, lined up."""
        suites = pair_runs(self.frame)
        if len(suites) != 1:
            names = [runs.suite for runs in suites]
            raise ConfigurationError(f"a closing analysis must be of one suite; got {names}")
        return suites[0]

    @cached_property
    def groups(self) -> list[Group]:
        """The table's runs, by what they train."""
        return by_task(self.runs)

    @cached_property
    def importance(self) -> NDArray[np.float64]:
        """How much each field of the observation moves each action `[D, H]`."""
        return permutation_importance(self.policy, self.controller.seen)

    @cached_property
    def gain(self) -> NDArray[np.float64]:
        """What the controller adds on each recorded run `[E]`, log loss."""
        return gains(self.controller, self.base)


def analyse_policy(
    policy: Policy, lanes: Lanes, *, title: str, split: str, seed: int
) -> ClosingAnalysis:
    """Run a policy, and its base schedule alone, once in every lane of an environment.

    Args:
        policy: An exported policy.
        lanes: With the policy's hyperparameters and base schedule.
        title: What this is.
        split: The side of the lanes' tasks.
        seed: Of lane 0.
    """
    controller = record(lanes, policy.actor(lanes.num_envs), seed=seed)
    base = record(lanes, still(lanes), seed=seed)
    reached = {REFERENCE: controller, SWITCHED_OFF: base}
    rows = [row for name, r in reached.items() for row in rows_of(name, split, r, lanes.family)]
    return ClosingAnalysis(
        title=title,
        split=split,
        policy=policy,
        space=lanes.space,
        frame=to_frame(rows),
        controller=controller,
        base=base,
    )


def record_comparison(
    frame: pd.DataFrame,
    policy: Policy,
    folder: Path,
    *,
    tasks: Sequence[Task],
    title: str,
    family: str | None = None,
    split: str = "test",
    seed: int = 0,
    engine: Engine = "auto",
    device: str = "cpu",
    **trainer_options: Any,
) -> Path:
    """Write the closing analysis of a comparison: its table, and what the controller saw.

    Args:
        frame: A table of one suite.
        policy: The policy that was compared.
        folder: Where to, `evaluations/<name>` of a run folder so that its report has it.
        tasks: Those of the suite; what the controller sees on evenly chosen ones is recorded.
        title: What this is.
        family: That the tasks are from; the policy's by default.
        split: The side of the tasks.
        seed: From which weights and minibatches of the recorded runs follow.
        engine: How inner runs are computed.
        device: A torch device.
        **trainer_options: Options of the policy's family that its trainer reads.

    Returns:
        The folder.
    """
    chosen = list(tasks[:: -(-len(tasks) // _MAX_RECORDED)])
    lanes = HPOControlVectorEnv(
        len(chosen),
        family=policy.family if family is None else family,
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        engine=engine,
        device=device,
        tasks=chosen,
        **trainer_options,
    )
    analysis = replace(
        analyse_policy(policy, lanes, title=title, split=split, seed=seed), frame=frame
    )
    lanes.close()
    with SummaryWriter(str(folder)) as writer:
        writer.add_custom_scalars(make_layout(policy.space.names))
        write_facts(writer, "evaluation", {"title": title, "split": split})
    return write_analysis(analysis, folder, step=0)


def write_analysis(analysis: ClosingAnalysis, folder: Path, *, step: int) -> Path:
    """Write the closing analysis.

    Args:
        analysis: What to analyse.
        folder: A run folder, or a new one.
        step: Environment steps of meta-training behind the policy.

    Returns:
        The folder.
    """
    with SummaryWriter(str(folder)) as writer:
        for name, draw in _drawings(analysis).items():
            picture = save_figure(draw, folder / "figures", name)
            write_picture(writer, tags.FIGURE.format(figure=name), picture, step)
        write_projector(writer, analysis.controller, analysis.base, step)
        write_facts(writer, "card", _card(analysis.policy), step)
    for opponent in analysis.runs.opponents:
        _write_opponent(analysis, opponent, folder / "methods" / opponent)
    _write_single_runs(analysis.controller, folder / "held_out")
    numbers = plain(_numbers(analysis))
    write_atomically(folder / ANALYSIS, to_json_bytes(numbers))
    return folder


def _drawings(analysis: ClosingAnalysis) -> dict[str, Callable[[], Any]]:
    """Return what draws each picture, by the name of its files."""
    policy, runs, names = analysis.policy, analysis.runs, analysis.policy.space.names
    summaries = summarise_suite(runs)
    order, drawn = [s.opponent for s in summaries], figures.drawn_opponents(summaries)
    dependences = [
        partial_dependence(policy, analysis.controller.seen, field)
        for field in strongest(policy, analysis.importance, _NUM_DEPENDENCES)
    ]
    plane = principal_plane(embed(analysis.base))
    named = np.array([task.name for task in analysis.controller.tasks])
    schedule = partial(figures.schedules_figure, runs, drawn, analysis.groups[:_MAX_GROUPS])
    moved = [analysis.space.hyperparameters[analysis.space.index(name)] for name in names]
    return {
        **{f"schedules_{h.name}": partial(schedule, h.name, h.scale) for h in moved},
        "regret": partial(figures.regret_figure, runs, order, words_of(analysis.groups)),
        "importance": partial(figures.importance_figure, analysis.importance, policy.fields, names),
        "dependence": partial(figures.dependence_figure, dependences, names),
        "task_map": partial(figures.map_figure, plane, analysis.gain, named),
    }


def _card(policy: Policy) -> dict[str, Any]:
    metadata = {n: v for n, v in policy.metadata.items() if n not in ("config", "versions")}
    return {
        "family": policy.family,
        "moves": ", ".join(policy.space.names),
        "base schedule": policy.base_schedule,
        "actions": policy.action_mode,
        "network": " - ".join(map(str, policy.layer_sizes)),
        **metadata,
    }


def _write_opponent(analysis: ClosingAnalysis, opponent: str, folder: Path) -> None:
    """Write an opponent's schedule over the course of a run, in per cent, and its row."""
    names, runs = analysis.policy.space.names, analysis.runs
    frame = runs.frames[opponent]
    row: dict[str, Any] = {"Kind": "evaluation", "Family": analysis.policy.family}
    row |= {"Opponent": opponent, "num_runs": len(frame), "hyperparameters": " ".join(names)}
    losses = dict(zip(runs.opponents, runs.values("log_test_loss").mean(axis=1), strict=True))
    scalars = {
        tags.EVALUATION_LOSS: losses[opponent],
        tags.EVALUATION_DIVERGED: frame["diverged"].mean(),
    }
    if opponent == REFERENCE:
        for other in runs.opponents[1:]:
            gain = losses[other] - losses[REFERENCE]
            scalars[tags.EVALUATION_GAIN.format(method=other)] = gain
    with SummaryWriter(str(folder)) as writer:
        write_start(writer, row)
        for name in names:
            template = tags.SCHEDULE_QUANTILE.replace("{hyperparameter}", name)
            _write_band(writer, template, schedules(runs, opponent, name))
        _write_band(writer, tags.SCHEDULE_LOSS, log_changes(runs, opponent))
        for tag, value in scalars.items():
            writer.add_scalar(tag, float(value), 0)
        write_end(writer)


def _write_band(writer: SummaryWriter, template: str, curves: NDArray[np.float64]) -> None:
    """Write quantiles of curves `[E, T]` over the course of a run, in per cent of it."""
    if not len(curves):
        return
    bands = np.quantile(over_progress(curves), BAND, axis=0)
    percent = ((np.arange(bands.shape[1]) + 0.5) / bands.shape[1] * 100.0).round().astype(int)
    for label, values in zip(_ENDS, bands, strict=True):
        for step, value in zip(percent, values, strict=True):
            writer.add_scalar(template.format(quantile=label), float(value), int(step))


def _write_single_runs(recording: Recording, folder: Path) -> None:
    """Write single runs of the controller as a user's own run is written."""
    family, num_runs = recording.family, len(recording.tasks)
    column = family.space.index(family.leading())
    for e in np.linspace(0, num_runs - 1, min(_MAX_SINGLE_RUNS, num_runs)).astype(int):
        task = recording.tasks[e]
        labels = [value for value in task.labels.values() if value]
        name = re.sub(r"[^\w.-]+", "_", "-".join([task.name, *labels, str(e)]))
        row = {
            "Kind": "held-out task",
            "Family": family.name,
            "Opponent": REFERENCE,
            "Task": task.name,
            "labels": " ".join(labels) or None,
            "start": task.initial[column],
            "hyperparameters": " ".join(recording.controlled),
        }
        with SummaryWriter(str(folder / name)) as writer:
            write_start(writer, row)
            for tag, step, value in _single_run(recording, int(e)):
                writer.add_scalar(tag, value, step)
            write_end(writer)


def _single_run(recording: Recording, e: int) -> Iterator[tuple[str, int, float]]:
    """Yield tag, updates and value of every point of one run.

    A decision is marked where its interval begins, and what the interval measured where it ends.
    """
    updates = recording.family.interval_updates(recording.tasks[e])
    measured = {
        "validation_loss": recording.validation_loss[e],
        "train_loss": recording.train_loss[e],
    }
    curves = [(tags.RUN_MEASURED.format(measurement=n), updates, c) for n, c in measured.items()]
    for h, name in enumerate(recording.controlled):
        moves, values = recording.moves[e, :, h], recording.hyperparameters[name][e]
        curves.append((tags.RUN_MOVE.format(hyperparameter=name), 0, moves))
        curves.append((tags.RUN_VALUE.format(hyperparameter=name), 0, values))
    for tag, offset, curve in curves:
        for t in np.flatnonzero(np.isfinite(curve)):
            yield tag, int(t) * updates + offset, float(curve[t])


def _numbers(analysis: ClosingAnalysis) -> dict[str, Any]:
    policy, runs, gain = analysis.policy, analysis.runs, analysis.gain
    tasks = words_of(analysis.groups)
    names, regret = mean_by(log_regret(runs.values("log_test_loss"), tasks), tasks)
    return {
        "title": analysis.title,
        "split": analysis.split,
        "family": policy.family,
        "hyperparameters": list(policy.space.names),
        "methods": summary_json(analysis.frame),
        "num_runs": len(runs.reference),
        "regret": {
            "tasks": list(names),
            "methods": list(runs.opponents),
            "values": regret.T.round(4).tolist(),
        },
        "importance": {
            field: dict(zip(policy.space.names, row.round(4).tolist(), strict=True))
            for field, row in zip(policy.fields, analysis.importance, strict=True)
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
