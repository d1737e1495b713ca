"""An agent of Stable-Baselines3 as the host of a controlled run.

A step of the run is an update and the rollout after it. A decision is taken when a rollout has been
collected and its update has not been made, so discount and lambda count at once: the advantages are
computed again. What is measured there is what the family's lanes measure: see `measures`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hpo_env.control.host import Steered
from hpo_env.integrations.borrowed import BorrowingHost
from hpo_env.integrations.sb3_schedules import OwnSchedules
from hpo_env.integrations.sb3_values import all_values
from hpo_env.tasks.reinforcement.agent_meter import AgentMeter
from hpo_env.tasks.reinforcement.collapse import Collapse
from hpo_env.tasks.reinforcement.features import FEATURES, Facts, LearningCurve
from hpo_env.tasks.reinforcement.measures import COLUMN
from hpo_env.tasks.reinforcement.space import ENTROPY_FLOOR, HYPERPARAMETERS, NAMES
from hpo_env.telemetry import Telemetry

_LANE = np.array([0])
_ENDS = {h.name: (h.low, h.high) for h in HYPERPARAMETERS} | {"entropy": (ENTROPY_FLOOR, math.inf)}
_NOT_FINITE = "weights are not finite"


class AgentHost(BorrowingHost):
    """One agent; where an interval fails its weights are put back, and its environments go on.

    Args:
        model: The agent.
        meter: What has measured it since the start of the training; its first rollout is there, or
            `load_state_dict` comes next.
        facts: What the run knows of itself; see `agent_facts`.
        is_guarded: Whether a policy that has collapsed is put back to the best there was.

    Attributes:
        schedules: The agent's own.
        has_updated: Whether an update was made that is not counted yet.
    """

    def __init__(
        self, model: Any, meter: AgentMeter, facts: Facts, *, is_guarded: bool = True
    ) -> None:
        super().__init__(all_values(model, ends=_ENDS))
        self._model, self._meter = model, meter
        self.schedules = OwnSchedules(model, self.values)
        self.has_updated = False
        self._run: Steered | None = None
        self._in_force = {h.name: h.default for h in HYPERPARAMETERS} | dict(self.initial)
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

    # ---------------------------------------------------------------------- what the training calls

    def begin_update(self, last_values: Any, dones: Any) -> None:
        """Have the advantages of the rollout at hand be those of the values in force.

        Args:
            last_values: Values of what is seen after the rollout, a tensor `[num_envs]`; None of an
                agent that learns from a replay buffer.
            dones: Where the last step ended an episode `[num_envs]`.
        """
        buffer = getattr(self._model, "rollout_buffer", None)
        if buffer is not None and self._has_other_targets:
            buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)
        self._has_other_targets = False
        self._meter.begin_update()

    def end_update(self) -> None:
        """Look at an update that has just been made, before the rollout that follows.

        Weights that are not finite would end the training in the middle of the rollout: those of
        the interval's start are put back at once, and the interval counts as failed. An update on
        the rollout of a policy that has collapsed is taken back with it.
        """
        self.has_updated = True
        if self._put_back_next is not None:
            self._put_back(self._put_back_next)
            self._put_back_next = None
        else:
            self._meter.end_update()
        if not self._is_finite():
            self._failure = _NOT_FINITE
            self._put_back(self._start)
        if self._num_done + 1 == self._num_updates // 2:
            self._middle = self._copy()

    # --------------------------------------------------------------------------- what the run calls

    def begin(self, run: Steered) -> None:
        """Hang the hooks up."""
        self._run = run
        self._meter.hang_up()

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
        norms = self._meter.gradient_norms
        first, last = (norms[0], norms[-1]) if norms else (math.nan, math.nan)
        measures = self._meter.take()
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

    def measured(self, name: str) -> float:
        """Return one of the measures of the last interval, NaN where there is none."""
        return float(self._curve.measures[0, COLUMN[name]])

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write where the agent reads."""
        used = super().write(values)
        targets = ("discount", "gae_lambda")
        self._has_other_targets = self._has_other_targets or any(
            used[name] != self._in_force[name] for name in targets if name in used
        )
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

    def failure(self) -> str | None:
        """Say why the interval has failed."""
        return self._failure

    def base(self) -> Mapping[str, float] | None:
        """Return what the agent's own schedules ask for in the next update."""
        return self.schedules.base()

    def base_change(self) -> tuple[float, float] | None:
        """Return the learning rate in the middle of this interval and of the next."""
        return self.schedules.base_change(self._num_updates)

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, and what was found where the run writes."""
        return {
            "meter": self._meter.state_dict(),
            "curve": self._curve.snapshot(_LANE),
            "collapse": self._collapse.state_dict(),
            "start": self._start,
            "middle": self._middle,
            "failure": self._failure,
            "num_done": self._num_done,
            "has_updated": self.has_updated,
            "in_force": dict(self._in_force),
            "found": {
                name: value.initial
                for name, value in self.values.items()
                if name not in self.schedules.names
            },
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, also in another process."""
        self._meter.load_state_dict(state["meter"])
        self._curve.restore(_LANE, state["curve"])
        self._collapse.load_state_dict(state["collapse"])
        self._start, self._middle = state["start"], state["middle"]
        self._failure, self._num_done = state["failure"], int(state["num_done"])
        self.has_updated = bool(state["has_updated"])
        self._in_force = dict(state["in_force"])
        for name, found in state["found"].items():
            if name in self.values and name not in self.schedules.names:
                self.values[name].was_found_as(found)

    def close(self) -> None:
        """Take the hooks down and give the values back."""
        self._meter.take_down()
        super().close()

    # --------------------------------------------------------------------------------- the insides

    _has_other_targets = False

    def _row(self) -> NDArray[np.float64]:
        """Return the values in force `[1, H]`; what the agent does not have is at its default."""
        return np.array([[self._in_force[name] for name in NAMES]])

    def _copy(self) -> dict[str, Tensor]:
        state: Mapping[str, Tensor] = self._model.policy.state_dict()
        return {name: tensor.detach().clone() for name, tensor in state.items()}

    def _put_back(self, weights: Mapping[str, Tensor]) -> None:
        """Put weights and buffers back, and empty the optimiser's memory, which led away."""
        self._model.policy.load_state_dict(weights)
        self._model.policy.optimizer.state.clear()

    def _is_finite(self) -> bool:
        return all(bool(p.detach().isfinite().all()) for p in self._model.policy.parameters())

    def _way(self) -> tuple[float, float]:
        """Return how far the weights went over their size, and the cosine of the two halves."""
        names = [n for n, p in self._model.policy.named_parameters() if p.requires_grad]
        now = self._model.policy.state_dict()
        start, middle, end = (
            torch.cat([weights[name].detach().flatten().double() for name in names])
            for weights in (self._start, self._middle, now)
        )
        ratio = _quotient(float((end - start).norm()), float(start.norm()))
        if self._num_updates < 2:
            return ratio, math.nan
        first, second = middle - start, end - middle
        return ratio, _quotient(float(first @ second), float(first.norm() * second.norm()))


def _quotient(numerator: float, denominator: float) -> float:
    return numerator / denominator if denominator > 0.0 else math.nan
