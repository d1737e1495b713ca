"""A policy gradient of torch as the host of a controlled run, whoever makes the updates.

A step of the run is an update and the rollout after it. A decision is taken when a rollout has been
collected and its update has not been made, so discount and lambda count at once, if the advantages
are computed after it. What is measured is what the family's lanes measure: see `measures`.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hpo_env.control.host import Steered
from hpo_env.control.plain_host import PlainHost
from hpo_env.control.writers import Writer
from hpo_env.starts import Problem
from hpo_env.tasks.reinforcement.collapse import MOST_COLLAPSES, Collapse
from hpo_env.tasks.reinforcement.facts import Facts
from hpo_env.tasks.reinforcement.features import FEATURES
from hpo_env.tasks.reinforcement.learning_curve import LearningCurve
from hpo_env.tasks.reinforcement.measures import COLUMN
from hpo_env.tasks.reinforcement.meter import Meter
from hpo_env.tasks.reinforcement.space import ENTROPY_FLOOR, HYPERPARAMETERS, NAMES
from hpo_env.telemetry import Telemetry

_HIGH = {h.name: h.high for h in HYPERPARAMETERS}

ENDS = {
    "discount": (-math.inf, _HIGH["discount"]),
    "gae_lambda": (-math.inf, _HIGH["gae_lambda"]),
    "entropy": (ENTROPY_FLOOR, math.inf),
}
"""What a user's value beyond is taken for: usual ones, 1, 1 and 0, have no place on the axes on
which they are moved."""

_LANE = np.array([0])
_NOT_FINITE = "gradients are not finite"

_attached: weakref.WeakKeyDictionary[nn.Module, weakref.ref[LearnerHost]] = (
    weakref.WeakKeyDictionary()
)
"""Which host measures what is trained: of a run that was left behind, or interrupted, nobody else
would take the hooks down."""


def give_way(module: nn.Module) -> bool:
    """Have the run that steers the training of a module let go of it, as another one comes.

    Args:
        module: All that is trained.

    Returns:
        Whether there was one.
    """
    earlier = _attached.pop(module, None)
    host = None if earlier is None else earlier()
    if host is None:
        return False
    host.give_way()
    return True


class LearnerHost(PlainHost):
    """One learner; where an interval fails its weights are put back, and its environments go on.

    Args:
        writers: What can be written, by hyperparameter.
        meter: What has measured it since the start of the training; its first rollout is there, or
            `load_state_dict` comes next.
        facts: What the run knows of itself.
        is_guarded: Whether a policy that has collapsed is put back to the best there was.
        fixed: Values of hyperparameters that cannot be written, where they are not the defaults.

    Attributes:
        has_updated: Whether an update was made that is not counted yet.
    """

    def __init__(
        self,
        writers: Mapping[str, Writer],
        meter: Meter,
        facts: Facts,
        *,
        is_guarded: bool = True,
        fixed: Mapping[str, float] | None = None,
    ) -> None:
        super().__init__(writers)
        self.meter = meter
        self._facts = facts
        self.has_updated = False
        self._run: Steered | None = None
        self._in_force = {h.name: h.default for h in HYPERPARAMETERS}
        self._in_force |= dict(fixed or {}) | dict(self.initial)
        self._curve = LearningCurve(1)
        first = meter.take()
        self._curve.begin(_LANE, [facts], first, self._row())
        self._curve_before = self._curve.snapshot(_LANE)
        self._collapse = Collapse()
        self._is_guarded = is_guarded
        if is_guarded:
            self._collapse.take(first[0], self._copy())
        self._failure: str | None = None
        self._put_back_next: Mapping[str, Tensor] | None = None
        self._start = self._middle = self._copy()
        self._num_done = 0

    def problem(self) -> Problem:
        """Say which algorithm learns, and by what kind of actions."""
        return Problem(kind=self._facts.kind)

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`; the first rollout counts as collected under these values."""
        super().start_at(values)
        self._in_force |= values
        self._curve.values[_LANE] = self._row()

    # ---------------------------------------------------------------------- what the training calls

    def end_update(self) -> None:
        """Look at an update that has just been made, before the rollout that follows.

        Where gradients were not finite the weights of the interval's start are put back at once, as
        a rollout comes next, and the interval counts as failed. An update on the rollout of a
        policy that has collapsed is taken back with it.
        """
        self.has_updated = True
        is_spoiled = self.meter.has_bad_gradients or not self._is_finite()
        self.meter.has_bad_gradients = False
        if self._put_back_next is not None:
            self._put_back(self._put_back_next)
            self._put_back_next = None
        else:
            self.read_update()
        if is_spoiled:
            self._failure = _NOT_FINITE
            self._put_back(self._start)
        if self._num_done + 1 == self._num_updates // 2:
            self._middle = self._copy()

    def read_update(self) -> None:
        """Have the meter take in what the update has measured; nothing where it is told."""

    def measured(self, name: str) -> float:
        """Return one of the measures of the last interval, NaN where there is none."""
        return float(self._curve.measures[0, COLUMN[name]])

    # --------------------------------------------------------------------------- what the run calls

    def begin(self, run: Steered) -> None:
        """Hang the hooks up."""
        self._run = run
        self.meter.hang_up()
        _attached[self.meter.module] = weakref.ref(self)

    def give_way(self) -> None:
        """Let go, as another run is attached to the same training."""
        if self._run is not None:
            self._run.supersede()

    def begin_interval(self, num_updates: int) -> None:
        """Copy the weights."""
        super().begin_interval(num_updates)
        self._num_done = 0
        self._start = self._middle = self._copy()
        self._failure = None

    def note_update(self, loss: Any) -> None:
        """Count an update and the rollout after it."""
        self._num_done += 1
        self.has_updated = False

    def measure(self, validation_loss: float) -> Telemetry:
        """Take in what the interval measured."""
        norms = self.meter.gradient_norms
        first, last = (norms[0], norms[-1]) if norms else (math.nan, math.nan)
        measures = self.meter.take()
        self._curve_before = self._curve.snapshot(_LANE)
        self._curve.update(_LANE, measures, self._row())
        if self._failure is None and self._is_guarded:
            self._failure = self._collapse.take(measures[0], self._copy())
        telemetry = Telemetry.missing(1)
        telemetry.validation_loss[:] = validation_loss
        telemetry.gradient_norm_first[:], telemetry.gradient_norm_last[:] = first, last
        telemetry.update_ratio[:], telemetry.update_agreement[:] = self._way()
        telemetry.diverged[:] = self._failure is not None
        return telemetry

    def features(self) -> Mapping[str, float]:
        """Return the features of the interval that was measured last."""
        return dict(zip(FEATURES, self._curve.features(_LANE)[0].tolist(), strict=True))

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write where the training reads."""
        used = super().write(values)
        self._in_force |= used
        return used

    def roll_back(self) -> bool:
        """Put back the start of the interval, or after a collapse the best policy there was."""
        best = self._collapse.best_weights
        if self._failure in (None, _NOT_FINITE) or best is None:
            self._put_back(self._start)
            self._curve.restore(_LANE, self._curve_before)
        else:
            self._put_back(best)
            self._put_back_next = best
        return True

    def unrestored(self) -> str | None:
        """Name weights that are not finite although they were put back."""
        return None if self._is_finite() else "weights that are not finite"

    def harm(self) -> str | None:
        """Say that the agent has collapsed more often than chance has it."""
        count = self._collapse.num_collapses
        return f"the agent has collapsed {count} times" if count >= MOST_COLLAPSES else None

    def failure(self) -> str | None:
        """Say why the interval has failed."""
        return self._failure

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, as plain data and tensors."""
        curve = self._curve.snapshot(_LANE)
        return {
            "meter": self.meter.state_dict(),
            "curve": {name: rows.tolist() for name, rows in curve.items()},
            "collapse": self._collapse.state_dict(),
            "start": self._start,
            "middle": self._middle,
            "failure": self._failure,
            "num_done": self._num_done,
            "has_updated": self.has_updated,
            "in_force": dict(self._in_force),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, also in another process."""
        self.meter.load_state_dict(state["meter"])
        self._curve.restore(_LANE, state["curve"])
        self._collapse.load_state_dict(state["collapse"])
        self._start, self._middle = state["start"], state["middle"]
        self._failure, self._num_done = state["failure"], int(state["num_done"])
        self.has_updated = bool(state["has_updated"])
        self._in_force = dict(state["in_force"])

    def close(self) -> None:
        """Take the hooks down and give the values back."""
        ours = _attached.get(self.meter.module)
        if ours is not None and ours() is self:
            del _attached[self.meter.module]
        self.meter.take_down()
        super().close()

    # --------------------------------------------------------------------------------- the insides

    def _row(self) -> NDArray[np.float64]:
        """Return the values in force `[1, H]`; what the learner does not have is at its default."""
        return np.array([[self._in_force[name] for name in NAMES]])

    def _copy(self) -> dict[str, Tensor]:
        state: Mapping[str, Tensor] = self.meter.module.state_dict()
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def _put_back(self, weights: Mapping[str, Tensor]) -> None:
        """Put weights and buffers back, and empty the optimiser's memory, which led away."""
        self.meter.module.load_state_dict(weights)
        self.meter.optimizer.state.clear()

    def _is_finite(self) -> bool:
        return all(bool(p.detach().isfinite().all()) for p in self.meter.module.parameters())

    def _way(self) -> tuple[float, float]:
        """Return how far the weights went over their size, and the cosine of the two halves."""
        module = self.meter.module
        names = [n for n, p in module.named_parameters() if p.requires_grad]
        start, middle, end = (
            torch.cat([weights[name].detach().flatten().double() for name in names])
            for weights in (self._start, self._middle, module.state_dict())
        )
        ratio = _quotient(float((end - start).norm()), float(start.norm()))
        if self._num_updates < 2:
            return ratio, math.nan
        first, second = middle - start, end - middle
        return ratio, _quotient(float(first @ second), float(first.norm() * second.norm()))


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0.0 else math.nan
