"""Hyperparameters, and how actions become corrections and corrections become values.

An agent acts in the unit-free cube `[-1, 1]^H`. Each action moves a *correction*, a distance on the
hyperparameter's own axis (logarithmic for a learning rate), and the effective value is the base
value corrected by it. A correction of 0 is the base value, to the last bit. The environment and
the deployed controller both go through `HyperparameterSpace`, the only place where this happens.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.axes import AXES, Scale, within
from hpo_env.errors import ActionError, HyperparameterError, unknown_name

LEVELS = np.array([-1.0, -0.5, 0.0, 0.5, 1.0])
"""What the choices of the discrete action mode stand for; the middle one does nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hyperparameter:
    """One number that an agent may move while training goes on.

    Args:
        name: Key used in `info`, in TensorBoard tags and in policy files.
        low: Smallest value, included.
        high: Largest value, included.
        default: What is in force when neither the task nor the user says otherwise.
        max_step: How far an action of 1 moves the correction, on the scale's axis: a factor for
            "log", "log_integer" (on the value), "one_minus_log" (on `1 - value`) and "logit" (on
            the odds `value / (1 - value)`), a difference for "linear".
        scale: The axis of the corrections. "log" suits learning rates; "one_minus_log" suits
            momentum, where 0.99 to 0.999 matters as much as 0.9 to 0.99; "log_integer" suits batch
            sizes; "logit" suits shares, for which both ends matter.
        scheduled: Whether the base schedule multiplies the initial value.
        retreat: The guard's move after an interval that failed, in `[-1, 1]`: -1 for a learning
            rate, one whole step down. 0 where moving it would not help. Where no hyperparameter
            that can be moved retreats, the guard leaves the move to the agent.
        is_always_available: Whether every loop can move it. What a loop may lack is at times taken
            away in meta-training; see `availability` of the environment.

    Raises:
        HyperparameterError: The range is empty, not finite, or impossible on that scale.

    Example:
        >>> lr = Hyperparameter(name="lr", low=1e-6, high=1.0, default=1e-3, max_step=4.0)
        >>> lr.scale
        'log'
    """

    name: str
    low: float
    high: float
    default: float
    max_step: float
    scale: Scale = "log"
    scheduled: bool = False
    retreat: float = 0.0
    is_always_available: bool = False

    def __post_init__(self) -> None:
        self._check_types()
        if not (math.isfinite(self.low) and math.isfinite(self.high) and self.low < self.high):
            raise HyperparameterError(
                f"{self.name}: low < high, both finite, must hold; "
                f"got low={self.low}, high={self.high}"
            )
        if self.scale not in AXES:
            raise unknown_name(f"scale of {self.name}", self.scale, AXES)
        if not self.low <= self.default <= self.high:
            raise HyperparameterError(
                f"{self.name}: default must lie in [{self.low}, {self.high}]; got {self.default}"
            )
        if self.scale in ("log", "log_integer", "logit") and self.low <= 0.0:
            raise HyperparameterError(
                f"{self.name}: low > 0 must hold on scale {self.scale!r}; got low={self.low}"
            )
        if self.scale in ("one_minus_log", "logit") and self.high >= 1.0:
            raise HyperparameterError(
                f"{self.name}: high < 1 must hold on scale {self.scale!r}; got high={self.high}"
            )
        if not -1.0 <= self.retreat <= 1.0:
            raise HyperparameterError(
                f"{self.name}: retreat must lie in [-1, 1], as an action does; got {self.retreat}"
            )
        floor = 0.0 if self.scale == "linear" else 1.0
        if not (math.isfinite(self.max_step) and self.max_step > floor):
            raise HyperparameterError(
                f"{self.name}: max_step > {floor} must hold on scale {self.scale!r}; "
                f"got {self.max_step}"
            )

    def _check_types(self) -> None:
        if not (isinstance(self.name, str) and self.name):
            raise HyperparameterError(f"names must be strings, and not empty; got {self.name!r}")
        for name in ("low", "high", "default", "max_step", "retreat"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real):
                raise HyperparameterError(f"{self.name}: {name} must be a number; got {value!r}")
        for name in ("scheduled", "is_always_available"):
            value = getattr(self, name)
            if not isinstance(value, bool):
                raise HyperparameterError(
                    f"{self.name}: {name} must be True or False; got {value!r}"
                )
        if not isinstance(self.scale, str):
            raise unknown_name(f"scale of {self.name}", self.scale, AXES)


Reach = tuple[NDArray[np.float64], NDArray[np.float64]]
"""How far corrections may go, down and up, `[N, H]` each."""


class HyperparameterSpace:
    """An ordered set of hyperparameters; column `h` of every array is `hyperparameters[h]`.

    Args:
        hyperparameters: At least one, with distinct names.

    Raises:
        HyperparameterError: None given, or two share a name.

    Example:
        >>> lr = Hyperparameter(name="lr", low=1e-6, high=1.0, default=1e-3, max_step=4.0)
        >>> space = HyperparameterSpace([lr])
        >>> base = np.array([[1e-3]])
        >>> corrections = space.move(np.zeros((1, 1)), np.array([[1.0]]), base)
        >>> space.values(base, corrections).round(6).tolist()
        [[0.004]]
    """

    def __init__(self, hyperparameters: Iterable[Hyperparameter]) -> None:
        self.hyperparameters = tuple(hyperparameters)
        self.names = tuple(h.name for h in self.hyperparameters)
        if not self.names or len(set(self.names)) != len(self.names):
            raise HyperparameterError(
                f"names must be distinct and at least one must be given; got {list(self.names)}"
            )
        self.low = np.array([h.low for h in self.hyperparameters])  # [H]
        self.high = np.array([h.high for h in self.hyperparameters])  # [H]
        self.defaults = np.array([h.default for h in self.hyperparameters])  # [H]
        self._axes = [AXES[h.scale] for h in self.hyperparameters]
        # Columns on one kind of axis are computed at once: a call of numpy costs more than a lane.
        self._alike = [
            (axis, np.array([h for h, other in enumerate(self._axes) if other is axis]))
            for axis in dict.fromkeys(self._axes)
        ]
        steps = [a.step(h.max_step) for a, h in zip(self._axes, self.hyperparameters, strict=True)]
        self.steps = np.array(steps)  # [H], how far an action of 1 moves each correction
        self.retreat = np.array([h.retreat for h in self.hyperparameters])  # [H]
        self.always_available = np.array([h.is_always_available for h in self.hyperparameters])
        self._integer = np.array([h.scale == "log_integer" for h in self.hyperparameters])
        self._scheduled = np.array([h.scheduled for h in self.hyperparameters])
        self._axis_low = self.to_axis(self.low)  # [H]
        self._axis_high = self.to_axis(self.high)  # [H]

    def __len__(self) -> int:
        return len(self.hyperparameters)

    def __reduce__(self) -> tuple[type[HyperparameterSpace], tuple[tuple[Hyperparameter, ...]]]:
        return HyperparameterSpace, (self.hyperparameters,)  # the axes are functions without names

    def index(self, name: str) -> int:
        """Return the column of a hyperparameter.

        Raises:
            UnknownNameError: There is none of that name; the nearest are suggested.
        """
        if name not in self.names:
            raise unknown_name("hyperparameter", name, self.names)
        return self.names.index(name)

    def subset(self, names: Iterable[str]) -> HyperparameterSpace:
        """Return the space of some of the hyperparameters, in the order given.

        Raises:
            UnknownNameError: A name is not in this space.
            HyperparameterError: No name, or one twice.
        """
        return HyperparameterSpace(self.hyperparameters[self.index(name)] for name in names)

    def to_axis(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Map values `[..., H]` to the axes on which corrections are distances."""
        on_axis = np.empty(np.shape(values))
        for axis, columns in self._alike:
            on_axis[..., columns] = axis.to_axis(values[..., columns])
        return on_axis

    def position(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Say where in its range each value `[..., H]` lies: -1 at `low`, 1 at `high`, clipped."""
        share = (self.to_axis(values) - self._axis_low) / (self._axis_high - self._axis_low)
        return within(2.0 * share - 1.0, -1.0, 1.0)

    def relative(self, corrections: NDArray[np.float64]) -> NDArray[np.float64]:
        """Express corrections `[..., H]` as shares of the whole range, in `[-1, 1]`."""
        return within(corrections / (self._axis_high - self._axis_low), -1.0, 1.0)

    def check_actions(self, actions: NDArray[Any]) -> NDArray[np.float64]:
        """Validate continuous actions and clip them to `[-1, 1]`, as a Gaussian policy needs.

        Args:
            actions: Array `[N, H]`.

        Returns:
            The same, float64, inside `[-1, 1]`.

        Raises:
            ActionError: The last axis is not H long, or an action is NaN or infinite.
        """
        actions = np.asarray(actions)
        if actions.dtype.kind not in "fiu":
            raise ActionError(f"actions must be numbers; got dtype {actions.dtype}")
        actions = actions.astype(np.float64)
        if actions.ndim != 2 or actions.shape[1] != len(self):
            raise ActionError(
                f"actions must have shape [N, H={len(self)}] {self.names}; got {actions.shape}"
            )
        if not np.isfinite(actions).all():
            lane, column = np.argwhere(~np.isfinite(actions))[0]
            raise ActionError(
                f"actions must be finite; got {actions[lane, column]} for {self.names[column]!r} "
                f"in lane {lane}. Has the policy diverged?"
            )
        return within(actions, -1.0, 1.0)

    def check_choices(self, choices: NDArray[Any]) -> NDArray[np.float64]:
        """Validate discrete choices and turn them into continuous actions.

        Args:
            choices: Integers `[N, H]`, indices into `LEVELS`.

        Returns:
            Actions `[N, H]` in `[-1, 1]`.

        Raises:
            ActionError: The shape is wrong, or a choice is no index into `LEVELS`.
        """
        choices = np.asarray(choices)
        if choices.ndim != 2 or choices.shape[1] != len(self):
            raise ActionError(
                f"choices must have shape [N, H={len(self)}] {self.names}; got {choices.shape}"
            )
        if not np.issubdtype(choices.dtype, np.integer):
            raise ActionError(f"choices must be integers; got dtype {choices.dtype}")
        if ((choices < 0) | (choices >= len(LEVELS))).any():
            raise ActionError(
                f"choices must lie in 0..{len(LEVELS) - 1}; got {choices.min()}..{choices.max()}"
            )
        return np.asarray(LEVELS[choices])

    def move(
        self,
        corrections: NDArray[np.float64],
        actions: NDArray[np.float64],
        initial: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Move the corrections by one decision, within their `reach`.

        Args:
            corrections: Distances so far `[N, H]`.
            actions: In `[-1, 1]`, `[N, H]`.
            initial: The values at the start of the run, before any schedule, `[N, H]`.

        Returns:
            New corrections `[N, H]`.
        """
        return self.moved(corrections, actions, self.reach(initial))

    def reach(self, initial: NDArray[np.float64]) -> Reach:
        """Return how far down and up corrections may go from initial values `[N, H]`.

        A correction never goes further than would bring the initial value to an end of its range,
        so that a policy which pushes against the end is not wound up when it turns round.
        """
        start = self.to_axis(initial)
        lowest = np.minimum(self._axis_low - start, 0.0)
        return lowest, np.maximum(self._axis_high - start, 0.0)

    def moved(
        self, corrections: NDArray[np.float64], actions: NDArray[np.float64], reach: Reach
    ) -> NDArray[np.float64]:
        """Move as `move` does, with what `reach` has returned."""
        return within(corrections + actions * self.steps, *reach)

    def base(
        self, initial: NDArray[np.float64], factors: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Apply the base schedule's factors `[N]` to the scheduled columns of `initial [N, H]`."""
        return np.where(self._scheduled, initial * factors[:, None], initial)

    def values(
        self, base: NDArray[np.float64], corrections: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Correct base values.

        The result lies inside the range, widened to hold the base value where the user's own
        lies outside: a correction of 0 changes nothing at all.

        Args:
            base: The base schedule's values `[N, H]`.
            corrections: Distances on each axis `[N, H]`.

        Returns:
            Effective values `[N, H]`; batch sizes are whole numbers.
        """
        same = base.shape == corrections.shape  # np.broadcast_shapes takes longer than the rest
        shape = base.shape if same else np.broadcast_shapes(base.shape, corrections.shape)
        values = np.empty(shape)
        for axis, columns in self._alike:
            values[..., columns] = axis.correct(base[..., columns], corrections[..., columns])
        values = np.where(self._integer, np.rint(values), values)
        return within(values, np.minimum(self.low, base), np.maximum(self.high, base))

    def corrected(self, name: str, base: float, correction: float) -> float:
        """Correct a further base value of one hyperparameter, as `values` does.

        A training may use a hyperparameter in several places, each with a base value of its own:
        all are moved by the same distance, and each is kept inside the range, widened to hold it.
        """
        column = self.names.index(name)
        value = float(self._axes[column].correct(base, correction))
        value = float(np.rint(value)) if self._integer[column] else value
        spec = self.hyperparameters[column]
        return min(max(value, min(spec.low, base)), max(spec.high, base))

    def uncorrected(self, name: str, value: float, correction: float) -> float:
        """Return the base value that is corrected to `value`; inverse of `corrected` inside.

        Where there is none inside the range, widened to hold the value, it is the nearest.
        """
        column = self.index(name)
        base = float(self._axes[column].correct(value, -correction))
        lowest = 0.0 if self._axes[column] is AXES["log"] else min(float(self.low[column]), value)
        return min(max(base, lowest), max(float(self.high[column]), value))

    def corrections(
        self, base: NDArray[np.float64], values: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Return the corrections `[N, H]` that turn `base` into `values`; inverse of `values`."""
        return self.to_axis(values) - self.to_axis(base)

    def to_json(self) -> list[dict[str, Any]]:
        """Describe the space in plain data, for policy files."""
        return [asdict(h) for h in self.hyperparameters]

    @classmethod
    def from_json(cls, data: Iterable[Mapping[str, Any]]) -> HyperparameterSpace:
        """Build the space that `to_json` described.

        Raises:
            HyperparameterError: A field is missing, unknown, or out of its range.
        """
        try:
            return cls([Hyperparameter(**entry) for entry in data])
        except TypeError as error:
            raise HyperparameterError(f"not a hyperparameter space: {error}") from error


def split_joint_choices(
    choices: NDArray[np.integer[Any]], num_hyperparameters: int
) -> NDArray[np.int64]:
    """Split indices `[N]` over all `5^H` combinations into one choice a hyperparameter `[N, H]`.

    Example:
        >>> split_joint_choices(np.array([0, 7, 24]), 2).tolist()
        [[0, 0], [1, 2], [4, 4]]
    """
    shape = (len(LEVELS),) * num_hyperparameters
    return np.stack(np.unravel_index(choices, shape), axis=1).astype(np.int64)
