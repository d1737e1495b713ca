"""`hpo-control zoo`: the policies that we ship, their cards and figures, and how to make them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.markdown import Markdown
from rich.table import Table

from hpo_env.errors import ConfigurationError
from hpo_env.policy_file import CONTROLLER_FILE, WEIGHTS_FILE, load

from .. import zoo
from ..comparing.display import make_display
from ..whole_files import to_json_bytes, write_atomically
from .policies import policy_folder


@dataclass(frozen=True, kw_only=True)
class ListPolicies:
    """List the policies that the package ships."""


@dataclass(frozen=True, kw_only=True)
class ShowCard:
    """Show the card of a policy: trained on what, how good, where it loses, its limits.

    Args:
        name: One of the names that `hpo-control zoo list` shows.
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True)
class VerifyFigures:
    """Measure the figures of a policy again; exit code 2 when one does not hold.

    Args:
        name: One of the names that `hpo-control zoo list` shows, or the folder of a policy.
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]


@dataclass(frozen=True, kw_only=True)
class MakePolicy:
    """Make a policy from nothing: meta-train every seed, combine the best, evaluate it.

    Args:
        name: A recipe: the name of a policy, or of a family that has no recipes of its own; of a
            family outside of this package, its address, module:Class.
        family: The family whose recipe it is; found by the name when not given.
        out: Folder to write the policy and its figures to.
        run_dir: Folder of the meta-training runs; those that are complete there are kept.
    """

    name: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="NAME")]
    family: str | None = None
    out: Path
    run_dir: Path = Path("logs/zoo")


@dataclass(frozen=True, kw_only=True)
class EvaluatePolicy:
    """Write the figures of a policy, eval.json, into its folder.

    Args:
        folder: A policy folder, or a run folder that holds one.
        tasks: Tasks of each scene; each is run from every one of the family's scene starts.
    """

    folder: tyro.conf.Positional[Path]
    tasks: int = 24


ZooConfig = (
    Annotated[ListPolicies, tyro.conf.subcommand("list")]
    | Annotated[ShowCard, tyro.conf.subcommand("card")]
    | Annotated[VerifyFigures, tyro.conf.subcommand("verify")]
    | Annotated[EvaluatePolicy, tyro.conf.subcommand("evaluate")]
    | Annotated[MakePolicy, tyro.conf.subcommand("make")]
)


def main(args: Sequence[str]) -> None:
    """List, show, verify, evaluate or make, as the arguments say."""
    config: Any = tyro.cli(ZooConfig, args=list(args), prog="hpo-control zoo")
    _ACTIONS[type(config)](config)


def _list(config: ListPolicies) -> None:
    table = Table(title="policies that are shipped")
    for heading in ("name", "moves", "base schedule", "kB", "figures"):
        table.add_column(heading)
    for name in zoo.names():
        folder = zoo.folder_of(name)
        policy = load(folder)
        files = [folder / WEIGHTS_FILE, folder / CONTROLLER_FILE]
        size = sum(file.stat().st_size for file in files) / 1000
        has_figures = "yes" if (folder / zoo.EVALUATION_FILE).is_file() else "no"
        moves = ", ".join(policy.space.names)
        table.add_row(name, moves, policy.base_schedule, f"{size:.0f}", has_figures)
    Console().print(table)


def _card(config: ShowCard) -> None:
    Console().print(Markdown(zoo.read_card(config.name)))


def _verify(config: VerifyFigures) -> None:
    with make_display() as display:
        checks = zoo.verify(config.name, on_progress=display.update)
    table = Table(title=f"{config.name}: mean log test loss, shipped and measured again")
    for heading in ("scene", "opponent", "shipped", "measured", "holds"):
        table.add_column(heading)
    for check in checks:
        values = (f"{check.shipped:.4f}", f"{check.measured:.4f}", "yes" if check.holds else "NO")
        table.add_row(check.scene, check.opponent, *values)
    Console().print(table)
    failed = sum(not check.holds for check in checks)
    if failed:
        raise ConfigurationError(
            f"{failed} of {len(checks)} figures of {config.name!r} do not hold within "
            f"{zoo.TOLERANCE}: another version of the code or of the data?"
        )


def _evaluate(config: EvaluatePolicy) -> None:
    if config.tasks < 1:
        raise ConfigurationError(f"tasks must be at least 1; got {config.tasks}")
    folder = policy_folder(config.folder)
    with make_display() as display:
        data = zoo.evaluate(load(folder), num_tasks=config.tasks, on_progress=display.update)
    write_atomically(folder / zoo.EVALUATION_FILE, to_json_bytes(data))
    Console().print(f"figures: {folder / zoo.EVALUATION_FILE}", highlight=False, soft_wrap=True)


def _make(config: MakePolicy) -> None:
    from ..meta_training import meta_train

    family, recipe = zoo.find_recipe(config.name, config.family)
    members = zoo.train(family, recipe, config.run_dir, meta_train)
    zoo.ship(family, recipe, [folder / "policy" for folder in members], config.out)
    names = ", ".join(folder.name for folder in members)
    Console().print(f"policy: {config.out}, of {names}", highlight=False, soft_wrap=True)
    _evaluate(EvaluatePolicy(folder=config.out))


_ACTIONS: dict[type, Callable[[Any], None]] = {
    ListPolicies: _list,
    ShowCard: _card,
    VerifyFigures: _verify,
    EvaluatePolicy: _evaluate,
    MakePolicy: _make,
}
