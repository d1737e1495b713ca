"""Sinusoids: which of all sines is it, seen at a few points?

Finn, Abbeel and Levine (2017), section 5.1: amplitudes are uniform in [0.1, 5.0], phases in
[0, pi], inputs in [-5, 5]; the mean of all tasks says little about any one.
"""

from __future__ import annotations

import math

import numpy as np

from hpo_env.datasets.base import Split
from hpo_env.few_shot.base import Array, FewShotSource, FewShotTasks

_AMPLITUDES = (0.1, 5.0)
_PHASES = (0.0, math.pi)
_INPUTS = (-5.0, 5.0)


class Sinusoids(FewShotSource):
    """`amplitude * sin(input - phase)`; all sides draw from one distribution.

    Args:
        num_shots: Points to adapt to.
        num_queries: Points to be judged by.
    """

    name = "sinusoids"
    kind = "regression"

    def __init__(self, *, num_shots: int = 10, num_queries: int = 10) -> None:
        super().__init__(num_shots=num_shots, num_queries=num_queries)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One number."""
        return (1,)

    @property
    def num_outputs(self) -> int:
        """One number."""
        return 1

    def sample(self, split: Split, num_tasks: int, rng: np.random.Generator) -> FewShotTasks:
        """See `FewShotSource.sample`."""
        amplitudes, phases = (
            rng.uniform(*bounds, size=(num_tasks, 1, 1)) for bounds in (_AMPLITUDES, _PHASES)
        )
        num_points = self.num_shots + self.num_queries
        drawn = rng.uniform(*_INPUTS, size=(num_tasks, num_points, 1))
        targets: Array = (amplitudes * np.sin(drawn - phases)).astype(np.float32)
        inputs: Array = drawn.astype(np.float32)
        shots = self.num_shots
        return FewShotTasks(
            support_inputs=inputs[:, :shots],
            support_targets=targets[:, :shots],
            query_inputs=inputs[:, shots:],
            query_targets=targets[:, shots:],
        )
