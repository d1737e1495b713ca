"""A meta-training that begins with what an earlier one has learned.

The earlier one may have had other tasks: cheap ones first, dear ones then. What carries over are
the weights of its best checkpoint; counters, rates and the optimiser's memory begin anew. Of a
policy's folder it is the actor alone: the critic stayed behind, and has to learn first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from hpo_env.errors import ConfigurationError, RunFolderError
from hpo_env.policy import Policy
from hpo_env.policy_file import CONTROLLER_FILE, load
from hpo_env.tasks.registry import family_class

from .checkpoints import checkpoint_path, newest_checkpoint, read_checkpoint
from .config import TrainConfig
from .ensemble import split
from .learners.base import Learner
from .learners.registry import learner_class
from .run_folder import RunFolder


def begin_with(path: Path, learner: Learner, config: TrainConfig) -> None:
    """Put what an earlier meta-training has learned into a learner that has none yet.

    Args:
        path: The run folder of the earlier one, or the folder of a policy; of one with several
            members the one that was trained with the seed of this run.
        learner: What `make_learner` made.
        config: The resolved configuration that it was made of.

    Raises:
        RunFolderError: There is no such folder, or it has no checkpoint that can be read.
        PolicyFileError: The policy's files are damaged.
        ConfigurationError: It is of other seeds, observes or moves something else, or its networks
            have other shapes.
    """
    if (path / CONTROLLER_FILE).is_file():
        policy = initial_policy(path, config.seed)
        theirs = {"family": policy.family, "base_schedule": policy.base_schedule}
        _check_alike(path, theirs | {"hyperparameters": policy.space.names}, config)
        learner.begin_with_policy(policy)
        return
    folder = RunFolder.open(path)
    earlier = folder.read_config()
    _check_alike(path, {what: of(earlier) for what, of in _ALIKE.items()}, config)
    newest = newest_checkpoint(folder.checkpoints)[1]
    begun_with = newest.segment if earlier.exported == "last" else newest.best_segment
    if begun_with == 0:
        raise RunFolderError(
            f"{path} has not finished a segment, so there is nothing to begin with"
        )
    _, state = read_checkpoint(checkpoint_path(folder.checkpoints, begun_with))
    try:
        learner.begin_with(state)
    except (KeyError, RuntimeError, ValueError) as error:
        raise ConfigurationError(
            f"the networks of initial={str(path)!r} have other shapes: {error}. What sets them is "
            "net_arch, critic and, for a critic that sees the task, the numbers that describe "
            "one: of supervised learning those with a drawn clock have one more"
        ) from error


def initial_policy(path: Path, seed: int) -> Policy:
    """Return the policy that a run of a seed begins with.

    Args:
        path: The folder of a policy; of one with several members the one of this seed is meant.
        seed: The run's.

    Raises:
        PolicyFileError: Its files are damaged.
        ConfigurationError: It is made of other seeds.
    """
    members = split(load(path))
    if len(members) == 1:
        return members[0]
    of = {member.metadata["seed"]: member for member in members}
    if seed not in of:
        raise ConfigurationError(
            f"initial={str(path)!r} is made of the seeds {sorted(of)}, and seed={seed} is none of "
            "them; say one that is"
        )
    return of[seed]


def _check_alike(path: Path, earlier: Mapping[str, Any], config: TrainConfig) -> None:
    for what, theirs in earlier.items():
        own = _ALIKE[what](config)
        if theirs != own:
            raise ConfigurationError(
                f"initial={str(path)!r} was trained with {what} {theirs!r}, this is to be trained "
                f"with {own!r}; weights carry over where both are the same"
            )


def _controlled(config: TrainConfig) -> tuple[str, ...]:
    return config.hyperparameters or family_class(config.family).default_controlled


_ALIKE: dict[str, Callable[[TrainConfig], Any]] = {
    "family": lambda config: family_class(config.family).name,
    "agent": lambda config: learner_class(config.agent).name,
    "hyperparameters": _controlled,
    "action_mode": lambda config: config.filled().action_mode,
    "base_schedule": lambda config: config.filled().base_schedule,
}
"""What has to be the same for observations and moves to mean the same."""
