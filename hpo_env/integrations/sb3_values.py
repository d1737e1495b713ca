"""Where an agent of Stable-Baselines3 reads its hyperparameters, and how they are written there.

======================  =============================================  ==========================
hyperparameter          written to                                     read by
======================  =============================================  ==========================
learning_rate           `model.lr_schedule`                            every `train()`
discount                `model.gamma` and the rollout buffer           the computation of targets
gae_lambda              `model.gae_lambda` and the rollout buffer      the computation of targets
entropy                 `model.ent_coef`                               every `train()`
clip_range              `model.clip_range`                             every `train()`
epochs                  `model.n_epochs`                               every `train()`
batch_size              `model.batch_size`                             every `train()`
value_coefficient       `model.vf_coef`                                every `train()`
max_grad_norm           `model.max_grad_norm`                          every `train()`
reward_scale            `ScaledRewards.reward_scale`, if there is one  every step
target_update_interval  `model.target_update_interval`, of DQN         every step
======================  =============================================  ==========================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hpo_env.arguments import listed
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.integrations.borrowed import BorrowedValue
from hpo_env.integrations.extras import require

_utils = require("stable_baselines3.common.utils", extra="train")

_ADVICE = "Take whatever sets it (another callback, a schedule) out, or this callback"
_ANY = (-math.inf, math.inf)
SCHEDULED = ("learning_rate", "clip_range")
"""What an agent has as a function of its progress, if only a constant one."""
_NUM_POINTS = 21  # of a schedule, to find its largest value


LOSS_STEERED = ("learning_rate", "entropy", "discount", "gae_lambda", "clip_range")
"""What policies that go by a loss may write, where an agent has it."""


def loss_steered_values(model: Any) -> dict[str, BorrowedValue]:
    """Find what policies that go by a loss may write: the rate, and what stands beside it.

    A clip range that is a schedule is written only where the learning rate is one, too: both are
    then the base that is corrected.
    """
    found = {
        "learning_rate": _schedule(model, "lr_schedule", "learning_rate"),
        "entropy": _attribute(model, "ent_coef", "entropy"),
        "discount": _in_buffer(model, "gamma", "discount"),
        "gae_lambda": _in_buffer(model, "gae_lambda", "gae_lambda"),
    }
    if hasattr(model, "clip_range"):
        clip_range = _schedule(model, "clip_range", "clip_range")
        if not is_constant(found["learning_rate"].found) or is_constant(clip_range.found):
            found["clip_range"] = clip_range
    return found


def all_values(model: Any, *, ends: Mapping[str, tuple[float, float]]) -> dict[str, BorrowedValue]:
    """Find all that policies of the reinforcement family may write.

    Args:
        model: An agent of any algorithm; what it does not read is left out.
        ends: Of discount, lambda and weight of the entropy: what a value beyond is taken for, as
            usual ones (1, 1 and 0) have no place on the axes on which they are moved.
    """
    is_on_policy = hasattr(model, "rollout_buffer")
    if is_on_policy:
        found = loss_steered_values(model)
        found |= {
            "discount": _in_buffer(model, "gamma", "discount", ends["discount"]),
            "gae_lambda": _in_buffer(model, "gae_lambda", "gae_lambda", ends["gae_lambda"]),
            "entropy": _attribute(model, "ent_coef", "entropy", ends=ends["entropy"]),
            "value_coefficient": _attribute(model, "vf_coef", "value_coefficient"),
        }
    else:
        found = {
            "learning_rate": _schedule(model, "lr_schedule", "learning_rate"),
            "discount": _attribute(model, "gamma", "discount", ends=ends["discount"]),
            "target_update_interval": _attribute(
                model, "target_update_interval", "target_update_interval", make=_whole
            ),
        }
    if hasattr(model, "n_epochs"):
        found["epochs"] = _attribute(model, "n_epochs", "epochs", make=_whole)
    if hasattr(model, "batch_size"):
        size = model.n_steps * model.n_envs if is_on_policy else None

        def fit(value: float) -> int:
            own = int(found["batch_size"].found)  # it may leave a rest: what is not moved stays
            return own if round(value) == own else fitting_batch(value, size)

        found["batch_size"] = _attribute(
            model, "batch_size", "batch_size", make=fit, make_own=_whole
        )
    found["max_grad_norm"] = _attribute(model, "max_grad_norm", "max_grad_norm")
    rewards = reward_scaler(model.get_env())
    if rewards is not None:
        found["reward_scale"] = _attribute(rewards, "reward_scale", "reward_scale")
    return found


def chosen_values(
    there: Mapping[str, BorrowedValue], names: Sequence[str] | None, *, known: Sequence[str]
) -> dict[str, BorrowedValue]:
    """Return those that may be written.

    Args:
        there: All that the agent has.
        names: Hyperparameters; None: all of them.
        known: Every name that there is.

    Raises:
        UnknownNameError: There is no such hyperparameter.
        ConfigurationError: None is named, or one that this agent does not have.
    """
    if names is None:
        return dict(there)
    names = listed("hyperparameters", names)
    for name in names:
        if name not in known:
            raise unknown_name("hyperparameter", name, known)
    if not names or not set(names) <= set(there):
        raise ConfigurationError(
            f"hyperparameters must be some of what this agent has, {sorted(there)}; got "
            f"{list(names)}"
        )
    chosen = {name: value for name, value in there.items() if name in names}
    if "learning_rate" not in chosen and not all(
        is_constant(value.found) for name, value in chosen.items() if name == "clip_range"
    ):
        raise ConfigurationError(
            "clip_range is a schedule, which is corrected beside that of learning_rate alone: "
            f"hyperparameters must hold both or neither; got {list(names)}"
        )
    return chosen


def check_moved(names: Sequence[str] | None, moved: Sequence[str]) -> None:
    """Check that a policy moves all that somebody has named.

    Args:
        names: What may be written; None: nothing was named.
        moved: What the policy moves.

    Raises:
        ConfigurationError: It does not, so that nothing would be done.
    """
    idle = [name for name in names or () if name not in moved]
    if idle:
        raise ConfigurationError(
            f"hyperparameters must be some of what the policy moves, {list(moved)}; got {idle}. "
            "Leave them out, or take a policy that was trained with them"
        )


def numbers_among(values: Mapping[str, BorrowedValue]) -> dict[str, BorrowedValue]:
    """Return those that are numbers; an agent that is loaded brings its schedules along itself."""
    return {
        name: value
        for name, value in values.items()
        if name not in SCHEDULED or is_constant(value.found)
    }


def reward_scaler(env: Any) -> Any:
    """Return the `ScaledRewards` among the wrappers of vectorised environments; None: no such."""
    while env is not None:
        if "reward_scale" in vars(env):
            return env
        env = getattr(env, "venv", None)
    return None


def fitting_batch(value: float, rollout_size: int | None) -> int:
    """Return the size of minibatch nearest to a value, by its ratio, that divides a rollout.

    Args:
        value: The size asked for.
        rollout_size: Steps of a rollout, all environments together. None: any size will do.

    Example:
        >>> fitting_batch(100.0, 2048), fitting_batch(100.0, 300), fitting_batch(100.4, None)
        (128, 100, 100)
    """
    if rollout_size is None:
        return max(_whole(value), 1)
    least = min(2, rollout_size)  # advantages of a single step cannot be normalised
    sizes = [d for d in range(least, rollout_size + 1) if rollout_size % d == 0]
    return min(sizes, key=lambda size: abs(math.log(size / value)))


def is_constant(schedule: Any) -> bool:
    """Say whether a schedule of Stable-Baselines3 has one value only."""
    inner = getattr(schedule, "value_schedule", schedule)
    return isinstance(inner, _utils.ConstantSchedule)


def _schedule(model: Any, attribute: str, name: str) -> BorrowedValue:
    return BorrowedValue(
        model,
        name,
        read=lambda: getattr(model, attribute),
        put=lambda new: setattr(model, attribute, new),
        make=_utils.FloatSchedule,
        number=_peak,
        advice=_ADVICE,
    )


def _attribute(
    owner: Any,
    attribute: str,
    name: str,
    *,
    make: Callable[[float], Any] = float,
    make_own: Callable[[float], Any] | None = None,
    ends: tuple[float, float] = _ANY,
) -> BorrowedValue:
    return BorrowedValue(
        owner,
        name,
        read=lambda: getattr(owner, attribute),
        put=lambda new: setattr(owner, attribute, new),
        make=make,
        make_own=make_own,
        ends=ends,
        advice=_ADVICE,
    )


def _in_buffer(
    model: Any, attribute: str, name: str, ends: tuple[float, float] = _ANY
) -> BorrowedValue:
    """Borrow what an agent and its buffer both have: whoever else writes may write to either."""

    def read() -> tuple[float, float]:
        return getattr(model, attribute), getattr(model.rollout_buffer, attribute)

    def put(values: tuple[float, float]) -> None:
        for owner, value in zip((model, model.rollout_buffer), values, strict=True):
            setattr(owner, attribute, value)

    return BorrowedValue(
        model,
        name,
        read=read,
        put=put,
        make=lambda value: (float(value),) * 2,  # a number of NumPy's widens what it multiplies
        number=lambda values: float(values[0]),
        ends=ends,
        advice=_ADVICE,
    )


def _whole(value: float) -> int:
    return max(round(value), 1)


def _peak(schedule: Any) -> float:
    """Return the largest value of a schedule: what it is a schedule of."""
    if is_constant(schedule):
        return float(schedule(1.0))
    return max(float(schedule(point / (_NUM_POINTS - 1))) for point in range(_NUM_POINTS))
