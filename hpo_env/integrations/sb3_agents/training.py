"""One call of an agent's `learn()`, steered: what a callback of Stable-Baselines3 is told.

A run begins when the first rollout is there, as the first decision looks at it, and makes a step
for each update and the rollout after it. An agent with a replay buffer learns after every few
steps; its run makes a step for as many of them as an interval has.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces

from hpo_env.arguments import listed
from hpo_env.control.plan import whole_number
from hpo_env.control.run import ControllerWarning, Run, RunLogger
from hpo_env.control.saved import check_saved
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.extras import require
from hpo_env.integrations.sb3_agents.host import AgentHost
from hpo_env.integrations.sb3_agents.meter import AgentMeter
from hpo_env.integrations.sb3_logging import AgentLogger
from hpo_env.integrations.sb3_values import check_moved
from hpo_env.starts import Start
from hpo_env.tasks.reinforcement.facts import Facts
from hpo_env.tasks.reinforcement.learner_host import give_way

_PATIENCE = 0.25  # share of a run without the end of an episode that is worth a warning

_USUAL_STEPS = 2048  # of an interval: PPO's default rollout
_MOST_DECISIONS = 100  # twice as many as a run of meta-training had


class AgentTraining:
    """A training from its start to its end.

    Args:
        model: The agent: PPO, A2C or DQN, and on-policy algorithms that are like them.
        controller: What decides.
        total_timesteps: Where the training ends, counted from the agent's first step.
        state: A saved run to go on from.
        is_guarded: Whether a policy that has collapsed is put back to the best there was.
        num_decisions: Decision intervals in the run; by default those of a saved run, or one for
            every 2,048 steps, but no fewer than in the policy's training and no more than 100.
        loggers: Told of every decision, after the agent's own logger.
        hyperparameters: What may be moved, by name; None: all that agent and policy have. What is
            left out stays as the agent has it, as `epochs` may have to, which cost time, and so
            does what the policy moves in shorter runs alone (`Policy.most_decisions`).
        start: "user" to begin at the agent's own values, "learned" at the policy's learned start;
            None: what was measured to be better, and the agent's own values where they are
            schedules, or DQN's.
        **options: Further arguments of `Controller.steer`.

    Attributes:
        run: The run, once it has begun.

    Raises:
        ConfigurationError: The algorithm is another, two schedules are asked for, a learned start
            where there can be none, or to move what the policy does not.
    """

    def __init__(
        self,
        model: Any,
        controller: Controller,
        *,
        total_timesteps: int,
        state: Mapping[str, Any] | None = None,
        is_guarded: bool = True,
        num_decisions: int | None = None,
        loggers: Sequence[RunLogger] = (),
        hyperparameters: Sequence[str] | None = None,
        start: Start | None = None,
        **options: Any,
    ) -> None:
        check_agent(model)
        give_way(model.policy)
        self.run: Run[AgentHost] | None = None
        self._model, self._controller = model, controller
        self._is_guarded, self._start, self._options = is_guarded, start, options
        self._hyperparameters = hyperparameters
        self._loggers = [AgentLogger(model), *listed("loggers", loggers)]
        self._meter = AgentMeter(model)
        self._is_on_policy = hasattr(model, "rollout_buffer")
        made = model.num_timesteps
        if not self._is_on_policy:  # nothing is learned, or decided, before the buffer is filled
            made = max(made, model.learning_starts)
        to_come = max(total_timesteps - made, 1)
        usual = _usual_decisions(to_come, controller.default_num_decisions)
        saved = {} if state is None else check_saved(state).get("asked", {})
        asked = saved.get("num_decisions", usual) if num_decisions is None else num_decisions
        asked = whole_number("num_decisions", asked)
        if self._is_on_policy:
            rollout = model.n_steps * model.n_envs
        else:
            rollout = _share(model, to_come, asked)
        if self._is_on_policy and to_come < rollout:
            _warn(
                f"total_timesteps={to_come} is less than one rollout of {rollout} steps "
                "(n_steps * n_envs): the agent collects one all the same and learns from it once, "
                "after a single decision. Lower n_steps, or train for longer"
            )
        self._rollout_steps = rollout
        self._total_steps = _num_made(state) + -(-to_come // rollout)
        self._num_decisions = asked
        self._num_agent_updates = model._n_updates
        self._step_due = model.num_timesteps
        self._said: set[str] = set()
        if state is not None:
            self._begin(state)

    # ----------------------------------------------------------------- what the callback is told of

    def begin_rollout(self) -> None:
        """See whether there was an update since the rollout before."""
        made, self._num_agent_updates = self._num_agent_updates, self._model._n_updates
        if self.run is not None and made != self._num_agent_updates:
            self.run.host.end_update()

    def take_step(self, local: Mapping[str, Any]) -> None:
        """Take in a step of the environments, from what `collect_rollouts` has at hand."""
        self._meter.read_step(local["infos"], local["rewards"], local["dones"])

    def end_rollout(self, local: Mapping[str, Any]) -> None:
        """Decide where an interval has ended; the next update goes by what is written here."""
        if not self._is_on_policy and not self._is_step_due():
            if self.run is not None:  # it learns now, by what its own schedule has come to
                self.run.host.schedules.follow(self.run)
            return
        if self.run is None:
            self.run = self._begin(None)
        elif self.run.host.has_updated:
            self.run.step()
        host = self.run.host
        host.schedules.follow(self.run)
        host.begin_update(local.get("values"), local.get("dones"))
        self._look_at_episodes(self.run)

    def close(self) -> None:
        """End the run with the update that no rollout follows, and give the values back."""
        if self.run is None:
            _warn(
                f"the training ended after {self._model.num_timesteps} steps and before the first "
                "decision, which needs a rollout, and DQN's more than learning_starts steps: "
                "nothing was steered. Train for longer"
            )
            return
        self.begin_rollout()
        if self.run.host.has_updated and not self.run.is_over:
            self.run.step()
        self._look_at_returns(self.run)
        self.run.close()

    # --------------------------------------------------------------------------------- the insides

    def _is_step_due(self) -> bool:
        """Say whether an agent with a replay buffer has made the steps of an interval."""
        model = self._model
        if model.num_timesteps <= model.learning_starts or model.num_timesteps < self._step_due:
            return False
        self._step_due = model.num_timesteps + self._rollout_steps
        return True

    def _begin(self, state: Mapping[str, Any] | None) -> Run[AgentHost]:
        if give_way(self._model.policy):
            _warn(
                "another HPOControlCallback has begun to steer this agent in the same learn(): it "
                "steers no more, and this one does. Give learn() one of them"
            )
        per_decision = max(round(self._total_steps / max(self._num_decisions, 1)), 1)
        facts = agent_facts(self._model, self._rollout_steps, per_decision)
        host = AgentHost(
            self._model,
            self._meter,
            facts,
            is_guarded=self._is_guarded,
            hyperparameters=self._hyperparameters,
        )
        if host.schedules.names and self._options.get("base_schedule") is not None:
            raise ConfigurationError(
                "the agent's learning_rate is a schedule already, which is corrected: build the "
                "agent with a number, or leave out base_schedule"
            )
        check_moved(self._hyperparameters, self._controller.policy.space.names)
        self._say_what_is_left_alone(host)
        self.run = self._controller.steer(
            host,
            start=self._where_to_start(host),
            total_steps=self._total_steps,
            num_decisions=self._num_decisions,
            state=state,
            loggers=self._loggers,
            **self._options,
        )
        return self.run

    def _where_to_start(self, host: AgentHost) -> Start | None:
        """Return what was asked for; nobody's schedule, and no DQN, is left where none was."""
        if self._start == "learned" and host.schedules.names:
            raise ConfigurationError(
                "start='learned' and a schedule of the agent's own cannot both hold: give the "
                "agent numbers, or leave start out"
            )
        is_known = self._is_on_policy or self._has_met(host)
        if self._start == "learned" and not is_known:
            raise ConfigurationError(
                f"start='learned' is not known of {type(self._model).__name__}, which the policy "
                "has not learned on: leave start out, and it begins at its own values"
            )
        is_ones_own = bool(host.schedules.names) or not is_known
        return "user" if self._start is None and is_ones_own else self._start

    def _has_met(self, host: AgentHost) -> bool:
        """Say whether the policy says that meta-training contained such agents."""
        policy = self._controller.policy
        return policy.kinds is not None and policy.knows(host.problem())

    def _say_what_is_left_alone(self, host: AgentHost) -> None:
        model = self._model
        is_asked_for = self._hyperparameters is None
        if is_asked_for and hasattr(model, "clip_range") and "clip_range" not in host.values:
            _warn(
                "clip_range is a schedule of yours and learning_rate is not: clip_range is left to "
                "you. Give a number to have it steered"
            )
        policy, is_asked = self._controller.policy, self._options.get("steers_unknown", False)
        is_met = self._is_on_policy or self._has_met(host)
        if not is_met and (is_asked or policy.knows(host.problem())):
            _warn(
                f"the policy has not learned on {type(model).__name__}, of which it moves "
                f"{', '.join(host.values)}, and sees little more than the returns"
            )

    def _look_at_episodes(self, run: Run[AgentHost]) -> None:
        meter = self._meter
        if meter.is_normaliser_spoilt:
            self._say(
                "spoilt",
                "rewards that are paid as numbers come out of VecNormalize as none: its running "
                "statistics have met one that was not finite, and will not recover. Every reward "
                "counts as 0 from here on: begin anew with an environment that pays numbers",
            )
        elif meter.has_bad_rewards:
            self._say(
                "bad",
                "a reward was not finite. Such rewards count as 0 and such episodes are left out, "
                "as nothing could be learned from them: look at what the environment pays",
            )
        has_ended = meter.num_episodes + meter.num_left_out > 0
        if not has_ended and run.num_steps >= _PATIENCE * self._total_steps:
            self._say(
                "endless",
                f"no episode has ended in {run.num_steps} rollouts, so no return is known: the "
                "controller sees rewards and updates alone. Give the environment a time limit "
                "(gymnasium.wrappers.TimeLimit)",
            )

    def _look_at_returns(self, run: Run[AgentHost]) -> None:
        if run.interval > 1 and self._meter.has_constant_returns:
            self._say(
                "constant",
                "every episode had the same return, so nothing told one value from another: the "
                "environment's reward was never reached, or is constant",
            )

    def _say(self, kind: str, message: str) -> None:
        if kind not in self._said:
            self._said.add(kind)
            _warn(message)


def _usual_decisions(to_come: int, trained: int) -> int:
    """Return the decisions in a run: meta-training had one for every 1,024 or 2,048 steps."""
    return max(trained, min(to_come // _USUAL_STEPS, _MOST_DECISIONS))


def _num_made(state: Mapping[str, Any] | None) -> int:
    """Return how many updates were made when a run was saved, one that is not counted yet too."""
    if state is None:
        return 0
    return int(state["num_steps"]) + bool(state["measurement"]["has_updated"])


def _share(model: Any, to_come: int, num_decisions: int) -> int:
    """Return the steps between two decisions of an agent with a replay buffer."""
    often = model.train_freq  # in steps of each environment, or in episodes of an unknown length
    least = int(model.n_envs) * (int(often.frequency) if often.unit.value == "step" else 1)
    return -(-to_come // (max(num_decisions, 1) * least)) * least


def check_agent(model: Any) -> None:
    """Check that an agent is of an algorithm that can be steered.

    Raises:
        ConfigurationError: It is not.
    """
    on_policy = require("stable_baselines3.common.on_policy_algorithm", extra="train")
    dqn = require("stable_baselines3.dqn", extra="train")
    if not isinstance(model, on_policy.OnPolicyAlgorithm | dqn.DQN):
        raise ConfigurationError(
            "an agent of PPO or A2C, another that learns rollout by rollout, or DQN must be given; "
            f"got {type(model).__name__}"
        )


def agent_facts(model: Any, rollout_steps: int, rollouts_per_decision: int) -> Facts:
    """Say what a run knows of its agent.

    Args:
        model: The agent.
        rollout_steps: Steps between updates that are counted, all environments together.
        rollouts_per_decision: Of those, in an interval.
    """
    space = model.action_space
    is_continuous = isinstance(space, spaces.Box)
    return Facts(
        algorithm=_algorithm(model),
        num_actions=0 if is_continuous else _num_choices(space),
        action_size=math.prod(space.shape) if is_continuous else 0,
        observation_size=spaces.utils.flatdim(model.observation_space),
        num_envs=model.n_envs,
        num_steps=max(rollout_steps // model.n_envs, 1),
        rollouts_per_decision=rollouts_per_decision,
    )


def _algorithm(model: Any) -> str:
    """Return whose kind an agent is; what clips its objective learns as PPO does."""
    a2c = require("stable_baselines3.a2c", extra="train")
    if hasattr(model, "clip_range"):
        return "ppo"
    return "a2c" if isinstance(model, a2c.A2C) else type(model).__name__.lower()


def _num_choices(space: Any) -> int:
    if isinstance(space, spaces.MultiDiscrete):
        return math.prod(np.asarray(space.nvec).ravel().tolist())  # 64 bits may not hold it
    if isinstance(space, spaces.MultiBinary):
        return int(2 ** math.prod(space.shape))
    return int(space.n)


def _warn(message: str) -> None:
    warnings.warn(message, ControllerWarning, stacklevel=2)
