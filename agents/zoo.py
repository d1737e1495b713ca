"""The policies that the package ships: how each is made, and how its figures are made again.

A recipe is a configuration of meta-training, and what of its outcome is kept. `evaluate` runs a
policy beside schedules on held-out tasks and describes the outcome in plain data, `eval.json`;
`verify` runs the same again and says what differs. A policy's folder holds `policy.safetensors`,
`controller.json`, `eval.json` and its card.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from agents.config import TrainConfig
from agents.ensemble import combine
from agents.evaluation.comparison import OnStage, Plan, compare
from agents.evaluation.statistics import summarize
from agents.familiarity_fit import fit_familiarity
from agents.run_folder import run_prefix
from hpo_env.controller import ZOO
from hpo_env.errors import ConfigurationError, PolicyFileError, unknown_name
from hpo_env.policy import Policy
from hpo_env.policy_file import CONTROLLER_FILE, load, save
from hpo_env.restriction import restrict

EVALUATION_FILE = "eval.json"
CARD_FILE = "card.md"

TOLERANCE = 0.01
"""Log loss that a mean may move by: processors round differently, and a run in which a rounding
decides between two moves ends elsewhere."""

_METHODS = (
    "constant",
    "initial",
    "constant_tuned",
    "cosine_tuned",
    "one_cycle_tuned",
    "cosine_per_optimizer",
    "one_cycle_per_optimizer",
)
_RATES = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
_SCENES: dict[str, dict[str, Any]] = {
    "validation": {"split": "validation"},
    "interpolation": {"split": "test", "options": {"architectures": "train"}},
    "new models": {"split": "test"},
}
"""What a policy is evaluated on: the tasks that decisions were taken on, new data sets under models
of meta-training, and new data sets under new models."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a policy is made.

    Args:
        help: What it is, in one line.
        config: Its meta-training.
        runs: Name of the folder of its seeds; recipes that share it share them.
        keeps: Hyperparameters that the policy moves; all that it was trained on when None.
        seeds: Meta-training seeds.
        members: How many of the seeds, the best on meta-validation tasks, make up the policy.
    """

    help: str
    config: TrainConfig
    runs: str
    keeps: tuple[str, ...] | None = None
    seeds: tuple[int, ...] = (0, 1, 2, 3, 4)
    members: int = 3

    @property
    def hyperparameters(self) -> tuple[str, ...] | None:
        """What the policy moves; None leaves it to the family."""
        return self.keeps or self.config.hyperparameters


_COMMON = TrainConfig.of(
    preset="quick",
    segment_steps=150_000,
    num_envs=384,
    batch_size=1536,
    gae_lambda=0.96,
    ent_coef=0.006,
    validation_lanes=256,
)
_OPTIMIZER = ("learning_rate", "weight_decay", "momentum")

_SUPERVISED = Recipe(
    help="all hyperparameters that leave the cost of an update alone, or those that there are",
    runs="supervised",
    config=replace(
        _COMMON,
        steps=1_200_000,
        availability=0.0,
        hyperparameters=(*_OPTIMIZER, "dropout", "label_smoothing", "gradient_clip"),
    ),
)
_SUPERVISED_OPTIMIZER = Recipe(
    help="what an optimiser has: learning rate, weight decay and momentum",
    runs="supervised-optimizer",
    config=replace(_COMMON, steps=750_000, hyperparameters=_OPTIMIZER),
)

RECIPES: dict[str, Recipe] = {
    "supervised": _SUPERVISED,
    "supervised-optimizer": _SUPERVISED_OPTIMIZER,
    "supervised-lr": replace(_SUPERVISED, help="the learning rate alone", keeps=("learning_rate",)),
}
"""Recipe of each policy that we ship."""


def names() -> tuple[str, ...]:
    """List the policies that are there."""
    return tuple(sorted(path.parent.name for path in ZOO.glob(f"*/{CONTROLLER_FILE}")))


def folder_of(name: str) -> Path:
    """Return the folder of a policy that we ship.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
    """
    if name not in names():
        raise unknown_name("policy of the zoo", name, names())
    return ZOO / name


def plans(policy: Policy, *, num_tasks: int) -> dict[str, Plan]:
    """Return what a policy is evaluated on, by scene."""
    return {
        scene: Plan(
            family=policy.family,
            num_tasks=num_tasks,
            num_tuning_tasks=num_tasks,
            methods=_METHODS,
            initial_rates=_RATES,
            **options,
        )
        for scene, options in _SCENES.items()
    }


def evaluate(
    policy: Policy, *, num_tasks: int = 24, on_stage: OnStage | None = None
) -> dict[str, Any]:
    """Run a policy beside schedules on every scene.

    Args:
        policy: The policy.
        num_tasks: Tasks of a scene; each is run from five initial rates.
        on_stage: Called as the work goes on.

    Returns:
        Plain data: for each scene the summaries of all methods, and the log test loss of each run
        of the controller, in the order of the plan's tasks.
    """
    tuned: Mapping[str, Any] = {}
    scenes = {}
    for scene, plan in plans(policy, num_tasks=num_tasks).items():
        comparison = compare(policy, plan, on_stage=on_stage, tuned=tuned)
        tuned = comparison.tuned
        controller = comparison.results["controller"]
        scenes[scene] = {
            "summary": [asdict(summary) for summary in summarize(comparison.results)],
            "controller_log_test_losses": controller.log_test_loss.round(6).tolist(),
        }
    return {"num_tasks": num_tasks, "scenes": scenes}


def read_evaluation(folder: Path) -> dict[str, Any]:
    """Read the figures that a policy came with.

    Raises:
        PolicyFileError: There are none, or the file is damaged.
    """
    path = folder / EVALUATION_FILE
    try:
        data: dict[str, Any] = json.loads(path.read_text())
        data["num_tasks"], data["scenes"]
    except (OSError, ValueError, KeyError) as error:
        raise PolicyFileError(f"{path}: no figures to verify: {error!r}") from error
    return data


@dataclass(frozen=True, kw_only=True)
class Check:
    """One figure, as it came and as it was measured again.

    Args:
        scene: What was evaluated on.
        method: The method's name.
        shipped: Mean log test loss in `eval.json`.
        measured: The same, measured now.
    """

    scene: str
    method: str
    shipped: float
    measured: float

    @property
    def holds(self) -> bool:
        """Whether the two agree within `TOLERANCE`."""
        return abs(self.shipped - self.measured) <= TOLERANCE


def verify(name: str, *, on_stage: OnStage | None = None) -> list[Check]:
    """Measure the figures of a policy again.

    Args:
        name: A policy of the zoo.
        on_stage: Called as the work goes on.

    Returns:
        A check for each scene and method.

    Raises:
        UnknownNameError: There is no such policy.
        PolicyFileError: It has no figures, or its files are damaged.
    """
    folder = folder_of(name)
    shipped = read_evaluation(folder)
    measured = evaluate(load(folder), num_tasks=shipped["num_tasks"], on_stage=on_stage)
    return [
        Check(scene=scene, method=method, shipped=mean, measured=now[scene][method])
        for now in [_means(measured)]
        for scene, by_method in _means(shipped).items()
        for method, mean in by_method.items()
    ]


def _means(data: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    return {
        scene: {row["method"]: row["mean_log_test_loss"] for row in entry["summary"]}
        for scene, entry in data["scenes"].items()
    }


def recipe(name: str) -> Recipe:
    """Return how a policy is made.

    Raises:
        UnknownNameError: There is no such recipe; the nearest are suggested.
    """
    if name not in RECIPES:
        raise unknown_name("recipe", name, RECIPES)
    return RECIPES[name]


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


def train(name: str, run_dir: Path, meta_train: Callable[[TrainConfig], Path]) -> list[Path]:
    """Train every seed of a recipe.

    Args:
        name: A recipe.
        run_dir: Folder of the run folders; a seed that is complete there is not trained again.
        meta_train: Trains one configuration and returns its run folder.

    Returns:
        The run folders of the seeds that make up the policy, the best on meta-validation tasks,
        best first.
    """
    chosen = recipe(name)
    runs = []
    for seed in chosen.seeds:
        config = replace(chosen.config, seed=seed, run_dir=run_dir / chosen.runs)
        runs.append(_finished(config) or meta_train(config))
    runs.sort(key=lambda folder: -_result(folder)["score"])
    return runs[: chosen.members]


def ship(name: str, members: Sequence[Path], out: Path) -> Path:
    """Make one policy of its members, and write it where it is shipped from.

    Args:
        name: The recipe.
        members: Policy folders of the seeds that make it up.
        out: The folder to write.
    """
    policies = [load(folder) for folder in members]
    together = combine(policies)
    chosen = recipe(name)
    config = chosen.config
    known = fit_familiarity(
        together, seed=0, availability=config.availability, **config.family_options
    )
    whole = replace(known, metadata=_metadata([p.metadata for p in policies]))
    return save(whole if chosen.keeps is None else restrict(whole, chosen.keeps), out)


def _metadata(members: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Describe an ensemble: what its members share, and what each has of its own."""
    own = ("env_steps", "meta_validation_score", "created")
    shared = {key: value for key, value in members[0].items() if key not in own}
    shared["config"] = {k: v for k, v in members[0]["config"].items() if k != "seed"}
    each = [{"seed": m["config"]["seed"], **{key: m[key] for key in own}} for m in members]
    return shared | {"members": each}


def _finished(config: TrainConfig) -> Path | None:
    pattern = f"{run_prefix(config)}-*/result.json"
    for path in sorted(config.run_dir.glob(pattern)):
        if _result(path.parent)["complete"]:
            return path.parent
    return None


def _result(folder: Path) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((folder / "result.json").read_text())
    return data
