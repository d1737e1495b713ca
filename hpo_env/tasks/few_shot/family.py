"""Few-shot tasks as a family: a run adapts a learned initialisation to a handful of rows.

A decision is taken every second step of adaptation. What is to fall is the loss of query rows,
which whoever has only the handful cannot know: it makes the reward and is never observed. What is
observed are the rows adapted to, and a few that are held back, or copies of images where there are
too few to hold any back.

Scripts, tables and digits of the three sides are different ones; sinusoids of all sides are drawn
from one distribution.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.array import check_array_engine
from hpo_env.tasks.base import Engine, Split, Suite, Task, TaskFamily, Trainer, check_choice
from hpo_env.tasks.few_shot.distribution import (
    DECISIONS,
    MIXED,
    SHAPES,
    STEPS_PER_DECISION,
    Source,
)
from hpo_env.tasks.few_shot.features import FEATURES
from hpo_env.tasks.few_shot.preparation import source_of
from hpo_env.tasks.few_shot.recipes import PPO_SETTINGS, RECIPES
from hpo_env.tasks.few_shot.space import HYPERPARAMETERS, NAMES
from hpo_env.tasks.few_shot.starts import Start, draw_start
from hpo_env.tasks.few_shot.task import FewShotTask
from hpo_env.tasks.few_shot.trainer import FewShotTrainer


class FewShotFamily(TaskFamily):
    """Problems with a handful of rows.

    Args:
        split: Which scripts, tables or digits.
        num_decisions: Of every run; None draws 5, 10 or 15.
        source: "characters" (needs fonts of Debian packages, see `hpo_env.few_shot.characters`),
            "digits", "tables" or "sinusoids"; None draws from all but the digits.
        ways: Classes of a task; None draws.
        shots: Rows to adapt to, of each class where there are classes; None draws.
        start: "default" for the learned rates as they are, "random" for any, "mixed" for both.

    Raises:
        UnknownNameError: There is no such source or start.
        ConfigurationError: `ways` or `shots` belong to no source that was asked for.
    """

    name = "few_shot"
    hyperparameters: ClassVar = HYPERPARAMETERS
    default_controlled = NAMES
    starts = (0.1, 1.0, 10.0)
    suites = (
        Suite(
            name="validation",
            help="scripts and tables for decisions; not for results",
            options={"split": "validation", "start": "default"},
            is_for_results=False,
        ),
        Suite(
            name="scripts",
            help="characters of scripts that nothing was learned or chosen on",
            options={"split": "test", "start": "default", "source": "characters"},
        ),
        Suite(
            name="digits",
            help="handwritten digits",
            options={"split": "test", "start": "default", "source": "digits"},
        ),
        Suite(
            name="tables",
            help="rows of tables that nothing was learned or chosen on",
            options={"split": "test", "start": "default", "source": "tables"},
        ),
        Suite(
            name="sinusoids",
            help="sines, drawn as those of training are",
            options={"split": "test", "start": "default", "source": "sinusoids"},
        ),
    )
    scene_starts = ()  # the learned rates
    recipes = RECIPES
    agent_settings: ClassVar = {"ppo": PPO_SETTINGS}
    features: ClassVar[Mapping[str, str]] = FEATURES
    capabilities = frozenset({"gradients"})
    is_loss_hidden = True
    loss_floor = 1e-3
    updates_per_decision = STEPS_PER_DECISION

    def __init__(
        self,
        *,
        split: Split = "train",
        num_decisions: int | None = None,
        source: Source | None = None,
        ways: int | None = None,
        shots: int | None = None,
        start: Start = "mixed",
    ) -> None:
        super().__init__(split=split, num_decisions=num_decisions)
        if source is not None:
            check_choice("source", source, Source)
        check_choice("start", start, Start)
        self.start: Start = start
        self.sources: tuple[Source, ...] = MIXED if source is None else (source,)
        self.shapes = {name: _shapes(name, ways, shots) for name in self.sources}
        self.sources = tuple(name for name in self.sources if self.shapes[name])
        if not self.sources:
            known = {name: SHAPES[name] for name in self.shapes}
            raise ConfigurationError(
                f"ways and shots must be one of the pairs {known}; got ways={ways}, shots={shots}"
            )

    def sample(self, rng: np.random.Generator) -> FewShotTask:
        """Draw a source, classes and shots, the problem itself, and initial values."""
        for name in self.sources:  # whose data are missing is told now, not at one draw in three
            source_of(name, *self.shapes[name][0])
        source = self.sources[int(rng.integers(len(self.sources)))]
        shapes = self.shapes[source]
        ways, shots = shapes[int(rng.integers(len(shapes)))]
        count = int(DECISIONS[int(rng.integers(len(DECISIONS)))])
        classes = f" {ways}-way" if ways > 1 else ""
        return FewShotTask(
            name=f"{source}{classes} {shots}-shot",
            num_decisions=self.num_decisions or count,
            initial=tuple(draw_start(rng, self.start, self.space).tolist()),
            source=source,
            side=self.split,
            ways=ways,
            shots=shots,
            draw=int(rng.integers(2**31)),
            steps_per_decision=STEPS_PER_DECISION,
        )

    def has(self, task: Task) -> NDArray[np.bool_]:
        """Values have no temperature; see `TaskFamily.has`."""
        assert isinstance(task, FewShotTask)
        return np.array([name != "temperature" or task.ways > 1 for name in self.space.names])

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        """Build the trainer; engine "auto" or "eager", device "cpu"."""
        check_array_engine(self.name, engine, device)
        return FewShotTrainer(num_lanes)


def _shapes(source: Source, ways: int | None, shots: int | None) -> tuple[tuple[int, int], ...]:
    """Return the pairs of classes and shots of a source that were asked for."""
    return tuple((k, s) for k, s in SHAPES[source] if ways in (None, k) and shots in (None, s))
