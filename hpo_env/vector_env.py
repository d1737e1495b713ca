"""The environment over N lanes; the single environment is this one with one lane.

A step is one decision interval: the actions move the corrections, the trainer runs all lanes under
the corrected values, and telemetry becomes observation and reward.

The file is long by what users read: a third of it is the environment's documentation.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.guard import as_hosts_measure
from hpo_env.hidden_end import draw_course, told
from hpo_env.hidden_loss import TrueCourse, as_users_know
from hpo_env.lane_info import closing_info, running_info
from hpo_env.lanes_env import ActionMode, Array, Lanes, LanesEnv, OnDivergence
from hpo_env.rendering import RunHistory, draw_run
from hpo_env.reward import log_diverged, rewards
from hpo_env.schedules import interval_factors, log_change
from hpo_env.seeding import draw_episode_seed
from hpo_env.steering import Steering, draw_available
from hpo_env.tasks.base import Engine, Split, Task, Trainer, check_choice
from hpo_env.tasks.checks import check_features, check_tasks, check_telemetry, check_used
from hpo_env.telemetry import Telemetry
from hpo_env.vector_conventions import (
    check_as_many,
    check_can_step,
    check_places,
    final_info_of,
    no_tasks,
    reset_mask,
    seed_of_each,
)

__all__ = ["ActionMode", "HPOControlVectorEnv", "OnDivergence"]

_LANE_STATE = ("_interval", "_num_intervals", "_course", "_initial", "_values", "_loss", "_over")
"""Arrays by lane that a snapshot holds, beside what trainer and steering keep."""


class HPOControlVectorEnv(LanesEnv):
    """N training runs whose hyperparameters an agent turns while they go on.

    ## Description
    Each lane draws a task (a data set, a model, an optimiser, a horizon), trains it for one
    decision interval a step, and starts a new one when the run is over. A lane that is given the
    seed `s` is the single environment with that seed, whatever the other lanes do.

    ## Action space
    `action_mode="continuous"`: `Box(-1, 1, (H,))`; an entry moves the hyperparameter's correction
    by up to its `max_step` (a factor of 4 for the learning rate). `action_mode="discrete"`:
    `MultiDiscrete([5] * H)`, the choices being -1, -1/2, 0, 1/2 and 1 of that.
    `action_mode="joint"`: `Discrete(5 ** H)`, all combinations of these, the last hyperparameter
    counting fastest, for agents that know `Discrete` alone; up to four hyperparameters. Doing
    nothing, which is the middle choice, keeps
    the base schedule, corrected by what was done before; doing nothing from the start keeps the
    base schedule itself, bit for bit.

    ## Observation space
    `Box(-1, 1, (D,), float32)`. `observation_docs` names every entry and says what it measures.

    ## Reward
    `log q(t-1) - log q(t)` with the validation loss `q`: an episode's rewards add up to
    `log(q(0) / q(T))`. A run that diverges scores below every run that finishes.

    ## Divergence
    An interval that fails (`hpo_env.guard`) is treated as the deployed controller treats it. Under
    `on_divergence="roll_back"` it is rolled back: the weights of its start return, the optimiser's
    memory is empty, and the interval is lost. Under "cut", for families whose hosts cannot do that,
    it stays with all that it measured. In both the next move is the guard's, which makes the
    hyperparameters retreat that say so (a learning rate is cut), whatever the action says. Under
    "end" a run that its trainer calls diverged is over.

    ## Episode end
    The last decision interval, or divergence under "end". Both set `terminated`: the time left
    is part of the observation. `truncated` is never set.

    ## Info
    `hyperparameters` (the effective values, read back from where they are used), `train_loss`,
    `validation_loss`, `validation_metric`, `rolled_back` (whether the interval was), and
    at the end of an episode `test_loss`, `test_metric`, `task` (its name) and `diverged`. Under
    `AutoresetMode.SAME_STEP` the last step's information is in `final_info` and its observation in
    `final_obs`.

    Args:
        num_envs: Lanes, at least 1.
        family: The task family: a name of the registry, such as "supervised", or `module:Class`.
        split: "train", "validation" or "test": which data sets and architectures to draw.
        hyperparameters: The hyperparameters that the agent has; None takes the family's own choice,
            "all" all of them.
        num_decisions: Decision intervals in an episode; None leaves it to the family.
        action_mode: "continuous", "discrete" or "joint".
        base_schedule: What actions correct: "constant", "cosine", "warmup_cosine", "linear",
            "one_cycle" or "step".
        on_divergence: "roll_back", "cut" or "end"; None: what hosts of the family can do, the first
            or the second.
        availability: Lower end, in [0, 1], of the range up to 1 from which each episode draws how
            likely a hyperparameter can be moved; whether it can is then drawn for each that loops
            may lack, so not for a learning rate. What cannot be moved keeps its base value and is
            masked in the observation, as in a user's loop that has no such thing. With 0 all
            numbers of hyperparameters are equally frequent, with 1 all can always be moved.
        learned_start: Share, in [0, 1], of the drawn episodes that begin at the family's learned
            start in place of the values that the task drew. Needs a family that has one.
        hidden_end: Share, in [0, 1], of the episodes whose end is hidden, as that of a user's run
            with `total_steps=None`: they stand in the middle of their course until a tenth to a
            half of the episode is left.
        engine: "native" is the fastest: every architecture has a fused kernel, which a C++ compiler
            builds once a machine. "compiled" is torch.compile and takes seconds to start, "eager"
            starts at once, "reference" trains with torch.optim, one lane after the other. "auto"
            takes the kernels on a CPU with a C++ compiler; elsewhere it chooses between compiled
            and eager by the number of lanes.
        device: A torch device.
        autoreset_mode: What happens when a lane's run is over. SAME_STEP is what agents of
            Stable-Baselines3 need.
        render_mode: "rgb_array" or None.
        tasks: Fixed tasks, one a lane, in place of drawn ones: for paired comparisons.
        **family_options: Options of the family; of "supervised" among others `dataset` (a name, or
            the path of a CSV, Parquet or NPZ file), `target`, `model`, `optimizer`.

    Raises:
        UnknownNameError: A name is in no registry; the nearest are suggested.
        UnknownArgumentError: Nobody takes an argument of that name; a TypeError, too.
        ConfigurationError: Arguments contradict each other or are out of range.
        DatasetError: A data set cannot be used.
    """

    def __init__(
        self,
        num_envs: int = 1,
        *,
        family: str = "supervised",
        split: Split = "train",
        hyperparameters: Sequence[str] | str | None = None,
        num_decisions: int | None = None,
        action_mode: ActionMode = "continuous",
        base_schedule: str = "constant",
        on_divergence: OnDivergence | None = None,
        availability: float = 1.0,
        learned_start: float = 0.0,
        hidden_end: float = 0.0,
        engine: Engine = "auto",
        device: str = "cpu",
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        tasks: Sequence[Task] | None = None,
        **family_options: Any,
    ) -> None:
        check_choice("engine", engine, Engine)
        if not isinstance(device, str):
            raise ConfigurationError(f"device must be the name of a torch device; got {device!r}")
        super().__init__(
            num_envs,
            family=family,
            split=split,
            hyperparameters=hyperparameters,
            num_decisions=num_decisions,
            action_mode=action_mode,
            base_schedule=base_schedule,
            on_divergence=on_divergence,
            availability=availability,
            learned_start=learned_start,
            hidden_end=hidden_end,
            autoreset_mode=autoreset_mode,
            render_mode=render_mode,
            tasks=tasks,
            **family_options,
        )
        self._made_with: dict[str, Any] = {"engine": engine, "device": device}
        self.trainer = self._make_trainer()
        self.steering = Steering(
            self.space,
            num_envs,
            controlled=self.controlled,
            loss_floor=self.family.loss_floor,
            features=tuple(self.family.features),
        )
        self._truth = TrueCourse(num_envs) if self.family.is_loss_hidden else None
        self._lanes = np.arange(num_envs)
        self._rngs: list[np.random.Generator] = []
        self._interval = np.zeros(num_envs, dtype=np.int64)
        self._num_intervals = np.ones(num_envs, dtype=np.int64)
        self._course = np.ones(num_envs, dtype=np.int64)
        self._initial = np.tile(self.space.defaults, (num_envs, 1))  # [N, H of the family]
        self._values = self._initial.copy()
        self._loss = np.ones(num_envs)
        self._over = np.ones(num_envs, dtype=bool)  # not yet reset counts as over
        self._histories = [RunHistory() for _ in range(num_envs)] if render_mode else []

    # ------------------------------------------------------------------------------ the two calls

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new runs.

        Args:
            seed: One integer `s` gives lane `i` the seed `s + i`; a sequence gives each lane its
                own; None goes on with the generators in place.
            options: `{"reset_mask": bool array [N]}` resets only some of the lanes.
                `{"tasks": [...]}` fixes their tasks from now on: one entry for each of the N lanes,
                a task of the family or None for a lane that draws.

        Returns:
            Observations `[N, D]` and info.

        Raises:
            ConfigurationError: The mask, the tasks or the seeds do not fit the lanes.
            ContractError: The family's tasks or its trainer break their contract.
        """
        mask = reset_mask(options, self.num_envs, is_first=not self._rngs)
        given = self._given_by(options, mask)
        self._seed(seed, mask)
        self._given = given
        self._start(np.flatnonzero(mask))
        return self._observe(), self._info(mask)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Train every lane for one decision interval.

        Args:
            actions: `[N, H]`, float in `[-1, 1]` or integer choices, or joint choices `[N]`, by
                `action_mode`.

        Returns:
            Observations `[N, D]`, rewards `[N]`, terminated `[N]`, truncated `[N]` (never), info.

        Raises:
            ActionError: An action has the wrong shape, is not finite or is no choice.
            ConfigurationError: A lane is over and has to be reset first.
            ContractError: The family's trainer breaks its contract.
        """
        moves = self.moves_of(actions)
        restarts = self.autoreset_mode is AutoresetMode.NEXT_STEP
        waiting = np.zeros_like(self._over) if restarts else self._over
        check_can_step(is_reset=bool(self._rngs), over=waiting)
        restarting = self._over & restarts
        self._start(np.flatnonzero(restarting))
        reward = self._advance(moves, ~restarting)
        terminated = self._over.copy()
        observations = self._observe()
        ends = np.flatnonzero(terminated)
        info = self._info(np.ones(self.num_envs, dtype=bool), ends)
        if self.autoreset_mode is AutoresetMode.SAME_STEP and len(ends):
            final_observations, final_info = observations, info
            self._start(ends)
            observations = self._observe()
            info = self._info(np.ones(self.num_envs, dtype=bool))
            info |= final_info_of(final_observations, final_info, terminated)
        return observations, reward, terminated, np.zeros(self.num_envs, dtype=bool), info

    @property
    def is_over(self) -> NDArray[np.bool_]:
        """Which lanes have no run that goes on, bool `[N]`: it has ended, or none has begun."""
        return self._over.copy()

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draw every lane's run so far, losses above hyperparameters, RGB `[height, width, 3]`."""
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='rgb_array' at construction")
            return None
        return tuple(draw_run(history) for history in self._histories)

    # ------------------------------------------------------------------------ forking and resuming

    def snapshot(self, lanes: Lanes | None = None) -> dict[str, Any]:
        """Copy all state of the given lanes (default: all); `restore` replays it bit for bit."""
        if not self._rngs:
            raise ConfigurationError("reset() must be called before snapshot()")
        index = self._lanes if lanes is None else check_places(lanes, self.num_envs)
        return {
            "trainer": self.trainer.snapshot(index),
            "steering": self.steering.snapshot(index),
            "tasks": [self.tasks[lane] for lane in index],
            "rngs": [self._rngs[lane].bit_generator.state for lane in index],
            "arrays": {name: getattr(self, name)[index] for name in _LANE_STATE},
            "truth": None if self._truth is None else self._truth.snapshot(index),
        }

    def restore(
        self, snapshot: Mapping[str, Any], lanes: Lanes | None = None
    ) -> NDArray[np.float32]:
        """Put a snapshot of n lanes into n lanes, the same or others; returns observations."""
        index = self._lanes if lanes is None else check_places(lanes, self.num_envs)
        check_as_many(len(snapshot["tasks"]), index)
        if not self._rngs:
            self._seed(0, np.ones(self.num_envs, dtype=bool))
        self.trainer.restore(index, snapshot["trainer"])
        self.steering.restore(index, snapshot["steering"])
        if self._truth is not None:
            self._truth.restore(index, snapshot["truth"])
        for lane, task, state in zip(index, snapshot["tasks"], snapshot["rngs"], strict=True):
            self.tasks[lane] = task
            self._rngs[lane].bit_generator.state = state
        for name, values in snapshot["arrays"].items():
            getattr(self, name)[index] = values
        return self._observe()

    def __getstate__(self) -> dict[str, Any]:
        """Return what a copy is made of: all but the trainer, and what that would be restored to.

        A trainer holds memory of its engine, which no other process can have.
        """
        state = self.__dict__.copy()
        del state["trainer"]
        return state | {"_trained": self.trainer.snapshot(self._lanes) if self._rngs else None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Go on where the copied environment stood, bit for bit."""
        trained = state.pop("_trained")
        self.__dict__.update(state)
        self.trainer = self._make_trainer()
        if trained is not None:
            self.trainer.restore(self._lanes, trained)

    # --------------------------------------------------------------------------------- the insides

    def _make_trainer(self) -> Trainer:
        return self.family.make_trainer(self.num_envs, **self._made_with)

    @property
    def _telemetry(self) -> Telemetry:
        """What was really measured in the last interval `[N]`."""
        return self.steering.telemetry if self._truth is None else self._truth.telemetry

    def _observe(self) -> NDArray[np.float32]:
        """Return observations `[N, D]`: the fields of every family, then those of this one."""
        if not self.family.features:
            return self.steering.observe()
        features = self.trainer.features(self._lanes)
        check_features(self.family, features, self.num_envs)
        return self.steering.observe(features)

    def _advance(self, moves: Array, running: NDArray[np.bool_]) -> Array:
        """Run one interval and return rewards `[N]`; lanes that do not run keep their state."""
        idle = None if running.all() else np.flatnonzero(~running)
        held = None if idle is None else self.snapshot(idle)
        self.steering.move(moves)
        factors = self._factors(self._interval)
        given = self.steering.values(self.space.base(self._initial, factors))
        telemetry, self._values = self.trainer.advance(given)
        check_telemetry(self.family, telemetry, self._lanes)
        check_used(self.family, self._values, given)
        self._interval += 1
        next_factors = self._factors(np.minimum(self._interval, self._num_intervals - 1))
        measured = as_hosts_measure(telemetry) if self.on_divergence == "cut" else telemetry
        self.steering.close_interval(
            measured if self._truth is None else as_users_know(measured),
            values=self._values,
            base_change=log_change(factors, next_factors),
            roll_back=None if self.on_divergence == "end" else self._roll_back,
        )
        self.steering.observer.tell_time(self._told(self._interval), self._course)
        if self._truth is not None:
            self._truth.close_interval(measured, was_rolled_back=self.steering.was_rolled_back)
        reward = self._reward()
        self._over = self._interval >= self._num_intervals
        if self.on_divergence == "end":
            self._over |= telemetry.diverged
        if idle is not None and held is not None:
            self.restore(held, idle)
            reward[idle] = 0.0
        if self._histories:
            self._record(np.flatnonzero(running))
        return reward

    def _told(self, interval: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return how many intervals are over, as policy and base schedule are told `[N]`."""
        return told(interval, self._num_intervals, self._course)

    def _factors(self, interval: NDArray[np.int64]) -> Array:
        """Return the base schedule's factors in intervals `[N]`."""
        return interval_factors(self.base_schedule, self._told(interval), self._course)

    def _roll_back(self, lanes: NDArray[np.int64]) -> bool:
        """Put back what the lanes started the interval from, where hosts of the family can."""
        if self.on_divergence == "cut":
            return False
        self.trainer.roll_back(lanes)
        return True

    def _reward(self) -> Array:
        """Return what the interval brought `[N]`, and keep the losses that the next starts from."""
        telemetry, floor = self._telemetry, self.family.loss_floor
        first = (self.steering if self._truth is None else self._truth).first_loss
        lost = telemetry.diverged
        reward = rewards(
            loss=telemetry.validation_loss,
            previous_loss=self._loss,
            first_loss=first,
            diverged=lost,
            floor=floor,
        )
        self._loss = telemetry.validation_loss.copy()
        if lost.any():
            self._loss[lost] = np.exp(log_diverged(first[lost], floor))
        return reward

    def _start(self, lanes: NDArray[np.int64]) -> None:
        """Draw tasks for the given lanes and start them."""
        if not len(lanes):
            return
        for lane in lanes:
            given = self._given[lane]
            self.tasks[lane] = self._drawn(self._rngs[lane]) if given is None else given
        seeds = [draw_episode_seed(self._rngs[lane]) for lane in lanes]
        tasks = [self.tasks[lane] for lane in lanes]
        check_tasks(self.family, tasks)
        telemetry = self.trainer.reset(lanes, tasks, seeds)
        check_telemetry(self.family, telemetry, lanes)
        self._interval[lanes] = 0
        self._num_intervals[lanes] = [task.num_decisions for task in tasks]
        self._course[lanes] = [self._draw_course(int(lane)) for lane in lanes]
        self._initial[lanes] = [task.initial for task in tasks]
        self._loss[lanes] = telemetry.validation_loss
        self._over[lanes] = False
        base = self.space.base(self._initial[lanes], self._factors(self._interval)[lanes])
        self._values[lanes] = base
        if self._truth is not None:
            self._truth.begin(lanes, telemetry)
        self.steering.begin(
            lanes,
            telemetry if self._truth is None else as_users_know(telemetry),
            initial=self._initial[lanes],
            base=base,
            num_intervals=self._course[lanes],
            available=np.stack([self._draw_available(int(lane)) for lane in lanes]),
        )
        if self._histories:
            for lane in lanes:
                self._histories[lane] = RunHistory(title=self.tasks[lane].name)
            self._record(lanes)

    def _drawn(self, rng: np.random.Generator) -> Task:
        """Draw a task, at its own start or at the learned one."""
        task = self.family.sample(rng)
        if self.learned_start > 0.0 and rng.random() < self.learned_start:
            return self.family.at_learned_start(task)
        return task

    def _draw_course(self, lane: int) -> int:
        """Draw how many intervals of an episode are told as all; all where none are hidden."""
        num_intervals, rng = self.tasks[lane].num_decisions, self._rngs[lane]
        if self.hidden_end > 0.0 and rng.random() < self.hidden_end:
            return draw_course(rng, num_intervals)
        return num_intervals

    def _draw_available(self, lane: int) -> NDArray[np.bool_]:
        """Draw what can be moved in a lane's episode, of what its task has at all `[H]`."""
        drawn = draw_available(self._rngs[lane], self.controlled, self.availability)
        has = self.family.has(self.tasks[lane])
        return drawn & has[[self.space.index(name) for name in self.controlled.names]]

    def _info(
        self, mask: NDArray[np.bool_], ends: NDArray[np.int64] | None = None
    ) -> dict[str, Any]:
        """Build info in Gymnasium's convention: arrays `[N]`, and a mask under `_key` for each."""
        steering = self.steering
        info = running_info(
            self.space.names, self._values, self._telemetry, steering.was_rolled_back, mask
        )
        if ends is not None and len(ends):
            test = self.trainer.test(ends)
            info |= closing_info(self.tasks, self._telemetry, ends, *test)
        return info

    def _seed(self, seed: int | Sequence[int | None] | None, mask: NDArray[np.bool_]) -> None:
        """Give the masked lanes new generators where a seed was given, or where they have none."""
        seeds = seed_of_each(seed, self.num_envs)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        if not self._rngs:
            entropy = np.random.SeedSequence().generate_state(self.num_envs)
            self._rngs = [np.random.default_rng(int(e)) for e in entropy]
            self.tasks = no_tasks(self.space, self.num_envs)
        for lane in np.flatnonzero(mask):
            lane_seed = seeds[int(lane)]
            if lane_seed is not None:
                self._rngs[lane] = np.random.default_rng(lane_seed)

    def _record(self, lanes: NDArray[np.int64]) -> None:
        columns = [(name, self.space.index(name)) for name in self.controlled.names]
        for lane in lanes:
            self._histories[lane].append(
                train_loss=self._telemetry.train_loss[lane],
                validation_loss=self._telemetry.validation_loss[lane],
                hyperparameters={name: self._values[lane, h] for name, h in columns},
            )
