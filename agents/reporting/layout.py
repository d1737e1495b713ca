"""The arrangement of curves, by questions: TensorBoard's "Custom scalars" page, and a run's report.

The first question is the first screen. Bands are drawn between the 10 % and the 90 % quantile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .. import tags

Layout = dict[str, dict[str, list[str | list[str]]]]
"""By category and chart: `["Margin", [value, lower, upper]]` or `["Multiline", [regex, ...]]`."""

_LOSSES = ("value", "policy_gradient", "policy", "actor", "critic")
QUANTILES = ("median", "p10", "p90")


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A small picture of curves.

    Args:
        title: What it shows.
        tags: Of its curves; of a band median, lower and upper end.
        is_band: Whether they are a band.
    """

    title: str
    tags: tuple[str, ...]
    is_band: bool = False


def training_panels(hyperparameters: Sequence[str]) -> dict[str, list[Panel]]:
    """Choose what a meta-training shows, by question.

    Args:
        hyperparameters: Names of those that are turned.
    """
    return {
        "1. Does it learn, and does it generalise?": [
            _band("return over tasks, 10–90 %", tags.RETURN_QUANTILE),
            _lines(
                "meta-training (explores) and meta-validation (does not)",
                *(tags.RETURN, tags.SCORE, tags.BEST_SCORE),
            ),
            _lines("share of intervals rolled back", tags.ROLLED_BACK, tags.VALIDATION_ROLLED_BACK),
        ],
        "2. What does the controller do, and when?": [
            panel for name in hyperparameters for panel in _hyperparameter_panels(name)
        ],
        "3. Does it push against its limits?": [
            _of_each(
                "share of actions at the end of their range",
                tags.ACTION_SATURATION,
                hyperparameters,
            ),
            _of_each("mean action", tags.ACTION_MEAN, hyperparameters),
        ],
        "4. Is the agent healthy?": [
            _lines("step size: KL and clip fraction", "train/approx_kl", "train/clip_fraction"),
            _lines("critic: explained variance", "train/explained_variance"),
            _lines("exploration: entropy loss", "train/entropy_loss"),
            _lines("losses", *(f"train/{part}_loss" for part in _LOSSES)),
        ],
        "5. How fast is it?": [
            _lines("environment steps a second", tags.STEPS_PER_SECOND),
            _lines("share of time in the environment", tags.ENV_SHARE),
        ],
    }


def single_run_panels(hyperparameters: Sequence[str]) -> list[Panel]:
    """Choose what a single run shows: what was set, and what followed."""
    return [
        *(
            _lines(f"{name} in force", tags.RUN_VALUE.format(hyperparameter=name))
            for name in hyperparameters
        ),
        _of_each("moves", tags.RUN_MOVE, hyperparameters),
        _lines("validation loss", tags.RUN_MEASURED.format(measurement="validation_loss")),
        _lines("training loss", tags.RUN_MEASURED.format(measurement="train_loss")),
    ]


def make_layout(hyperparameters: Sequence[str]) -> Layout:
    """Arrange the charts of meta-trainings, evaluations and single runs.

    Charts without data stay away, so that one layout serves all kinds of runs.

    Args:
        hyperparameters: Names of those that are turned.

    Example:
        >>> list(make_layout(["learning_rate"]))[0]
        '1. Does it learn, and does it generalise?'
    """
    medians = [
        tags.SCHEDULE_QUANTILE.format(hyperparameter=name, quantile="median")
        for name in hyperparameters
    ]
    schedules = [
        _lines(f"{name}: controller against schedules", tag)
        for name, tag in zip(hyperparameters, medians, strict=True)
    ]
    change = tags.SCHEDULE_LOSS.format(quantile="median")
    questions = training_panels(hyperparameters) | {
        "6. Controller and schedules on held-out tasks (per cent of the run)": [
            *schedules,
            _lines("log validation loss since the start", change),
        ],
        "7. Single runs: yours and held-out tasks (updates)": single_run_panels(hyperparameters),
    }
    return {
        question: {panel.title: _chart(panel) for panel in panels}
        for question, panels in questions.items()
    }


def _chart(panel: Panel) -> list[str | list[str]]:
    if panel.is_band:
        return ["Margin", list(panel.tags)]
    return ["Multiline", [f"^{tag}$" for tag in panel.tags]]


def _hyperparameter_panels(name: str) -> list[Panel]:
    thirds = [tags.BY_THIRD.format(hyperparameter=name, third=third) for third in tags.THIRDS]
    band = tags.QUANTILE.replace("{hyperparameter}", name)
    return [
        _band(f"{name}: median and 10–90 % of all lanes", band),
        _lines(f"{name}: median by third of the episode", *thirds),
    ]


def _band(title: str, template: str) -> Panel:
    quantiles = tuple(template.format(quantile=quantile) for quantile in QUANTILES)
    return Panel(title=title, tags=quantiles, is_band=True)


def _lines(title: str, *names: str) -> Panel:
    return Panel(title=title, tags=names)


def _of_each(title: str, template: str, hyperparameters: Sequence[str]) -> Panel:
    return _lines(title, *(template.format(hyperparameter=name) for name in hyperparameters))
