"""A policy as two plain files.

`policy.safetensors` holds the weights, `controller.json` everything else: architecture, observation
fields, hyperparameters, base schedule, versions, checksums, and golden vectors that are computed
again at every load. A policy that knows which observations are familiar keeps the arrays with the
weights, and threshold and offset in the other file; one that does not is written as if there were
no such thing. Neither file can carry code. The names of both files are fixed, so nothing that
stands in them is used as a path.

Needs numpy and safetensors: no torch, no Gymnasium, no Stable-Baselines3.
"""

from __future__ import annotations

import hashlib
import json
import math
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_safetensors
from safetensors.numpy import save as save_safetensors

from hpo_env.arguments import as_path, file_path
from hpo_env.errors import HPOControlError, PolicyFileError
from hpo_env.familiarity import Familiarity
from hpo_env.familiarity import tensor_shapes as familiarity_shapes
from hpo_env.golden_vectors import check_golden, golden_vectors
from hpo_env.lstm import Lstm
from hpo_env.observation import OBSERVATION_VERSION, field_names
from hpo_env.policy import Array, Policy, tensor_shapes
from hpo_env.policy_entries import (
    FIX,
    entry,
    read_features,
    read_fields,
    read_floor,
    read_kinds,
    read_learned_start,
    read_lowest,
    read_memory_width,
    read_most_decisions,
    read_scale_of_familiarity,
    read_scope,
    read_sizes,
    read_space,
    refuse,
)
from hpo_env.whole_files import write_atomically

__all__ = ["CONTROLLER_FILE", "WEIGHTS_FILE", "Policy", "load", "save"]

WEIGHTS_FILE = "policy.safetensors"
CONTROLLER_FILE = "controller.json"
FORMAT = "hpo-control-policy"
FORMAT_VERSION = 3
"""1 took the most probable of five choices, 2 takes their mean, in 3 hyperparameters say what the
guard does to them, the family's floor of the loss is there, and a policy may have a memory.
`features`, `learned_start`, `kinds`, `lowest` and `most_decisions` came to 3 later, where a policy
has them; what does not know the last three yet steers every run, as far down as ranges go, and all
that it can move, as it did before."""
_READABLE = (2, 3)

_MAX_DIGITS = 300  # of an integer: what float64 holds, and more than anything here counts
_MAX_JSON_BYTES = 4_000_000
_MAX_HEADER_BYTES = 100_000  # of the safetensors file, beside the weights


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
    folder = file_path("the folder of a policy", folder)
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in policy.tensors().items()}
    weights = save_safetensors(tensors, metadata={"format": FORMAT})
    document = _document(policy, hashlib.sha256(weights).hexdigest())
    try:
        text = json.dumps(document, indent=1, allow_nan=False)
        json.loads(text, parse_int=_whole_number)
    except (TypeError, ValueError) as error:
        raise PolicyFileError(
            f"{folder / CONTROLLER_FILE}: metadata must be plain JSON data with finite numbers; "
            f"{error}. Convert it to str, int, float, list or dict"
        ) from error
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(folder / WEIGHTS_FILE, weights)
        write_atomically(folder / CONTROLLER_FILE, text.encode())
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
        gives those no weight, neither in the network nor in the distance of its familiarity.

    Raises:
        PolicyFileError: A file is missing, truncated, doctored, of another version or contradicts
            itself. Nothing in it was executed.
    """
    folder = as_path("the folder of a policy", folder)
    path, document = folder / CONTROLLER_FILE, _read_document(folder)
    space = read_space(path, document)
    sizes = read_sizes(path, document)
    features = read_features(path, document)
    names = (*field_names(space.names), *features)
    fields = read_fields(path, document, names)
    if sizes[0] != len(fields):
        refuse(path, f"layer_sizes must start with {len(fields)}, the number of fields", sizes)
    scale = read_scale_of_familiarity(path, document)
    memory_width = read_memory_width(path, document)
    shapes = tensor_shapes(sizes, memory_width)
    if scale is not None:
        shapes |= familiarity_shapes(len(fields))
    tensors = _read_weights(folder, entry(path, document, "weights_sha256", str), shapes)
    layers = range(len(sizes) - 1)
    num_fields = len(names)
    columns = [names.index(name) for name in fields]
    reads = "layers.0.weight" if memory_width is None else "memory.input_weight"
    known = np.zeros((len(tensors[reads]), num_fields), dtype=np.float32)
    known[:, columns] = tensors[reads]  # fields that the policy does not know keep the weight 0
    tensors[reads] = known
    try:
        policy = Policy(
            family=entry(path, document, "family", str),
            space=space,
            base_schedule=entry(path, document, "base_schedule", str),
            head=entry(path, document, "head", str),
            activation=entry(path, document, "activation", str),
            weights=tuple(tensors[f"layers.{layer}.weight"] for layer in layers),
            biases=tuple(tensors[f"layers.{layer}.bias"] for layer in layers),
            metadata=entry(path, document, "metadata", dict),
            loss_floor=read_floor(path, document),
            features=features,
            familiarity=_familiarity(tensors, scale, columns, num_fields),
            memory=None if memory_width is None else _memory(tensors),
            learned_start=read_learned_start(path, document),
            kinds=read_kinds(path, document),
            scope=read_scope(path, document),
            lowest=read_lowest(path, document),
            most_decisions=read_most_decisions(path, document),
        )
    except PolicyFileError:
        raise
    except HPOControlError as error:
        raise PolicyFileError(f"{path}: {error}. {FIX}") from error
    check_golden(path, document, policy, columns)
    return policy


def _document(policy: Policy, weights_sha256: str) -> dict[str, Any]:
    familiarity: dict[str, Any] = {}
    if policy.familiarity is not None:
        known = policy.familiarity
        familiarity = {"familiarity": {"threshold": known.threshold, "offset": known.offset}}
    memory: dict[str, Any] = {}
    if policy.memory is not None:
        memory = {"memory": {"kind": "lstm", "width": policy.memory.width}}
    start: dict[str, Any] = {}
    if policy.learned_start is not None:
        start = {"learned_start": policy.learned_start.to_json()}
    document: dict[str, Any] = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "observation_version": list(OBSERVATION_VERSION),
        "family": policy.family,
        "base_schedule": policy.base_schedule,
        "loss_floor": policy.loss_floor,
        "head": policy.head,
        "activation": policy.activation,
        "layer_sizes": list(policy.layer_sizes),
        **memory,
        "observation_fields": list(policy.fields),
        **({"features": list(policy.features)} if policy.features else {}),
        "hyperparameters": policy.space.to_json(),
        **start,
        **({} if policy.kinds is None else {"kinds": list(policy.kinds)}),
        **({} if policy.scope is None else {"scope": policy.scope.to_json()}),
        **({"lowest": dict(policy.lowest)} if policy.lowest else {}),
        **({"most_decisions": dict(policy.most_decisions)} if policy.most_decisions else {}),
        "weights_sha256": weights_sha256,
        **familiarity,
        "golden": golden_vectors(policy),
        "metadata": dict(policy.metadata),
    }
    return document | {"sha256": _checksum(document)}


def _checksum(document: Mapping[str, Any]) -> str:
    """Hash all that decides what the policy does; notes in the metadata may be edited."""
    covered = {k: v for k, v in document.items() if k not in ("sha256", "metadata")}
    return hashlib.sha256(json.dumps(covered, sort_keys=True).encode()).hexdigest()


# ------------------------------------------------------------------------------- the checks of load


def _read_bytes(path: Path, limit: int) -> bytes:
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # reading a pipe would wait for a writer
            refuse(path, "must be a file", "a folder, a pipe or a device")
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise PolicyFileError(
            f"{path}: not found. A policy is a folder that holds {WEIGHTS_FILE} and "
            f"{CONTROLLER_FILE}; give the path of such a folder"
        ) from None
    except OSError as error:
        raise PolicyFileError(f"{path}: cannot be read: {error.strerror or error}") from error
    except ValueError as error:  # a path with a NUL in it; `refuse` raises a ValueError too
        if isinstance(error, PolicyFileError):
            raise
        raise PolicyFileError(f"{str(path)!r}: cannot be read: {error}") from error
    if len(content) > limit:
        refuse(path, f"the file must not be larger than {limit} bytes", "more")
    return content


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / CONTROLLER_FILE
    content = _read_bytes(path, _MAX_JSON_BYTES)
    try:
        document = json.loads(content.decode("utf-8"), parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise PolicyFileError(f"{path}: must be JSON in UTF-8: {error}. {FIX}") from error
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        found = document.get("format") if isinstance(document, dict) else type(document).__name__
        refuse(path, f"'format' must be {FORMAT!r}", found)
    version = document.get("format_version")
    if version not in _READABLE or type(version) is not int:
        refuse(
            path,
            f"'format_version' must be one of {_READABLE} for this version of hpo-control",
            version,
            "Install the version of hpo-control that wrote it, or export the policy again",
        )
    observation = document.get("observation_version")
    ours = list(OBSERVATION_VERSION)
    if not isinstance(observation, list) or observation[:1] != ours[:1]:
        refuse(
            path,
            f"'observation_version' must have the major number {ours[0]}: with another one the "
            "fields mean something else",
            observation,
            "Train the policy again, or install the version of hpo-control that wrote it",
        )
    if document.get("sha256") != _checksum(document):
        refuse(path, "'sha256' must be the checksum of the other entries", document.get("sha256"))
    return document


def _whole_number(text: str) -> int:
    """Read an integer that a float can stand for, as all numbers of a policy may have to."""
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"a whole number has {len(text)} digits")
    return int(text)


def _familiarity(
    tensors: Mapping[str, Array],
    scale: tuple[float, float] | None,
    columns: Sequence[int],
    num_fields: int,
) -> Familiarity | None:
    """Put familiarity into today's fields; those that it does not know add no distance."""
    if scale is None:
        return None
    threshold, offset = scale
    mean = np.zeros(num_fields, dtype=np.float32)
    whitening = np.zeros((num_fields, num_fields), dtype=np.float32)
    mean[columns] = tensors["familiarity.mean"]
    whitening[np.ix_(columns, columns)] = tensors["familiarity.whitening"]
    return Familiarity(mean=mean, whitening=whitening, threshold=threshold, offset=offset)


def _memory(tensors: Mapping[str, Array]) -> Lstm:
    return Lstm(
        input_weight=tensors["memory.input_weight"],
        hidden_weight=tensors["memory.hidden_weight"],
        bias=tensors["memory.bias"],
    )


def _read_weights(
    folder: Path, sha256: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, Array]:
    path = folder / WEIGHTS_FILE
    num_parameters = sum(math.prod(shape) for shape in shapes.values())
    content = _read_bytes(path, 4 * num_parameters + _MAX_HEADER_BYTES)
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        rule = f"its sha256 must be {sha256}, as {CONTROLLER_FILE} says"
        fix = f"The file was cut short or changed, or saving was interrupted. {FIX}"
        refuse(path, rule, f"{found}, {len(content)} bytes", fix)
    try:
        tensors = load_safetensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise PolicyFileError(f"{path}: must be a safetensors file: {error}. {FIX}") from error
    if set(tensors) != set(shapes):
        refuse(path, f"the tensors must be {sorted(shapes)}", sorted(tensors))
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tensor.dtype != np.float32 or tensor.shape != shape:
            refuse(path, f"{name} must be float32 {shape}", f"{tensor.dtype} {tensor.shape}")
        if not np.isfinite(tensor).all():
            refuse(path, f"{name} must be finite", tensor[~np.isfinite(tensor)][0].item())
    return tensors
