"""From an agent of Stable-Baselines3 to a policy, and back.

Only the path from the observation to the deterministic action is kept: critics, optimisers and
replay buffers stay behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import nn

from hpo_env.errors import ConfigurationError
from hpo_env.lstm import Lstm
from hpo_env.policy import Activation, Head, Policy
from hpo_env.tasks.registry import registered_name

from .moves import is_recurrent
from .provenance import describe
from .stepping import Env

PACKAGES = ("stable-baselines3", "torch", "gymnasium", "numpy")
"""Whose versions a policy carries."""

_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def extract_policy(
    model: BaseAlgorithm,
    env: Env,
    *,
    metadata: Mapping[str, object] | None = None,
) -> Policy:
    """Take the deterministic policy out of an agent.

    Args:
        model: PPO, A2C, SAC, TD3, DQN or TQC with an `MlpPolicy`, or RecurrentPPO with an
            `MlpLstmPolicy`, whose hidden layers are tanh or ReLU.
        env: The environment it acts in: family, hyperparameters and base schedule are its own.
        metadata: Plain data to keep with it, such as the training configuration and the
            meta-validation score. Agent, time and versions are added.

    Raises:
        ConfigurationError: Its network is not a plain perceptron, or its memory is not one layer
            of LSTM.
    """
    head, modules = _network(model)
    weights, biases, activation = _layers(modules, type(model).__name__)
    return Policy(
        family=registered_name(type(env.family)),
        space=env.controlled,
        base_schedule=env.base_schedule,
        head=head,
        activation=activation,
        weights=tuple(weights),
        biases=tuple(biases),
        metadata=describe(
            type(model).__name__, int(model.num_timesteps), PACKAGES, dict(metadata or {})
        ),
        loss_floor=env.family.loss_floor,
        features=tuple(env.family.features),
        memory=_memory(model),
        learned_start=env.family.learned_start
        and env.family.learned_start.subset(env.controlled.names),
        kinds=env.family.kinds,
    )


def insert_policy(model: BaseAlgorithm, policy: Policy) -> None:
    """Put a policy into the actor of an agent: the inverse of `extract_policy`.

    Args:
        model: PPO or A2C with an `MlpPolicy`; changed.
        policy: What was extracted from one that is built alike.

    Raises:
        ConfigurationError: The agent's actor has another head, other layers or a memory.
    """
    head, modules = _network(model)
    weights, _, activation = _layers(modules, type(model).__name__)
    theirs = (policy.head, policy.activation, [w.shape for w in policy.weights], policy.memory)
    own = (head, activation, [w.shape for w in weights], _memory(model))
    if theirs != own:
        raise ConfigurationError(
            f"a policy of head, activation, shapes of layers and memory {theirs} does not fit into "
            f"an agent with {own}; what sets them is hyperparameters, action_mode and net_arch"
        )
    linears = [m for module in modules for m in module.modules() if isinstance(m, nn.Linear)]
    with torch.no_grad():
        for linear, weight, bias in zip(linears, policy.weights, policy.biases, strict=True):
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))


def _network(model: BaseAlgorithm) -> tuple[Head, list[nn.Module]]:
    """Find the head, and the modules from observation to outputs in the order they run in."""
    policy, agent = model.policy, type(model).__name__
    normaliser = model.get_vec_normalize_env()
    if normaliser is not None and normaliser.norm_obs:
        raise ConfigurationError(
            f"{agent} sees observations normalised by VecNormalize, whose statistics a policy file "
            "cannot hold; train with norm_obs=False, observations are bounded already"
        )
    if isinstance(policy, ActorCriticPolicy):
        _check_extractor(policy.pi_features_extractor, agent)
        modules = [policy.mlp_extractor.policy_net, policy.action_net]
        if not isinstance(model.action_space, MultiDiscrete):
            return "clipped", modules
        return ("likeliest" if is_recurrent(model) else "choices"), modules
    if isinstance(policy, DQNPolicy) and isinstance(model.action_space, Discrete):
        _check_extractor(policy.q_net.features_extractor, agent)
        return "joint_choice", [policy.q_net.q_net]
    if isinstance(policy, TD3Policy):
        _check_extractor(policy.actor.features_extractor, agent)
        return "squashed", _without_final_tanh(policy.actor.mu, agent)
    # TQC's policy comes from sb3-contrib, which may be absent; its actor is built like SAC's.
    if isinstance(policy, SACPolicy) or type(policy).__name__ == "TQCPolicy":
        actor: Any = policy.actor
        _check_extractor(actor.features_extractor, agent)
        return "squashed", [actor.latent_pi, actor.mu]
    raise ConfigurationError(
        f"{agent} with {type(policy).__name__} cannot be exported; "
        "use PPO, A2C, SAC, TD3, DQN or TQC with 'MlpPolicy', or RecurrentPPO with 'MlpLstmPolicy'"
    )


def _memory(model: BaseAlgorithm) -> Lstm | None:
    """Read the actor's LSTM, where there is one."""
    if not is_recurrent(model):
        return None
    lstm = model.policy.lstm_actor
    assert isinstance(lstm, nn.LSTM)
    if lstm.num_layers != 1 or lstm.bidirectional or not lstm.bias or lstm.proj_size:
        raise ConfigurationError(
            f"{type(model).__name__}'s memory must be one plain layer of LSTM with biases; got "
            f"{lstm}. Leave n_lstm_layers and lstm_kwargs out of policy_kwargs"
        )
    arrays = {name: tensor.cpu().numpy() for name, tensor in lstm.state_dict().items()}
    return Lstm(
        input_weight=_float32(arrays["weight_ih_l0"]),
        hidden_weight=_float32(arrays["weight_hh_l0"]),
        bias=_float32(arrays["bias_ih_l0"].astype(np.float64) + arrays["bias_hh_l0"]),
    )


def _check_extractor(extractor: object, agent: str) -> None:
    if type(extractor) is not FlattenExtractor:
        raise ConfigurationError(
            f"{agent} has the features extractor {type(extractor).__name__}, which a policy file "
            "cannot hold; leave features_extractor_class out of policy_kwargs"
        )


def _without_final_tanh(mu: nn.Sequential, agent: str) -> list[nn.Module]:
    *layers, last = mu
    if not isinstance(last, nn.Tanh):
        raise ConfigurationError(f"{agent}'s actor must end in Tanh; got {last}")
    return layers


def _layers(
    modules: Iterable[nn.Module], agent: str
) -> tuple[list[NDArray[np.float32]], list[NDArray[np.float32]], Activation]:
    """Read linear layers with one kind of activation between them, and nothing else."""
    flat = [m for module in modules for m in module.modules() if not isinstance(m, nn.Sequential)]
    linears, activations = flat[0::2], flat[1::2]
    kinds = {type(m) for m in activations}
    plain = len(flat) % 2 == 1 and all(isinstance(m, nn.Linear) for m in linears)
    if not plain or len(kinds) > 1 or not kinds <= set(_ACTIVATIONS):
        raise ConfigurationError(
            f"{agent}'s network must be linear layers with tanh or ReLU between them; "
            f"got {[type(m).__name__ for m in flat]}. Use activation_fn=torch.nn.Tanh or "
            "torch.nn.ReLU in policy_kwargs, and neither use_sde nor further layers"
        )
    arrays = [m.state_dict() for m in linears]
    weights = [_float32(a["weight"].cpu().numpy()) for a in arrays]
    biases = [_float32(a["bias"].cpu().numpy()) for a in arrays]
    return weights, biases, _ACTIVATIONS[kinds.pop()] if kinds else "tanh"


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.array(array, dtype=np.float32)  # a copy: the agent may go on learning
