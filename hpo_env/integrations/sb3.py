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
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from hpo_env.control.plain_host import PlainHost
from hpo_env.control.run import Run
from hpo_env.control.writers import FunctionWriter
from hpo_env.controller import Controller
from hpo_env.integrations.extras import require

_callbacks = require("stable_baselines3.common.callbacks", extra="train")
_utils = require("stable_baselines3.common.utils", extra="train")


class HPOControlCallback(_callbacks.BaseCallback):  # type: ignore[misc,name-defined]
    """Steers `model.learn` of an on-policy agent (PPO, A2C).

    Args:
        controller: What decides.
        validate: Takes the agent and returns a positive number that should fall, such as the
            distance of its mean return from the best return there is.
        **options: Further arguments of `Controller.steer`.

    Attributes:
        run: The run, once training has begun.
    """

    def __init__(
        self, controller: Controller, *, validate: Callable[[Any], float], **options: Any
    ) -> None:
        super().__init__()
        self.run: Run[PlainHost] | None = None
        self._controller = controller
        self._validate = validate
        self._options = options
        self._num_rollouts = 0

    def _on_training_start(self) -> None:
        model: Any = self.model
        steps_a_rollout = model.n_steps * model.n_envs
        total = -(-(self.locals["total_timesteps"] - self.num_timesteps) // steps_a_rollout)
        self.run = self._controller.steer(
            make_host(model, self._validate),
            total_steps=max(total, 1),
            **self._options,
        )

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        # The rollout before the first update belongs to the values that are in force already.
        if self.run is not None and self._num_rollouts > 0:
            self.run.step()
        self._num_rollouts += 1

    def _on_training_end(self) -> None:
        if self.run is not None and not self.run.is_over:
            self.run.step()


def make_host(model: Any, validate: Callable[[Any], float] | None = None) -> PlainHost:
    """Make the host of an agent; it is told no losses.

    Args:
        model: The agent.
        validate: See `HPOControlCallback`.
    """
    return PlainHost(_writers(model), None if validate is None else lambda: validate(model))


def _writers(model: Any) -> Mapping[str, FunctionWriter]:
    def write_rate(value: float) -> float:
        model.lr_schedule = _utils.FloatSchedule(value)
        return float(model.lr_schedule(model._current_progress_remaining))

    def write_clip_range(value: float) -> float:
        model.clip_range = _utils.FloatSchedule(value)
        return float(model.clip_range(model._current_progress_remaining))

    def write_entropy(value: float) -> float:
        model.ent_coef = value
        return float(model.ent_coef)

    def write_in_buffer(name: str) -> Callable[[float], float]:
        def write(value: float) -> float:
            setattr(model, name, value)
            setattr(model.rollout_buffer, name, value)
            return float(getattr(model.rollout_buffer, name))

        return write

    found: dict[str, tuple[Any, Callable[[float], float]]] = {
        "learning_rate": (model.lr_schedule(1.0), write_rate),
        "entropy": (model.ent_coef, write_entropy),
        "discount": (model.gamma, write_in_buffer("gamma")),
        "gae_lambda": (model.gae_lambda, write_in_buffer("gae_lambda")),
    }
    if hasattr(model, "clip_range"):
        found["clip_range"] = (model.clip_range(1.0), write_clip_range)
    return {
        name: FunctionWriter(function=function, initial=float(value))
        for name, (value, function) in found.items()
    }
