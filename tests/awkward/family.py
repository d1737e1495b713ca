"""A family unlike the others: players look for a hidden point, and nothing here is a rate.

It is all that a family outside of this package is: one folder. Its imports are relative, so that
the folder works wherever it is put. What is awkward about it:

- its tasks have fields called `game` and `optimizer`, and the second means something of its own;
- no learning rate and nothing that a schedule multiplies: a whole number and a linear width;
- a learned start that tells games apart, and is not where runs begin unless somebody says so;
- a validation loss that reaches 0, a training loss below 0, and hosts that cannot roll back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.hyperparameters import Hyperparameter
from hpo_env.starts import LearnedStart, Problem, StartCase
from hpo_env.tasks.array import check_array_engine
from hpo_env.tasks.bands import draw_banded
from hpo_env.tasks.base import Engine, Split, Suite, Task, TaskFamily, Trainer, check_choice

from .trainer import GAMES, MAX_TRIES, OPTIMIZERS, AwkwardTrainer

_DISTANCES = (0.3, 3.0)
_WIDTHS = (0.05, 2.0)
_DEFAULT_DECISIONS = 6


@dataclass(frozen=True, kw_only=True)
class AwkwardTask(Task):
    """A hidden point and a player who looks for it.

    Args:
        game: How the loss grows with the distance: one of `GAMES`.
        optimizer: Whom the player follows among its tries: one of `OPTIMIZERS`.
        distance: Between the start and the hidden point.
    """

    game: str
    optimizer: str
    distance: float

    @property
    def labels(self) -> Mapping[str, str]:
        """The game; the way of playing it tells nobody anything."""
        return {"game": self.game}

    @property
    def alike(self) -> tuple[str, str]:
        """Games that one call could play at once."""
        return self.optimizer, self.game


class AwkwardFamily(TaskFamily):
    """Players of random games; splits hold different distances.

    Args:
        split: Which distances.
        num_decisions: Decision intervals of every task.
        game: Only this one.
        rounds: Rounds that are played in one interval.
    """

    name: ClassVar[str] = "awkward"
    hyperparameters: ClassVar[tuple[Hyperparameter, ...]] = (
        Hyperparameter(
            name="tries",
            low=1.0,
            high=float(MAX_TRIES),
            default=4.0,
            max_step=4.0,
            scale="log_integer",
        ),
        Hyperparameter(
            name="width",
            low=0.0,
            high=12.0,
            default=0.5,
            max_step=2.0,
            scale="linear",
            retreat=-1.0,
            is_always_available=True,
        ),
    )
    default_controlled: ClassVar[tuple[str, ...]] = ("width", "tries")
    starts: ClassVar[tuple[float, ...]] = (0.1, 2.0)
    learned_start: ClassVar[LearnedStart | None] = LearnedStart(
        cases=(
            StartCase(kind="bowl", values={"tries": 8.0, "width": 0.8}),
            StartCase(values={"tries": 6.0, "width": 0.3}),
        ),
        is_default=False,
    )
    published_settings: ClassVar[Mapping[str, LearnedStart]] = {
        "lightgbm_slow": LearnedStart(cases=(StartCase(values={"width": 0.6}),)),
    }
    suites: ClassVar[tuple[Suite, ...]] = (
        Suite(
            name="validation",
            help="distances of meta-validation; for decisions, not for results",
            options={"split": "validation"},
            is_for_results=False,
        ),
        Suite(name="distance", help="new distances", options={"split": "test"}),
        Suite(
            name="slope",
            help="new distances, slopes alone, twice as many rounds",
            options={"split": "test", "game": "slope", "rounds": 6},
        ),
    )
    quick_suites: ClassVar[tuple[str, ...] | None] = ("distance",)
    trainer_options: ClassVar[tuple[str, ...]] = ("rounds",)
    agent_settings: ClassVar[Mapping[str, Mapping[str, Any]]] = {"ppo": {"n_steps": 6}}
    can_roll_back: ClassVar[bool] = False
    twin: ClassVar[str | None] = f"{__package__}.player:play"
    loss_floor: ClassVar[float] = 1e-2

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        game: str | None = None,
        rounds: int = 3,
    ) -> None:
        super().__init__(split=split, num_decisions=num_decisions)
        if game is not None and game not in GAMES:
            raise unknown_name("game", game, GAMES)
        if rounds < 1:
            raise ConfigurationError(f"rounds must be a positive integer; got {rounds}")
        self.games = tuple(GAMES) if game is None else (game,)
        self.updates_per_decision = rounds

    def sample(self, rng: np.random.Generator) -> AwkwardTask:
        """Draw a game, a way of playing it, the distance and the initial values."""
        return AwkwardTask(
            name="point",
            num_decisions=self.num_decisions or _DEFAULT_DECISIONS,
            initial=(4.0, float(np.exp(rng.uniform(*np.log(_WIDTHS))))),
            game=self.games[int(rng.integers(len(self.games)))],
            optimizer=OPTIMIZERS[int(rng.integers(len(OPTIMIZERS)))],
            distance=draw_banded(rng, *_DISTANCES, self.split),
        )

    def problem(self, task: Task) -> Problem:
        """Say which game it is."""
        return Problem(kind=task.labels["game"])

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; engine "auto" or "eager", device "cpu"."""
        check_choice("engine", engine, Engine)
        check_array_engine(self.name, engine, device)
        return AwkwardTrainer(num_lanes, rounds=self.updates_per_decision)
