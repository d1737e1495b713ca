"""The environment over N lanes; the single environment is this one with one lane.

A step is one decision interval: the actions move the corrections, the trainer runs all lanes under
the corrected values, and telemetry becomes observation and reward.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import gymnasium as gym
import numpy as np
from gymnasium.spaces import Box, MultiDiscrete
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.guard import has_failed, retreated, taken_back
from hpo_env.hyperparameters import LEVELS
from hpo_env.observation import Observer
from hpo_env.rendering import RunHistory, draw_run
from hpo_env.reward import rewards
from hpo_env.schedules import interval_factors, schedule
from hpo_env.seeding import draw_episode_seed, lane_seeds
from hpo_env.tasks.base import Engine, Split, Task, check_choice
from hpo_env.tasks.registry import make_family
from hpo_env.telemetry import Telemetry
from hpo_env.vector_conventions import (
    checked_autoreset_mode,
    final_info_of,
    masked,
    reset_mask,
)

ActionMode = Literal["continuous", "discrete"]
OnDivergence = Literal["roll_back", "end"]
Array = NDArray[np.float64]

RENDER_METADATA: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}

_LANE_STATE = (
    "_interval",
    "_num_intervals",
    "_initial",
    "_corrections",
    "_values",
    "_first_loss",
    "_loss",
    "_over",
    "_rolled_back",
    "_available",
)
"""Arrays by lane that a snapshot holds."""

_TINY_FACTOR = 1e-12  # keeps the logarithm of a schedule that ends at 0 finite


class HPOControlVectorEnv(VectorEnv[Any, Any, Any]):
    """N training runs whose hyperparameters an agent turns while they go on.

    ## Description
    Each lane draws a task (a data set, a model, an optimiser, a horizon), trains it for one
    decision interval a step, and starts a new one when the run is over. A lane that is given the
    seed `s` is the single environment with that seed, whatever the other lanes do.

    ## Action space
    `action_mode="continuous"`: `Box(-1, 1, (H,))`; an entry moves the hyperparameter's correction
    by up to its `max_step` (a factor of 4 for the learning rate). `action_mode="discrete"`:
    `MultiDiscrete([5] * H)`, the choices being -1, -1/2, 0, 1/2 and 1 of that. Doing nothing keeps
    the base schedule, corrected by what was done before; doing nothing from the start keeps the
    base schedule itself, bit for bit.

    ## Observation space
    `Box(-1, 1, (D,), float32)`. `observation_docs` names every entry and says what it measures.

    ## Reward
    `log q(t-1) - log q(t)` with the validation loss `q`: an episode's rewards add up to
    `log(q(0) / q(T))`. A run that diverges scores below every run that finishes.

    ## Divergence
    Under `on_divergence="roll_back"` an interval that fails (`hpo_env.guard`) is taken back as the
    deployed controller does it: the weights of its start return, the optimiser's memory is empty,
    and the next move is the guard's, which cuts the learning rate, whatever the action says. The
    interval is lost. Under "end" a run whose loss is not finite or 55 times the first is over.

    ## Episode end
    The last decision interval, or divergence. Both set `terminated`: the time left is part of the
    observation. `truncated` is never set.

    ## Info
    `hyperparameters` (the effective values, read back from where they are used), `train_loss`,
    `validation_loss`, `validation_metric`, `rolled_back` (whether the interval was taken back), and
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
        action_mode: "continuous" or "discrete".
        base_schedule: What actions correct: "constant", "cosine", "warmup_cosine", "linear",
            "one_cycle" or "step".
        on_divergence: "roll_back" takes a failed interval back and goes on, "end" ends the run.
        availability: Lower end, in [0, 1], of the range up to 1 from which each episode draws how
            likely a hyperparameter can be moved; whether it can is then drawn for each that loops
            may lack, so not for a learning rate. What cannot be moved keeps its base value and is
            masked in the observation, as in a user's loop that has no such thing. With 0 all
            numbers of hyperparameters are equally frequent, with 1 all can always be moved.
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
        on_divergence: OnDivergence = "roll_back",
        availability: float = 1.0,
        engine: Engine = "auto",
        device: str = "cpu",
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        tasks: Sequence[Task] | None = None,
        **family_options: Any,
    ) -> None:
        if num_envs < 1:
            raise ConfigurationError(f"num_envs must be at least 1; got {num_envs}")
        if render_mode not in (None, "rgb_array"):
            raise ConfigurationError(
                f"render_mode must be 'rgb_array' or None; got {render_mode!r}"
            )
        if tasks is not None and len(tasks) != num_envs:
            raise ConfigurationError(
                f"one task a lane must be given; got {len(tasks)} tasks for {num_envs} lanes"
            )
        if not 0.0 <= availability <= 1.0:
            raise ConfigurationError(f"availability must lie in [0, 1]; got {availability}")
        check_choice("action mode", action_mode, ActionMode)
        check_choice("engine", engine, Engine)
        check_choice("treatment of divergence", on_divergence, OnDivergence)
        schedule(base_schedule)
        self.family = make_family(
            family, split=split, num_decisions=num_decisions, **family_options
        )
        self.tasks_given = None if tasks is None else list(tasks)
        self.base_schedule = base_schedule
        self.action_mode = action_mode
        self.on_divergence = on_divergence
        self.availability = availability
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        self.metadata = RENDER_METADATA | {"autoreset_mode": self.autoreset_mode}

        space = self.family.space
        names = _controlled_names(hyperparameters, self.family.default_controlled, space.names)
        self.space = space
        self.controlled = space.subset(names)
        self._columns = np.array([space.index(name) for name in names])
        self._observer = Observer(self.controlled, num_envs, loss_floor=self.family.loss_floor)
        self.observation_docs = self._observer.docs | dict(self.family.features)
        self.single_observation_space = Box(-1.0, 1.0, (len(self.observation_docs),), np.float32)
        self.single_action_space = (
            Box(-1.0, 1.0, (len(names),), np.float32)
            if action_mode == "continuous"
            else MultiDiscrete([len(LEVELS)] * len(names))
        )
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

        self.trainer = self.family.make_trainer(num_envs, engine=engine, device=device)
        self._lanes = np.arange(num_envs)
        self._rngs: list[np.random.Generator] = []
        self.tasks: list[Task] = []
        self._interval = np.zeros(num_envs, dtype=np.int64)
        self._num_intervals = np.ones(num_envs, dtype=np.int64)
        self._initial = np.tile(space.defaults, (num_envs, 1))  # [N, H of the family]
        self._corrections = np.zeros((num_envs, len(space)))
        self._values = self._initial.copy()
        self._first_loss = np.ones(num_envs)
        self._loss = np.ones(num_envs)
        self._rolled_back = np.zeros(num_envs, dtype=bool)
        self._available = np.ones((num_envs, len(names)), dtype=bool)
        self._telemetry = Telemetry.missing(num_envs)
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

        Returns:
            Observations `[N, D]` and info.

        Raises:
            ConfigurationError: The mask or the seeds do not fit the lanes.
        """
        mask = reset_mask(options, self.num_envs, is_first=not self._rngs)
        self._seed(seed, mask)
        self._start(np.flatnonzero(mask))
        return self._observe(), self._info(mask)

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Train every lane for one decision interval.

        Args:
            actions: `[N, H]`, float in `[-1, 1]` or integer choices, by `action_mode`.

        Returns:
            Observations `[N, D]`, rewards `[N]`, terminated `[N]`, truncated `[N]` (never), info.

        Raises:
            ActionError: An action has the wrong shape, is not finite or is no choice.
            ConfigurationError: A lane is over and has to be reset first.
        """
        moves = self._moves(actions)
        if not self._rngs:
            raise ConfigurationError("reset() must be called before step()")
        if self.autoreset_mode is AutoresetMode.NEXT_STEP:
            restarting = self._over.copy()
        elif self._over.any():
            over = np.flatnonzero(self._over).tolist()
            raise ConfigurationError(
                f"lanes {over} are over; reset them with options={{'reset_mask': ...}} first"
            )
        else:
            restarting = np.zeros(self.num_envs, dtype=bool)
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

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draw every lane's run so far, losses above hyperparameters, RGB `[height, width, 3]`."""
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='rgb_array' at construction")
            return None
        return tuple(draw_run(history) for history in self._histories)

    # ------------------------------------------------------------------------ forking and resuming

    def snapshot(self, lanes: Sequence[int] | NDArray[np.int64] | None = None) -> dict[str, Any]:
        """Copy all state of the given lanes (default: all); `restore` replays it bit for bit."""
        index = self._lanes if lanes is None else np.asarray(lanes, dtype=np.int64)
        return {
            "trainer": self.trainer.snapshot(index),
            "observer": self._observer.snapshot(index),
            "telemetry": self._telemetry.take(index),
            "tasks": [self.tasks[lane] for lane in index],
            "rngs": [self._rngs[lane].bit_generator.state for lane in index],
            "arrays": {name: getattr(self, name)[index].copy() for name in _LANE_STATE},
        }

    def restore(
        self, snapshot: Mapping[str, Any], lanes: Sequence[int] | NDArray[np.int64] | None = None
    ) -> NDArray[np.float32]:
        """Put a snapshot of n lanes into n lanes, the same or others; returns observations."""
        index = self._lanes if lanes is None else np.asarray(lanes, dtype=np.int64)
        if not self._rngs:
            self._seed(0, np.ones(self.num_envs, dtype=bool))
        self.trainer.restore(index, snapshot["trainer"])
        self._observer.restore(index, snapshot["observer"])
        self._telemetry.put(index, snapshot["telemetry"])
        for lane, task, state in zip(index, snapshot["tasks"], snapshot["rngs"], strict=True):
            self.tasks[lane] = task
            self._rngs[lane].bit_generator.state = state
        for name, values in snapshot["arrays"].items():
            getattr(self, name)[index] = values
        return self._observe()

    def fork(
        self,
        source_lanes: Sequence[int] | NDArray[np.int64],
        target_lanes: Sequence[int] | NDArray[np.int64],
    ) -> NDArray[np.float32]:
        """Copy lanes onto others, all state included, and return observations `[N, D]`."""
        return self.restore(self.snapshot(source_lanes), target_lanes)

    # --------------------------------------------------------------------------------- the insides

    def _observe(self) -> NDArray[np.float32]:
        """Return observations `[N, D]`: the common fields, then those of the family."""
        common = self._observer.observe()
        if not self.family.features:
            return common
        own = np.clip(self.trainer.features(), -1.0, 1.0).astype(np.float32)
        return np.concatenate([common, own], axis=1)

    def _visible(self, telemetry: Telemetry) -> Telemetry:
        """Return what a user's run could know of telemetry."""
        if not self.family.is_loss_hidden:
            return telemetry
        nan = np.full(len(telemetry), np.nan)
        return replace(telemetry, validation_loss=nan, validation_metric=nan)

    def _moves(self, actions: NDArray[Any]) -> Array:
        if self.action_mode == "continuous":
            return self.controlled.check_actions(actions)
        return self.controlled.check_choices(actions)

    def _advance(self, moves: Array, running: NDArray[np.bool_]) -> Array:
        """Run one interval and return rewards `[N]`; lanes that do not run keep their state."""
        retreat = np.where(self._available, self.controlled.retreat, 0.0)
        moves = retreated(moves, self._rolled_back, retreat)
        moves = np.where(self._available, moves, 0.0)
        corrections = self._corrections[:, self._columns]
        corrections = self.controlled.move(corrections, moves, self._initial[:, self._columns])
        idle = None if running.all() else np.flatnonzero(~running)
        held = None if idle is None else self.snapshot(idle)
        self._corrections[:, self._columns] = corrections
        factors = interval_factors(self.base_schedule, self._interval, self._num_intervals)
        base = self.space.base(self._initial, factors)
        telemetry, self._values = self.trainer.advance(self.space.values(base, self._corrections))
        telemetry = self._guarded(telemetry)
        self._interval += 1
        following = np.minimum(self._interval, self._num_intervals - 1)
        next_factors = interval_factors(self.base_schedule, following, self._num_intervals)
        self._observer.update(
            self._visible(telemetry),
            actions=moves,
            corrections=corrections,
            values=np.where(self._available, self._values[:, self._columns], np.nan),
            base_change=np.log(np.maximum(next_factors, _TINY_FACTOR))
            - np.log(np.maximum(factors, _TINY_FACTOR)),
        )
        reward = rewards(
            loss=telemetry.validation_loss,
            previous_loss=self._loss,
            first_loss=self._first_loss,
            diverged=telemetry.diverged,
            floor=self.family.loss_floor,
        )
        self._telemetry = telemetry
        self._loss = np.where(telemetry.diverged, self._loss, telemetry.validation_loss)
        self._over = (self._interval >= self._num_intervals) | telemetry.diverged
        if idle is not None and held is not None:
            self.restore(held, idle)
            reward[idle] = 0.0
        if self._histories:
            self._record(np.flatnonzero(running))
        return reward

    def _guarded(self, telemetry: Telemetry) -> Telemetry:
        """Take failed intervals back, and return what is left of their telemetry `[N]`."""
        if self.on_divergence == "end":
            return telemetry
        visible = self._visible(telemetry)
        first = np.full(self.num_envs, np.nan) if self.family.is_loss_hidden else self._first_loss
        self._rolled_back = has_failed(visible, first)
        if not self._rolled_back.any():
            return telemetry
        self.trainer.roll_back(np.flatnonzero(self._rolled_back))
        metric = self._telemetry.validation_metric
        return taken_back(telemetry, self._rolled_back, self._loss, metric)

    def _start(self, lanes: NDArray[np.int64]) -> None:
        """Draw tasks for the given lanes and start them."""
        if not len(lanes):
            return
        for lane in lanes:
            rng = self._rngs[lane]
            given = self.tasks_given
            self.tasks[lane] = self.family.sample(rng) if given is None else given[lane]
        seeds = [draw_episode_seed(self._rngs[lane]) for lane in lanes]
        tasks = [self.tasks[lane] for lane in lanes]
        telemetry = self.trainer.reset(lanes, tasks, seeds)
        self._telemetry.put(lanes, telemetry)
        self._interval[lanes] = 0
        self._num_intervals[lanes] = [task.num_decisions for task in tasks]
        self._initial[lanes] = [task.initial for task in tasks]
        self._corrections[lanes] = 0.0
        self._first_loss[lanes] = self._loss[lanes] = telemetry.validation_loss
        self._over[lanes] = self._rolled_back[lanes] = False
        factors = interval_factors(
            self.base_schedule, self._interval[lanes], self._num_intervals[lanes]
        )
        base = self.space.base(self._initial[lanes], factors)
        self._values[lanes] = base
        self._available[lanes] = [self._draw_available(lane) for lane in lanes]
        available = self._available[lanes]
        self._observer.begin(
            lanes,
            self._visible(telemetry),
            num_intervals=self._num_intervals[lanes],
            values=np.where(available, base[:, self._columns], np.nan),
            available=np.where(available, 1.0, -1.0),
        )
        if self._histories:
            for lane in lanes:
                self._histories[lane] = RunHistory(title=self.tasks[lane].name)
            self._record(lanes)

    def _draw_available(self, lane: int) -> NDArray[np.bool_]:
        """Draw which hyperparameters can be moved in the episode that begins, `[H]`."""
        available = np.ones(len(self.controlled), dtype=bool)
        if self.availability < 1.0:  # otherwise no number is drawn, so that tasks stay the same
            rng = self._rngs[lane]
            available = rng.random(len(available)) < rng.uniform(self.availability, 1.0)
            available |= self.controlled.always_available
            if not available.any():  # an agent that can move nothing learns nothing
                available[0] = True
        return available

    def _info(
        self, mask: NDArray[np.bool_], ends: NDArray[np.int64] | None = None
    ) -> dict[str, Any]:
        """Build info in Gymnasium's convention: arrays `[N]`, and a mask under `_key` for each."""
        values = {name: self._values[:, h].copy() for h, name in enumerate(self.space.names)}
        info: dict[str, Any] = {"hyperparameters": masked(values, mask)}
        info |= masked({"rolled_back": self._rolled_back.copy()}, mask)
        measured = {
            "train_loss": self._telemetry.train_loss.copy(),
            "validation_loss": self._telemetry.validation_loss.copy(),
            "validation_metric": self._telemetry.validation_metric.copy(),
        }
        for name, array in measured.items():
            info |= masked({name: array}, mask & ~np.isnan(array))  # absent where not measured
        if ends is not None and len(ends):
            over = np.zeros(self.num_envs, dtype=bool)
            over[ends] = True
            test_loss, test_metric = np.zeros((2, self.num_envs))
            test_loss[ends], test_metric[ends] = self.trainer.test(ends)
            names = np.array([task.name for task in self.tasks], dtype=object)
            closing = {
                "test_loss": test_loss,
                "diverged": self._telemetry.diverged.copy(),
                "task": names,
            }
            info |= masked(closing, over)
            info |= masked({"test_metric": test_metric}, over & ~np.isnan(test_metric))
        return info

    def _seed(self, seed: int | Sequence[int | None] | None, mask: NDArray[np.bool_]) -> None:
        """Give the masked lanes new generators where a seed was given, or where they have none."""
        if seed is None and self._rngs:
            return
        if not self._rngs:
            entropy = np.random.SeedSequence().generate_state(self.num_envs)
            self._rngs = [np.random.default_rng(int(e)) for e in entropy]
            empty = Task(name="", num_decisions=1, initial=tuple(self.space.defaults))
            self.tasks = [empty] * self.num_envs
        if seed is None:
            return
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
            seeds: Sequence[int | None] = lane_seeds(int(seed), self.num_envs)
        else:
            seeds = list(seed)
        if len(seeds) != self.num_envs:
            raise ConfigurationError(
                f"one seed a lane must be given; got {len(seeds)} for {self.num_envs} lanes"
            )
        for lane in np.flatnonzero(mask):
            lane_seed = seeds[int(lane)]
            if lane_seed is not None:
                self._rngs[lane] = np.random.default_rng(lane_seed)

    def _record(self, lanes: NDArray[np.int64]) -> None:
        controlled = {
            name: self._values[:, self.space.index(name)] for name in self.controlled.names
        }
        for lane in lanes:
            self._histories[lane].append(
                train_loss=self._telemetry.train_loss[lane],
                validation_loss=self._telemetry.validation_loss[lane],
                hyperparameters={name: values[lane] for name, values in controlled.items()},
            )


def _controlled_names(
    given: Sequence[str] | str | None, default: tuple[str, ...], every: tuple[str, ...]
) -> tuple[str, ...]:
    if given is None:
        return default
    if isinstance(given, str):
        return every if given == "all" else (given,)
    return tuple(given)
