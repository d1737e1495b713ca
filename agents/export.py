"""From an agent of Stable-Baselines3 to a policy file.

Only the path from the observation to the deterministic action is kept: critics, optimisers and
replay buffers stay behind. What was written is read again and compared with the agent.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium.spaces import Discrete, MultiDiscrete
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import FlattenExtractor
from stable_baselines3.dqn.policies import DQNPolicy
from stable_baselines3.sac.policies import SACPolicy
from stable_baselines3.td3.policies import TD3Policy
from torch import nn

from agents.moves import deterministic_moves
from agents.privileged import widen
from hpo_env import __version__
from hpo_env.errors import ConfigurationError, PolicyFileError
from hpo_env.policy import Activation, Head, Policy
from hpo_env.policy_file import load, save
from hpo_env.seeding import stream
from hpo_env.sharding import ShardedVectorEnv
from hpo_env.vector_env import HPOControlVectorEnv

_NUM_CHECKED = 64
_TOLERANCE = 1e-4  # float32 in torch and in numpy; two outputs this close are a tie
_ACTIVATIONS: dict[type[nn.Module], Activation] = {nn.Tanh: "tanh", nn.ReLU: "relu"}


def export_policy(
    model: BaseAlgorithm,
    env: HPOControlVectorEnv | ShardedVectorEnv,
    folder: Path,
    *,
    metadata: Mapping[str, object],
) -> Path:
    """Write what an agent has learned as a policy file, and check it against the agent.

    Args:
        model: PPO, A2C, SAC, TD3, DQN or TQC with an `MlpPolicy` whose hidden layers are tanh or
            ReLU.
        env: The environment it acts in: family, hyperparameters and base schedule are its own.
        folder: Where `policy.safetensors` and `controller.json` go.
        metadata: Plain data to keep with it, such as the training configuration and the
            meta-validation score. Agent, time and versions are added.

    Returns:
        The folder.

    Raises:
        ConfigurationError: The agent is recurrent, or its network is not a plain perceptron.
        PolicyFileError: The folder cannot be written, or the file does not act as the agent does.
    """
    policy = extract_policy(model, env, metadata=metadata)
    save(policy, folder)
    _check_same_actions(model, load(folder), folder)
    return folder


def extract_policy(
    model: BaseAlgorithm,
    env: HPOControlVectorEnv | ShardedVectorEnv,
    *,
    metadata: Mapping[str, object] | None = None,
) -> Policy:
    """Take the deterministic policy out of an agent, without writing it.

    Arguments and errors are those of `export_policy`.
    """
    head, modules = _network(model)
    weights, biases, activation = _layers(modules, type(model).__name__)
    return Policy(
        family=env.family.name,
        space=env.controlled,
        base_schedule=env.base_schedule,
        head=head,
        activation=activation,
        weights=tuple(weights),
        biases=tuple(biases),
        loss_floor=env.family.loss_floor,
        features=tuple(env.family.features),
        metadata=_provenance(model) | _plain(dict(metadata or {})),
    )


def _network(model: BaseAlgorithm) -> tuple[Head, list[nn.Module]]:
    """Find the head, and the modules from observation to outputs in the order they run in."""
    policy, agent = model.policy, type(model).__name__
    normaliser = model.get_vec_normalize_env()
    if normaliser is not None and normaliser.norm_obs:
        raise ConfigurationError(
            f"{agent} sees observations normalised by VecNormalize, whose statistics a policy file "
            "cannot hold; train with norm_obs=False, observations are bounded already"
        )
    if hasattr(policy, "lstm_actor"):
        raise ConfigurationError(
            f"{agent} is recurrent, and a policy file holds no memory; train PPO instead"
        )
    if isinstance(policy, ActorCriticPolicy):
        discrete = isinstance(model.action_space, MultiDiscrete)
        _check_extractor(policy.pi_features_extractor, agent)
        modules = [policy.mlp_extractor.policy_net, policy.action_net]
        return ("choices" if discrete else "clipped"), modules
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
        "use PPO, A2C, SAC, TD3, DQN or TQC with 'MlpPolicy'"
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


def _check_same_actions(model: BaseAlgorithm, policy: Policy, folder: Path) -> None:
    rng = stream(0, "export")
    observations = rng.uniform(-1.0, 1.0, (_NUM_CHECKED, len(policy.fields))).astype(np.float32)
    expected, _ = deterministic_moves(model, widen(model, observations), len(policy.space))
    same = (np.abs(policy.act(observations) - expected) <= _TOLERANCE).all(axis=1)
    if policy.head == "joint_choice":
        same |= _is_tie(policy.outputs(observations))
    if not same.all():
        raise PolicyFileError(
            f"{folder}: the exported policy acts otherwise than {type(model).__name__} on "
            f"{int((~same).sum())} of {_NUM_CHECKED} random observations; it must not be used. "
            "Is the policy class customised?"
        )


def _is_tie(values: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Say where `[N]` the two best of the values `[N, O]` are equal but for rounding."""
    best = np.sort(values, axis=1)
    tolerance = _TOLERANCE * np.maximum(1.0, np.abs(best[:, -1]))
    return np.asarray(best[:, -1] - best[:, -2] <= tolerance)


def _provenance(model: BaseAlgorithm) -> dict[str, Any]:
    packages = ("stable-baselines3", "torch", "gymnasium", "numpy")
    return {
        "agent": type(model).__name__,
        "env_steps": int(model.num_timesteps),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {"hpo-control": __version__} | {name: version(name) for name in packages},
    }


def _plain(value: Any) -> Any:
    """Turn metadata into plain JSON data; a long training must not fail on a NaN or a path."""
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(entry) for entry in value]
    if isinstance(value, np.ndarray | np.generic):
        return _plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return value if value is None or isinstance(value, bool | int | str) else str(value)
