"""Stable-Baselines3: a callback that steers an agent's own hyperparameters, rollout by rollout.

The interface for policies of the reinforcement family. It writes where the agent really reads:

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
of exceptions: a `learn` that was interrupted gives the values back when the next one begins, or
with `callback.run.close()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo_env.control.host import Steered
from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.extras import require
from hpo_env.integrations.lengths import num_saved

_callbacks = require("stable_baselines3.common.callbacks", extra="train")
_utils = require("stable_baselines3.common.utils", extra="train")
_on_policy = require("stable_baselines3.common.on_policy_algorithm", extra="train")

_ADVICE = "Take whatever sets it (another callback, a schedule) out, or this callback"
_NUM_POINTS = 21  # of a schedule, to find its largest value


class AgentHost(PlainHost):
    """An agent that is told no losses; an update is a rollout and the training on it.

    Args:
        model: The agent, on-policy.
        validate: Takes the agent and returns a positive number that should fall.

    Attributes:
        has_schedule: Whether the agent's own learning rate is a function of the progress.

    Raises:
        ConfigurationError: The agent is of another kind.
    """

    def __init__(self, model: Any, validate: Callable[[Any], float] | None = None) -> None:
        if not isinstance(model, _on_policy.OnPolicyAlgorithm):
            raise ConfigurationError(
                "an on-policy agent (PPO, A2C) must be given, which learns rollout by rollout; "
                f"got {type(model).__name__}"
            )
        values = _values(model)
        super().__init__(values, None if validate is None else lambda: validate(model))
        self._model = model
        schedules = {n: values[n].found for n in ("learning_rate", "clip_range") if n in values}
        self._schedules = {n: s for n, s in schedules.items() if not _is_constant(s)}
        self.has_schedule = bool(self._schedules)
        self._run: Steered | None = None

    def begin(self, run: Steered) -> None:
        """Keep the run, which has to write as often as the schedule goes on."""
        self._run = run

    def follow_schedule(self) -> None:
        """Write what the schedule asks for in the training on the next rollout."""
        if self.has_schedule and self._run is not None and not self._run.is_over:
            self._run.write()

    def base(self) -> Mapping[str, float] | None:
        """Return what the agent's own schedules ask for in the training that comes next."""
        if not self._schedules:
            return None
        progress = self._progress_remaining()
        return {name: float(schedule(progress)) for name, schedule in self._schedules.items()}

    def base_change(self) -> tuple[float, float] | None:
        """Return the learning rate in the middle of this interval and of the next."""
        if not self._schedules:
            return None
        half = 0.5 * self._num_updates * self._share_of_a_rollout()
        now = self._progress_remaining()
        rate = self._schedules["learning_rate"]
        return float(rate(min(now + half, 1.0))), float(rate(max(now - half, 0.0)))

    def _share_of_a_rollout(self) -> float:
        model = self._model
        return float(model.n_steps * model.n_envs / max(model._total_timesteps, 1))

    def _progress_remaining(self) -> float:
        """Return what the agent will pass to its schedules in the next training."""
        model = self._model
        done = model.num_timesteps / max(model._total_timesteps, 1)
        # Before the first rollout of all nothing is trained: its end is what comes next.
        ahead = 0.0 if self._run is not None and self._run.has_decided else 1.0
        return float(min(max(1.0 - done - ahead * self._share_of_a_rollout(), 0.0), 1.0))


class HPOControlCallback(_callbacks.BaseCallback):  # type: ignore[misc,name-defined]
    """Steers `model.learn` of an on-policy agent (PPO, A2C), any number of times.

    Args:
        controller: What decides.
        validate: Takes the agent and returns a positive number that should fall, such as the
            distance of its mean return from the best return there is.
        **options: Further arguments of `Controller.steer`; a `state` to go on from is used once.

    Attributes:
        run: The run of the last training, once it has begun.

    Raises:
        ConfigurationError: While training: the agent is of another kind, or has a schedule of its
            own beside `base_schedule`.
    """

    def __init__(
        self, controller: Controller, *, validate: Callable[[Any], float], **options: Any
    ) -> None:
        super().__init__()
        self.run: Run[AgentHost] | None = None
        self._controller = controller
        self._validate = validate
        self._state: Mapping[str, Any] | None = options.pop("state", None)
        self._options = options
        self._num_rollouts = 0

    def _on_training_start(self) -> None:
        model: Any = self.model
        host = AgentHost(model, self._validate)
        if host.has_schedule and self._options.get("base_schedule") is not None:
            raise ConfigurationError(
                "the agent's learning_rate is a schedule already, which is corrected: build the "
                "agent with a number, or leave out base_schedule"
            )
        self._num_rollouts = 0
        steps_a_rollout = model.n_steps * model.n_envs
        to_come = -(-(self.locals["total_timesteps"] - self.num_timesteps) // steps_a_rollout)
        state, self._state = self._state, None
        total = max(num_saved(state) + to_come, 1)
        self.run = self._controller.steer(host, total_steps=total, state=state, **self._options)

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        # The rollout before the first update belongs to the values that are in force already.
        if self.run is not None:
            if self._num_rollouts > 0:
                self.run.step()
            self.run.host.follow_schedule()
        self._num_rollouts += 1

    def _on_training_end(self) -> None:
        if self.run is None:
            return
        if not self.run.is_over:
            self.run.step()
        self.run.close()


def make_host(model: Any, validate: Callable[[Any], float] | None = None) -> AgentHost:
    """Make the host of an agent; arguments and errors are those of `AgentHost`."""
    return AgentHost(model, validate)


def _values(model: Any) -> dict[str, BorrowedValue]:
    """Find what the agent lets one write."""

    def schedule(attribute: str, name: str) -> BorrowedValue:
        return BorrowedValue(
            model,
            name,
            read=lambda: getattr(model, attribute),
            put=lambda new: setattr(model, attribute, new),
            make=_utils.FloatSchedule,
            number=_peak,
            advice=_ADVICE,
        )

    def put_in_buffer(attribute: str) -> Callable[[float], None]:
        def put(value: float) -> None:
            setattr(model, attribute, value)
            setattr(model.rollout_buffer, attribute, value)

        return put

    def in_buffer(attribute: str, name: str) -> BorrowedValue:
        return BorrowedValue(
            model,
            name,
            read=lambda: getattr(model.rollout_buffer, attribute),
            put=put_in_buffer(attribute),
            advice=_ADVICE,
        )

    found = {
        "learning_rate": schedule("lr_schedule", "learning_rate"),
        "entropy": BorrowedValue(
            model,
            "entropy",
            read=lambda: model.ent_coef,
            put=lambda value: setattr(model, "ent_coef", value),
            advice=_ADVICE,
        ),
        "discount": in_buffer("gamma", "discount"),
        "gae_lambda": in_buffer("gae_lambda", "gae_lambda"),
    }
    if hasattr(model, "clip_range"):
        clip_range = schedule("clip_range", "clip_range")
        has_base = not _is_constant(found["learning_rate"].found)
        if has_base or _is_constant(clip_range.found):
            found["clip_range"] = clip_range
    return found


def _is_constant(schedule: Any) -> bool:
    inner = getattr(schedule, "value_schedule", schedule)
    return isinstance(inner, _utils.ConstantSchedule)


def _peak(schedule: Any) -> float:
    """Return the largest value of a schedule: what it is a schedule of."""
    if _is_constant(schedule):
        return float(schedule(1.0))
    return max(float(schedule(point / (_NUM_POINTS - 1))) for point in range(_NUM_POINTS))
