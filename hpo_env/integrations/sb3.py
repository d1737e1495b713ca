"""Stable-Baselines3: a callback that steers an agent's own hyperparameters while it learns.

    agent.learn(500_000, callback=HPOControlCallback("reinforcement"))

Policies of the reinforcement family go by the returns of training episodes and by what the agent
logs; they decide once a rollout is collected, and move all that `sb3_values` lists. Policies of
other families go by a loss, which `validate` must give; for them a decision is taken every few
rollouts:

=================  ==========================================  ===============================
hyperparameter     written to                                  read by
=================  ==========================================  ===============================
learning_rate      `model.lr_schedule`                         every call of `train()`
clip_range         `model.clip_range`                          every call of `train()`
entropy            `model.ent_coef`                            every call of `train()`
discount           `model.gamma` and the rollout buffer        the rollout after the next
gae_lambda         `model.gae_lambda` and the rollout buffer   the rollout after the next
=================  ==========================================  ===============================

A learning rate that is a function of the progress is the base schedule, which is corrected; a clip
range that is one stays the agent's own, unless the learning rate is one too. Callbacks are not told
of exceptions: a `learn` that was interrupted gives the values back when the next one begins that
the callback, or another one, is given to; or with `callback.run.close()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from hpo_env.addresses import load_address
from hpo_env.control.host import Steered
from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.saved import check_saved
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import own_values, take_for_own
from hpo_env.integrations.callbacks import Callback, Decides, controller_of
from hpo_env.integrations.extras import require
from hpo_env.integrations.lengths import num_saved
from hpo_env.integrations.options import check_options
from hpo_env.integrations.sb3_schedules import OwnSchedules
from hpo_env.integrations.sb3_values import (
    LOSS_STEERED,
    check_moved,
    chosen_values,
    loss_steered_values,
    numbers_among,
)

_callbacks = require("stable_baselines3.common.callbacks", extra="train")
_on_policy = require("stable_baselines3.common.on_policy_algorithm", extra="train")

_BY_RETURNS: Mapping[str, str] = {
    "reinforcement": "hpo_env.integrations.sb3_agents.training:AgentTraining",
}
"""Families whose policies see an agent as it is, and what tells them: a `Training`. The room of a
family is its own, and is entered when such a policy is used."""


class Training(Protocol):
    """One call of `learn()`, steered."""

    run: Run[Any] | None

    def begin_rollout(self) -> None:
        """Take note that a rollout begins, or that there is none any more."""

    def take_step(self, local: Mapping[str, Any]) -> None:
        """Take in a step of the environments, given the local variables of `collect_rollouts`."""

    def end_rollout(self, local: Mapping[str, Any]) -> None:
        """Take note that a rollout is complete."""

    def close(self) -> None:
        """Take note that the training has ended."""


class LossSteeredHost(PlainHost):
    """An agent that is told no losses; an update is a rollout and the training on it.

    Args:
        model: The agent, on-policy.
        validate: Takes the agent and returns a positive number that should fall.
        hyperparameters: What may be written, by name; None: all that such policies write.

    Attributes:
        values: What is written, by hyperparameter.
        schedules: The agent's own.

    Raises:
        ConfigurationError: The agent is of another kind, or has not what is named.
        UnknownNameError: There is no such hyperparameter.
    """

    def __init__(
        self,
        model: Any,
        validate: Callable[[Any], float] | None = None,
        hyperparameters: Sequence[str] | None = None,
    ) -> None:
        if not isinstance(model, _on_policy.OnPolicyAlgorithm):
            raise ConfigurationError(
                "an on-policy agent (PPO, A2C) must be given, which learns rollout by rollout; "
                f"got {type(model).__name__}"
            )
        there = loss_steered_values(model)
        self.values = chosen_values(there, hyperparameters, known=[*LOSS_STEERED])
        super().__init__(self.values, None if validate is None else lambda: validate(model))
        self.schedules = OwnSchedules(model, self.values)
        self._run: Steered | None = None

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`; an agent with schedules of its own goes its own way."""
        if self.schedules.names:
            raise ConfigurationError(
                "start='learned' and a schedule of the agent's own cannot both hold: give the "
                "agent numbers, or leave start out"
            )
        super().start_at(values)

    def begin(self, run: Steered) -> None:
        """Keep the run, which has to write as often as the schedule goes on."""
        self._run = run

    def follow_schedule(self) -> None:
        """Write what the schedule asks for in the training on the next rollout."""
        self.schedules.follow(self._run)

    def base(self) -> Mapping[str, float] | None:
        """Return what the agent's own schedules ask for in the training that comes next."""
        return self.schedules.base(self._rollouts_ahead)

    def base_change(self) -> tuple[float, float] | None:
        """Return the learning rate in the middle of this interval and of the next."""
        return self.schedules.base_change(self._num_updates, self._rollouts_ahead)

    def state_dict(self) -> dict[str, Any]:
        """Return what was collected so far, and what was found where the run writes."""
        return super().state_dict() | {"found": own_values(numbers_among(self.values))}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was called, also in another process."""
        super().load_state_dict(state)
        found = state.get("found", {})  # earlier versions do not say
        take_for_own(numbers_among(self.values), found)

    @property
    def _rollouts_ahead(self) -> float:
        # Before the first rollout of all nothing is trained: its end is what comes next.
        return 0.0 if self._run is not None and self._run.has_decided else 1.0


class LossSteeredTraining:
    """A training whose policy goes by a loss; see `HPOControlCallback`."""

    def __init__(
        self,
        model: Any,
        controller: Controller,
        *,
        total_timesteps: int,
        validate: Callable[[Any], float],
        state: Mapping[str, Any] | None = None,
        hyperparameters: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        host = LossSteeredHost(model, validate, hyperparameters)
        check_moved(hyperparameters, controller.policy.space.names)
        if host.schedules.names and options.get("base_schedule") is not None:
            raise ConfigurationError(
                "the agent's learning_rate is a schedule already, which is corrected: build the "
                "agent with a number, or leave out base_schedule"
            )
        self._num_rollouts = 0
        steps_a_rollout = model.n_steps * model.n_envs
        to_come = -(-(total_timesteps - model.num_timesteps) // steps_a_rollout)
        total = max(num_saved(state) + to_come, 1)
        self.run: Run[LossSteeredHost] = controller.steer(
            host, total_steps=total, state=state, **options
        )

    def begin_rollout(self) -> None:
        """See `Training.begin_rollout`."""

    def take_step(self, local: Mapping[str, Any]) -> None:
        """See `Training.take_step`."""

    def end_rollout(self, local: Mapping[str, Any]) -> None:
        """See `Training.end_rollout`."""
        # The rollout before the first update belongs to the values that are in force already.
        if self._num_rollouts > 0:
            self.run.step()
        self.run.host.follow_schedule()
        self._num_rollouts += 1

    def close(self) -> None:
        """See `Training.close`."""
        if not self.run.is_over:
            self.run.step()
        self.run.close()


class HPOControlCallback(Callback, _callbacks.BaseCallback):  # type: ignore[misc,name-defined]
    """Steers `model.learn` of an agent, any number of times; the agent's own values are put back.

    Policies of the reinforcement family steer PPO and A2C, and DQN where they know it or
    `steers_unknown=True` is given, see `Controller.attach`; those that go by a loss, PPO and A2C.
    A run begins at the agent's own values, with `start="learned"` at those of the policy.

    Args:
        controller: What decides; a controller, or the name or the folder of a policy.
        validate: For policies that go by a loss: takes the agent and returns a positive number that
            should fall, such as the distance of its mean return from the best return there is.
        state: A saved `callback.state_dict()` to go on from; it is used once.
        **options: Further arguments of `Controller.steer`; and `hyperparameters`, the names of what
            may be moved, all by default. With a policy of the reinforcement family also
            `is_guarded`: whether an agent whose returns have collapsed is put back to where they
            were best, True by default.

    Attributes:
        run: The run of the last training, once it has begun.

    Raises:
        PolicyFileError: There is no such policy.
        UnknownArgumentError: An option is none.
        ConfigurationError: `validate` is missing, or is given to a policy that has no use for it;
            or `state` is that of no run.
            While training begins: the agent is of another kind, or has a schedule of its own
            beside `base_schedule`; or the callback is part of one that passes on steps alone.
    """

    def __init__(
        self,
        controller: Decides,
        *,
        validate: Callable[[Any], float] | None = None,
        state: Mapping[str, Any] | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        controller = controller_of(controller)
        family = controller.policy.family
        self._by_returns = _BY_RETURNS.get(family)
        if self._by_returns is None and validate is None:
            raise ConfigurationError(
                f"a policy of family {family!r} goes by a loss that should fall: give validate=, "
                f"or take one of {' or '.join(map(repr, _BY_RETURNS))}, which goes by returns"
            )
        if self._by_returns is not None and validate is not None:
            raise ConfigurationError(
                f"a policy of family {family!r} goes by the returns of training episodes: leave "
                "validate= out"
            )
        own = ["hyperparameters"] + (["is_guarded"] if self._by_returns else [])
        taken = ("total_steps", "state")
        check_options(type(self).__name__, options, of=Controller.steer, taken=taken, own=own)
        self._controller = controller
        self._state = None if state is None else check_saved(state)
        self._options = options if validate is None else options | {"validate": validate}
        self._training: Training | None = None

    @property
    def run(self) -> Run[Any] | None:
        """See the class."""
        return None if self._training is None else self._training.run

    def state_dict(self) -> dict[str, Any]:
        """Return the state of the run, to be saved beside the agent; `state=` goes on from it.

        Raises:
            ConfigurationError: No run has begun.
        """
        if self.run is None:
            raise ConfigurationError(
                "no run has begun, so there is no state: save once the first rollout is collected"
            )
        return self.run.state_dict()

    def _init_callback(self) -> None:
        if isinstance(self.parent, _callbacks.EventCallback):
            raise ConfigurationError(
                f"{type(self.parent).__name__} passes on single steps, and rollouts are what a "
                "controller goes by: give HPOControlCallback to learn() itself, in a list beside it"
            )

    def _on_training_start(self) -> None:
        make: Any = (
            LossSteeredTraining
            if self._by_returns is None
            else load_address("training", self._by_returns)
        )
        if self.run is not None:  # nobody says that a training was interrupted
            self.run.close()
        state, self._state = self._state, None
        total = self.locals["total_timesteps"]
        self._training = make(
            self.model, self._controller, total_timesteps=total, state=state, **self._options
        )

    @property
    def _steered(self) -> Training | None:
        """The training; None before it, and once its run has let go of it."""
        run = self.run
        return None if run is not None and run.is_closed else self._training

    def _on_rollout_start(self) -> None:
        if (training := self._steered) is not None:
            training.begin_rollout()

    def _on_step(self) -> bool:
        if (training := self._steered) is not None:
            training.take_step(self.locals)
        return True

    def _on_rollout_end(self) -> None:
        if (training := self._steered) is not None:
            training.end_rollout(self.locals)

    def _on_training_end(self) -> None:
        if (training := self._steered) is not None:
            training.close()


def make_host(model: Any, validate: Callable[[Any], float] | None = None) -> LossSteeredHost:
    """Make the host of an agent; arguments and errors are those of `LossSteeredHost`."""
    return LossSteeredHost(model, validate)
