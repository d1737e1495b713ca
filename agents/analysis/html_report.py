"""The analysis of a run as one HTML page, without network or script: to share, print, keep."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from html import escape
from pathlib import Path
from typing import Any

from agents import tags
from agents.analysis.curves import (
    Curves,
    Panel,
    hyperparameters_in,
    moves_figure,
    panel_figure,
    present,
    read_curves,
    single_run_panels,
    story_panels,
)
from agents.analysis.report_style import STYLE
from agents.analysis.study import read_numbers
from agents.analysis.style import inline_svg, save_figure
from agents.evaluation.report import format_interval
from agents.evaluation.statistics import Interval

_METHODS_NOTE = (
    "Lower losses are better. The difference is the method's mean log test loss less the "
    "controller's, with its 95 % interval: above 0 the controller did better; P is how often it "
    "did. All methods ran on the same tasks, initial weights and minibatches. “initial” is the "
    "controller switched off: the task's own rate on the policy's base schedule."
)
_CAPTIONS = {
    "schedules": "What the controller sets for the {}, under the loss that follows, on each "
    "held-out task; lines are medians over runs, bands reach from the 10 % to the 90 % quantile.",
    "regret": "Where it wins and where it loses: log test loss above the best method's on that "
    "task. 0 is the best; 0.1 is about 10 % more loss.",
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
        draw = partial(_drawn, folder=Path(scratch))
        parts += _training(curves, names, draw)
        parts += _single_run(curves, names, draw)
    if numbers is not None:
        parts += _study(folder, numbers, "held-out")
    for path in sorted(folder.glob("evaluations/*/analysis.json")):
        evaluated = read_numbers(path.parent)
        if evaluated is not None:
            parts += _study(path.parent, evaluated, path.parent.name)
    parts += _settings(folder, config)
    parts.append(_glossary(curves))
    body = "\n".join(part for part in parts if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n</body>\n</html>\n"
    )


Draw = Callable[[Callable[[], Any], str, str], str]
"""Draws a figure of a name and a caption, and returns the element."""


def _drawn(draw: Callable[[], Any], name: str, caption: str, *, folder: Path) -> str:
    save_figure(draw, folder, name)
    return _figure(folder / f"{name}.svg", name, caption)


def _figure(svg: Path, prefix: str, caption: str) -> str:
    picture = inline_svg(svg.read_text(), prefix=prefix, title=escape(caption, quote=True))
    return (
        f'<figure>\n<div class="wide">{picture}</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


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
    if not facts:
        return ""
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in facts)
    return f'<dl class="facts">{items}</dl>'


def _training(curves: Curves, names: Sequence[str], draw: Draw) -> list[str]:
    if tags.STEPS_PER_SECOND not in curves.scalars:
        return []
    parts = ["<h2>Meta-training</h2>"]
    caption = (
        "Is it learning, does it generalise, what does it set? Meta-training explores; "
        "meta-validation runs other tasks without exploration, and chooses the checkpoint."
    )
    parts.append(_panels(present(story_panels(names), curves), curves, draw))
    parts.append(f'<p class="note">{escape(caption)}</p>')
    for name in names:
        prefix = tags.ACTION_HISTOGRAM.split("{third}")[0].format(hyperparameter=name)
        if any(tag.startswith(prefix) for tag in curves.moves):
            caption = (
                f"How often each move of the {name} was made, in the course of meta-training; "
                "0 keeps the base schedule's course."
            )
            parts.append(draw(partial(moves_figure, curves, name), f"moves_{name}", caption))
    return parts


def _single_run(curves: Curves, names: Sequence[str], draw: Draw) -> list[str]:
    if not any(tags.RUN_VALUE.format(hyperparameter=name) in curves.scalars for name in names):
        return []
    return ["<h2>The run</h2>", _panels(present(single_run_panels(names), curves), curves, draw)]


def _panels(panels: Sequence[Panel], curves: Curves, draw: Draw) -> str:
    drawings = [
        draw(partial(panel_figure, panel, curves), f"panel_{number}", panel.title)
        for number, panel in enumerate(panels)
    ]
    return '<div class="panels">\n' + "\n".join(drawings) + "\n</div>"


def _study(folder: Path, numbers: dict[str, Any], prefix: str) -> list[str]:
    parts = [f"<h2>{escape(numbers['title'][:1].upper() + numbers['title'][1:])}</h2>"]
    parts.append(_methods_table(numbers))
    for name, caption in _CAPTIONS.items():
        for svg in sorted(folder.glob(f"figures/{name}*.svg")):
            knob = svg.stem.removeprefix(f"{name}_").replace("_", " ")
            parts.append(_figure(svg, f"{prefix}-{svg.stem}", caption.format(knob)))
    return parts


def _methods_table(numbers: dict[str, Any]) -> str:
    rows = []
    for method in numbers["methods"]:
        interval, chance = method["difference"], method["probability_of_improvement"]
        rows.append(
            (
                method["method"],
                _number(method["mean_log_test_loss"]),
                "" if interval is None else _interval(interval),
                "" if chance is None else f"{chance:.2f}",
                f"{100 * method['diverged']:.0f} %",
            )
        )
    head = ("method", "mean log test loss", "less the controller's", "P", "diverged")
    note = f"{numbers['num_runs']} runs a method, {numbers['split']} tasks. {_METHODS_NOTE}"
    return _table(head, rows) + f'<p class="note">{escape(note)}</p>'


def _interval(interval: dict[str, Any]) -> str:
    values = {k: float("nan") if v is None else v for k, v in interval.items()}
    return format_interval(Interval(**values))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _settings(folder: Path, config: dict[str, Any] | None) -> list[str]:
    parts = []
    if config is not None:
        rows = [(key, json.dumps(value)) for key, value in sorted(config.items())]
        parts.append(_folded("Configuration", _table(("setting", "value"), rows)))
    versions = _read(folder / "versions.json")
    if versions is not None:
        rows = [(key, str(value)) for key, value in sorted(versions.items())]
        parts.append(_folded("Versions", _table(("of", "version"), rows)))
    command = folder / "command.txt"
    if command.is_file():
        parts.append(_folded("Command", f"<pre>{escape(command.read_text())}</pre>"))
    return parts


def _glossary(curves: Curves) -> str:
    rows = [(tag.name, tag.meaning, tag.unit) for tag in tags.TAGS]
    return _folded("Glossary of tags", _table(("tag", "meaning", "unit"), rows))


def _folded(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>\n{content}\n</details>"


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    columns = "".join(f'<th scope="col">{escape(word)}</th>' for word in head)
    body = "\n".join(
        "<tr>"
        + f'<th scope="row">{escape(first)}</th>'
        + "".join(f"<td>{escape(word)}</td>" for word in rest)
        + "</tr>"
        for first, *rest in rows
    )
    return (
        f'<div class="wide"><table>\n<thead><tr>{columns}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _read(path: Path) -> dict[str, Any] | None:
    try:
        data = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return data if isinstance(data, dict) else None
