"""A few-shot task, as plain numbers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hpo_env.datasets.base import Split
from hpo_env.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class FewShotTask(Task):
    """A problem with a handful of rows.

    Args:
        source: A name of `hpo_env.few_shot.SOURCES`.
        side: Of the split.
        ways: Classes; 1 where values are predicted.
        shots: Rows to adapt to, of each class where there are classes.
        draw: From which the source draws the problem, at least 0.
        steps_per_decision: Steps of adaptation in an interval.
    """

    source: str
    side: Split
    ways: int
    shots: int
    draw: int
    steps_per_decision: int

    @property
    def labels(self) -> Mapping[str, str]:
        """The source, and the number of shots."""
        return {"source": self.source, "shots": str(self.shots)}

    @property
    def alike(self) -> tuple[str, int, int, int]:
        """What is stacked: the same arrays, and as many steps."""
        return (self.source, self.ways, self.shots, self.steps_per_decision)
