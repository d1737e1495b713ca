"""The family on rollouts of a few steps and short episodes, whatever nobody says otherwise."""

from __future__ import annotations

from typing import Any

from hpo_env.tasks.reinforcement.family import ReinforcementFamily

_SHORT = ("river_swim", "tanks", "reacher", "acrobot")  # of each side, and of each kind of action


class SmallReinforcement(ReinforcementFamily):
    def __init__(self, *, num_decisions: int | None = None, **options: Any) -> None:
        options = {"shape": (2, 32, 1), **options}
        super().__init__(num_decisions=num_decisions or 4, **options)
        self.types = tuple(kind for kind in self.types if kind.name in _SHORT)
