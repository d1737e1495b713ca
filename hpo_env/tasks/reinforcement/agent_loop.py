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
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.optim import Optimizer

from hpo_env.arguments import NOT_A_NUMBER, functions_by_name, numbers_by_name, read_number
from hpo_env.control.plan import whole_number
from hpo_env.control.run import Run, RunLogger
from hpo_env.control.writers import FunctionWriter, Writer
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, ControllerWarning, unknown_name
from hpo_env.policy import Policy
from hpo_env.starts import Start
from hpo_env.tasks.reinforcement.facts import Facts
from hpo_env.tasks.reinforcement.learner_host import ENDS, LearnerHost, give_way
from hpo_env.tasks.reinforcement.learning_rates import LearningRates
from hpo_env.tasks.reinforcement.meter import LOGGED, Meter
from hpo_env.tasks.reinforcement.space import NAMES

_MOST_UNANSWERED = 3
"""Rollouts without an update between: a loop that asks twice for each is no mistake."""


class AgentLoop:
    """A training from its first rollout to its last update.

    Args:
        controller: What decides, or the name or folder of a policy: see
            `Controller.from_pretrained`. The policy is of the reinforcement family.
        module: All that is trained, policy and value function.
        optimizer: What trains it; its learning rate is written here, in all param groups, which
            keep their ratios.
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
        ConfigurationError: A function has no initial value, a number is none or out of range, a
            torch scheduler writes to the optimiser, or the policy is of another family.
        UnknownNameError: There is no hyperparameter of that name.
    """

    def __init__(
        self,
        controller: Controller | str | Path,
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
        if not isinstance(controller, Controller):
            controller = Controller.from_pretrained(controller)
        _check_trained(controller.policy, module)
        bind, initial = functions_by_name("bind", bind), numbers_by_name("initial", initial)
        for name in (*bind, *initial):
            if name not in NAMES:
                raise unknown_name("hyperparameter", name, NAMES)
        missing = sorted(set(bind) - set(initial))
        if missing:
            raise ConfigurationError(
                f"initial must hold a value for all that is bound; {missing} are missing"
            )
        give_way(module)  # a run that was left behind
        self.run: Run[LearnerHost] | None = None
        self._controller, self._facts = controller, facts
        self._values = dict(initial)
        self._meter = Meter(
            module,
            optimizer,
            facts.num_envs,
            lambda: self._values.get("max_grad_norm", math.inf),
        )
        self._writers: dict[str, Writer] = {
            name: self._writer(name, function) for name, function in bind.items()
        }
        if "learning_rate" not in bind:
            self._writers["learning_rate"] = LearningRates(optimizer)
        self._total_updates = whole_number("total_updates", total_updates)
        if self._total_updates < 1:
            raise ConfigurationError(f"total_updates must be at least 1; got {total_updates!r}")
        self._num_decisions = num_decisions
        self._num_unanswered = 0  # calls of `end_rollout` since the last update
        self._loggers, self._start = loggers, start
        self._is_guarded, self._steers_unknown = is_guarded, steers_unknown
        if state is not None:
            self._begin(state)

    def take_step(
        self,
        rewards: Any,
        dones: Any,
        *,
        paid: Any = None,
        truncated: Any = None,
        known: Mapping[int, tuple[float, float]] | None = None,
    ) -> None:
        """Take in one step of all environments; see `Meter.take_step`.

        Args:
            rewards: As the agent gets them, an array or tensor `[num_envs]`; so are the next three.
            dones: Where an episode ended.
            paid: As the environments pay them, where that is something else.
            truncated: Where a time limit ended the episode.
            known: Return and length of the episodes that ended, by environment, where somebody
                else has counted them.

        Raises:
            ConfigurationError: Something else is given, or of another number of environments.
        """
        self._meter.take_step(
            self._by_env("rewards", rewards),
            self._by_env("dones", dones),
            paid=None if paid is None else self._by_env("paid", paid),
            truncated=None if truncated is None else self._by_env("truncated", truncated) != 0.0,
            known=known,
        )

    def end_rollout(self) -> None:
        """Decide where an interval has ended; the values that hold from now on are written."""
        self._num_unanswered += 1
        if self.run is None:
            self._begin(None)
        elif self.run.host.has_updated or self.run.is_closed:
            self.run.step()
        if self._num_unanswered == _MOST_UNANSWERED:
            warnings.warn(
                f"end_rollout() was called {_MOST_UNANSWERED} times and end_update() never in "
                "between: nothing is decided before an update is made. Call end_update() after "
                "each",
                ControllerWarning,
                stacklevel=2,
            )

    def begin_update(self, advantages: Any, targets: Any) -> None:
        """Take in what the next update is made of.

        Args:
            advantages: Of every step, an array or tensor of any shape.
            targets: What the value function is trained on, the same.

        Raises:
            ConfigurationError: One of them is something else, or empty.
        """
        self._meter.take_targets(_array("advantages", advantages), _array("targets", targets))

    def end_update(self, **measured: Any) -> None:
        """Take in what an update has measured, before the rollout that follows.

        Args:
            **measured: Numbers, or tensors of one element, by name, of those in `meter.LOGGED`;
                what is not told, or None, is missing.

        Raises:
            UnknownNameError: There is no such measure.
            ConfigurationError: One is no number, or no rollout was ended before.
        """
        for name in measured:
            if name not in LOGGED:
                raise unknown_name("measure of an update", name, LOGGED)
        told = {name: value for name, value in measured.items() if value is not None}
        logged = {name: _measured(name, value) for name, value in told.items()}
        if self.run is None:
            raise ConfigurationError("end_rollout() must be called before end_update()")
        self._num_unanswered = 0
        if not self.run.is_closed:
            self._meter.take_update(logged)
            self.run.host.end_update()

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the run, to be saved beside the agent; `state=` goes on from it.

        Raises:
            ConfigurationError: No run has begun.
        """
        if self.run is None:
            raise ConfigurationError(
                "no run has begun, so there is no state: save after the first end_rollout()"
            )
        return self.run.state_dict()

    def close(self) -> None:
        """End the run; the loop's own values are back, as far as nobody else has set others."""
        if self.run is not None and not self.run.is_closed:
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

        own = self._values[name]
        writer = FunctionWriter(function=write, initial=own, name=name)
        if name in ENDS:  # 1 and 0 have no place on their axes
            low, high = ENDS[name]
            writer.start_at(min(max(own, low), high))
        return writer

    def _by_env(self, name: str, value: Any) -> NDArray[np.float64]:
        """Return something of every environment `[num_envs]`."""
        num_envs = self._facts.num_envs
        found = None if value is None else _numbers(value)
        if found is None or found.size != num_envs:
            raise ConfigurationError(
                f"take_step() needs {name} of every environment, an array [{num_envs}] "
                f"(Facts.num_envs); got {value!r:.60}"
            )
        return np.asarray(found, dtype=np.float64).reshape(num_envs)


def _check_trained(policy: Policy, module: Any) -> None:
    """Check who decides, and for what.

    Raises:
        ConfigurationError: The policy is of another family, or there is no module.
    """
    if policy.family != "reinforcement":
        raise ConfigurationError(
            f"a loop that learns by returns needs a policy of family 'reinforcement'; got one of "
            f"{policy.family!r}"
        )
    if not isinstance(module, nn.Module):
        raise ConfigurationError(
            f"module must hold all that is trained (nn.Module); got {type(module).__name__}"
        )


def _numbers(value: Any) -> NDArray[Any] | None:
    """Return numbers of any kind as an array, float32 and float64 as they are; None: no numbers."""
    if isinstance(value, Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype is torch.bfloat16 else value
        value = value.numpy()
    try:
        array = np.asarray(value)
        return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)
    except (TypeError, ValueError):
        return None


def _array(name: str, value: Any) -> NDArray[Any]:
    found = None if value is None else _numbers(value)
    if found is None or found.size == 0:
        raise ConfigurationError(
            f"begin_update() needs {name}, an array or tensor of any shape; got {value!r:.60}"
        )
    return found


def _measured(name: str, value: Any) -> float:
    try:
        return read_number(value)
    except NOT_A_NUMBER as error:
        raise ConfigurationError(
            f"end_update() needs one number for {name}; got {value!r:.60}"
        ) from error
