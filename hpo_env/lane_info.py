"""What the environment says beside its observation, in Gymnasium's convention for many lanes.

Axes: `N` lanes, `A` hyperparameters of the family, `n` lanes that end.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.tasks.base import Task
from hpo_env.telemetry import Telemetry
from hpo_env.vector_conventions import masked


def running_info(
    names: Sequence[str],
    values: NDArray[np.float64],
    telemetry: Telemetry,
    was_rolled_back: NDArray[np.bool_],
    mask: NDArray[np.bool_],
) -> dict[str, Any]:
    """Say what is in force and what was measured.

    Args:
        names: Of the hyperparameters, `A` of them.
        values: In force `[N, A]`.
        telemetry: Of the last interval `[N]`.
        was_rolled_back: Where it was `[N]`.
        mask: Which lanes are spoken of `[N]`.
    """
    used = {name: values[:, column].copy() for column, name in enumerate(names)}
    info: dict[str, Any] = {"hyperparameters": masked(used, mask), "_hyperparameters": mask.copy()}
    info |= masked({"rolled_back": was_rolled_back.copy()}, mask)
    for name in ("train_loss", "validation_loss", "validation_metric"):
        array = getattr(telemetry, name).copy()
        info |= masked({name: array}, mask & ~np.isnan(array))  # absent where not measured
    return info


def closing_info(
    tasks: Sequence[Task],
    telemetry: Telemetry,
    ends: NDArray[np.int64],
    end_loss: NDArray[np.float64],
    end_metric: NDArray[np.float64],
) -> dict[str, Any]:
    """Say how episodes ended.

    Args:
        tasks: Of all lanes, `N` of them.
        telemetry: Of the last interval `[N]`.
        ends: The lanes whose episodes have ended `[n]`.
        end_loss: Their test losses `[n]`.
        end_metric: Their test metrics `[n]`, NaN where there is none.
    """
    over = np.zeros(len(tasks), dtype=bool)
    over[ends] = True
    test_loss, test_metric = np.zeros((2, len(tasks)))
    test_loss[ends], test_metric[ends] = end_loss, end_metric
    names = np.array([task.name for task in tasks], dtype=object)
    closing = {"test_loss": test_loss, "diverged": telemetry.diverged.copy(), "task": names}
    info = masked(closing, over)
    return info | masked({"test_metric": test_metric}, over & ~np.isnan(test_metric))
