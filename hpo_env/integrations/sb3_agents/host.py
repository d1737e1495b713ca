"""An agent of Stable-Baselines3 as the host of a controlled run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hpo_env.integrations.borrowed import own_values, take_for_own
from hpo_env.integrations.sb3_agents.meter import AgentMeter
from hpo_env.integrations.sb3_schedules import OwnSchedules
from hpo_env.integrations.sb3_values import all_values, chosen_values, numbers_among
from hpo_env.tasks.reinforcement.facts import Facts
from hpo_env.tasks.reinforcement.learner_host import ENDS, LearnerHost
from hpo_env.tasks.reinforcement.space import NAMES

_OF_TARGETS = ("discount", "gae_lambda")


class AgentHost(LearnerHost):
    """One agent; its own values and schedules are given back in the end.

    Args:
        model: The agent.
        meter: See `LearnerHost`; so are the rest.
        facts: See `training.agent_facts`.
        is_guarded: Whether a policy that has collapsed is put back to the best there was.
        hyperparameters: What may be written, by name; None: all that the agent has.

    Attributes:
        values: What is written, by hyperparameter.
        schedules: The agent's own.
    """

    meter: AgentMeter

    def __init__(
        self,
        model: Any,
        meter: AgentMeter,
        facts: Facts,
        *,
        is_guarded: bool = True,
        hyperparameters: Sequence[str] | None = None,
    ) -> None:
        there = all_values(model, ends=ENDS)
        self.values = chosen_values(there, hyperparameters, known=NAMES)
        fixed = {name: value.initial for name, value in there.items() if name not in self.values}
        super().__init__(self.values, meter, facts, is_guarded=is_guarded, fixed=fixed)
        self._model = model
        self._has_other_targets = False  # than those that the advantages at hand are made for
        self.schedules = OwnSchedules(model, self.values)

    def begin_update(self, last_values: Any, dones: Any) -> None:
        """Have the advantages of the rollout at hand be those of the values in force.

        Args:
            last_values: Values of what is seen after the rollout, a tensor `[num_envs]`; None of an
                agent that learns from a replay buffer.
            dones: Where the last step ended an episode `[num_envs]`.
        """
        buffer = getattr(self._model, "rollout_buffer", None)
        if buffer is not None and not np.isfinite(buffer.rewards).all():
            np.nan_to_num(buffer.rewards, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
            self._has_other_targets = True
        if buffer is not None and self._has_other_targets:
            buffer.compute_returns_and_advantage(last_values=last_values, dones=dones)
        self._has_other_targets = False
        self.meter.read_targets()

    def read_update(self) -> None:
        """Read the agent's logger."""
        self.meter.read_update()

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Write where the agent reads."""
        before = dict(self._in_force)
        used = super().write(values)
        self._has_other_targets = self._has_other_targets or any(
            used[name] != before[name] for name in _OF_TARGETS if name in used
        )
        return used

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`; the rollout at hand is learned from by these targets already."""
        super().start_at(values)
        self._has_other_targets |= not values.keys().isdisjoint(_OF_TARGETS)

    def base(self) -> Mapping[str, float] | None:
        """Return what the agent's own schedules ask for in the next update."""
        return self.schedules.base()

    def base_change(self) -> tuple[float, float] | None:
        """Return the learning rate in the middle of this interval and of the next."""
        return self.schedules.base_change(self._num_updates)

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, and what was found where the run writes."""
        return super().state_dict() | {"found": own_values(numbers_among(self.values))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, also in another process."""
        super().load_state_dict(state)
        take_for_own(numbers_among(self.values), state["found"])
