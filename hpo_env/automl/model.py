"""What a run leaves behind, and what predicts: trees, and where they begin.

Axes: `R` rows, `D` columns, `C` columns of what a model says.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.automl.boosters import Booster, Goal
from hpo_env.automl.ensembling import outputs_of
from hpo_env.automl.linear_start import LinearStart

Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Model:
    """Trees, cut off after a round.

    Args:
        kind: Of booster that grew them.
        goal: What is predicted.
        begins: Where the first tree began; None: at a constant of the library's.
        trees: For `Booster.scores`.
        num_rounds: How many rounds of them count.
    """

    kind: type[Booster]
    goal: Goal
    begins: LinearStart | None
    trees: Any
    num_rounds: int

    def outputs(self, x: Array) -> Array:
        """Return what it says of rows `[R, D]`: a number, or the share of each class `[R, C]`."""
        margin = None if self.begins is None else self.begins.margin(x)
        scores = self.kind.scores(self.trees, x, self.num_rounds, self.goal, margin)
        return outputs_of(self.goal.target, scores)
