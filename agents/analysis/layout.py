"""The arrangement of TensorBoard's "Custom scalars" page: the first screen tells the story.

Each category is a question. Bands are drawn between the 10 % and the 90 % quantile.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents import tags

Layout = dict[str, dict[str, list[str | list[str]]]]
"""By category and chart: `["Margin", [value, lower, upper]]` or `["Multiline", [regex, ...]]`."""

QUANTILES = ("median", "p10", "p90")


def make_layout(hyperparameters: Sequence[str]) -> Layout:
    """Arrange the charts of meta-trainings, evaluations and single runs.

    Charts without data stay away, so that one layout serves all kinds of runs.

    Args:
        hyperparameters: Names of those that are turned.

    Example:
        >>> list(make_layout(["learning_rate"]))[0]
        '1. Does it learn, and does it generalise?'
    """
    return {
        "1. Does it learn, and does it generalise?": {
            "return over tasks, 10–90 %": _band(tags.RETURN_QUANTILE),
            "meta-training (explores) and meta-validation (does not)": _lines(
                tags.RETURN, tags.SCORE, tags.BEST_SCORE
            ),
            "share of intervals taken back": _lines(tags.ROLLED_BACK, tags.VALIDATION_ROLLED_BACK),
        },
        "2. What does the controller do, and when?": {
            chart: content
            for name in hyperparameters
            for chart, content in _hyperparameter_charts(name).items()
        },
        "3. Does it push against its limits?": {
            "share of actions at the end of their range": ["Multiline", ["^actions/.*/saturated_"]],
            "mean action": ["Multiline", ["^actions/.*/mean$"]],
        },
        "4. Is the agent healthy?": {
            "step size: KL and clip fraction": _lines("train/approx_kl", "train/clip_fraction"),
            "critic: explained variance": _lines("train/explained_variance"),
            "exploration: entropy loss": _lines("train/entropy_loss"),
            "losses": ["Multiline", ["^train/(value|policy_gradient|policy|actor|critic)_loss$"]],
        },
        "5. How fast is it?": {
            "environment steps a second": _lines(tags.STEPS_PER_SECOND),
            "share of time in the environment": _lines(tags.ENV_SHARE),
        },
        "6. Controller and schedules on held-out tasks (per cent of the run)": {
            **{
                f"{name}: controller against schedules": _lines(
                    tags.SCHEDULE_QUANTILE.format(hyperparameter=name, quantile="median")
                )
                for name in hyperparameters
            },
            "log validation loss since the start": _lines(
                tags.SCHEDULE_LOSS.format(quantile="median")
            ),
        },
        "7. Single runs: yours and held-out tasks (updates)": {
            **{
                f"{name} in force": _lines(tags.RUN_VALUE.format(hyperparameter=name))
                for name in hyperparameters
            },
            "validation loss": _lines(tags.RUN_MEASURED.format(measurement="validation_loss")),
            "training loss": _lines(tags.RUN_MEASURED.format(measurement="train_loss")),
        },
    }


def _hyperparameter_charts(name: str) -> dict[str, list[str | list[str]]]:
    thirds = [tags.BY_THIRD.format(hyperparameter=name, third=third) for third in tags.THIRDS]
    return {
        f"{name}: median and 10–90 % of all lanes": _band(
            tags.QUANTILE.replace("{hyperparameter}", name)
        ),
        f"{name}: median by third of the episode": _lines(*thirds),
    }


def _band(template: str) -> list[str | list[str]]:
    return ["Margin", [template.format(quantile=quantile) for quantile in QUANTILES]]


def _lines(*names: str) -> list[str | list[str]]:
    return ["Multiline", [f"^{name}$" for name in names]]
