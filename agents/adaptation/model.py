"""What meta-training leaves behind: a model that adapts to the examples it is shown.

One safetensors file without pickle: tensors are the meta-parameters, and the metadata say which
algorithm and network they belong to.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError, HPOControlError

from ..whole_files import write_atomically
from .base import Algorithm
from .episodes import Examples
from .networks import NETWORKS, Parameters
from .problems import Problem
from .registry import algorithm_class

_FORMAT = "hpo-control-few-shot-1"


@dataclass(frozen=True, eq=False)
class FewShotModel:
    """An algorithm with learned meta-parameters.

    Args:
        algorithm: What adapts.
        meta: Its meta-parameters.
    """

    algorithm: Algorithm
    meta: Parameters

    def predict(
        self,
        support_inputs: NDArray[Any],
        support_targets: NDArray[Any],
        inputs: NDArray[Any],
        *,
        num_steps: int | None = None,
    ) -> NDArray[np.float32]:
        """Adapt to the examples of one task, and predict.

        Args:
            support_inputs: `[S, ...]`, each of the problem's `input_shape`.
            support_targets: Classes 0..K-1, `[S]`, or values `[S, K]`.
            inputs: `[Q, ...]`.
            num_steps: Steps of adaptation, at least 0; those of meta-training when not given.
                Algorithms that take none ignore it.

        Returns:
            Probabilities of classes, or values, `[Q, K]`.

        Raises:
            ConfigurationError: A shape, a class or a number is not what the model was made for.
        """
        problem = self.algorithm.problem
        if num_steps is not None and num_steps < 0:
            raise ConfigurationError(f"num_steps must be at least 0; got {num_steps}")
        support = Examples(
            _inputs("support_inputs", support_inputs, problem)[None],
            _targets(support_targets, len(support_inputs), problem)[None],
        )
        asked = _inputs("inputs", inputs, problem)[None]
        outputs = self.algorithm.predict(self.meta, support, asked, num_steps=num_steps)[0]
        if problem.is_classification:
            outputs = outputs.softmax(-1)
        result: NDArray[np.float32] = outputs.detach().numpy()
        return result

    def save(self, path: Path) -> None:
        """Write the file, whole or not at all; `load` is the inverse."""
        facts = {
            "algorithm": self.algorithm.name,
            "settings": self.algorithm.told.to_json(),
            "problem": asdict(self.algorithm.problem),
            "network": self.algorithm.network.to_json(),
        }
        tensors = {name: value.detach().contiguous() for name, value in self.meta.items()}
        content = safetensors.torch.save(tensors, {"format": _FORMAT, "model": json.dumps(facts)})
        write_atomically(path, content)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a file that `save` wrote.

        Raises:
            ConfigurationError: It cannot be read, or is none of ours.
        """
        try:
            with safetensors.safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                meta = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            if metadata.get("format") != _FORMAT:
                raise ValueError(f"format {metadata.get('format')!r} in place of {_FORMAT!r}")
            algorithm = _described(json.loads(metadata["model"]))
            wanted = algorithm.initial(torch.Generator())
            shapes = {name: tuple(value.shape) for name, value in wanted.items()}
            if {name: tuple(value.shape) for name, value in meta.items()} != shapes:
                raise ValueError("its tensors are not those of its algorithm and network")
        except (
            HPOControlError,
            OSError,
            KeyError,
            TypeError,
            ValueError,
            safetensors.SafetensorError,
        ) as error:
            raise ConfigurationError(f"{path} is no few-shot model: {error}") from error
        return cls(algorithm, meta)


def _described(facts: dict[str, Any]) -> Algorithm:
    """Build the algorithm that a file speaks of."""
    problem = dict(facts["problem"])
    problem["input_shape"] = tuple(problem["input_shape"])
    network = dict(facts["network"])
    kind = NETWORKS[network.pop("kind")]
    arguments = {k: tuple(v) if isinstance(v, list) else v for k, v in network.items()}
    found = algorithm_class(facts["algorithm"])
    settings = found.settings(**facts["settings"])
    return found(kind(Problem(**problem), **arguments), settings)


def _inputs(name: str, inputs: NDArray[Any], problem: Problem) -> torch.Tensor:
    array = np.asarray(inputs, dtype=np.float32)
    if array.shape[1:] != problem.input_shape or len(array) == 0:
        raise ConfigurationError(
            f"{name} must be some examples of shape {problem.input_shape}; got an array of shape "
            f"{array.shape}"
        )
    if not np.isfinite(array).all():
        raise ConfigurationError(f"{name} must be finite; fill in or leave out the others")
    return torch.from_numpy(array)


def _targets(targets: NDArray[Any], num_examples: int, problem: Problem) -> torch.Tensor:
    array = np.asarray(targets)
    if not problem.is_classification:
        wanted = (num_examples, problem.num_outputs)
        if array.shape != wanted or not np.isfinite(array).all():
            raise ConfigurationError(
                f"support_targets must be finite values of shape {wanted}; got {array.shape}"
            )
        return torch.from_numpy(array.astype(np.float32))
    is_known = array.dtype.kind in "iu" and ((array >= 0) & (array < problem.num_outputs)).all()
    if array.shape != (num_examples,) or not is_known:
        raise ConfigurationError(
            f"support_targets must be {num_examples} whole numbers from 0 to "
            f"{problem.num_outputs - 1}; got {array.dtype} of shape {array.shape}"
        )
    return torch.from_numpy(array.astype(np.int64))
