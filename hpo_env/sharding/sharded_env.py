"""The environment in front of all shards.

Lane `i` lives in shard `i mod K`: lanes whose tasks are alike are often neighbours (one after the
other in a paired comparison), and so every shard gets its part of each kind.

Axes: `N` lanes, `K` workers, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.lanes_env import Lanes, LanesEnv
from hpo_env.seeding import stream
from hpo_env.sharding.merging import (
    add_lost,
    copy_info,
    masked_out,
    merge,
    put_lanes,
    with_final,
    without_final,
)
from hpo_env.sharding.pool import Pool, ShardConfig
from hpo_env.sharding.resilient_pool import ResilientPool
from hpo_env.sharding.shard import Reply
from hpo_env.tasks.base import Engine, Task, check_choice
from hpo_env.vector_conventions import (
    check_as_many,
    check_can_step,
    check_lanes,
    check_places,
    no_tasks,
    reset_mask,
    seed_of_each,
)

Array = NDArray[np.float64]
MakePool = Callable[[Sequence[Mapping[str, Any]], ShardConfig], Pool]

_MAX_SEED = 2**63 - 1


class ShardedVectorEnv(LanesEnv):
    """An `HPOControlVectorEnv` whose lanes are spread over workers.

    Spaces, reward, episode end, info and attributes are those of `HPOControlVectorEnv`, and so are
    the numbers: a lane is a function of its seed, not of the number of workers.

    A worker that dies is replaced, and a `RuntimeWarning` says so. Its lanes' episodes end with
    `truncated`, reward 0 and the observation last shown, with `worker_lost` in their info; the new
    ones are drawn with a seed that follows from the lane's seed and the number of times that this
    has happened to it. Nothing changes for the other lanes.

    Args:
        num_envs: Lanes `N`.
        num_workers: Workers `K`, from 1 to `N`.
        make_pool: Makes the workers; `make_vector_env` chooses it.
        engine: See `HPOControlVectorEnv`.
        device: See `HPOControlVectorEnv`.
        **arguments: The others of `HPOControlVectorEnv`.

    Raises:
        ConfigurationError: `num_workers` does not fit, or as for `HPOControlVectorEnv`.
        WorkerError: A worker dies several times in a row.
    """

    def __init__(
        self,
        num_envs: int,
        *,
        num_workers: int,
        make_pool: MakePool,
        engine: Engine = "auto",
        device: str = "cpu",
        **arguments: Any,
    ) -> None:
        check_lanes(num_envs, None)
        if not 1 <= num_workers <= num_envs:
            raise ConfigurationError(
                f"num_workers must be from 1 to num_envs={num_envs}, so that each worker has a "
                f"lane; got {num_workers}"
            )
        check_choice("engine", engine, Engine)
        super().__init__(num_envs, **arguments)
        # One lane that never runs: it checks engine and device before a process starts.
        self.family.make_trainer(1, engine=engine, device=device)
        self.num_workers = num_workers
        is_continuous = self.action_mode == "continuous"
        self._action_dtype = np.float64 if is_continuous else np.int64
        self._lanes_of = [np.arange(k, num_envs, num_workers) for k in range(num_workers)]
        self._seeds: list[int] = []  # empty until the first reset
        self._num_restarts = np.zeros(num_envs, dtype=np.int64)  # since the lane's seed was given
        self._shown = np.zeros((num_envs, len(self.observation_docs)), np.float32)
        self._shown_info: dict[str, Any] = {}
        self._over = np.zeros(num_envs, dtype=bool)
        self._cut = np.zeros(num_envs, dtype=bool)  # lost with a worker, and not yet reported
        self._waiting = np.zeros(num_envs, dtype=bool)  # reported, starts at the next step
        self._lost_tasks = np.full(num_envs, "", dtype=object)  # what the cut lanes were training
        self._replacements: dict[int, Reply] = {}  # what lanes of replaced workers show first
        self._stepping: list[int] | None = None

        config = ShardConfig(
            num_fields=len(self.observation_docs),
            num_hyperparameters=len(self.controlled),
            action_dtype=self._action_dtype,
        )
        arguments |= {"engine": engine, "device": device}
        arguments |= {} if is_continuous else {"action_mode": "discrete"}
        shards = [self._shard_arguments(worker, arguments) for worker in range(num_workers)]
        self._pool = ResilientPool(
            make_pool(shards, config),
            self._lanes_of,
            first_call=self._first_call,
            on_replaced=self._lose,
        )

    # ------------------------------------------------------------------------------ the two calls

    def reset(
        self,
        *,
        seed: int | Sequence[int | None] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Start new runs; arguments and results as in `HPOControlVectorEnv.reset`."""
        self._check_open()
        mask = reset_mask(options, self.num_envs, is_first=not self._seeds)
        given = self._given_by(options, mask)
        seeds = self._lane_seeds(seed, mask)
        self._given = given
        replies = self._pool.ask(
            {
                worker: ("reset", [seeds[k] for k in lanes], mask[lanes], self._given_of(worker))
                for worker, lanes in enumerate(self._lanes_of)
                if mask[lanes].any()
            }
        )
        self._take_tasks(replies)
        self._cut[mask] = self._waiting[mask] = self._over[mask] = False
        self._stepping = None
        answered = self._merge_infos({k: r.info for k, r in replies.items()})
        before = {key: value for key, value in self._shown_info.items() if key in answered}
        info, self._shown_info = masked_out(before), copy_info(before)
        for target in (info, self._shown_info):
            put_lanes(target, answered, np.flatnonzero(mask))
        for worker, reply in replies.items():
            lanes = self._lanes_of[worker]
            self._shown[lanes[mask[lanes]]] = reply.observations[mask[lanes]]
        return self._shown.copy(), info

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Train every lane for one decision interval; see `HPOControlVectorEnv.step`."""
        self.step_async(actions)
        return self.step_wait()

    def step_async(self, actions: NDArray[Any]) -> None:
        """Send actions `[N, H]` to the workers and return at once; `step_wait` fetches the results.

        Raises:
            ActionError: An action has the wrong shape, is not finite or is no choice.
            ConfigurationError: A lane is over and has to be reset first.
        """
        self._check_open()
        self.moves_of(actions)
        waiting = self._over & (self.autoreset_mode is AutoresetMode.DISABLED)
        check_can_step(is_reset=bool(self._seeds), over=waiting)
        if self.action_mode == "joint":  # workers know one choice for each hyperparameter
            actions = self._choices_of(np.asarray(actions))
        actions = np.asarray(actions, dtype=self._action_dtype)
        idle = self._cut | self._waiting
        self._stepping = [k for k, lanes in enumerate(self._lanes_of) if not idle[lanes].all()]
        for worker in self._stepping:
            self._pool.send(worker, "step", actions[self._lanes_of[worker]])

    def step_wait(
        self,
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Wait for the step that `step_async` began; results as in `HPOControlVectorEnv.step`."""
        self._check_open()
        if self._stepping is None:
            raise ConfigurationError("step_async() must be called before step_wait()")
        stepping, self._stepping = self._stepping, None
        replies = self._pool.receive(stepping)
        self._pool.note_finished_step(replies)
        # A worker that did not step has been replaced: it shows what its new lanes begin with.
        replies = {k: replies.get(k) or self._replacements[k] for k in range(self.num_workers)}
        self._take_tasks({k: replies[k] for k in stepping})
        results = self._report(replies)
        for worker, lanes in enumerate(self._lanes_of):
            if not (self._cut[lanes] | self._waiting[lanes]).any():
                self._replacements.pop(worker, None)
        return results

    def render(self) -> tuple[NDArray[np.uint8], ...] | None:
        """Draw every lane's run so far, RGB `[height, width, 3]`."""
        self._check_open()
        if self.render_mode is None:
            gym.logger.warn("render() needs render_mode='rgb_array' at construction")
            return None
        frames = self._pool.ask({worker: ("render",) for worker in range(self.num_workers)})
        return tuple(
            frames[lane % self.num_workers][lane // self.num_workers]
            for lane in range(self.num_envs)
        )

    # ------------------------------------------------------------------------ forking and resuming

    def snapshot(self, lanes: Lanes | None = None) -> dict[str, Any]:
        """Copy all state of the given lanes (default: all); `restore` replays it bit for bit.

        Returns:
            A picklable dictionary, good for any number of workers.

        Raises:
            ConfigurationError: There has been no reset.
        """
        self._check_open()
        if not self._seeds:
            raise ConfigurationError("reset() must be called before snapshot()")
        index = self._index(lanes)
        places = self._places(index)
        answers = self._pool.ask(
            {k: ("snapshot", (index[where] // self.num_workers).tolist()) for k, where in places}
        )
        copies: list[Any] = [None] * len(index)
        for worker, where in places:
            for place, copy in zip(where, answers[worker], strict=True):
                copies[place] = copy
        return {"lanes": copies, "over": self._over[index]}

    def restore(
        self, snapshot: Mapping[str, Any], lanes: Lanes | None = None
    ) -> NDArray[np.float32]:
        """Put a snapshot of n lanes into n lanes, the same or others; returns observations.

        Raises:
            ConfigurationError: The snapshot has another number of lanes, or there was no reset.
        """
        self._check_open()
        if not self._seeds:
            raise ConfigurationError("reset() must be called before restore()")
        index = self._index(lanes)
        copies = snapshot["lanes"]
        check_as_many(len(copies), index)
        places = self._places(index)
        requests = {
            k: ("restore", [copies[p] for p in where], (index[where] // self.num_workers).tolist())
            for k, where in places
        }
        replies = self._pool.ask(requests)
        self._take_tasks(replies)
        for worker, where in places:
            lanes_there = index[where]
            self._shown[lanes_there] = replies[worker].observations[lanes_there // self.num_workers]
        self._over[index] = snapshot["over"]
        self._cut[index] = self._waiting[index] = False
        return self._shown.copy()

    def __getstate__(self) -> dict[str, Any]:
        """Refuse to be copied or pickled.

        Raises:
            ConfigurationError: Always: lanes in other processes have no copy.
        """
        raise ConfigurationError(
            "an environment whose lanes are in other processes cannot be copied or pickled; take "
            "snapshot() and restore(), or num_workers=0"
        )

    @property
    def worker_pids(self) -> list[int]:
        """Process ids of the workers, on whatever machine they are."""
        return list(self._pool.pids)

    def close_extras(self, **kwargs: Any) -> None:
        """End all workers."""
        if hasattr(self, "_pool"):  # not if the arguments were refused
            self._pool.close()

    # ------------------------------------------------------------------------------- the workers

    def _shard_arguments(self, worker: int, arguments: Mapping[str, Any]) -> dict[str, Any]:
        # Tasks come with each reset, as a reset may exchange them.
        return dict(arguments) | {"num_envs": len(self._lanes_of[worker]), "tasks": None}

    def _given_of(self, worker: int) -> list[Task | None]:
        return [self._given[lane] for lane in self._lanes_of[worker]]

    def _first_call(self, worker: int) -> tuple[Any, ...] | None:
        """Say what a replacement has to do first: start its lanes, if they had been started."""
        if not self._seeds:
            return None
        lanes = self._lanes_of[worker]
        self._num_restarts[lanes] += 1
        restarts = zip(lanes.tolist(), self._num_restarts[lanes].tolist(), strict=True)
        seeds = [restart_seed(self._seeds[lane], n) for lane, n in restarts]
        return "reset", seeds, None, self._given_of(worker)

    def _lose(self, worker: int, replacement: Reply) -> None:
        """Note what the next step has to report of a worker's lanes."""
        for lane in self._lanes_of[worker]:
            if not self._cut[lane]:
                self._lost_tasks[lane] = self.tasks[lane].name if self.tasks else ""
        self._cut[self._lanes_of[worker]] = True
        self._replacements[worker] = replacement
        self._take_tasks({worker: replacement})

    # -------------------------------------------------------------------------------- the insides

    def _report(
        self, replies: Mapping[int, Reply]
    ) -> tuple[NDArray[np.float32], Array, NDArray[np.bool_], NDArray[np.bool_], dict[str, Any]]:
        """Put the shards' answers together and remember what was shown."""
        observations = np.empty_like(self._shown)
        rewards = np.empty(self.num_envs)
        terminated, truncated = np.empty((2, self.num_envs), dtype=bool)
        for worker, reply in replies.items():
            lanes = self._lanes_of[worker]
            observations[lanes] = reply.observations
            rewards[lanes] = reply.rewards
            terminated[lanes] = reply.terminated
            truncated[lanes] = reply.truncated
        infos = {worker: reply.info for worker, reply in replies.items()}
        is_same_step = self.autoreset_mode is AutoresetMode.SAME_STEP
        if is_same_step and (terminated.any() or self._cut.any()):
            infos = {k: with_final(info, replies[k].observations) for k, info in infos.items()}
        info = self._merge_infos(infos)
        cut = self._cut.copy()
        if cut.any():
            rewards[cut], terminated[cut], truncated[cut] = 0.0, False, True
            if not is_same_step:
                observations[cut] = self._shown[cut]
            add_lost(info, cut, self._shown, self._shown_info, self._lost_tasks)
        self._cut[:] = False
        self._waiting = cut & (self.autoreset_mode is AutoresetMode.NEXT_STEP)
        self._over = (terminated | truncated) & (not is_same_step)
        self._shown, self._shown_info = observations.copy(), without_final(info)
        return observations, rewards, terminated, truncated, info

    def _merge_infos(self, infos: Mapping[int, dict[str, Any]]) -> dict[str, Any]:
        return merge([(self._lanes_of[k], info) for k, info in infos.items()], self.num_envs)

    def _take_tasks(self, replies: Mapping[int, Reply]) -> None:
        if not self.tasks:
            self.tasks = no_tasks(self.space, self.num_envs)
        for worker, reply in replies.items():
            for place, task in reply.tasks.items():
                self.tasks[int(self._lanes_of[worker][place])] = task

    def _lane_seeds(
        self, seed: int | Sequence[int | None] | None, mask: NDArray[np.bool_]
    ) -> list[int | None]:
        """Say which lanes get which seeds, and remember them in case a worker dies."""
        seeds = seed_of_each(seed, self.num_envs)
        if isinstance(seed, int | np.integer):
            super().reset(seed=int(seed))
        if not self._seeds:
            entropy = np.random.SeedSequence().generate_state(self.num_envs)
            seeds = [int(e) if s is None else s for s, e in zip(seeds, entropy, strict=True)]
            self._seeds = [0] * self.num_envs
        for lane in np.flatnonzero(mask).tolist():
            given = seeds[lane]
            if given is not None:
                self._seeds[lane], self._num_restarts[lane] = given, 0
        return seeds

    def _index(self, lanes: Lanes | None) -> NDArray[np.int64]:
        return np.arange(self.num_envs) if lanes is None else check_places(lanes, self.num_envs)

    def _places(self, index: NDArray[np.int64]) -> list[tuple[int, NDArray[np.int64]]]:
        """Say for each worker concerned which entries of `index` are its lanes."""
        workers = index % self.num_workers
        return [(int(k), np.flatnonzero(workers == k)) for k in np.unique(workers)]

    def _check_open(self) -> None:
        if self.closed or self._pool.is_closed:
            raise ConfigurationError("the environment is closed")


def restart_seed(lane_seed: int, num_restarts: int) -> int:
    """Return the seed with which a lane goes on after its worker died.

    Args:
        lane_seed: The seed that the lane was given.
        num_restarts: How often its worker has died since, this time included.
    """
    return int(stream(lane_seed, "restart", num_restarts).integers(_MAX_SEED))
