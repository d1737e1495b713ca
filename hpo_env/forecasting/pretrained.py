"""The shipped policies of forecasters, and what belongs to them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache

from hpo_env.errors import PolicyFileError
from hpo_env.forecasting.intervals import Quantiles
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.shipped import policy_folder

INTERVALS_FILE = "intervals.json"
SHIPPED = "forecasting"
"""The policy that forecasters have: made without M3, the rest of the series that we know."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Pretrained:
    """What a forecaster needs.

    Args:
        policy: Of the family "forecasting"; an ensemble is one policy.
        quantiles: For intervals.
    """

    policy: Policy
    quantiles: Quantiles


@cache
def pretrained(folder: str = SHIPPED) -> Pretrained:
    """Load a policy for forecasters.

    Args:
        folder: Name of a shipped one, or a folder with policy and `intervals.json`.

    Raises:
        PolicyFileError: A file is missing or damaged, or the policy is of another family.
    """
    path = policy_folder(folder)
    policy = load(path)
    if policy.family != "forecasting":
        raise PolicyFileError(
            f"{path}: a forecaster needs a policy of family 'forecasting'; got {policy.family!r}"
        )
    try:
        quantiles = Quantiles.from_json(json.loads((path / INTERVALS_FILE).read_text()))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise PolicyFileError(f"{path / INTERVALS_FILE}: cannot be read: {error}") from error
    return Pretrained(policy=policy, quantiles=quantiles)
