"""A trained policy as two plain files, and the numpy forward pass that runs it.

`policy.safetensors` holds the weights, `controller.json` everything else: architecture, observation
fields, hyperparameters, base schedule, versions, checksums, and golden vectors that are computed
again at every load. Neither can carry code. The names of both files are fixed, so nothing that
stands in them is used as a path.

Needs numpy and safetensors: no torch, no Gymnasium, no Stable-Baselines3.

Axes: `N` lanes, `D` observation fields, `H` hyperparameters, `O` outputs of the network.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, NoReturn

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from hpo_env.errors import ConfigurationError, HPOControlError, PolicyFileError, unknown_name
from hpo_env.hyperparameters import LEVELS, HyperparameterSpace
from hpo_env.observation import OBSERVATION_VERSION, field_names
from hpo_env.schedules import schedule
from hpo_env.seeding import stream

Activation = Literal["tanh", "relu"]
Head = Literal["clipped", "squashed", "choices", "joint_choice"]
Array = NDArray[np.float32]

WEIGHTS_FILE = "policy.safetensors"
CONTROLLER_FILE = "controller.json"
FORMAT = "hpo-control-policy"
FORMAT_VERSION = 1

_NUM_GOLDEN = 8
_GOLDEN_TOLERANCE = 1e-5  # float32 sums in another order differ by about 1e-7
_MAX_LAYERS, _MAX_WIDTH = 16, 16_384  # far beyond any controller: stops absurd files early
_MAX_JSON_BYTES = 4_000_000
_MAX_HEADER_BYTES = 100_000  # of the safetensors file, beside the weights

_ACTIVATIONS: dict[str, Any] = {"tanh": np.tanh, "relu": lambda x: np.maximum(x, np.float32(0.0))}


def _num_outputs(head: Head, num_hyperparameters: int) -> int:
    """Return `O`, how many numbers the network puts out."""
    return {
        "clipped": num_hyperparameters,
        "squashed": num_hyperparameters,
        "choices": num_hyperparameters * len(LEVELS),
        "joint_choice": len(LEVELS) ** num_hyperparameters,
    }[head]


@dataclass(frozen=True, kw_only=True, eq=False)
class Policy:
    """A multilayer perceptron that turns observations into moves of hyperparameters.

    It reads the fields of today's observation, `field_names(space.names)`, in their order; `load`
    rearranges what an older version saved.

    Args:
        family: The task family that it was trained on.
        space: The hyperparameters that it moves, `H` of them.
        base_schedule: The schedule that its moves correct.
        head: What the outputs mean. "clipped": means of a Gaussian, clipped to `[-1, 1]` (PPO, A2C).
            "squashed": their tanh (SAC, TD3, TQC). "choices": five logits for each hyperparameter,
            the largest of which picks from `LEVELS` (discrete PPO and A2C). "joint_choice": one
            value for each of the `5^H` combinations, the last hyperparameter varying fastest (DQN).
        activation: Of the hidden layers.
        weights: One float32 matrix `[out, in]` a layer, from `[.., D]` to `[O, ..]`.
        biases: One float32 vector `[out]` a layer.
        metadata: Plain data about how it came to be; nothing depends on it.

    Raises:
        ConfigurationError: A shape, a dtype or a value contradicts the above.
        UnknownNameError: No such head, activation or base schedule.

    Example:
        >>> from hpo_env.hyperparameters import Hyperparameter
        >>> lr = Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0)
        >>> num_fields = len(field_names(["learning_rate"]))
        >>> policy = Policy(
        ...     family="supervised",
        ...     space=HyperparameterSpace([lr]),
        ...     base_schedule="cosine",
        ...     head="choices",
        ...     activation="tanh",
        ...     weights=(np.zeros((5, num_fields), dtype=np.float32),),
        ...     biases=(np.array([0, 1, 0, 0, 0], dtype=np.float32),),
        ... )
        >>> policy.act(np.zeros((1, num_fields))).tolist()
        [[-0.5]]
    """

    family: str
    space: HyperparameterSpace
    base_schedule: str
    head: Head
    activation: Activation
    weights: tuple[Array, ...]
    biases: tuple[Array, ...]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check that the network fits the observation, the head and itself."""
        if self.head not in ("clipped", "squashed", "choices", "joint_choice"):
            raise unknown_name("head", self.head, ("clipped", "squashed", "choices", "joint_choice"))
        if self.activation not in _ACTIVATIONS:
            raise unknown_name("activation", self.activation, _ACTIVATIONS)
        schedule(self.base_schedule)
        if not self.family:
            raise ConfigurationError("family must name the task family; got an empty string")
        if not self.weights or len(self.weights) != len(self.biases):
            raise ConfigurationError(
                f"one bias a layer and at least one layer must be given; "
                f"got {len(self.weights)} weights and {len(self.biases)} biases"
            )
        sizes = [len(self.fields), *(len(bias) for bias in self.biases)]
        for name, tensor, shape in _layout(sizes, self.weights, self.biases):
            if tensor.shape != shape or tensor.dtype != np.float32:
                raise ConfigurationError(
                    f"{name} must be float32 {shape}; got {tensor.dtype} {tensor.shape}"
                )
            if not np.isfinite(tensor).all():
                raise ConfigurationError(f"{name} must be finite; has the agent diverged?")
        needed = _num_outputs(self.head, len(self.space))
        if sizes[-1] != needed:
            raise ConfigurationError(
                f"head {self.head!r} over {len(self.space)} hyperparameters {self.space.names} "
                f"needs {needed} outputs; got {sizes[-1]}"
            )

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the observation's fields that `act` reads, `D` of them, in order."""
        return field_names(self.space.names)

    @property
    def action_mode(self) -> Literal["continuous", "discrete"]:
        """The environment's action mode in which it was trained."""
        return "continuous" if self.head in ("clipped", "squashed") else "discrete"

    def outputs(self, observations: NDArray[np.floating[Any]]) -> Array:
        """Run the network: means, logits or action values, by `head`.

        Args:
            observations: `[N, D]`.

        Returns:
            Outputs `[N, O]`, float32.

        Raises:
            ConfigurationError: The shape is not `[N, D]`.
        """
        hidden: Array = np.asarray(observations, dtype=np.float32)
        if hidden.ndim != 2 or hidden.shape[1] != self.weights[0].shape[1]:
            raise ConfigurationError(
                f"observations must have shape [N, D={self.weights[0].shape[1]}]; "
                f"got {hidden.shape}"
            )
        activate = _ACTIVATIONS[self.activation]
        for weight, bias in zip(self.weights[:-1], self.biases[:-1], strict=True):
            hidden = activate(hidden @ weight.T + bias)
        return np.asarray(hidden @ self.weights[-1].T + self.biases[-1])

    def act(self, observations: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
        """Decide, without randomness, how to move every hyperparameter.

        Args:
            observations: `[N, D]`, as `Observer.observe` returns them.

        Returns:
            Moves `[N, H]` in `[-1, 1]`, what `HyperparameterSpace.move` takes: also of a discrete
            policy, whose choices are looked up in `LEVELS`.

        Raises:
            ConfigurationError: The shape is not `[N, D]`.
        """
        outputs = self.outputs(observations)
        if self.head == "clipped":
            return np.minimum(np.maximum(outputs, -1.0), 1.0).astype(np.float64)
        if self.head == "squashed":
            return np.tanh(outputs).astype(np.float64)
        num_lanes, num_hyperparameters = len(outputs), len(self.space)
        if self.head == "choices":
            logits = outputs.reshape(num_lanes, num_hyperparameters, len(LEVELS))
            return LEVELS[logits.argmax(axis=2)]
        return LEVELS[split_joint_choices(outputs.argmax(axis=1), num_hyperparameters)]


def split_joint_choices(
    choices: NDArray[np.integer[Any]], num_hyperparameters: int
) -> NDArray[np.int64]:
    """Split indices `[N]` over all `5^H` combinations into one choice a hyperparameter `[N, H]`.

    Example:
        >>> split_joint_choices(np.array([0, 7, 24]), 2).tolist()
        [[0, 0], [1, 2], [4, 4]]
    """
    shape = (len(LEVELS),) * num_hyperparameters
    return np.stack(np.unravel_index(choices, shape), axis=1).astype(np.int64)


def _layout(
    sizes: Sequence[int], weights: Sequence[Array], biases: Sequence[Array]
) -> list[tuple[str, Array, tuple[int, ...]]]:
    """List every tensor of the network with its name in the file and the shape it must have."""
    rows = []
    for layer, (num_in, num_out) in enumerate(pairwise(sizes)):
        rows.append((f"layers.{layer}.weight", weights[layer], (num_out, num_in)))
        rows.append((f"layers.{layer}.bias", biases[layer], (num_out,)))
    return rows


# -------------------------------------------------------------------------------------- save, load


def save(policy: Policy, folder: str | Path) -> Path:
    """Write a policy into a folder; `load` is the inverse.

    Each file is replaced in one step, the weights first. Should the machine stop between the two,
    `load` notices that they do not belong together.

    Args:
        policy: What to write.
        folder: Made when it does not exist; other files in it are left alone.

    Returns:
        The folder.

    Raises:
        PolicyFileError: The folder cannot be written, or the metadata is not plain data.
    """
    folder = Path(folder)
    tensors = {
        name: np.ascontiguousarray(tensor)
        for name, tensor, _ in _layout(_sizes(policy), policy.weights, policy.biases)
    }
    weights = save_safetensors(tensors, metadata={"format": FORMAT})
    document = _document(policy, hashlib.sha256(weights).hexdigest())
    try:
        text = json.dumps(document, indent=1, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise PolicyFileError(
            f"{folder / CONTROLLER_FILE}: metadata must be plain JSON data with finite numbers; "
            f"{error}. Convert it to str, int, float, list or dict"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _replace(folder / WEIGHTS_FILE, weights)
        _replace(folder / CONTROLLER_FILE, text.encode())
    except OSError as error:
        raise PolicyFileError(
            f"{folder}: the policy cannot be written: {error.strerror or error}. Free some space, "
            "or choose another folder; nothing that was there is lost"
        ) from error
    return folder


def load(folder: str | Path) -> Policy:
    """Read a policy, and check it from end to end.

    Args:
        folder: Holds `policy.safetensors` and `controller.json`.

    Returns:
        The policy, reading today's observation. A policy saved before fields were appended to it
        gives those no weight.

    Raises:
        PolicyFileError: A file is missing, truncated, doctored, of another version or contradicts
            itself. Nothing in it was executed.
    """
    folder = Path(folder)
    path, document = folder / CONTROLLER_FILE, _read_document(folder)
    space = _read_space(path, document)
    sizes = _read_sizes(path, document)
    fields = _read_fields(path, document, space)
    if sizes[0] != len(fields):
        _refuse(path, f"layer_sizes must start with {len(fields)}, the number of fields", sizes)
    tensors = _read_weights(folder, _entry(path, document, "weights_sha256", str), sizes)
    layers = range(len(sizes) - 1)
    weights = [tensors[f"layers.{layer}.weight"] for layer in layers]
    columns = [field_names(space.names).index(name) for name in fields]
    first = np.zeros((sizes[1], len(field_names(space.names))), dtype=np.float32)
    first[:, columns] = weights[0]  # fields that the policy does not know keep the weight 0
    try:
        policy = Policy(
            family=_entry(path, document, "family", str),
            space=space,
            base_schedule=_entry(path, document, "base_schedule", str),
            head=_entry(path, document, "head", str),
            activation=_entry(path, document, "activation", str),
            weights=(first, *weights[1:]),
            biases=tuple(tensors[f"layers.{layer}.bias"] for layer in layers),
            metadata=_entry(path, document, "metadata", dict),
        )
    except PolicyFileError:
        raise
    except HPOControlError as error:
        raise PolicyFileError(f"{path}: {error}. {_FIX}") from error
    _check_golden(path, document, policy, columns)
    return policy


_FIX = "Export or download the policy again"


def _refuse(path: Path, rule: str, value: object, fix: str = _FIX) -> NoReturn:
    shown = repr(value)
    raise PolicyFileError(f"{path}: {rule}; got {shown[:200]}. {fix}")


def _sizes(policy: Policy) -> list[int]:
    return [len(policy.fields), *(len(bias) for bias in policy.biases)]


def _document(policy: Policy, weights_sha256: str) -> dict[str, Any]:
    observations = stream(0, "golden").uniform(-1.0, 1.0, (_NUM_GOLDEN, len(policy.fields)))
    observations = observations.astype(np.float32)
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "observation_version": list(OBSERVATION_VERSION),
        "family": policy.family,
        "base_schedule": policy.base_schedule,
        "head": policy.head,
        "activation": policy.activation,
        "layer_sizes": _sizes(policy),
        "observation_fields": list(policy.fields),
        "hyperparameters": policy.space.to_json(),
        "weights_sha256": weights_sha256,
        "golden": {
            "observations": observations.tolist(),
            "outputs": policy.outputs(observations).tolist(),
        },
        "metadata": dict(policy.metadata),
    }
    return document | {"sha256": _checksum(document)}


def _checksum(document: Mapping[str, Any]) -> str:
    """Hash all that decides what the policy does; notes in the metadata may be edited."""
    covered = {k: v for k, v in document.items() if k not in ("sha256", "metadata")}
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


def _replace(path: Path, content: bytes) -> None:
    """Write a file so that it holds either the old content or the new one, never a part."""
    staged = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with staged.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        staged.replace(path)
    except BaseException:  # also an interrupt: leave no half file behind
        with contextlib.suppress(OSError):
            staged.unlink(missing_ok=True)
        raise


# ------------------------------------------------------------------------------- the checks of load


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise PolicyFileError(
            f"{path}: not found. A policy is a folder that holds {WEIGHTS_FILE} and "
            f"{CONTROLLER_FILE}; give the path of such a folder"
        ) from None
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    if len(content) > limit:
        _refuse(path, f"the file must not be larger than {limit} bytes", "more")
    return content


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / CONTROLLER_FILE
    content = _read_bytes(path, _MAX_JSON_BYTES)
    try:
        document = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise PolicyFileError(f"{path}: must be JSON in UTF-8: {error}. {_FIX}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        _refuse(path, f"'format' must be {FORMAT!r}", found)
    version = document.get("format_version")
    if version != FORMAT_VERSION:
        _refuse(
            path,
            f"'format_version' must be {FORMAT_VERSION} for this version of hpo-control",
            version,
            "Install the version of hpo-control that wrote it, or export the policy again",
        )
    observation = document.get("observation_version")
    ours = list(OBSERVATION_VERSION)
    if not _is_version(observation) or observation[0] != ours[0]:
        _refuse(
            path,
            f"'observation_version' must have the major number {ours[0]}: with another one the "
            "fields mean something else",
            observation,
            "Train the policy again, or install the version of hpo-control that wrote it",
        )
    if document.get("sha256") != _checksum(document):
        _refuse(path, "'sha256' must be the checksum of the other entries", document.get("sha256"))
    return document


def _is_version(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(type(v) is int for v in value)


def _entry(path: Path, document: Mapping[str, Any], key: str, kind: type) -> Any:
    if key not in document:
        _refuse(path, f"the entry {key!r} must be there", sorted(document))
    if type(document[key]) is not kind:
        _refuse(path, f"{key!r} must be a {kind.__name__}", document[key])
    return document[key]


def _read_space(path: Path, document: Mapping[str, Any]) -> HyperparameterSpace:
    entries = _entry(path, document, "hyperparameters", list)
    try:
        space = HyperparameterSpace.from_json(entries)
        assert all(type(name) is str for name in space.names), "names must be strings"
    except (HPOControlError, TypeError, AssertionError) as error:
        raise PolicyFileError(f"{path}: 'hyperparameters': {error}. {_FIX}") from error
    return space


def _read_sizes(path: Path, document: Mapping[str, Any]) -> list[int]:
    sizes: list[int] = _entry(path, document, "layer_sizes", list)
    valid = 2 <= len(sizes) <= _MAX_LAYERS
    if not valid or not all(type(s) is int and 1 <= s <= _MAX_WIDTH for s in sizes):
        rule = f"'layer_sizes' must be 2 to {_MAX_LAYERS} integers from 1 to {_MAX_WIDTH}"
        _refuse(path, rule, sizes)
    return sizes


def _read_fields(
    path: Path, document: Mapping[str, Any], space: HyperparameterSpace
) -> list[str]:
    fields: list[str] = _entry(path, document, "observation_fields", list)
    if not all(type(name) is str for name in fields) or len(set(fields)) != len(fields):
        _refuse(path, "'observation_fields' must be distinct names", fields)
    unknown = [name for name in fields if name not in field_names(space.names)]
    if unknown:
        _refuse(
            path,
            "every observation field must be known to this version of hpo-control",
            unknown,
            "Update hpo-control: the policy is newer",
        )
    return fields


def _read_weights(folder: Path, sha256: str, sizes: Sequence[int]) -> dict[str, Array]:
    path = folder / WEIGHTS_FILE
    num_parameters = sum(num_out * (num_in + 1) for num_in, num_out in pairwise(sizes))
    content = _read_bytes(path, 4 * num_parameters + _MAX_HEADER_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        rule = f"its sha256 must be {sha256}, as {CONTROLLER_FILE} says"
        fix = f"The file was cut short or changed, or saving was interrupted. {_FIX}"
        _refuse(path, rule, f"{found}, {len(content)} bytes", fix)
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise PolicyFileError(f"{path}: must be a safetensors file: {error}. {_FIX}") from error
    shapes = {}
    for layer, (num_in, num_out) in enumerate(pairwise(sizes)):
        shapes[f"layers.{layer}.weight"] = (num_out, num_in)
        shapes[f"layers.{layer}.bias"] = (num_out,)
    if set(tensors) != set(shapes):
        _refuse(path, f"the tensors must be {sorted(shapes)}", sorted(tensors))
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.dtype != np.float32 or tensor.shape != shape:
            _refuse(path, f"{name} must be float32 {shape}", f"{tensor.dtype} {tensor.shape}")
        if not np.isfinite(tensor).all():
            _refuse(path, f"{name} must be finite", tensor[~np.isfinite(tensor)][0].item())
    return tensors


def _check_golden(
    path: Path, document: Mapping[str, Any], policy: Policy, columns: Sequence[int]
) -> None:
    """Compute the stored examples again, as the saved policy read them: in its own fields."""
    golden = _entry(path, document, "golden", dict)
    try:
        stored = np.array(_entry(path, golden, "observations", list), dtype=np.float32)
        expected = np.array(_entry(path, golden, "outputs", list), dtype=np.float32)
        observations = np.zeros((len(stored), len(policy.fields)), dtype=np.float32)
        observations[:, columns] = stored
        outputs = policy.outputs(observations)
        error = np.abs(outputs - expected).max(initial=0.0)
    except (TypeError, ValueError) as problem:
        if isinstance(problem, PolicyFileError):
            raise
        raise PolicyFileError(f"{path}: 'golden': {problem}. {_FIX}") from problem
    if len(stored) != _NUM_GOLDEN or expected.shape != outputs.shape:
        shape = (_NUM_GOLDEN, outputs.shape[1])
        _refuse(path, f"'golden' outputs must have shape {shape}", expected.shape)
    tolerance = _GOLDEN_TOLERANCE * max(1.0, float(np.abs(expected).max()))
    if not error <= tolerance:
        rule = f"the network must reproduce the golden outputs within {tolerance:g}"
        _refuse(path, rule, f"a difference of {error:g}")
