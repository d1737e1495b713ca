"""A policy as the kernel takes it: its network and the axes of what it moves."""

from __future__ import annotations

import ctypes
from typing import Any

import numpy as np

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy import Policy
from hpo_env.tasks.forecasting.layout import FEATURES, HYPERPARAMETERS
from hpo_env.tasks.forecasting.native.addresses import address

_SCALES = ("log", "log_integer", "one_minus_log", "logit")
_HEADS = ("clipped", "choices")


class _Layers(ctypes.Structure):
    _fields_ = (
        ("num_layers", ctypes.c_int64),
        ("num_members", ctypes.c_int64),
        ("is_relu", ctypes.c_int64),
        ("is_clipped", ctypes.c_int64),
        ("sizes", ctypes.c_void_p),
        ("numbers", ctypes.c_void_p),
        ("mean", ctypes.c_void_p),
        ("whitening", ctypes.c_void_p),
        ("threshold", ctypes.c_double),
        ("offset", ctypes.c_double),
    )


class Network:
    """The numbers of a policy, in the kernel's order.

    Args:
        space: The family's hyperparameters.
        policy: One that `is_known`; None moves nothing.
        loss_floor: An error below it is seen as this.
    """

    def __init__(
        self, space: HyperparameterSpace, policy: Policy | None, loss_floor: float
    ) -> None:
        ends = space.to_axis(np.stack([space.low, space.high]))
        scales = [_SCALES.index(h.scale) for h in space.hyperparameters]
        columns = (space.low, space.high, *ends, space.steps, scales)
        self._axes = np.stack(columns, axis=1).astype(np.float64)  # [H, 6]
        self._floor = loss_floor
        sizes: tuple[int, ...] = (0,)
        parts = []
        if policy is not None:
            sizes = policy.layer_sizes
            for weight, bias in zip(policy.weights, policy.biases, strict=True):
                parts += [weight.T.astype(np.float64).ravel(), bias.astype(np.float64)]
        self._sizes = np.array(sizes, dtype=np.int64)
        self._numbers = np.concatenate(parts) if parts else np.zeros(0)
        self._layers = _Layers(
            len(sizes) - 1,
            1 if policy is None else policy.num_members,
            policy is not None and policy.activation == "relu",
            policy is not None and policy.head == "clipped",
            address(self._sizes),
            address(self._numbers),
        )
        if policy is not None and policy.familiarity is not None:
            known = policy.familiarity
            self._mean = known.mean.astype(np.float64)
            self._whitening = known.whitening.astype(np.float64)
            self._layers.mean = address(self._mean)
            self._layers.whitening = address(self._whitening)
            self._layers.threshold, self._layers.offset = known.threshold, known.offset

    @staticmethod
    def is_known(space: HyperparameterSpace, policy: Policy | None) -> bool:
        """Say whether the kernel can walk under a policy; else NumPy does."""
        if space.names != HYPERPARAMETERS or {h.scale for h in space.hyperparameters} - {*_SCALES}:
            return False
        return policy is None or (
            policy.head in _HEADS
            and policy.memory is None
            and policy.space.names == space.names
            and policy.features == tuple(FEATURES)
        )

    def arguments(self) -> tuple[Any, ...]:
        """Return what the kernel takes: axes, network, and the floor of an error."""
        return address(self._axes), ctypes.byref(self._layers), ctypes.c_double(self._floor)
