"""The policies that the package ships: how each is made, and how its figures are made again.

A recipe is declared by a family, see `hpo_env.tasks.base.Recipe`. `evaluate` runs a policy beside
schedules on held-out tasks and describes the outcome in plain data, `eval.json`; `verify` runs the
same again and says what differs. A policy's folder holds `policy.safetensors`, `controller.json`,
`eval.json` and its card; it need not be one of the package's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from hpo_env.addresses import file_name, is_address
from hpo_env.errors import ConfigurationError, PolicyFileError, unknown_name
from hpo_env.policy import Policy
from hpo_env.policy_file import CONTROLLER_FILE, load, save
from hpo_env.restriction import restrict
from hpo_env.shipped import shipped
from hpo_env.tasks.base import Recipe, Suite
from hpo_env.tasks.registry import FAMILIES, family_class

from .comparing.comparison import OnProgress, run_here
from .comparing.matrix import EvaluationProtocol
from .comparing.records import REFERENCE
from .comparing.schedules import compare_schedules
from .config import TrainConfig
from .ensemble import combine, interpolate
from .familiarity_fit import fit_familiarity
from .initial_weights import initial_policy
from .run_folder import RunFolder, run_prefix
from .statistics.aggregate import OpponentSummary, summarise_suite
from .statistics.pairing import PairedRuns, pair_runs

EVALUATION_FILE = "eval.json"
CARD_FILE = "card.md"

TOLERANCE = 0.01
"""Log loss that a mean may move by: processors round differently, and a run in which a rounding
decides between two moves ends elsewhere."""


def names() -> tuple[str, ...]:
    """List the policies that are there."""
    return tuple(sorted(shipped()))


def folder_of(name: str) -> Path:
    """Return the folder of a policy that we ship, or of any other policy.

    Args:
        name: The name of one that we ship, or the path of a policy's folder.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    if name in shipped():
        return shipped()[name]
    if (Path(name) / CONTROLLER_FILE).is_file():
        return Path(name)
    raise unknown_name("policy of the zoo", name, names())


# ---------------------------------------------------------------------------------------- figures


def scenes(family: str) -> tuple[Suite, ...]:
    """Return what policies of a family are evaluated on."""
    known = family_class(family)
    return known.suites if known.scenes is None else known.scenes


def starts(family: str) -> tuple[float, ...] | None:
    """Return what every task of a scene is started from; None keeps what the tasks drew."""
    known = family_class(family)
    return (known.starts if known.scene_starts is None else known.scene_starts) or None


def evaluate(
    policy: Policy, *, num_tasks: int = 24, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Run a policy beside schedules on every scene.

    Args:
        policy: The policy.
        num_tasks: Tasks of a scene; each is run from every one of the family's scene starts.
        on_progress: Called as the work goes on.

    Returns:
        Plain data: for each scene the summaries of all opponents, and the log test loss of each run
        of the controller, in the order of the scene's tasks.
    """
    protocol = EvaluationProtocol(
        num_tasks=num_tasks,
        num_seeds=1,
        num_tuning_tasks=num_tasks,
        starts=starts(policy.family),
    )
    comparison = compare_schedules(policy, policy.family, scenes(policy.family), protocol)
    frame = run_here(comparison, on_progress=on_progress).frame
    return {
        "num_tasks": num_tasks,
        "scenes": {
            runs.suite: {
                "summary": _summary(runs),
                "controller_log_test_losses": _in_order(
                    runs, [str(i.lane_seed) for i in comparison.instances(runs.suite)]
                ),
            }
            for runs in pair_runs(frame)
        },
    }


def _summary(runs: PairedRuns) -> list[dict[str, Any]]:
    """Describe every opponent in plain data, the controller first and then the best first."""
    summaries = sorted(summarise_suite(runs), key=lambda s: s.opponent != REFERENCE)
    return [_row(summary) for summary in summaries]


def _row(summary: OpponentSummary) -> dict[str, Any]:
    against = summary.against
    compared = None if against is None else asdict(against.difference.runs)
    return {
        "opponent": summary.opponent,
        "num_runs": summary.num_runs,
        "mean_log_test_loss": summary.mean,
        "iqm_log_test_loss": summary.iqm,
        "diverged": summary.diverged,
        "difference": compared,
        "probability_of_improvement": None if against is None else against.probability.value,
        "wins": 0 if against is None else against.wins,
        "ties": summary.num_runs if against is None else against.ties,
        "losses": 0 if against is None else against.losses,
        "worst_task": None if against is None else against.hardest_task,
        "worst_difference": None if against is None else against.hardest_difference,
    }


def _in_order(runs: PairedRuns, units: Sequence[str]) -> list[float]:
    """List the controller's losses by the given units, each unit's starts from the lowest."""
    ordered = runs.reference.sort_values("start", kind="stable")
    place = {unit: i for i, unit in enumerate(dict.fromkeys(units))}
    ordered = ordered.sort_values("unit", kind="stable", key=lambda column: column.map(place))
    losses: list[float] = ordered["log_test_loss"].round(6).tolist()
    return losses


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Read the figures that a policy came with.

    Raises:
        PolicyFileError: There are none, or the file is damaged.
    """
    path = folder / EVALUATION_FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        data["num_tasks"], _means(data)
    except (OSError, ValueError, KeyError) as error:
        raise PolicyFileError(f"{path}: no figures to verify: {error!r}") from error
    return data


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure, as it came and as it was measured again.

    Args:
        scene: What was evaluated on.
        opponent: The opponent's name.
        shipped: Mean log test loss in `eval.json`.
        measured: The same, measured now.
    """

    scene: str
    opponent: str
    shipped: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether the two agree within `TOLERANCE`."""
        return abs(self.shipped - self.measured) <= TOLERANCE


def verify(name: str, *, on_progress: OnProgress | None = None) -> list[Check]:
    """Measure the figures of a policy again.

    Args:
        name: A policy of the zoo, or a policy's folder.
        on_progress: Called as the work goes on.

    Returns:
        A check for each scene and opponent.

    Raises:
        UnknownNameError: There is no such policy.
        PolicyFileError: It has no figures, or its files are damaged; or the figures are not of what
            is measured now.
    """
    folder = folder_of(name)
    shipped = read_evaluation(folder)
    measured = evaluate(load(folder), num_tasks=shipped["num_tasks"], on_progress=on_progress)
    then, now = _means(shipped), _means(measured)
    if {scene: set(row) for scene, row in then.items()} != {s: set(row) for s, row in now.items()}:
        raise PolicyFileError(
            f"{folder / EVALUATION_FILE}: its scenes and opponents are not those of today; "
            f"write it anew: hpo-control zoo evaluate {folder}"
        )
    return [
        Check(scene=scene, opponent=opponent, shipped=mean, measured=now[scene][opponent])
        for scene, by_opponent in then.items()
        for opponent, mean in by_opponent.items()
    ]


def _means(data: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        scene: {row["opponent"]: row["mean_log_test_loss"] for row in entry["summary"]}
        for scene, entry in data["scenes"].items()
    }


def read_card(name: str) -> str:
    """Return the card of a policy, Markdown.

    Raises:
        UnknownNameError: There is no such policy.
        ConfigurationError: It has no card.
    """
    path = folder_of(name) / CARD_FILE
    if not path.is_file():
        raise ConfigurationError(f"policy {name!r} has no card: {path} is missing")
    return path.read_text()


# ---------------------------------------------------------------------------------------- recipes


def find_recipe(name: str, family: str | None = None) -> tuple[str, Recipe]:
    """Return how a policy is made, with the family that it is of.

    Args:
        name: A recipe's; or the address of a family, whose first recipe is meant.
        family: Where to look; all registered families when not given.

    Raises:
        UnknownNameError: There is no such recipe; the nearest are suggested.
        ConfigurationError: The address leads nowhere.
    """
    if is_address(name):
        return name, family_class(name).all_recipes()[0]
    searched = FAMILIES if family is None else (family,)
    known = {r.name: (f, r) for f in searched for r in family_class(f).all_recipes()}
    if name not in known:
        raise unknown_name("recipe", name, known)
    return known[name]


def recipe_config(family: str, recipe: Recipe) -> TrainConfig:
    """Return the meta-training of a recipe."""
    return TrainConfig.of(family=family, **recipe.settings)


def train(
    family: str, recipe: Recipe, run_dir: Path, meta_train: Callable[[TrainConfig], Path]
) -> list[Path]:
    """Train every seed of a recipe.

    Args:
        family: The family that it is of.
        recipe: The recipe.
        run_dir: Folder of the run folders; a seed that is complete there is not trained again.
        meta_train: Trains one configuration and returns its run folder.

    Returns:
        The run folders of the seeds that make up the policy, the best on meta-validation tasks,
        best first.
    """
    runs = [_trained(family, recipe, seed, run_dir, meta_train) for seed in recipe.seeds]
    runs.sort(key=lambda folder: -_result(folder)["score"])
    return runs[: recipe.members]


def _trained(
    family: str,
    recipe: Recipe,
    seed: int,
    run_dir: Path,
    meta_train: Callable[[TrainConfig], Path],
) -> Path:
    """Train one seed, after that of the recipe that it begins with."""
    folder = run_dir / file_name(recipe.runs)
    config = replace(recipe_config(family, recipe), seed=seed, run_dir=folder)
    finished = _finished(config)
    if finished is not None:
        return finished
    if recipe.initial is not None:
        _, earlier = find_recipe(recipe.initial, family)
        run = _trained(family, earlier, seed, run_dir, meta_train)
        begun = run if recipe.begins_with == "networks" else RunFolder(run).policy
        config = replace(config, initial=begun)
    return meta_train(config)


def ship(family: str, recipe: Recipe, members: Sequence[Path], out: Path) -> Path:
    """Make one policy of its members, and write it where it is shipped from.

    Args:
        family: The family that the recipe is of.
        recipe: The recipe.
        members: Policy folders of the seeds that make it up.
        out: The folder to write.
    """
    policies = [_between(load(folder), recipe.learned_share) for folder in members]
    together = combine(policies)
    config = recipe_config(family, recipe)
    known = fit_familiarity(
        together,
        seed=0,
        availability=config.availability,
        learned_start=config.learned_start,
        **config.family_options,
    )
    metadata = _metadata([p.metadata for p in policies])
    if recipe.initial is not None:  # by its recipe: where it lay means nothing elsewhere
        metadata["config"] |= {"initial": recipe.initial}
        metadata["learned_share"] = recipe.learned_share
    whole = replace(known, metadata=metadata, scope=recipe.scope, lowest=recipe.lowest)
    return save(whole if recipe.keeps is None else restrict(whole, recipe.keeps), out)


def _between(policy: Policy, share: float) -> Policy:
    """Return what lies between a policy and the one that its meta-training began with."""
    if share == 1.0:
        return policy
    config = policy.metadata["config"]
    return interpolate(initial_policy(Path(config["initial"]), config["seed"]), policy, share)


def _metadata(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe an ensemble: what its members share, and what each has of its own."""
    own = ("env_steps", "meta_validation_score", "created")
    shared = {key: value for key, value in members[0].items() if key not in own}
    shared["config"] = {k: v for k, v in members[0]["config"].items() if k != "seed"}
    each = [{"seed": m["config"]["seed"], **{key: m[key] for key in own}} for m in members]
    return shared | {"members": each}


def _finished(config: TrainConfig) -> Path | None:
    for path in sorted(config.run_dir.glob(f"{run_prefix(config)}-*/result.json")):
        if _result(path.parent)["complete"]:
            return path.parent
    return None


def _result(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return data
