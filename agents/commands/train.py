"""`hpo-control train`, which is also `python meta_train.py`."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

import tyro

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.registry import FAMILIES

from ..config import PRESETS, TrainConfig
from ..learners.registry import LEARNERS
from .help_texts import asks_for_short_help, short_help, with_all_help

USUAL = (
    *("family", "agent", "preset", "steps", "seed", "num_envs"),
    *("hyperparameters", "family_options", "num_workers", "run_dir", "resume", "tracker"),
)
"""What `--help` explains."""

_DECIDE_DEFAULTS = ("family", "agent", "algorithm", "preset")
_WITH_RESUME = ("--resume", "--progress", "--family-options", "--tracker")


def main(args: Sequence[str]) -> None:
    """Train as the arguments say."""
    if asks_for_short_help(args):
        print(help_text())
        return
    config = parse(with_all_help(args))
    from ..meta_training import meta_train  # brings TensorBoard, which --help can do without

    folder = meta_train(config)
    if config.progress != "quiet":
        print(f"done. Outcome: {folder / 'result.json'}")
        print(f"curves: hpo-control dashboard {folder.parent}")


def help_text() -> str:
    """Return what `--help` prints."""
    return short_help(
        TrainConfig,
        USUAL,
        prog="hpo-control train",
        names={"family": FAMILIES, "agent": LEARNERS, "preset": PRESETS},
        more="An agent has settings of its own, such as --learning-rate.",
    )


def parse(args: Sequence[str]) -> TrainConfig:
    """Turn command-line arguments into a configuration.

    The preset, the agent and the family decide which other settings there are and what their
    defaults are, so they are read first: `--help-all` shows the values that would be in force.

    Raises:
        ConfigurationError: A setting cannot be, or `--resume` came with settings of its own.
        UnknownNameError: A name is in no registry; the nearest are suggested.
    """
    flags = [arg.partition("=")[0] for arg in args if arg.startswith("--")]
    words = [flag.replace("_", "-") for flag in flags]
    if "--resume" in words:
        extra = sorted(set(words) - set(_WITH_RESUME))
        if extra:
            raise ConfigurationError(
                f"--resume goes on with the run's own settings and takes no others; got {extra}. "
                "Leave them out, or start a new run"
            )
        return _cli(args, TrainConfig())
    given = {name: _value_of(name, args) for name in _DECIDE_DEFAULTS}
    decisive: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    # What has to fit other settings, such as a batch size, waits until those are known.
    return _cli(args, TrainConfig(**decisive).filled()).resolved()


def _cli(args: Sequence[str], default: TrainConfig) -> TrainConfig:
    return tyro.cli(TrainConfig, args=list(args), default=default)


def _value_of(name: str, args: Sequence[str]) -> str | None:
    """Return the last value that the arguments give to a flag."""
    value = None
    for flag, following in zip_longest(args, args[1:]):
        if flag == f"--{name}":
            value = following
        elif flag.startswith(f"--{name}="):
            value = flag.partition("=")[2]
    return value
