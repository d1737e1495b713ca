"""What an environment over lanes is before anything runs: family, spaces, schedule, fixed tasks.

The environment in one process and the one over several are both this, and differ in who trains.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from gymnasium.spaces import Box, Discrete, MultiDiscrete, Space
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from hpo_env.arguments import check_known, ordered_names, share
from hpo_env.errors import ActionError, ConfigurationError
from hpo_env.forks import keep_forks_usable
from hpo_env.hyperparameters import LEVELS, split_joint_choices
from hpo_env.observation import field_docs
from hpo_env.schedules import schedule
from hpo_env.tasks.base import Split, Task, TaskFamily, check_choice
from hpo_env.tasks.registry import family_class, make_family, option_names
from hpo_env.vector_conventions import check_lanes, checked_autoreset_mode, reset_tasks

ActionMode = Literal["continuous", "discrete", "joint"]
OnDivergence = Literal["roll_back", "cut", "end"]
Array = NDArray[np.float64]
Lanes = Sequence[int] | NDArray[np.int64]

MAX_JOINT_CHOICES = 625
"""Four hyperparameters of five choices: beyond, few combinations are ever tried twice."""

RENDER_METADATA: dict[str, Any] = {"render_modes": ["rgb_array"], "render_fps": 4}


class LanesEnv(VectorEnv[Any, Any, Any]):
    """Everything about N lanes that does not depend on where they run.

    Arguments and errors are those of `HPOControlVectorEnv`, which says what they mean.
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
        autoreset_mode: AutoresetMode | str = AutoresetMode.SAME_STEP,
        render_mode: str | None = None,
        tasks: Sequence[Task] | None = None,
        **family_options: Any,
    ) -> None:
        keep_forks_usable()
        check_lanes(num_envs, tasks)
        num_envs = int(num_envs)
        is_known = isinstance(render_mode, str) and render_mode in RENDER_METADATA["render_modes"]
        if render_mode is not None and not is_known:
            raise ConfigurationError(
                f"render_mode must be 'rgb_array' or None; got {render_mode!r}"
            )
        availability = share("availability", availability)
        check_choice("action mode", action_mode, ActionMode)
        if on_divergence is not None:
            check_choice("treatment of divergence", on_divergence, OnDivergence)
        schedule(base_schedule)
        _check_options(type(self), family, family_options)
        self.family = make_family(
            family, split=split, num_decisions=num_decisions, **family_options
        )
        of_family: OnDivergence = "roll_back" if self.family.can_roll_back else "cut"
        self.on_divergence: OnDivergence = on_divergence or of_family
        self.base_schedule = base_schedule
        self.action_mode = action_mode
        self.availability = availability
        self.learned_start = _checked_learned_start(learned_start, family, self.family)
        self.hidden_end = share("hidden_end", hidden_end)
        self.num_envs = num_envs
        self.render_mode = render_mode
        self.autoreset_mode = checked_autoreset_mode(autoreset_mode)
        self.metadata = RENDER_METADATA | {"autoreset_mode": self.autoreset_mode}

        self.space = self.family.space
        names = _controlled_names(hyperparameters, self.family.default_controlled, self.space.names)
        self.controlled = self.space.subset(names)
        self.observation_docs = field_docs(names) | dict(self.family.features)
        self.single_observation_space = Box(-1.0, 1.0, (len(self.observation_docs),), np.float32)
        self.single_action_space = _action_space(action_mode, names)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self.tasks: list[Task] = []
        self._given: list[Task | None] = [None] * num_envs if tasks is None else list(tasks)

    @property
    def tasks_given(self) -> list[Task] | None:
        """The fixed tasks, one a lane; None where some lane draws its own."""
        given = [task for task in self._given if task is not None]
        return given if len(given) == self.num_envs else None

    def snapshot(self, lanes: Lanes | None = None) -> dict[str, Any]:
        """Copy all state of the given lanes (default: all); `restore` replays it bit for bit."""
        raise NotImplementedError

    def restore(
        self, snapshot: Mapping[str, Any], lanes: Lanes | None = None
    ) -> NDArray[np.float32]:
        """Put a snapshot of n lanes into n lanes, the same or others; returns observations."""
        raise NotImplementedError

    def fork(self, source_lanes: Lanes, target_lanes: Lanes) -> NDArray[np.float32]:
        """Copy lanes onto others, also across workers: weights, optimiser, random state, all.

        Args:
            source_lanes: Lanes to copy, n of them; a lane may be copied more than once.
            target_lanes: Lanes to overwrite, n of them.

        Returns:
            Observations `[N, D]`.
        """
        return self.restore(self.snapshot(source_lanes), target_lanes)

    def _given_by(
        self, options: Mapping[str, Any] | None, mask: NDArray[np.bool_]
    ) -> list[Task | None]:
        """Return the fixed tasks once the masked lanes are reset with these options."""
        tasks = reset_tasks(options, self.space, mask)
        if tasks is None:
            return self._given
        lanes = zip(tasks, self._given, mask.tolist(), strict=True)
        return [new if is_reset else old for new, old, is_reset in lanes]

    def moves_of(self, actions: NDArray[Any]) -> Array:
        """Check the actions of all lanes and return them as moves `[N, H]` in `[-1, 1]`.

        Args:
            actions: One for each of the `N` lanes, as the action space has them.

        Raises:
            ActionError: They have another shape, are not finite or are no choice.
        """
        actions = np.asarray(actions)
        num_given = len(actions) if actions.ndim else "a single number"
        if num_given != self.num_envs:
            raise ActionError(
                f"actions must be given for {self.num_envs} lanes; got {num_given}, in an array of "
                f"shape {actions.shape}"
            )
        if self.action_mode == "continuous":
            return self.controlled.check_actions(actions)
        if self.action_mode == "joint":
            actions = self._choices_of(actions)
        return self.controlled.check_choices(actions)

    def _choices_of(self, joint: NDArray[Any]) -> NDArray[np.int64]:
        """Split joint choices `[N]` into one for each hyperparameter `[N, H]`."""
        count = len(LEVELS) ** len(self.controlled)
        if joint.ndim != 1 or not np.issubdtype(joint.dtype, np.integer):
            raise ActionError(
                f"joint choices must be integers of shape [{self.num_envs}]; "
                f"got dtype {joint.dtype}, shape {joint.shape}"
            )
        if ((joint < 0) | (joint >= count)).any():
            raise ActionError(
                f"joint choices must lie in 0..{count - 1}; got {joint.min()}..{joint.max()}"
            )
        return split_joint_choices(joint, len(self.controlled))


def _checked_learned_start(chance: float, name: str, family: TaskFamily) -> float:
    chance = share("learned_start", chance)
    if chance > 0.0 and family.learned_start is None:
        raise ConfigurationError(
            f"learned_start={chance:g} needs a family with a learned start, and {name!r} has "
            "none: leave it out"
        )
    return chance


def _controlled_names(
    given: Sequence[str] | str | None, default: tuple[str, ...], every: tuple[str, ...]
) -> tuple[str, ...]:
    if given is None:
        return default
    if isinstance(given, str):
        return every if given == "all" else (given,)
    return ordered_names("hyperparameters", given)


def _action_space(mode: ActionMode, names: Sequence[str]) -> Space[Any]:
    """Return the action space of one lane."""
    if mode == "continuous":
        return Box(-1.0, 1.0, (len(names),), np.float32)
    if mode == "discrete":
        return MultiDiscrete([len(LEVELS)] * len(names))
    count = len(LEVELS) ** len(names)
    if count > MAX_JOINT_CHOICES:
        raise ConfigurationError(
            f"action_mode='joint': {len(names)} hyperparameters have {count} joint choices, and at "
            f"most {MAX_JOINT_CHOICES} are allowed; name fewer hyperparameters, or take "
            "action_mode='discrete', which has a choice for each"
        )
    return Discrete(count)


def _check_options(env: type, family: str, options: Mapping[str, Any]) -> None:
    """Check names of options that are neither the environment's nor the family's."""
    of_family = option_names(family_class(family))
    if of_family is not None:
        signatures = [inspect.signature(kind).parameters for kind in (LanesEnv, env)]
        of_env = [n for s in signatures for n, p in s.items() if p.kind is p.KEYWORD_ONLY]
        owner = f"the environment with family {family!r}"
        check_known(owner, options, {*of_env, *of_family})
