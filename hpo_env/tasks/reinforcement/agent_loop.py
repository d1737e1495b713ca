"""A controller in a training loop of one's own: a policy gradient in a single file, as CleanRL's.

The loop tells what it does, and computes its advantages after `end_rollout`, when the discount that
holds is known:

    steered = AgentLoop(controller, agent, optimizer, ...)
    for update in range(total_updates):
        ...  # collect a rollout, telling each step: steered.take_step(rewards, dones)
        steered.end_rollout()
        ...  # advantages and targets, with args.gamma as it is now
        steered.begin_update(advantages, targets)
        ...  # epochs of minibatches
        steered.end_update(approx_kl=..., entropy=..., ...)
    steered.close()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import nn
from torch.optim import Optimizer

from hpo_env.control.run import Run, RunLogger
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.starts import Start
from hpo_env.tasks.reinforcement.facts import Facts
from hpo_env.tasks.reinforcement.learner_host import ENDS, LearnerHost
from hpo_env.tasks.reinforcement.meter import LOGGED, Meter
from hpo_env.tasks.reinforcement.space import NAMES


class AgentLoop:
    """A training from its first rollout to its last update.

    Args:
        controller: What decides; its policy is of the reinforcement family.
        module: All that is trained, policy and value function.
        optimizer: What trains it; its learning rate is written here.
        total_updates: How often `end_update` will be called.
        facts: What the run knows of itself.
        bind: Functions that set the other hyperparameters, by name; what is left out stays.
        initial: Values at the start, "learning_rate" excepted: of all that is bound, and of what is
            not where it is no default, as the size of minibatches and `max_grad_norm` may be.
        num_decisions: Decision intervals in the run; by default those of the policy's training.
        is_guarded: Whether a policy that has collapsed is put back to the best there was.
        state: A saved `state_dict()` to go on from.
        loggers: Told of every decision.
        start: "user" to begin at the loop's own values, "learned" at the policy's learned start;
            None: what was measured to be better.
        steers_unknown: Whether to steer an algorithm that the policy does not know; see
            `Controller.attach`.

    Attributes:
        run: The run, once the first rollout is there.

    Raises:
        ConfigurationError: A function has no initial value.
        UnknownNameError: There is no hyperparameter of that name.
    """

    def __init__(
        self,
        controller: Controller,
        module: nn.Module,
        optimizer: Optimizer,
        *,
        total_updates: int,
        facts: Facts,
        bind: Mapping[str, Callable[[float], Any]],
        initial: Mapping[str, float],
        num_decisions: int | None = None,
        is_guarded: bool = True,
        state: Mapping[str, Any] | None = None,
        loggers: Sequence[RunLogger] = (),
        start: Start | None = None,
        steers_unknown: bool = False,
    ) -> None:
        for name in (*bind, *initial):
            if name not in NAMES:
                raise unknown_name("hyperparameter", name, NAMES)
        missing = sorted(set(bind) - set(initial))
        if missing:
            raise ConfigurationError(
                f"initial must hold a value for all that is bound; {missing} are missing"
            )
        self.run: Run[LearnerHost] | None = None
        self._controller, self._facts = controller, facts
        self._values = dict(initial)
        self._meter = Meter(
            module,
            optimizer,
            facts.num_envs,
            lambda: self._values.get("max_grad_norm", math.inf),
        )
        self._writers = {"learning_rate": _rate_writer(optimizer)} | {
            name: self._writer(name, function) for name, function in bind.items()
        }
        self._total_updates, self._num_decisions = total_updates, num_decisions
        self._loggers, self._start = loggers, start
        self._is_guarded, self._steers_unknown = is_guarded, steers_unknown
        if state is not None:
            self._begin(state)

    def take_step(self, rewards: Any, dones: Any, **more: Any) -> None:
        """Take in one step of all environments; see `Meter.take_step`."""
        self._meter.take_step(rewards, dones, **more)

    def end_rollout(self) -> None:
        """Decide where an interval has ended; the values that hold from now on are written."""
        if self.run is None:
            self._begin(None)
        elif self.run.host.has_updated:
            self.run.step()

    def begin_update(self, advantages: Any, targets: Any) -> None:
        """Take in what the next update is made of.

        Args:
            advantages: Of every step, an array or tensor of any shape.
            targets: What the value function is trained on, the same.
        """
        self._meter.take_targets(advantages, targets)

    def end_update(self, **measured: float) -> None:
        """Take in what an update has measured, before the rollout that follows.

        Args:
            **measured: By name, of those in `meter.LOGGED`; what is not told is missing.

        Raises:
            UnknownNameError: There is no such measure.
        """
        for name in measured:
            if name not in LOGGED:
                raise unknown_name("measure of an update", name, LOGGED)
        if self.run is None:
            raise ConfigurationError("end_rollout() must be called before end_update()")
        self._meter.take_update(measured)
        self.run.host.end_update()

    def close(self) -> None:
        """End the run; the values stay."""
        if self.run is not None:
            if self.run.host.has_updated and not self.run.is_over:
                self.run.step()
            self.run.close()

    def _begin(self, state: Mapping[str, Any] | None) -> None:
        host = LearnerHost(
            self._writers,
            self._meter,
            self._facts,
            is_guarded=self._is_guarded,
            fixed={n: v for n, v in self._values.items() if n not in self._writers},
        )
        self.run = self._controller.steer(
            host,
            total_steps=self._total_updates,
            num_decisions=self._num_decisions,
            state=state,
            loggers=self._loggers,
            start=self._start,
            steers_unknown=self._steers_unknown,
        )

    def _writer(self, name: str, function: Callable[[float], Any]) -> FunctionWriter:
        def write(value: float) -> float | None:
            used: float | None = function(value)
            self._values[name] = value if used is None else used
            return used

        own = float(self._values[name])
        if name in ("discount", "gae_lambda", "entropy"):  # 1 and 0 have no place on their axes
            low, high = ENDS[name]
            own = min(max(own, low), high)
        return FunctionWriter(function=write, initial=own)


def _rate_writer(optimizer: Optimizer) -> FunctionWriter:
    def write(value: float) -> None:
        for group in optimizer.param_groups:
            group["lr"] = value

    return FunctionWriter(function=write, initial=float(optimizer.param_groups[0]["lr"]))
