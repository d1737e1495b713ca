"""PPO's objective as a function of parameters, so that it can be differentiated again and again.

Schulman et al., "Proximal policy optimization algorithms" (2017), as in Stable-Baselines3. With the
probabilities of the policy that acted in the denominator, its second derivatives are those that an
inner step asks for (Rothfuss et al., "ProMP: proximal meta-policy search", 2019).
"""

from __future__ import annotations

import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from torch import nn
from torch.func import functional_call

from ..adaptation.inner_loop import Loss
from ..adaptation.networks import Parameters
from .rollouts import Rollout

_VALUE_WEIGHT = 0.5  # as in Stable-Baselines3
_PREFIX = "policy."


class Objective:
    """The clipped objective.

    Args:
        policy: The network that parameters are put into.
        clip_range: How far the probability ratio may move.
        ent_coef: Weight of the entropy.
    """

    def __init__(self, policy: ActorCriticPolicy, *, clip_range: float, ent_coef: float) -> None:
        self._judge = _Judge(policy)
        self._clip_range, self._ent_coef = clip_range, ent_coef

    def on(self, rollout: Rollout) -> Loss:
        """Return the loss on a rollout, as a function of parameters."""

        def loss(parameters: Parameters) -> torch.Tensor:
            named = {_PREFIX + name: value for name, value in parameters.items()}
            inputs = rollout.observations, rollout.actions
            values, log_probs, entropy = functional_call(self._judge, named, inputs)
            ratio = (log_probs - rollout.log_probs).exp()
            clipped = ratio.clamp(1.0 - self._clip_range, 1.0 + self._clip_range)
            gain = torch.minimum(ratio * rollout.advantages, clipped * rollout.advantages).mean()
            error = (values.flatten() - rollout.returns).square().mean()
            total: torch.Tensor = _VALUE_WEIGHT * error - gain - self._ent_coef * entropy.mean()
            return total

        return loss


class _Judge(nn.Module):
    """Judges actions in the place of drawing them, which is what calling a policy does."""

    def __init__(self, policy: ActorCriticPolicy) -> None:
        super().__init__()
        self.policy = policy

    def forward(
        self, observations: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Return values `[R, 1]`, log probabilities `[R]` and entropies `[R]`."""
        values, log_probs, entropy = self.policy.evaluate_actions(observations, actions)
        return values, log_probs, -log_probs if entropy is None else entropy
