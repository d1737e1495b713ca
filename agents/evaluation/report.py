"""How an interval is written."""

from __future__ import annotations

import math

from agents.statistics.intervals import Interval


def format_interval(interval: Interval) -> str:
    """Write an estimate with its interval.

    Example:
        >>> format_interval(Interval(estimate=0.1234, low=-0.01, high=0.3))
        '+0.123 [-0.010, +0.300]'
    """
    if math.isnan(interval.low):
        return f"{interval.estimate:+.3f} [one run only]"
    return f"{interval.estimate:+.3f} [{interval.low:+.3f}, {interval.high:+.3f}]"
