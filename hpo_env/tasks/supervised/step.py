"""What lanes of one model do together: an update, an evaluation, a comparison of weights.

Three functions of tensors whose first axis is the lane, in which no lane touches another. They
run as they stand ("eager") or under `torch.compile` with that axis dynamic, so that one
compilation a model serves any number of lanes.

Axes: `N` lanes, `B` minibatch rows (no lane's has more), `R` rows, `D` inputs, `K` outputs.
"""

from __future__ import annotations

import os
import shutil
import sysconfig
import types
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.func import grad_and_value

from hpo_env.errors import ConfigurationError
from hpo_env.networks.base import Architecture, Dropout
from hpo_env.networks.objectives import Objective, objective
from hpo_env.networks.optimizers import COEFFICIENTS, update
from hpo_env.networks.random_numbers import combine, dropout_key, uniform
from hpo_env.networks.registry import ModelSpec

SETTINGS = (
    *COEFFICIENTS,
    "dropout",
    "label_smoothing",
    "gradient_clip",
    "objective",
    "num_outputs",
)
"""Columns of the step's float32 settings `[N, ...]`."""
COUNTERS = ("seed", "num_updates", "batch_size")
"""Columns of the step's int64 counters `[N, ...]`."""
TOKENS = objective("tokens")
"""The objective of lanes whose rows are windows of a text."""
ROW_OBJECTIVES: tuple[Objective, ...] = (objective("classification"), objective("regression"))
"""The objectives of lanes whose rows are numbers."""
LANE_OBJECTIVES: tuple[Objective, ...] = (*ROW_OBJECTIVES, TOKENS)
"""What lanes can be trained by. The settings' and the kernels' "objective" is a place here."""
_CLIP_EPSILON = 1e-6  # torch.nn.utils.clip_grad_norm_ adds it to the norm

CompileMode = Literal["auto", "compiled", "eager"]
Float64 = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Kernels:
    """The functions of one model.

    Args:
        train: `training_step`.
        evaluate: `evaluation`.
        compare: `weight_movement`.
        least_lanes: Fewest lanes that they may be called with.
    """

    train: Callable[..., tuple[Tensor, Tensor]]
    evaluate: Callable[..., tuple[Tensor, Tensor]]
    compare: Callable[..., Tensor]
    least_lanes: int


def training_step(
    model: Architecture,
    is_averages: tuple[bool, ...],
    has_dropout: bool,
    weights: list[Tensor],
    momenta: list[Tensor],
    squares: list[Tensor],
    x: Tensor,
    y: Tensor,
    rows: Tensor,
    counters: Tensor,
    settings: Tensor,
) -> tuple[Tensor, Tensor]:
    """Update every lane once, in place.

    Args:
        model: The lanes' model.
        is_averages: Which of the weights are running averages.
        has_dropout: Whether some lane's dropout rate is above 0.
        weights: Each `[N, ...]`; updated.
        momenta: Optimiser state like the weights; updated.
        squares: Optimiser state like the weights; updated.
        x: Training inputs `[N, R, D]`; or texts `[N, L]`, uint8.
        y: Labels or targets `[N, R]`; or nothing, `[N, 0]`.
        rows: The minibatch's training rows, or the first tokens of its windows, `[N, B]`, int64.
        counters: `[N, len(COUNTERS)]`, int64.
        settings: `[N, len(SETTINGS)]`, float32.

    Returns:
        Minibatch loss `[N]` and gradient norm before clipping `[N]`.
    """
    s = dict(zip(SETTINGS, settings.unbind(1), strict=True))
    seed, num_updates, batch_size = counters.unbind(1)
    if model.window is None:
        x_batch, y_batch = take_rows(x, rows), y.gather(1, rows)
    else:
        x_batch = y_batch = take_windows(x, rows, model.window)
    is_real = torch.arange(rows.shape[1], device=x.device) < batch_size[:, None]
    drop = _dropout(seed, num_updates, s["dropout"]) if has_dropout else _no_dropout
    trained = [w for w, is_average in zip(weights, is_averages, strict=True) if not is_average]
    averages = [w for w, is_average in zip(weights, is_averages, strict=True) if is_average]

    def total_loss(w: list[Tensor]) -> tuple[Tensor, tuple[Tensor, list[Tensor]]]:
        own, kept = iter(w), iter(averages)
        every = [next(kept if is_average else own) for is_average in is_averages]
        outputs, averaged = model.apply_in_training(every, x_batch, drop, is_real)
        losses = row_losses(
            outputs, y_batch, s["num_outputs"], s["objective"], s["label_smoothing"]
        )
        loss = torch.where(is_real, losses, 0.0).sum(1) / batch_size
        return loss.sum(), (loss, averaged)

    gradients, (_, (loss, averaged)) = grad_and_value(total_loss, has_aux=True)(trained)
    for average, now in zip(averages, averaged, strict=True):
        average.copy_(now)
    norm = torch.sqrt(_sum_over_weights([g * g for g in gradients]))
    scale = torch.clamp(s["gradient_clip"] / (norm + _CLIP_EPSILON), max=1.0)
    momenta, squares = (
        [m for m, is_average in zip(memory, is_averages, strict=True) if not is_average]
        for memory in (momenta, squares)
    )
    update(trained, momenta, squares, gradients, scale, s)
    return loss, norm


def take_rows(x: Tensor, rows: Tensor) -> Tensor:
    """Gather rows `[N, B]` of `[N, R, D]` into `[N, B, D]`."""
    n, r, d = x.shape
    first = torch.arange(n, device=x.device)[:, None] * r
    return x.reshape(n * r, d).index_select(0, (rows + first).reshape(-1)).reshape(n, -1, d)


def take_windows(text: Tensor, starts: Tensor, width: int) -> Tensor:
    """Cut windows `[N, B, S]` out of texts `[N, L]`, as float32, from their first tokens on."""
    n, b = starts.shape
    places = starts[:, :, None] + torch.arange(width, device=text.device)
    return text.gather(1, places.reshape(n, -1)).reshape(n, b, width).float()


def measured_windows(text: Tensor, width: int) -> Tensor:
    """Cut texts `[N, L]` into windows that tell each token but the first once, `[N, R, S]`."""
    count = (text.shape[1] - 1) // (width - 1)
    starts = (width - 1) * torch.arange(count, device=text.device)
    return take_windows(text, starts.expand(len(text), count), width)


def objective_code(wanted: Objective) -> int:
    """Return an objective's place among those that lanes can be trained by.

    Raises:
        ConfigurationError: Lanes cannot be trained by it.
    """
    if wanted not in LANE_OBJECTIVES:
        known = ", ".join(repr(known.name) for known in LANE_OBJECTIVES)
        raise ConfigurationError(f"lanes are trained by {known}; got objective {wanted.name!r}")
    return LANE_OBJECTIVES.index(wanted)


def row_losses(
    outputs: Tensor, y: Tensor, num_outputs: Tensor, objective: Tensor, smoothing: Tensor
) -> Tensor:
    """Compute the losses of rows, each lane's by its own objective.

    Args:
        outputs: `[N, B, K]`; or at each token that is read, `[N, B, T, K]`.
        y: Labels or targets `[N, B]`; or windows `[N, B, S]`.
        num_outputs: Real outputs `[N]`.
        objective: `objective_code` `[N]`.
        smoothing: Label smoothing `[N]`.

    Returns:
        Losses `[N, B]`.
    """
    if y.dim() == 3:
        return TOKENS.row_losses(outputs, y, num_outputs, smoothing)
    each = [known.row_losses(outputs, y, num_outputs, smoothing) for known in ROW_OBJECTIVES]
    return _own(each, objective)


def row_scores(outputs: Tensor, y: Tensor, num_outputs: Tensor, objective: Tensor) -> Tensor:
    """Compute the scores of rows `[N, B]`, each lane's by its own objective."""
    if y.dim() == 3:
        return TOKENS.row_scores(outputs, y, num_outputs)
    each = [known.row_scores(outputs, y, num_outputs) for known in ROW_OBJECTIVES]
    return _own(each, objective)


def _own(each: list[Tensor], objective: Tensor) -> Tensor:
    """Choose for each lane what its own objective says, `[N, B]`."""
    chosen = each[0]
    for code, other in enumerate(each[1:], start=1):
        chosen = torch.where(objective[:, None] == code, other, chosen)
    return chosen


def metrics(
    objective: NDArray[np.float32], loss: Float64, score: Float64, variance: Float64
) -> Float64:
    """Work out the metrics of lanes `[N]`, each by its own objective; see `Objective.metric`."""
    each = [known.metric(loss, score, variance) for known in LANE_OBJECTIVES]
    chosen: Float64 = np.choose(objective.astype(np.int64), each)
    return chosen


def evaluation(
    model: Architecture,
    weights: list[Tensor],
    x: Tensor,
    y: Tensor,
    num_rows: Tensor,
    num_outputs: Tensor,
    objective: Tensor,
) -> tuple[Tensor, Tensor]:
    """Measure loss `[N]` (no smoothing, no dropout) and score `[N]`.

    Args:
        model: The lanes' model.
        weights: Each `[N, ...]`.
        x: Inputs `[N, R, D]`; or texts `[N, L]`, uint8.
        y: Labels or targets `[N, R]`; or nothing.
        num_rows: Real rows, or windows, `[N]`, float32.
        num_outputs: Real outputs `[N]`, float32.
        objective: `objective_code` `[N]`, float32.
    """
    if model.window is not None:
        x = y = measured_windows(x, model.window)
    outputs = model.apply(weights, x, _no_dropout)
    losses = row_losses(outputs, y, num_outputs, objective, torch.zeros_like(num_rows))
    scores = row_scores(outputs, y, num_outputs, objective)
    is_real = torch.arange(x.shape[1], device=x.device) < num_rows[:, None]
    loss = torch.where(is_real, losses, 0.0).sum(1) / num_rows
    score = torch.where(is_real, scores, 0.0).sum(1) / num_rows
    return loss, score


def weight_movement(start: list[Tensor], middle: list[Tensor], end: list[Tensor]) -> Tensor:
    """Compare weights at the start, the middle and the end of an interval.

    Returns:
        `[5, N]`: the squared norms of the starting weights, of the whole displacement, of its
        first and of its second half, and the dot product of the halves.
    """
    first = [m - s for m, s in zip(middle, start, strict=True)]
    second = [e - m for e, m in zip(end, middle, strict=True)]
    whole = [e - s for e, s in zip(end, start, strict=True)]
    pairs = ((start, start), (whole, whole), (first, first), (second, second), (first, second))
    return torch.stack(
        [_sum_over_weights([a * b for a, b in zip(*pair, strict=True)]) for pair in pairs]
    )


def _sum_over_weights(products: list[Tensor]) -> Tensor:
    total = products[0].sum(tuple(range(1, products[0].dim())))
    for product in products[1:]:
        total = total + product.sum(tuple(range(1, product.dim())))
    return total


def _no_dropout(h: Tensor, site: int) -> Tensor:
    return h


def _dropout(seed: Tensor, num_updates: Tensor, rate: Tensor) -> Dropout:
    update_key = dropout_key(seed, num_updates)
    scale = (1.0 / (1.0 - rate))[:, None, None]

    def drop(h: Tensor, site: int) -> Tensor:
        element = torch.arange(h.shape[1] * h.shape[2], device=h.device)
        key = combine(update_key, site)[:, None, None]
        numbers = uniform(combine(key, element.reshape(h.shape[1], h.shape[2])))
        return torch.where(numbers >= rate[:, None, None], h * scale, 0.0)

    return drop


# --- Compilation ----------------------------------------------------------------------------------


@cache
def kernels(spec: ModelSpec, mode: CompileMode, *, has_dropout: bool, batch: int) -> Kernels:
    """Return the functions of a model; all trainers of the process share them.

    Args:
        spec: The model.
        mode: "compiled", "eager", or "auto": compiled, and eager if that fails.
        has_dropout: Whether `train` drops anything.
        batch: `B` of `train`: a compilation each, as one for any number is slower.
    """
    model = spec.model
    is_averages = tuple(parameter.is_average for parameter in spec.parameters())

    def train(*args: Any) -> tuple[Tensor, Tensor]:
        return training_step(model, is_averages, has_dropout, *args)

    if mode == "eager":
        evaluate, compare = _evaluate(spec, mode), weight_movement
        return Kernels(train=train, evaluate=evaluate, compare=compare, least_lanes=1)
    return Kernels(
        train=_compiled(train, mode),
        evaluate=_evaluate(spec, mode),
        compare=_compare(spec, mode),
        least_lanes=2,  # the compiler would take a single lane for a constant
    )


@cache
def _evaluate(spec: ModelSpec, mode: CompileMode) -> Callable[..., tuple[Tensor, Tensor]]:
    model = spec.model

    def evaluate(*args: Any) -> tuple[Tensor, Tensor]:
        return evaluation(model, *args)

    return evaluate if mode == "eager" else _compiled(evaluate, mode)


@cache
def _compare(spec: ModelSpec, mode: CompileMode) -> Callable[..., Tensor]:
    def compare(*args: Any) -> Tensor:
        return weight_movement(*args)

    return _compiled(compare, mode)


def missing_for_compiling() -> str | None:
    """Name what `torch.compile` lacks on a CPU, and how to get it; None: nothing."""
    named = os.environ.get("CXX")
    if not any(shutil.which(c) is not None for c in ([named] if named else ["g++", "clang++"])):
        return "a C++ compiler (on Debian: apt install g++)"
    if not Path(sysconfig.get_paths()["include"], "Python.h").is_file():
        return "the headers of Python (on Debian: apt install python3-dev)"
    if any(character.isspace() for character in torch.__file__):
        return "torch in a folder whose path has no spaces, as its linker does not quote them"
    return None


def _compiled(function: Callable[..., Any], mode: CompileMode) -> Callable[..., Any]:
    """Compile at the first call; on failure go on eagerly with a warning, or raise."""
    # Compilations are stored with a function's code object, a handful each: one code a model.
    own = types.FunctionType(
        function.__code__.replace(co_name=f"{function.__name__}_compiled"),
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    fast = torch.compile(own, fullgraph=True)
    chosen: Callable[..., Any] | None = None

    def call(*args: Any) -> Any:
        nonlocal chosen
        if chosen is not None:
            return chosen(*args)
        try:
            with warnings.catch_warnings():  # torch deprecates what its own compiler uses
                warnings.simplefilter("ignore")
                result = fast(*args)
        except Exception as error:  # every stage of the compiler has errors of its own
            reason = " ".join(str(error).split("\n\n")[0].split())
            if mode == "compiled":
                raise ConfigurationError(
                    f"engine 'compiled' failed: {reason}. engine='eager' needs no compiler"
                ) from error
            warnings.warn(f"training runs without torch.compile: {reason}", stacklevel=2)
            chosen = function
            return function(*args)
        chosen = fast
        return result

    return call
