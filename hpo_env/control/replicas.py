"""Replicas of one run on several processes: they measure together, and the first one decides."""

from __future__ import annotations

import torch
import torch.distributed as dist

from hpo_env.telemetry import MEASUREMENTS, Telemetry


def is_replicated() -> bool:
    """Say whether this process is one of several that train together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def mean_telemetry(telemetry: Telemetry, device: torch.device) -> None:
    """Replace measurements by their means over the replicas that have them, in place."""
    values = [float(getattr(telemetry, name)[0]) for name in MEASUREMENTS]
    *means, diverged = _means([*values, float(telemetry.diverged[0])], device)
    for name, mean in zip(MEASUREMENTS, means, strict=True):
        getattr(telemetry, name)[:] = mean
    telemetry.diverged[:] = diverged > 0.0


def mean_loss(loss: float, device: torch.device) -> float:
    """Return the mean over the replicas that have it, NaN where none has."""
    return _means([loss], device)[0]


def from_first(values: list[float], device: torch.device) -> list[float]:
    """Return the first replica's values."""
    sent = torch.tensor(values, dtype=torch.float64, device=device)
    dist.broadcast(sent, src=0)
    return [float(value) for value in sent.tolist()]


def _means(values: list[float], device: torch.device) -> list[float]:
    given = torch.tensor(values, dtype=torch.float64, device=device)
    measured = ~torch.isnan(given)
    sums = torch.stack([torch.where(measured, given, 0.0), measured.to(given.dtype)])
    dist.all_reduce(sums)
    return [float(mean) for mean in (sums[0] / sums[1]).tolist()]  # 0 / 0 is NaN: nobody has it
