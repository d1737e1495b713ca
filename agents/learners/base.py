"""What every learner is: it acts in lanes, learns from what comes of it, and ends as a policy.

Adding a learner costs one class and one line in `registry.py`; the contract suite
(`agents.testing.learners`) finds it through the registry. A learner outside of this package needs
no line: its address, `module:Class`, stands wherever an agent's name may.

Axes: `N` lanes, `H` controlled hyperparameters, `D` observation fields.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy

from .settings import Settings
from .stepping import Array, Env, LaneStep

State = dict[str, NDArray[Any] | int | float]
"""All that the next segment depends on, by name; arrays in it are copies."""


class Watcher(Protocol):
    """Looks on while a learner learns; it changes nothing."""

    def record(self, tag: str, value: float) -> None:
        """Take in a measurement of the learner's own, such as `train/loss`."""
        ...

    def stepped(self, step: LaneStep, num_steps: int) -> None:
        """Take in a step of all lanes, after which `num_steps` environment steps are done."""
        ...

    def rolled_out(self, num_steps: int) -> None:
        """Take note that the learner has what it learns from next: a good moment for a point."""
        ...


class Learner(ABC):
    """A learning algorithm with its weights, on the environment that it learns in.

    A segment of learning is a function of `state()`, the run's seed and the segment's number:
    `seed` makes all random streams follow from the latter two, and begins new episodes.

    Args:
        settings: What it is told; an instance of its `settings`, fitted to the number of lanes.
        env: Lanes of the training split in one of its `action_modes`, which reset themselves in
            the same step.
        seed: The run's seed, from which the initial weights follow.
        total_steps: Environment steps of the whole run, for whatever changes on the way.

    Raises:
        ConfigurationError: It cannot learn in this environment.
        MissingExtraError: It needs a package that is not installed.
    """

    name: ClassVar[str]
    """What it is called in names of folders."""

    settings: ClassVar[type[Settings]]
    """The settings that it reads."""

    action_modes: ClassVar[tuple[str, ...]] = ("continuous",)
    """The environment's action modes that it can learn in; the first is its usual one."""

    no_policy: ClassVar[str | None] = None
    """Why what it learns fits into no policy file; None where it does."""

    @abstractmethod
    def __init__(self, settings: Any, env: Env, *, seed: int, total_steps: int) -> None: ...

    @property
    @abstractmethod
    def num_steps(self) -> int:
        """Environment steps that it has learned from, over all segments."""

    @abstractmethod
    def learn(self, until_steps: int, watcher: Watcher) -> None:
        """Go on learning.

        Args:
            until_steps: Where `num_steps` is afterwards, exactly; a multiple of
                `Settings.rollout_steps`. No step more is taken.
            watcher: Is told of every step, every rollout and what the learner measures of itself.
        """

    @abstractmethod
    def moves(
        self, observations: NDArray[np.float32], state: Any, starts: NDArray[np.bool_]
    ) -> tuple[Array, Any]:
        """Decide without randomness: what its policy does, and what checkpoints are scored by.

        Args:
            observations: `[N, D]`, N of any size.
            state: What it returned for the step before; None at first.
            starts: Which lanes begin an episode, bool `[N]`.

        Returns:
            Moves `[N, H]` in `[-1, 1]`, and the memory to go on with.
        """

    @abstractmethod
    def seed(self, segment: int) -> None:
        """Make everything random in a segment follow from the run's seed and the segment's number.

        All lanes start new episodes, and what is remembered of old ones is forgotten.

        Args:
            segment: Number of the segment, from 1.
        """

    @abstractmethod
    def state(self) -> State:
        """Copy all that later segments depend on; `load` is the inverse."""

    @abstractmethod
    def load(self, state: Mapping[str, Any]) -> None:
        """Put a state back, bit for bit.

        Raises:
            KeyError: A part is missing.
            ValueError: A part has another shape. `RuntimeError` will do as well.
        """

    def begin_with(self, state: Mapping[str, Any]) -> None:
        """Take over what another run has learned, before the first segment.

        Its weights, and neither its counters nor what its optimiser remembers.

        Args:
            state: What `state` of a learner of this kind returned.

        Raises:
            ConfigurationError: This learner cannot.
            KeyError: A part is missing.
            ValueError: A part has another shape. `RuntimeError` will do as well.
        """
        raise ConfigurationError(
            f"agent {self.name!r} cannot begin with the weights of another run; leave initial out"
        )

    def begin_with_policy(self, policy: Policy) -> None:
        """Take over a policy that was exported, before the first segment.

        Whatever a policy file does not hold, such as a critic, stays as it was drawn.

        Args:
            policy: What `policy` of a learner of this kind returned.

        Raises:
            ConfigurationError: This learner cannot, or its network has another shape.
        """
        raise ConfigurationError(
            f"agent {self.name!r} cannot begin with a policy; begin with the run folder that the "
            "policy comes from, or leave initial out"
        )

    @abstractmethod
    def policy(self, metadata: Mapping[str, object]) -> Policy:
        """Return what was learned; not called where `no_policy` says why.

        Args:
            metadata: To keep with it, see `agents.learners.provenance.describe`.

        Raises:
            ConfigurationError: The network is none that a policy can be.
        """


def segment_seed(seed: int, segment: int) -> int:
    """Return the seed of all random streams of a segment.

    Args:
        seed: The run's seed.
        segment: Number of the segment, from 1; 0 is the drawing of the initial weights.
    """
    return int(np.random.SeedSequence([seed, segment]).generate_state(1)[0])
