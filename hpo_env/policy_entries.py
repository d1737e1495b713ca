"""Entries of `controller.json`, read and checked one at a time.

What is wrong is named with the file, the rule, the value and the fix. `hpo_env.policy_file` puts
the entries together.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from hpo_env.errors import HPOControlError, PolicyFileError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.reward import LOSS_FLOOR
from hpo_env.scope import Scope
from hpo_env.starts import LearnedStart, check_kinds

T = TypeVar("T")

_MAX_LAYERS, _MAX_WIDTH = 16, 16_384  # far beyond any controller: stops absurd files early
_GUARDED_IN_2 = {"learning_rate": {"retreat": -1.0, "is_always_available": True}}
"""Until format 2 the guard cut whatever bore this name, and only this."""


FIX = "Export or download the policy again"
"""What to do where nothing better is known."""


def refuse(path: Path, rule: str, value: object, fix: str = FIX) -> NoReturn:
    """Raise `PolicyFileError`: `rule` names what must hold, `value` what was found."""
    shown = repr(value)
    raise PolicyFileError(f"{path}: {rule}; got {shown[:200]}. {fix}")


def entry(path: Path, document: Mapping[str, Any], key: str, kind: type) -> Any:
    """Return the entry of a name, which must be of exactly this kind."""
    if key not in document:
        refuse(path, f"the entry {key!r} must be there", sorted(document))
    if type(document[key]) is not kind:
        refuse(path, f"{key!r} must be a {kind.__name__}", document[key])
    return document[key]


def read_space(path: Path, document: Mapping[str, Any]) -> HyperparameterSpace:
    """Read the hyperparameters."""
    entries = entry(path, document, "hyperparameters", list)
    try:
        if document["format_version"] == 2:
            entries = [known | _GUARDED_IN_2.get(known.get("name"), {}) for known in entries]
        space = HyperparameterSpace.from_json(entries)
        assert all(type(name) is str for name in space.names), "names must be strings"
    except (HPOControlError, TypeError, AttributeError, AssertionError) as error:
        raise PolicyFileError(f"{path}: 'hyperparameters': {error}. {FIX}") from error
    return space


def read_floor(path: Path, document: Mapping[str, Any]) -> float:
    """Read the floor of the loss; older files had the same one."""
    if document["format_version"] == 2:
        return LOSS_FLOOR
    floor: float = entry(path, document, "loss_floor", float)
    return floor


def read_sizes(path: Path, document: Mapping[str, Any]) -> list[int]:
    """Read the widths from the observation to the outputs."""
    sizes: list[int] = entry(path, document, "layer_sizes", list)
    valid = 2 <= len(sizes) <= _MAX_LAYERS
    if not valid or not all(type(s) is int and 1 <= s <= _MAX_WIDTH for s in sizes):
        rule = f"'layer_sizes' must be 2 to {_MAX_LAYERS} integers from 1 to {_MAX_WIDTH}"
        refuse(path, rule, sizes)
    return sizes


def read_features(path: Path, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Read the names of the family's own fields; most families have none, and no such entry."""
    if "features" not in document:
        return ()
    features: list[str] = entry(path, document, "features", list)
    if not all(type(name) is str for name in features) or len(set(features)) != len(features):
        refuse(path, "'features' must be distinct names", features)
    return tuple(features)


def read_fields(path: Path, document: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """Read the names of the observation's fields, all known to us."""
    fields: list[str] = entry(path, document, "observation_fields", list)
    if not all(type(name) is str for name in fields) or len(set(fields)) != len(fields):
        refuse(path, "'observation_fields' must be distinct names", fields)
    unknown = [name for name in fields if name not in known]
    if unknown:
        refuse(
            path,
            "every observation field must be known to this version of hpo-control",
            unknown,
            "Update hpo-control: the policy is newer",
        )
    return fields


def read_scale_of_familiarity(
    path: Path, document: Mapping[str, Any]
) -> tuple[float, float] | None:
    """Read threshold and offset of familiarity; None in a policy that has none."""
    if "familiarity" not in document:
        return None
    scale = {"offset": 0.0} | entry(path, document, "familiarity", dict)  # older files have none
    return entry(path, scale, "threshold", float), entry(path, scale, "offset", float)


def read_learned_start(path: Path, document: Mapping[str, Any]) -> LearnedStart | None:
    """Read the learned start; most policies have none, and no such entry."""
    return _read_part(path, document, "learned_start", LearnedStart.from_json)


def read_kinds(path: Path, document: Mapping[str, Any]) -> tuple[str, ...] | None:
    """Read the kinds of problem that it knows; a policy that does not say has no such entry."""
    if "kinds" not in document:
        return None
    kinds: list[str] = entry(path, document, "kinds", list)
    try:
        check_kinds(tuple(kinds))
    except (HPOControlError, TypeError):
        refuse(path, "'kinds' must be distinct names, at least one", kinds)
    return tuple(kinds)


def read_lowest(path: Path, document: Mapping[str, Any]) -> dict[str, float]:
    """Read the lowest values that it moves to; most policies have none, and no such entry."""
    if "lowest" not in document:
        return {}
    lowest: dict[str, float] = entry(path, document, "lowest", dict)
    return lowest


def read_scope(path: Path, document: Mapping[str, Any]) -> Scope | None:
    """Read where it decides in place of another; most policies have no such entry."""
    return _read_part(path, document, "scope", Scope.from_json)


def _read_part(
    path: Path, document: Mapping[str, Any], name: str, read: Callable[[Mapping[str, Any]], T]
) -> T | None:
    """Read an entry that checks itself; None where there is none."""
    if name not in document:
        return None
    try:
        return read(entry(path, document, name, dict))
    except PolicyFileError:
        raise
    except HPOControlError as error:
        raise PolicyFileError(f"{path}: {name!r}: {error}. {FIX}") from error


def read_memory_width(path: Path, document: Mapping[str, Any]) -> int | None:
    """Read how wide the memory is; None in a policy that has none."""
    if "memory" not in document:
        return None
    memory = entry(path, document, "memory", dict)
    kind = entry(path, memory, "kind", str)
    if kind != "lstm":
        fix = "Update hpo-control: the policy is newer"
        refuse(path, "the 'kind' of a memory must be 'lstm'", kind, fix)
    width: int = entry(path, memory, "width", int)
    if not 1 <= width <= _MAX_WIDTH:
        refuse(path, f"the 'width' of a memory must be from 1 to {_MAX_WIDTH}", width)
    return width
