"""The analysis of a run as one HTML page, without network or script: to share, print, keep."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from .. import tags
from ..run_folder import read_commands
from . import page
from .analysis import read_numbers
from .comparison_tables import short_table
from .comparisons import SCHEDULES_CAPTION
from .curves import (
    Curves,
    hyperparameters_in,
    moves_figure,
    panel_figure,
    present,
    read_curves,
)
from .hparams import SWITCHED_OFF
from .layout import Panel, single_run_panels, training_panels
from .tables import facts_table, listing

_OFF_NOTE = (
    f"“{SWITCHED_OFF}” is the controller switched off: the task's own start on the policy's base "
    "schedule."
)
_TRAINING_NOTE = (
    "Meta-training explores; meta-validation runs other tasks without exploration, and chooses the "
    "checkpoint."
)
_CAPTIONS = {
    "schedules": SCHEDULES_CAPTION + " A pair of panels for each held-out task.",
    "regret": "Where it wins and where it loses: mean log test loss above the best that any run "
    "reached on that task. 0 is the best; 0.1 is about 10 % more loss.",
    "importance": "What the policy looks at: how far its actions change when one field of the "
    "observation is shuffled among runs and times. This is what moves actions, and not "
    "necessarily what lowers losses.",
    "dependence": "Action against observation: the mean action when one field is set to a value "
    "and all others stay as they were seen. Grey marks where 80 % of the observations lie.",
    "task_map": "Tasks, placed by their telemetry under the base schedule: neighbours train "
    "alike. The colour is what the controller adds on each.",
}


def render_report(folder: Path) -> str:
    """Write the page.

    Args:
        folder: A run folder, the folder of an evaluation, or one of a controlled run.

    Returns:
        The whole HTML document.
    """
    config, result = _read(folder / "config.json"), _read(folder / "result.json")
    curves, numbers = read_curves(folder), read_numbers(folder)
    names = hyperparameters_in(curves) if numbers is None else numbers["hyperparameters"]
    title = folder.resolve().name
    parts = [f"<h1>{escape(title)}</h1>", _summary(config, result, numbers)]
    with tempfile.TemporaryDirectory() as scratch:
        parts += _training(curves, names, Path(scratch))
        parts += _single_run(curves, names, Path(scratch))
    if numbers is not None:
        parts += _analysis(folder, numbers, "held-out")
    for path in sorted(folder.glob("evaluations/*/analysis.json")):
        evaluated = read_numbers(path.parent)
        if evaluated is not None:
            parts += _analysis(path.parent, evaluated, path.parent.name)
    parts += _settings(folder, config)
    return page.document(title, parts)


def _summary(
    config: dict[str, Any] | None, result: dict[str, Any] | None, numbers: dict[str, Any] | None
) -> str:
    facts: list[tuple[str, str]] = []
    if config is not None:
        facts.append(("what", f"{config['agent']} on {config['family']}, seed {config['seed']}"))
    if result is not None:
        state = "finished" if result["complete"] else "interrupted"
        facts.append(("state", f"{state} after {result['steps']:,} steps"))
        seconds = result["seconds"]
        words = f"{seconds / 60:.0f} minutes" if seconds >= 100 else f"{seconds:.0f} seconds"
        facts.append(("time", words))
        if result["score"] is not None:
            words = f"{result['score']:+.3f} at {result['best_steps']:,} steps"
            facts.append(("best meta-validation score", words))
    elif config is not None:
        facts.append(("state", "not finished: what follows is what there is so far"))
    if numbers is not None:
        gain = numbers["gain"]
        words = (
            f"{gain['mean']:+.3f} log loss on average, better on "
            f"{100 * gain['share_better']:.0f} % of the runs, {gain['worst']:+.3f} on the worst"
        )
        facts.append(("gain over the base schedule", words))
    return page.facts(facts)


def _training(curves: Curves, names: Sequence[str], scratch: Path) -> list[str]:
    if tags.STEPS_PER_SECOND not in curves.scalars:
        return []
    parts = [page.heading("Meta-training"), page.note(_TRAINING_NOTE)]
    for question, panels in training_panels(names).items():
        shown = present(panels, curves)
        if shown:
            parts += [page.heading(question, 3), _panels(shown, curves, scratch)]
    for name in names:
        prefix = tags.ACTION_HISTOGRAM.split("{third}")[0].format(hyperparameter=name)
        if any(tag.startswith(prefix) for tag in curves.moves):
            caption = (
                f"How often each move of the {name} was made, in the course of meta-training; "
                "0 keeps the base schedule's course."
            )
            draw = partial(moves_figure, curves, name)
            parts.append(page.figure(draw, scratch, f"moves_{name}", caption))
    return parts


def _single_run(curves: Curves, names: Sequence[str], scratch: Path) -> list[str]:
    if not any(tags.RUN_VALUE.format(hyperparameter=name) in curves.scalars for name in names):
        return []
    panels = present(single_run_panels(names), curves)
    return [page.heading("The run"), _panels(panels, curves, scratch, x_label="updates")]


def _panels(panels: Sequence[Panel], curves: Curves, scratch: Path, **axis: str) -> str:
    drawings = []
    for panel in panels:
        draw, name = partial(panel_figure, panel, curves, **axis), re.sub(r"\W+", "_", panel.title)
        drawings.append(page.figure(draw, scratch, f"panel_{name}", panel.title))
    return '<div class="panels">\n' + "\n".join(drawings) + "\n</div>"


def _analysis(folder: Path, numbers: dict[str, Any], prefix: str) -> list[str]:
    parts = [page.heading(numbers["title"][:1].upper() + numbers["title"][1:])]
    size = f"{numbers['num_runs']} runs an opponent, {numbers['split']} tasks."
    # "method" in files of older versions
    entries = [{"opponent": entry.get("method"), **entry} for entry in numbers["methods"]]
    parts += [short_table(entries).to_html(), page.note(f"{size} {_OFF_NOTE}")]
    for name, caption in _CAPTIONS.items():
        for svg in sorted(folder.glob(f"figures/{name}*.svg")):
            shown = svg.stem.removeprefix(f"{name}_").replace("_", " ")
            parts.append(page.picture(svg, f"{prefix}-{svg.stem}", caption.format(shown)))
    return parts


def _settings(folder: Path, config: dict[str, Any] | None) -> list[str]:
    parts = []
    for title, data in (("Configuration", config), ("Versions", _read(folder / "versions.json"))):
        if data is not None:
            parts.append(page.folded(title, facts_table(data).to_html()))
    commands = read_commands(folder)
    if commands is not None:
        parts.append(page.folded("Command", f"<pre>{escape(commands)}</pre>"))
    rows_of_tags = [(tag.name, tag.meaning, tag.unit) for tag in tags.TAGS]
    glossary = listing(("tag", "meaning", "unit"), rows_of_tags)
    return [*parts, page.folded("Glossary of tags", glossary.to_html())]


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
