"""A table of one array of features and one of targets, from an NPZ file or from memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.datasets.base import Dataset, Kind
from hpo_env.datasets.narrowing import narrow
from hpo_env.datasets.tables import (
    Column,
    Table,
    build,
    check_names,
    check_range,
    check_rows,
    check_target_missing,
    check_target_name,
    quoted,
)
from hpo_env.errors import DatasetError

_CHANNELS = (1, 3, 4)


class ArrayTable(Table):
    """Arrays `x`, perhaps `feature_names`, and one or more that can be predicted.

    Args:
        place: Where they are from, for errors.
        name: What the data set will be called.
        arrays: `x` `[R, D]` or `[R, channels, height, width]`, the targets `[R]`, and
            `feature_names` `[D]`; they are not changed.
    """

    def __init__(self, place: str, name: str, arrays: Mapping[str, NDArray[Any]]) -> None:
        super().__init__(place, name)
        self._arrays = arrays

    def _dataset(self, target: str, kind: Kind | None) -> Dataset:
        x, y = self._checked(target)
        is_image = x.ndim == 4
        flat = x.reshape(len(x), -1)
        names = _feature_names(self._arrays.get("feature_names"), flat.shape[1])
        check_range(flat, where="array 'x'")
        features, kept = _narrowed(flat, names, keeps_all=is_image)
        return build(
            self.name,
            features,
            y,
            tuple(names[d] for d in kept),
            target=target,
            kind=kind,
            image_shape=(x.shape[1], x.shape[2], x.shape[3]) if is_image else None,
        )

    def _checked(self, target: str) -> tuple[NDArray[Any], NDArray[Any]]:
        if "x" not in self._arrays:
            msg = (
                f"a table of arrays needs an array 'x' of shape [R, D]; got {quoted(self._arrays)}"
            )
            raise DatasetError(f"{msg}. Write it with numpy.savez(path, x=x, {target}=y)")
        others = [name for name in self._arrays if name not in ("x", "feature_names")]
        check_target_name(target, others, what="array")
        x, y = self._arrays["x"], self._arrays[target]
        if x.ndim not in (2, 4) or x.dtype.kind not in "biuf" or 0 in x.shape[1:]:
            msg = "'x' must be numbers of shape [R, D] or [R, channels, height, width]"
            raise DatasetError(f"{msg}; got {x.dtype} of shape {x.shape}. Reshape or encode it")
        if x.ndim == 4 and x.shape[3] in _CHANNELS and x.shape[1] not in _CHANNELS:
            msg = "images must have the shape [R, channels, height, width]; 'x' has the shape"
            fix = "Its channels seem to be last: save x.transpose(0, 3, 1, 2)"
            raise DatasetError(f"{msg} {x.shape}. {fix}")
        if y.shape != x.shape[:1]:
            msg = f"{target!r} must have one entry a row of 'x', shape {x.shape[:1]}"
            raise DatasetError(f"{msg}; got shape {y.shape}. Labels are not one-hot here")
        check_rows(len(x))
        if y.dtype.kind not in "biufUSO":
            msg = f"{target!r} must hold numbers, booleans or text; got {y.dtype}"
            raise DatasetError(f"{msg}. Turn it into numbers")
        if y.dtype.kind == "f":
            check_target_missing(np.isnan(y), target)
        return x, _decoded(y, target) if y.dtype.kind == "S" else y

    def columns(self, target: str) -> Iterator[Column]:
        """Go through the columns, the target last."""
        x = self._arrays["x"]
        flat = x.reshape(len(x), -1)
        names = _feature_names(self._arrays.get("feature_names"), flat.shape[1])
        for index, name in enumerate(names):
            yield Column(name=name, values=flat[:, index])
        yield Column(name=target, values=self._arrays[target])


def _decoded(y: NDArray[Any], target: str) -> NDArray[Any]:
    try:
        return np.char.decode(y, "utf-8")
    except UnicodeDecodeError as error:
        msg = f"{target!r} must hold text in UTF-8 ({error}). Save it as dtype '<U..'"
        raise DatasetError(msg) from error


def _narrowed(
    flat: NDArray[Any], names: list[str], *, keeps_all: bool
) -> tuple[NDArray[np.float32], list[int]]:
    """Narrow the columns one by one, so that memory grows by the result alone.

    Returns:
        The columns that vary (all of them, of images) as float32, and their indices.
    """
    narrowed = np.empty(flat.shape, dtype=np.float32)
    kept: list[int] = []
    empty: list[str] = []
    for index, name in enumerate(names):
        values = flat[:, index]
        if values.dtype.kind == "f" and np.isnan(values).all():
            empty.append(name)
            continue
        if keeps_all or np.fmin.reduce(values) < np.fmax.reduce(values):
            narrowed[:, len(kept)] = narrow(values, name=f"column {name!r} of 'x'")[0]
            kept.append(index)
    if empty:
        msg = f"every column of 'x' needs at least one value; {quoted(empty)} has none"
        raise DatasetError(f"{msg}. Remove the column(s)")
    return (narrowed if len(kept) == len(names) else narrowed[:, : len(kept)].copy()), kept


def _feature_names(given: NDArray[Any] | None, num_features: int) -> list[str]:
    if given is None:
        return [f"x{d}" for d in range(num_features)]
    names = [str(name) for name in given.ravel()]
    if len(names) != num_features:
        msg = f"'feature_names' must have D={num_features} entries; got {len(names)}"
        raise DatasetError(f"{msg}. Leave it out to have them numbered")
    check_names(names)
    return names
