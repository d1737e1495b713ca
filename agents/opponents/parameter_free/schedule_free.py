"""Schedule-Free AdamW: an average of iterates in the place of a decaying rate."""

from __future__ import annotations

import torch
from torch import Tensor

from hpo_env.networks.updaters import State, Updater, beside, per_lane

_LEARNING_RATE = 0.0025
_BETA1, _BETA2 = 0.9, 0.999
_EPSILON = 1e-8


class ScheduleFreeAdamW(Updater):
    """Schedule-Free AdamW with the settings of `schedulefree.AdamWScheduleFree`.

    With `u` the gradient at y over the root of Adam's second moment, and `c = 1 / t`:

        z = z - rate * u
        x = (1 - c) * x + c * z
        y = (1 - beta1) * z + beta1 * x

    Trained are y, `evaluated` are x. x is not stored: it follows from y and z.

    The rate is the package's default, 0.0025, without warm-up and without weight decay. It is the
    one method here that has a rate at all; nobody tunes it for the task.

    Source: Defazio et al., "The Road Less Scheduled", 2024, https://arxiv.org/abs/2405.15682
    (Algorithm 1).
    """

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        """See `Updater.start`."""
        return {
            "z": weights.clone(),
            "squares": torch.zeros_like(weights),
            "num_updates": per_lane(weights, 0.0),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        """See `Updater.update`."""
        y, z, squares, t = weights, state["z"], state["squares"], state["num_updates"]
        t.add_(1.0)
        share = 1.0 / t
        squares.mul_(_BETA2).add_(gradients * gradients * (1.0 - _BETA2))
        root = squares.div(beside(_bias(t), weights)).sqrt_().add_(_EPSILON)
        direction = gradients / root
        y.add_((z - y).mul_(beside(share, weights)))
        rate = _LEARNING_RATE * (1.0 - _BETA1 * (1.0 - share))
        y.sub_(direction * beside(rate, weights))
        z.sub_(direction.mul_(_LEARNING_RATE))

    def evaluated(self, weights: Tensor, state: State) -> Tensor:
        """Return the average x, `[N, P]`."""
        return weights + (weights - state["z"]) * (1.0 / _BETA1 - 1.0)

    def learning_rate(self, state: State) -> Tensor:
        """Return the rate of z, `[N]`; it stays as it is."""
        return per_lane(state["z"], _LEARNING_RATE)


def _bias(num_updates: Tensor) -> Tensor:
    """Return what Adam's second moment lacks at first, `[N]`.

    Number by number: powers of vectors and of their remainders are rounded differently, and a lane
    would depend on its place.
    """
    bias = [1.0 - _BETA2**t for t in num_updates.tolist()]
    return torch.tensor(bias, dtype=torch.float64, device=num_updates.device)
