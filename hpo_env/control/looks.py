"""What a run is known by after its first interval, and how unlike two of them are.

The distance is that of prototypical networks (Snell, Swersky and Zemel, 2017) without the
embedding: each entry of the observation in its own standard deviation.

Needs numpy alone.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from hpo_env.arguments import is_number
from hpo_env.errors import ConfigurationError

SPREADS: Mapping[str, float] = {
    "log_loss": 0.156,
    "total_drop": 0.176,
    "generalisation_gap": 0.249,
    "train_spread": 0.163,
    "update_ratio": 0.245,
}
"""What a first interval is known by, entries of the observation and the log of the loss before the
first update; and how far each spreads among runs of one task from various values (standard
deviation, on meta-validation tasks). They are those that spread more between tasks."""

Look = Mapping[str, float]
"""Some of these entries, by name."""


def check_look(look: Look) -> None:
    """Check what a file says.

    Raises:
        ConfigurationError: An entry is unknown, or no finite number.
    """
    if not set(look) <= set(SPREADS):
        raise ConfigurationError(f"a look has entries {sorted(SPREADS)}; got {sorted(look)}")
    if not all(is_number(value) and math.isfinite(value) for value in look.values()):
        raise ConfigurationError(f"the entries of a look must be finite numbers; got {look!r}")


def distance(one: Look, other: Look) -> float:
    """Return how unlike two looks are, in standard deviations; infinite where nothing is shared.

    Example:
        >>> distance({"log_loss": 0.0, "total_drop": 0.5}, {"log_loss": 0.312, "total_drop": 0.5})
        1.4142135623730951
    """
    shared = [name for name in one if name in other]
    if not shared:
        return math.inf
    gaps = [(one[name] - other[name]) / SPREADS[name] for name in shared]
    return math.sqrt(sum(gap * gap for gap in gaps) / len(gaps))
