"""`hpo-control evaluate`: a policy beside schedules, on the same tasks, weights and minibatches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.rendering import require_matplotlib
from hpo_env.tasks.base import Engine, Split, Suite
from hpo_env.tasks.registry import family_class

from ..comparing.comparison import Compared, Comparison, run_here
from ..comparing.display import make_display
from ..comparing.matrix import EvaluationProtocol
from ..comparing.schedules import compare_schedules
from ..family_options import FAMILY_OPTIONS
from ..reporting.closing import draw_schedules, record_comparison, to_json
from ..reporting.comparisons import terminal_tables
from ..whole_files import to_json_bytes, write_atomically
from .help_texts import asks_for_short_help, short_help, with_all_help
from .outputs import check_file, check_folder
from .policies import load_policy

PRESETS: dict[str, dict[str, int]] = {
    "quick": {"tasks": 8, "seeds": 1, "tuning_tasks": 8},
    "standard": {"tasks": 24, "seeds": 2, "tuning_tasks": 24},
    "full": {"tasks": 64, "seeds": 3, "tuning_tasks": 64},
}
"""How much to run."""

DEFAULT_OPPONENTS = (
    "default",
    "frozen",
    "constant_tuned",
    "cosine_tuned",
    "one_cycle_tuned",
    "cosine_per_optimizer",
    "random_moves",
)
"""What runs when nobody says otherwise."""


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """Compare a policy with schedules that need one run, too, on data it was not trained on.

    Args:
        policy: A policy folder (policy.safetensors and controller.json), or a run folder that holds
            one; or the name of a policy that we ship.
        hyperparameters: What can be moved, as in a loop that lacks the rest; all that the policy
            moves when not given. Opponents choose the family's leading hyperparameter alone.
        family: The task family, or module:Class; the policy's own when not given.
        family_options: Options of the family, for instance `dataset=digits model=mlp_64x2_relu`.
        split: Which side of the tasks: test for results, validation for decisions.
        preset: How much to run: quick, standard or full. Sets `tasks`, `seeds` and `tuning_tasks`;
            a flag that you give wins over it.
        tasks: Tasks to draw.
        seeds: Runs of each task from each start.
        tuning_tasks: Meta-training tasks on which opponents are tuned.
        opponents: What to compare the controller with, as in `hpo-control compare`.
        starts: Values of the leading hyperparameter that every task is started from; the family's
            own when not given.
        seed: From which tasks, weights and minibatches follow.
        engine: How inner runs are computed.
        device: Torch device of the inner training.
        json: Write all results here, every single run included.
        figure: Draw the learned schedules here, a .png, .svg or .pdf file.
        analysis: Write schedules, regret, importance and a map of the tasks here, for TensorBoard
            and for hpo-control report, which finds them in the run folder's evaluations/.

    Raises:
        UnknownNameError: No such preset; the nearest are suggested.
        ConfigurationError: A number is out of range.
    """

    policy: tyro.conf.Positional[str]
    hyperparameters: tuple[str, ...] | None = None
    family: str | None = None
    family_options: Annotated[Mapping[str, Any], FAMILY_OPTIONS] = field(default_factory=dict)
    split: Split = "test"
    preset: str = "quick"
    tasks: int | None = None
    seeds: int | None = None
    tuning_tasks: int | None = None
    opponents: tuple[str, ...] = DEFAULT_OPPONENTS
    starts: tuple[float, ...] | None = None
    seed: int = 0
    engine: Engine = "auto"
    device: str = "cpu"
    json: Path | None = None
    figure: Path | None = None
    analysis: Path | None = None

    def __post_init__(self) -> None:
        """Check names and numbers."""
        if self.preset not in PRESETS:
            raise unknown_name("preset", self.preset, PRESETS)
        for name in ("tasks", "seeds", "tuning_tasks"):
            if self.amount(name) < 1:
                raise ConfigurationError(f"{name} must be at least 1; got {self.amount(name)}")
        if self.seed < 0:
            raise ConfigurationError(f"seed must not be negative; got {self.seed}")

    def amount(self, name: str) -> int:
        """Return `tasks`, `seeds` or `tuning_tasks`, from the preset where it was not given."""
        given: int | None = getattr(self, name)
        return PRESETS[self.preset][name] if given is None else given

    def protocol(self, family: str) -> EvaluationProtocol:
        """Return how much is run of a family."""
        known = family_class(family)
        asked = {n: v for n, v in self.family_options.items() if n in known.trainer_options}
        return EvaluationProtocol(
            num_tasks=self.amount("tasks"),
            num_seeds=self.amount("seeds"),
            num_tuning_tasks=self.amount("tuning_tasks"),
            starts=(known.starts or None) if self.starts is None else self.starts,
            seed=self.seed,
            engine=self.engine,
            device=self.device,
            options=asked,
        )

    @property
    def suite(self) -> Suite:
        """What is drawn."""
        return Suite(
            name=self.split,
            help=f"{self.split} tasks",
            options={**self.family_options, "split": self.split},
        )


USUAL = (
    *("policy", "preset", "split", "opponents", "starts", "family", "family_options"),
    *("hyperparameters", "json", "figure"),
)
"""What `--help` explains."""


def main(args: Sequence[str]) -> None:
    """Evaluate as the arguments say."""
    prog = "hpo-control evaluate"
    if asks_for_short_help(args):
        print(short_help(EvaluateConfig, USUAL, prog=prog))
        return
    run(tyro.cli(EvaluateConfig, args=with_all_help(args), prog=prog))


def run(config: EvaluateConfig) -> None:
    """Compare, print the table, and write what was asked for.

    Raises:
        PolicyFileError: There is no policy, or it cannot be used.
        ConfigurationError: Something cannot be written, or the policy does not fit the family.
    """
    _check_outputs(config)  # before minutes of work, and not after
    policy = load_policy(config.policy, config.hyperparameters)
    family = config.family or policy.family
    comparison = compare_schedules(
        policy, family, [config.suite], config.protocol(family), names=config.opponents
    )
    console = Console()
    for line in comparison.remarks:
        console.print(line, highlight=False, soft_wrap=True)
    with make_display() as display:
        compared = run_here(comparison, on_progress=display.update)
    _report(config, comparison, compared)


def _report(config: EvaluateConfig, comparison: Comparison, compared: Compared) -> None:
    console, title = Console(), _title(comparison)
    is_known = family_class(comparison.family).has_trained_on
    for table in terminal_tables(compared.frame, is_known, title=title):
        console.print(table)
    written: dict[str, Path] = {}
    if config.json is not None:
        write_atomically(config.json, to_json_bytes(to_json(comparison, compared)))
        written["every run"] = config.json
    if config.figure is not None:
        draw_schedules(comparison, compared, config.split, config.figure)
        written["learned schedules"] = config.figure
    if config.analysis is not None:
        record_comparison(comparison, compared, config.split, config.analysis, title=title)
        written["for TensorBoard"] = config.analysis
    for what, path in written.items():
        console.print(f"{what}: {path}", highlight=False, soft_wrap=True)


def _title(comparison: Comparison) -> str:
    protocol, (suite,) = comparison.protocol, comparison.suites
    seeds = f"{protocol.num_seeds} seed{'s' if protocol.num_seeds > 1 else ''}"
    return f"{comparison.family}, {suite.help}: {protocol.num_tasks} tasks, {seeds}"


def _check_outputs(config: EvaluateConfig) -> None:
    if config.json is not None and config.json == config.figure:
        raise ConfigurationError(f"json and figure must be different files; got {config.json}")
    check_file(config.json)
    check_file(config.figure, endings=(".png", ".svg", ".pdf"))
    check_folder(config.analysis)
    if config.figure is not None or config.analysis is not None:
        require_matplotlib()
