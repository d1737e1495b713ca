"""Steering: from moves to values, and from measurements to the next observation, over N lanes.

The environment holds a `Steering` over N lanes, a deployed run one over a single lane. Corrections,
guard, what can be moved, and the observer's memory are here and nowhere else, so a policy meets in
a user's loop what it met in meta-training. An interval goes

    observe -> move -> values -> (whoever trains, trains) -> close_interval

Where a failed interval cannot be rolled back, it stays with all that it measured, and the guard
moves next.

Axes: `N` lanes, `H` controlled hyperparameters, `A` all hyperparameters of what trains, `D`
observation fields.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.guard import has_failed, retreated, rolled_back
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.observer import Observer, followed_loss
from hpo_env.reward import LOSS_FLOOR
from hpo_env.telemetry import Telemetry

Array = NDArray[np.float64]
Lanes = NDArray[np.int64]
RollBack = Callable[[Lanes], bool]

_LANE_STATE = (
    "initial",
    "corrections",
    "moves",
    "first_loss",
    "first_train_loss",
    "has_failed",
    "was_rolled_back",
    "available",
)
"""Arrays by lane that a snapshot holds, beside observer and telemetry."""


class Steering:
    """Corrections, guard, availability and observer of N lanes.

    Args:
        space: All hyperparameters of what trains, `A` of them.
        num_lanes: `N`.
        controlled: Those that are moved, `H` of them; None: all.
        loss_floor: The family's own.
        features: Names of the entries of the observation that only the family has, in order.

    Attributes:
        names: Of the observation's entries, `D` of them.
        moves: The last moves, as they were carried out `[N, H]`.
        corrections: Distances from the base values `[N, H]`.
        first_loss: The first validation loss `[N]`, that of before the first update where it was
            measured; NaN while unknown.
        first_train_loss: The first training loss `[N]` that was followed, as there was no
            validation; NaN while unknown.
        has_failed: Where the last interval failed, so that the guard moves next `[N]`.
        was_rolled_back: Where it was rolled back `[N]`.
        available: What can be moved `[N, H]`.
        telemetry: What the last interval measured, or what holds again after a roll back `[N]`.

    Example:
        >>> from hpo_env.hyperparameters import Hyperparameter
        >>> lr = Hyperparameter(
        ...     name="lr", low=1e-6, high=1.0, default=0.1, max_step=4.0, retreat=-1.0
        ... )
        >>> steering, base = Steering(HyperparameterSpace([lr]), 1), np.array([[0.1]])
        >>> start = Telemetry.missing(1)
        >>> start.validation_loss[:] = 1.0
        >>> steering.begin(
        ...     np.array([0]), start, initial=base, base=base, num_intervals=np.array([3])
        ... )
        >>> _ = steering.move(np.array([[0.5]]))
        >>> steering.values(base).round(3).tolist()
        [[0.2]]
        >>> failed = Telemetry.missing(1)
        >>> failed.validation_loss[:] = 9.0
        >>> steering.close_interval(
        ...     failed, values=steering.values(base), base_change=np.zeros(1), roll_back=bool
        ... )
        >>> steering.move(np.array([[0.5]])).tolist()  # the guard moves in its place
        [True]
        >>> steering.values(base).round(3).tolist()
        [[0.05]]
    """

    def __init__(
        self,
        space: HyperparameterSpace,
        num_lanes: int,
        *,
        controlled: HyperparameterSpace | None = None,
        loss_floor: float = LOSS_FLOOR,
        features: Sequence[str] = (),
    ) -> None:
        self.space = space
        self.controlled = space if controlled is None else controlled
        self.observer = Observer(self.controlled, num_lanes, loss_floor=loss_floor)
        self.names = (*self.observer.names, *features)
        self.initial = np.tile(self.controlled.defaults, (num_lanes, 1))  # [N, H]
        self.corrections = np.zeros((num_lanes, len(self.controlled)))
        self.moves = np.zeros_like(self.corrections)
        self.first_loss = np.full(num_lanes, np.nan)
        self.first_train_loss = np.full(num_lanes, np.nan)
        self.has_failed = np.zeros(num_lanes, dtype=bool)
        self.was_rolled_back = np.zeros(num_lanes, dtype=bool)
        self.available = np.ones((num_lanes, len(self.controlled)), dtype=bool)
        self.telemetry = Telemetry.missing(num_lanes)
        self._columns = np.array([space.index(name) for name in self.controlled.names])
        self._wide = np.zeros((num_lanes, len(space)))  # corrections of all, 0 where none is made
        self._reach_of = self.initial.tobytes()
        self._reach = self.controlled.reach(self.initial)
        self.note_changes()

    def begin(
        self,
        lanes: Lanes,
        telemetry: Telemetry,
        *,
        initial: Array,
        base: Array,
        num_intervals: NDArray[np.int64],
        available: NDArray[np.bool_] | None = None,
    ) -> None:
        """Start new runs in some of the lanes.

        Args:
            lanes: Which lanes `[n]`.
            telemetry: What was measured before the first update `[n]`.
            initial: Values at the start, before any schedule `[n, A]`.
            base: Base values of the first interval `[n, A]`.
            num_intervals: Decision intervals in each run `[n]`.
            available: What can be moved `[n, H]`; None: all.
        """
        if available is None:
            available = np.ones((len(lanes), len(self.controlled)), dtype=bool)
        self.initial[lanes] = initial[:, self._columns]
        self.corrections[lanes] = 0.0
        self.moves = self.moves.copy()  # they may be the array of whoever moved
        self.moves[lanes] = 0.0
        self.first_loss[lanes] = telemetry.validation_loss
        self.first_train_loss[lanes] = np.nan
        self.has_failed[lanes] = self.was_rolled_back[lanes] = False
        self.available[lanes] = available
        self.telemetry.put(lanes, telemetry)
        self.note_changes()
        self.observer.begin(
            lanes,
            telemetry,
            num_intervals=num_intervals,
            values=np.where(available, base[:, self._columns], np.nan),
            available=np.where(available, 1.0, -1.0),
        )

    def observe(self, features: Array | None = None) -> NDArray[np.float32]:
        """Return the observation of every lane `[N, D]`.

        Args:
            features: The entries that only the family has, as they are now; None where it has none.
        """
        observed = self.observer.observe()
        if features is None:
            return observed
        own = np.minimum(np.maximum(features, -1.0), 1.0)  # np.clip takes thrice as long
        return np.concatenate([observed, own.astype(np.float32)], axis=1)

    def move(self, moves: Array) -> NDArray[np.bool_]:
        """Carry out the moves `[N, H]` of a policy, or those of the guard where it is due.

        Returns:
            Where the guard moved, bool `[N]`.
        """
        moves, guarded = self.guarded(moves)
        self.take(moves)
        return guarded

    def guarded(self, moves: Array) -> tuple[Array, NDArray[np.bool_]]:
        """Replace the moves `[N, H]` by the guard's where it is due, and say where `[N]`."""
        if not self.has_failed.any():
            return moves, self.has_failed
        retreat = np.where(self.available, self.controlled.retreat, 0.0)
        guarded = self.has_failed & (retreat != 0.0).any(axis=1)
        return retreated(moves, guarded, retreat), guarded

    def take(self, moves: Array) -> None:
        """Carry out moves `[N, H]` as they are; nothing but what can be moved is."""
        self.moves = moves if self._is_all_available else np.where(self.available, moves, 0.0)
        initial = self.initial.tobytes()
        if initial != self._reach_of:  # it is the same all through a run
            self._reach_of, self._reach = initial, self.controlled.reach(self.initial)
        self.corrections = self.controlled.moved(self.corrections, self.moves, self._reach)
        self.has_failed.fill(False)

    def values(self, base: Array) -> Array:
        """Correct base values `[N, A]`."""
        self._wide[:, self._columns] = self.corrections
        return self.space.values(base, self._wide)

    def close_interval(
        self,
        telemetry: Telemetry,
        *,
        values: Array,
        base_change: Array,
        roll_back: RollBack | None,
    ) -> None:
        """Take in the interval that just ended.

        Args:
            telemetry: What it measured `[N]`.
            values: The values in force at its end `[N, A]`.
            base_change: Log ratio of the base schedule's next factor to this interval's `[N]`.
            roll_back: Puts back what the intervals of the given lanes started from, and says
                whether it could. None: there is no guard, whatever happens.
        """
        self.was_rolled_back.fill(False)
        if roll_back is not None:
            telemetry = self._guarded(telemetry, roll_back)
        self.telemetry = telemetry
        controlled = values[:, self._columns]
        if not self._is_all_available:
            controlled = np.where(self.available, controlled, np.nan)
        self.observer.update(
            telemetry,
            actions=self.moves,
            corrections=self.corrections,
            values=controlled,
            base_change=base_change,
        )

    def snapshot(self, lanes: Lanes) -> dict[str, Any]:
        """Copy all state of some lanes; `restore` is the inverse."""
        return {
            "arrays": {name: getattr(self, name)[lanes] for name in _LANE_STATE},
            "observer": self.observer.snapshot(lanes),
            "telemetry": self.telemetry.take(lanes),
        }

    def restore(self, lanes: Lanes, snapshot: dict[str, Any]) -> None:
        """Put a snapshot of n lanes into n lanes, the same or others."""
        self.moves = self.moves.copy()  # see `begin`
        for name, values in snapshot["arrays"].items():
            getattr(self, name)[lanes] = values
        self.observer.restore(lanes, snapshot["observer"])
        self.telemetry.put(lanes, snapshot["telemetry"])
        self.note_changes()

    def return_to_base(self, lanes: Lanes) -> None:
        """Take all corrections of some lanes away."""
        self.corrections = self.corrections.copy()  # somebody may hold those in force
        self.corrections[lanes] = 0.0

    def note_changes(self) -> None:
        """Look at the arrays again, after somebody else has written into them."""
        self._is_all_available = bool(self.available.all())
        self._knows_first_loss = not np.isnan(self.first_loss).any()

    def _guarded(self, telemetry: Telemetry, roll_back: RollBack) -> Telemetry:
        """Roll failed intervals back where that can be, and return what is left `[N]`."""
        first_loss = self.first_loss
        if not self._knows_first_loss or np.isnan(telemetry.validation_loss).any():
            first_loss = self._first_of_its_kind(telemetry)
        failed = self.has_failed = has_failed(telemetry, first_loss)
        if not failed.any() or not roll_back(np.flatnonzero(failed)):
            return telemetry
        self.was_rolled_back[:] = failed
        return rolled_back(telemetry, failed, self.telemetry)

    def _first_of_its_kind(self, telemetry: Telemetry) -> Array:
        """Return the first loss `[N]` of the kind that is followed now, noting it where new.

        Validation may come late, or not each time; a training loss is no measure for it.
        """
        loss, has_validation = followed_loss(telemetry)
        is_new, is_validation = np.isfinite(loss), has_validation > 0.0
        for name, of_the_kind in (
            ("first_loss", is_validation),
            ("first_train_loss", ~is_validation & ~telemetry.diverged),
        ):
            first = getattr(self, name)
            setattr(self, name, np.where(is_new & of_the_kind & np.isnan(first), loss, first))
        self.note_changes()
        return np.where(is_validation, self.first_loss, self.first_train_loss)


def draw_available(
    rng: np.random.Generator, space: HyperparameterSpace, lowest_share: float
) -> NDArray[np.bool_]:
    """Draw which hyperparameters can be moved in an episode, as users' loops lack some.

    Args:
        rng: Nothing is drawn from it where all can always be moved.
        space: The controlled hyperparameters.
        lowest_share: Lower end, in [0, 1], of the range up to 1 from which the share of what can be
            moved is drawn.

    Returns:
        bool `[H]`, at least one True, and True for what every loop has.
    """
    available = np.ones(len(space), dtype=bool)
    if lowest_share < 1.0:
        available = rng.random(len(space)) < rng.uniform(lowest_share, 1.0)
        available |= space.always_available
        if not available.any():  # an agent that can move nothing learns nothing
            available[0] = True
    return available
