"""A policy: the network that turns observations into moves, as a numpy forward pass.

Needs numpy alone: this is what runs inside a user's training loop, under 50 µs a decision. State
goes in and state comes out (`Policy.start`, `Policy.step`); most policies have none.

Axes: `N` lanes, `D` observation fields, `H` hyperparameters, `O` outputs of the network.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.familiarity import Familiarity
from hpo_env.familiarity import tensor_shapes as familiarity_shapes
from hpo_env.hyperparameters import LEVELS, HyperparameterSpace, split_joint_choices
from hpo_env.limits import Bounds, check_lowest, check_most_decisions
from hpo_env.lstm import Lstm
from hpo_env.lstm import tensor_shapes as memory_shapes
from hpo_env.observation import field_names
from hpo_env.reward import LOSS_FLOOR
from hpo_env.schedules import schedule
from hpo_env.scope import Scope
from hpo_env.starts import LearnedStart, Problem, check_kinds

Activation = Literal["tanh", "relu"]
Head = Literal["clipped", "squashed", "choices", "likeliest", "joint_choice"]
Array = NDArray[np.float32]

PolicyState = tuple[Array, ...]
"""What a policy remembers of N lanes, float32 `[N, W]` each; empty without a memory."""

_SUMMED = np.stack([LEVELS, np.ones(len(LEVELS))], axis=1)
"""Turns exponentials of five logits into the numerator and the denominator of their mean level."""

_ACTIVATIONS: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, 0.0)}


def num_outputs(head: Head, num_hyperparameters: int) -> int:
    """Return how many numbers one member of a policy puts out for `H` hyperparameters.

    Example:
        >>> num_outputs("choices", 2), num_outputs("joint_choice", 2)
        (10, 25)
    """
    if head in ("choices", "likeliest"):
        return num_hyperparameters * len(LEVELS)
    if head == "joint_choice":
        return int(len(LEVELS) ** num_hyperparameters)
    return num_hyperparameters


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """A multilayer perceptron that turns observations into moves of hyperparameters.

    It reads the fields of today's observation, `field_names(space.names)`, in their order, and then
    those of its family; `load` rearranges what an older version saved.

    Args:
        family: The task family that it was trained on.
        space: The hyperparameters that it moves, `H` of them.
        base_schedule: The schedule that its moves correct.
        head: What the outputs mean. "clipped": means of a Gaussian, clipped to `[-1, 1]` (PPO and
            A2C). "squashed": their tanh (SAC, TD3, TQC). "choices": five logits for each
            hyperparameter; the move is the mean of `LEVELS` under their softmax (discrete PPO and
            A2C), which is steadier than its most probable one. "likeliest": the same logits; the
            move is the most probable one (discrete RecurrentPPO). "joint_choice": one value for
            each of the `5^H` combinations, the last hyperparameter varying fastest, of which the
            largest picks (DQN). Outputs of several members (`agents.ensemble`) lie one after the
            other, and the move is the mean of theirs.
        activation: Of the hidden layers.
        weights: One float32 matrix `[out, in]` a layer, from `[.., D]` (with a memory `[.., W]`) to
            `[O, ..]`.
        biases: One float32 vector `[out]` a layer.
        metadata: Plain data about how it came to be; nothing depends on it.
        loss_floor: The family's own: a validation loss below it is observed as this.
        features: Names of the entries of the observation that only this family has, in order.
        familiarity: What its observations looked like in meta-training. An observation that is far
            from that shrinks the corrections towards the base schedule; see `act`. None trusts the
            network everywhere.
        memory: What stands between observation and layers, where it remembers; None: nothing.
        learned_start: The values of its hyperparameters that were best to begin from on the
            training tasks; None: there are none, runs begin at the user's own.
        kinds: Kinds of problem (`Problem.kind`) that meta-training contained. Runs of other kinds
            keep their values, see `knows`; None: it is not said, and every run is steered.
        scope: Where it decides in place of another policy; None: where no other does.
        lowest: The lowest values that it moves to, by name; see `hpo_env.limits`.
        most_decisions: The most decisions of a run in which a hyperparameter is moved, by name.

    Raises:
        ConfigurationError: A shape, a dtype or a value contradicts the above.
        UnknownNameError: No such head, activation or base schedule.

    Example:
        >>> from hpo_env.hyperparameters import Hyperparameter
        >>> lr = Hyperparameter(name="lr", low=1e-6, high=1.0, default=1e-3, max_step=4.0)
        >>> num_fields = len(field_names(["lr"]))
        >>> policy = Policy(
        ...     family="supervised",
        ...     space=HyperparameterSpace([lr]),
        ...     base_schedule="cosine",
        ...     head="choices",
        ...     activation="tanh",
        ...     weights=(np.zeros((5, num_fields), dtype=np.float32),),
        ...     biases=(np.array([0, 1, 0, 0, 0], dtype=np.float32),),
        ... )
        >>> policy.act(np.zeros((1, num_fields))).round(3).tolist()
        [[-0.128]]
    """

    family: str
    space: HyperparameterSpace
    base_schedule: str
    head: Head
    activation: Activation
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)
    loss_floor: float = LOSS_FLOOR
    features: tuple[str, ...] = ()
    familiarity: Familiarity | None = None
    memory: Lstm | None = None
    learned_start: LearnedStart | None = None
    kinds: tuple[str, ...] | None = None
    scope: Scope | None = None
    lowest: Mapping[str, float] = field(default_factory=dict)
    most_decisions: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the network fits the observation, the head and itself."""
        if self.head not in get_args(Head):
            raise unknown_name("head", self.head, get_args(Head))
        if self.activation not in _ACTIVATIONS:
            raise unknown_name("activation", self.activation, _ACTIVATIONS)
        schedule(self.base_schedule)
        if not 0.0 < self.loss_floor < math.inf:
            raise ConfigurationError(f"loss_floor must be a positive number; got {self.loss_floor}")
        if not self.family:
            raise ConfigurationError("family must name the task family; got an empty string")
        if not self.weights or len(self.weights) != len(self.biases):
            raise ConfigurationError(
                f"one bias a layer and at least one layer must be given; "
                f"got {len(self.weights)} weights and {len(self.biases)} biases"
            )
        if self.learned_start is not None:
            self.learned_start.check(self.space)
        check_kinds(self.kinds)
        check_lowest(self.lowest, self.space)
        check_most_decisions(self.most_decisions, self.space)
        width = None if self.memory is None else self.memory.width
        shapes = tensor_shapes(self.layer_sizes, width) | familiarity_shapes(len(self.fields))
        for name, tensor in self.tensors().items():
            if tensor.dtype != np.float32 or tensor.shape != shapes[name]:
                raise ConfigurationError(
                    f"{name} must be float32 {shapes[name]}; got {tensor.dtype} {tensor.shape}"
                )
            if not np.isfinite(tensor).all():
                raise ConfigurationError(f"{name} must be finite; has the agent diverged?")
        needed = num_outputs(self.head, len(self.space))
        if self.layer_sizes[-1] < needed or self.layer_sizes[-1] % needed:
            raise ConfigurationError(
                f"head {self.head!r} over {len(self.space)} hyperparameters {self.space.names} "
                f"needs {needed} outputs a member; got {self.layer_sizes[-1]}"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the observation's fields that `act` reads, `D` of them, in order."""
        return (*field_names(self.space.names), *self.features)

    def knows(self, problem: Problem) -> bool:
        """Say whether meta-training contained such problems, as far as both say what they are."""
        return self.kinds is None or problem.kind is None or problem.kind in self.kinds

    @property
    def action_mode(self) -> Literal["continuous", "discrete"]:
        """The environment's action mode in which it was trained."""
        return "continuous" if self.head in ("clipped", "squashed") else "discrete"

    @cached_property
    def num_members(self) -> int:
        """How many networks stand side by side; 1 unless it is an ensemble."""
        return self.layer_sizes[-1] // num_outputs(self.head, len(self.space))

    @property
    def layer_sizes(self) -> tuple[int, ...]:
        """Widths from the observation, `D`, over the hidden layers to the outputs, `O`.

        The memory between the observation and the first layer is not among them.
        """
        return (len(self.fields), *(len(bias) for bias in self.biases))

    def tensors(self) -> dict[str, Array]:
        """Name every tensor of the network as `tensor_shapes` does, then those of familiarity."""
        named = {f"layers.{layer}.weight": weight for layer, weight in enumerate(self.weights)}
        named |= {f"layers.{layer}.bias": bias for layer, bias in enumerate(self.biases)}
        if self.memory is not None:
            named |= self.memory.tensors()
        return named if self.familiarity is None else named | self.familiarity.tensors()

    def start(self, num_lanes: int) -> PolicyState:
        """Return what is remembered at the start of an episode, for N lanes."""
        return () if self.memory is None else self.memory.start(num_lanes)

    def forget(self, state: PolicyState, lanes: NDArray[np.bool_]) -> PolicyState:
        """Return the state with some lanes, bool `[N]`, at the start of an episode again."""
        return tuple(np.where(lanes[:, None], np.float32(0.0), part) for part in state)

    def outputs(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Run the network at the start of an episode: `outputs_after` of nothing remembered."""
        return self.outputs_after(observations, self.start(len(observations)))[0]

    def outputs_after(
        self, observations: NDArray[np.floating[Any]], state: PolicyState
    ) -> tuple[NDArray[np.float64], PolicyState]:
        """Run the network: means, logits or action values, by `head`.

        It is computed in float64: see `act`.

        Args:
            observations: `[N, D]`.
            state: What is remembered of these lanes.

        Returns:
            Outputs `[N, O]`, and what is remembered now.

        Raises:
            ConfigurationError: The shape is not `[N, D]`, or the state is that of other lanes.
        """
        hidden = np.asarray(observations, dtype=np.float64)
        if hidden.ndim != 2 or hidden.shape[1] != self._num_fields:
            raise ConfigurationError(
                f"observations must have shape [N, D={self._num_fields}]; got {hidden.shape}"
            )
        if self.memory is not None:
            if len(state) != 2:
                raise ConfigurationError(
                    f"the state must be what Policy.start or Policy.step returned; got {state}"
                )
            hidden, state = self.memory.step(hidden, (state[0], state[1]))
        activate = _ACTIVATIONS[self.activation]
        *inner, (weight, bias) = self._layers
        for inner_weight, inner_bias in inner:
            hidden = activate(hidden @ inner_weight + inner_bias)
        return np.asarray(hidden @ weight + bias), state

    def act(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Decide at the start of an episode how to move every hyperparameter, without randomness.

        Without a memory every decision is like that: `step` does the same all through an episode.

        Where the observation is foreign (`Familiarity.trust` is a `t` below 1), the moves are
        `t * moves of the network + (1 - t) * moves to the base schedule`. Everywhere else they are
        the network's, bit for bit. The environment and the deployed controller both act here.

        A matrix product adds up in an order that depends on how many rows it has. So the sums are
        in float64 and the moves are rounded to float32 at the end: a run goes the same way, bit for
        bit, whoever else is decided for in the same call.

        Args:
            observations: `[N, D]`, as `Observer.observe` returns them.

        Returns:
            Moves `[N, H]` in `[-1, 1]`, each a float32 number: what `HyperparameterSpace.move`
            takes, also of a policy that was trained on discrete choices.

        Raises:
            ConfigurationError: The shape is not `[N, D]`.
        """
        return self.act_with_trust(observations)[0]

    def act_with_trust(
        self, observations: NDArray[np.floating[Any]]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Decide as `act` does, and tell the share `t` `[N]` of the network in each decision."""
        moves, shares, _ = self.step(observations, self.start(len(observations)))
        return moves, shares

    def step(
        self, observations: NDArray[np.floating[Any]], state: PolicyState
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], PolicyState]:
        """Decide in the course of an episode.

        Args:
            observations: `[N, D]`, as `Observer.observe` returns them.
            state: What `start`, or `step` for the decision before, returned for these lanes.

        Returns:
            Moves `[N, H]` as those of `act`, the share `t` `[N]` of the network in each decision,
            and what is remembered now.

        Raises:
            ConfigurationError: The shape is not `[N, D]`, or the state is that of other lanes.
        """
        outputs, state = self.outputs_after(observations, state)
        moves = self.moves_of(outputs)
        if self.lowest:
            columns, bounds = self._bounds
            moves = bounds.held(moves, observations[:, columns].astype(np.float64))
        known = self.familiarity
        shares = np.ones(len(moves)) if known is None else known.trust(observations)
        if known is not None and (shares < 1.0).any():
            trust = shares[:, None]
            held_back = trust * moves + (1.0 - trust) * self._moves_to_base(observations)
            moves = np.where(trust < 1.0, held_back, moves)
        return moves.astype(np.float32).astype(np.float64), shares, state

    def actor(self, num_lanes: int) -> Callable[[NDArray[np.floating[Any]]], NDArray[np.float64]]:
        """Return a function that decides for N lanes through one episode of each, `[N, D]` in."""
        state = self.start(num_lanes)

        def decide(observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
            nonlocal state
            moves, _, state = self.step(observations, state)
            return moves

        return decide

    def moves_of(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Turn outputs `[N, O]` into the moves `[N, H]` that they stand for."""
        members = self.num_members
        moves = self._member_moves(outputs.reshape(len(outputs) * members, -1))
        return np.asarray(moves.reshape(len(outputs), members, -1).sum(axis=1) / members)

    def _member_moves(self, outputs: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Turn outputs of single members into moves, a row each."""
        if self.head == "clipped":
            return np.asarray(np.minimum(np.maximum(outputs, -1.0), 1.0), dtype=np.float64)
        if self.head == "squashed":
            return np.asarray(np.tanh(outputs), dtype=np.float64)
        if self.head == "joint_choice":
            return LEVELS[split_joint_choices(outputs.argmax(axis=1), len(self.space))]
        logits = np.asarray(outputs, dtype=np.float64).reshape(-1, len(LEVELS))
        if self.head == "likeliest":
            return np.asarray(LEVELS[logits.argmax(axis=1)].reshape(len(outputs), -1))
        shares = np.exp(logits - logits.max(axis=1, keepdims=True))
        sums = shares @ _SUMMED  # [.., 2]
        return np.asarray(sums[:, 0] / sums[:, 1]).reshape(len(outputs), -1)

    def _moves_to_base(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Return the moves `[N, H]` after which corrections are 0, or as near as one step gets."""
        columns, steps = self._corrections_observed
        return np.clip(-observations[:, columns].astype(np.float64) / steps, -1.0, 1.0)

    @cached_property
    def _bounds(self) -> tuple[list[int], Bounds]:
        """Columns of the positions in the observation, and where moves end that lead down."""
        columns = [self.fields.index(f"{name}/position") for name in self.space.names]
        return columns, Bounds.of(self.lowest, self.space)

    @cached_property
    def _num_fields(self) -> int:
        """`D`."""
        return len(self.fields)

    @cached_property
    def _layers(self) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Weights `[in, out]` and biases `[out]` of every layer, in float64."""
        layers = zip(self.weights, self.biases, strict=True)
        return [(w.T.astype(np.float64, order="C"), b.astype(np.float64)) for w, b in layers]

    @cached_property
    def _corrections_observed(self) -> tuple[list[int], NDArray[np.float64]]:
        """Columns of the corrections in the observation, and the length of a step there `[H]`."""
        columns = [self.fields.index(f"{name}/correction") for name in self.space.names]
        ranges = self.space.to_axis(self.space.high) - self.space.to_axis(self.space.low)
        return columns, self.space.steps / ranges


def tensor_shapes(
    layer_sizes: Sequence[int], memory_width: int | None = None
) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor of the network, by its name in the file.

    Args:
        layer_sizes: See `Policy.layer_sizes`.
        memory_width: `W`; None without a memory.

    Example:
        >>> tensor_shapes([26, 5])
        {'layers.0.weight': (5, 26), 'layers.0.bias': (5,)}
    """
    num_fields, *rest = layer_sizes
    shapes: dict[str, tuple[int, ...]] = {}
    first = num_fields if memory_width is None else memory_width
    for layer, (num_in, num_out) in enumerate(pairwise([first, *rest])):
        shapes[f"layers.{layer}.weight"] = (num_out, num_in)
        shapes[f"layers.{layer}.bias"] = (num_out,)
    if memory_width is not None:
        shapes |= memory_shapes(num_fields, memory_width)
    return shapes
