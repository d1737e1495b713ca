"""Timing things in turn, and naming the machine they ran on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import median
from typing import Any

import torch

Rates = dict[str, list[float]]
"""Work a second by way of doing it, one entry a round."""


def measure_in_turn(
    ways: Mapping[str, Callable[[], float]], *, repeats: int, seconds: float
) -> Rates:
    """Time every way in turn, so that a busy moment hits all of them.

    Seconds are those that the processor spent here: one thread does all the work, and the time of
    other programs on the machine is not counted against it.

    Args:
        ways: Functions that do some work and return how much.
        repeats: Rounds.
        seconds: Length of one measurement, at least.
    """
    for work in ways.values():
        work()  # compiles, and fills caches
    rates: Rates = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            started, amount = time.process_time(), 0.0
            while (spent := time.process_time() - started) < seconds or amount == 0.0:
                amount += work()
            rates[name].append(amount / spent)
    return rates


def medians(rates: Rates) -> dict[str, float]:
    """Return the median rate of every way."""
    return {name: median(rate) for name, rate in rates.items()}


def ratio(rates: Rates, over: str, under: str) -> float:
    """Return the median of the rounds' ratios of two ways."""
    return median(a / b for a, b in zip(rates[over], rates[under], strict=True))


def machine() -> dict[str, Any]:
    """Say what this is measured on."""
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "load": os.getloadavg(),
    }


def processor_name() -> str:
    """Return the processor's name, or the architecture's where the system does not tell."""
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
