"""How long a run is in a training that was resumed."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from hpo_env.control.saved import check_saved
from hpo_env.controller import ControllerWarning


def num_saved(state: Mapping[str, Any] | None) -> int:
    """Return how many updates were made when a run was saved, 0 without a saved run.

    Raises:
        ConfigurationError: The state is that of no run.
    """
    return 0 if state is None else int(check_saved(state)["num_steps"])


def steps_to_come(total_steps: int, num_made: int) -> int:
    """Return the length of a run that begins in mid-training, and say that it does.

    Args:
        total_steps: Updates in the whole training.
        num_made: Those that were made before without a saved run, 0 as a rule.
    """
    if num_made > 0:
        warnings.warn(
            f"the training goes on after {num_made} updates, but no run was saved with them: the "
            f"controller begins anew, for the {total_steps - num_made} updates to come",
            ControllerWarning,
            stacklevel=2,
        )
    return max(total_steps - num_made, 1)
