"""Every architecture by name, and what lanes that share one must agree in.

A new size of a known kind is a line here. One that is defined elsewhere needs none: its address,
`module:attribute`, stands wherever a name may.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import TypeVar

from hpo_env.addresses import is_address, load_address
from hpo_env.errors import ConfigurationError, unknown_name
from hpo_env.networks.attention import Attention
from hpo_env.networks.base import Architecture, Parameter
from hpo_env.networks.cnn import CNN
from hpo_env.networks.language import GPT
from hpo_env.networks.mlp import MLP
from hpo_env.networks.recurrent import GRU
from hpo_env.networks.residual_cnn import ResidualCNN

_T = TypeVar("_T")

ARCHITECTURES: dict[str, Architecture] = {
    "mlp_32x2_relu": MLP(split="train", width=32, depth=2),
    "mlp_64x2_tanh": MLP(split="train", width=64, depth=2, activation="tanh"),
    "mlp_48x3_gelu_norm": MLP(
        split="train", width=48, depth=3, activation="gelu", is_normalized=True
    ),
    "mlp_128x2_relu": MLP(split="train", width=128, depth=2),
    "resmlp_64x2": MLP(split="train", width=64, depth=2, is_residual=True),
    "mlp_64x2": MLP(split="validation", width=64, depth=2),
    "mlp_64x3_silu": MLP(split="validation", width=64, depth=3, activation="silu"),
    "mlp_256x3_relu": MLP(split="test", width=256, depth=3),
    "mlp_512x2_relu": MLP(split="test", width=512, depth=2),
    "mlp_64x6_relu": MLP(split="test", width=64, depth=6),
    "resmlp_96x4_norm": MLP(split="test", width=96, depth=4, is_normalized=True, is_residual=True),
    "attention_8x32": Attention(split="test"),
    "cnn_8x8": CNN(split="test", image_shape=(1, 8, 8)),
    "cnn_28x28": CNN(split="test", image_shape=(1, 28, 28), stride=2),
    "resnet_12x12": ResidualCNN(split="train", image_shape=(1, 12, 12), stride=2, channels=8),
    "resnet_10x10": ResidualCNN(split="train", image_shape=(1, 10, 10), channels=8),
    "resnet_12x12_twice": ResidualCNN(
        split="validation", image_shape=(1, 12, 12), stride=2, channels=12, num_blocks=2
    ),
    "resnet_8x8": ResidualCNN(split="test", image_shape=(1, 8, 8), num_blocks=2),
    "gpt_16x1": GPT(split="train", context=16, width=16),
    "gpt_32x1_narrow_start": GPT(split="train", context=16, width=32, spread=0.02),
    "gpt_16x2": GPT(split="validation", context=24, width=16, num_blocks=2, spread=0.05),
    "gpt_32x2": GPT(split="test", context=32, width=32, num_blocks=2, num_heads=4, spread=0.02),
    "gru_32": GRU(split="train", context=16, width=32),
    "gru_24": GRU(split="validation", context=24, width=24),
    "gru_48": GRU(split="test", context=32, width=48),
}


def architecture(name: str) -> Architecture:
    """Look an architecture up.

    Args:
        name: One of `ARCHITECTURES`, or the address of one that is defined elsewhere.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
        ConfigurationError: The address leads to nothing, or not to an architecture.
    """
    if is_address(name):
        return _loaded(name)
    if name not in ARCHITECTURES:
        raise unknown_name("model", name, ARCHITECTURES)
    return ARCHITECTURES[name]


@cache
def _loaded(address: str) -> Architecture:
    found = load_address("model", address)
    if not isinstance(found, Architecture):
        raise ConfigurationError(
            f"model {address!r} must be an instance of Architecture; got {type(found).__name__}"
        )
    return found


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """What lanes must have in common to be trained by one compiled step.

    Args:
        architecture: A name that `architecture` knows.
        num_inputs: `D`, padding included.
        num_outputs: `K`, padding included.
    """

    architecture: str
    num_inputs: int
    num_outputs: int

    @property
    def model(self) -> Architecture:
        """The architecture itself."""
        return architecture(self.architecture)

    def parameters(self) -> list[Parameter]:
        """List the padded weights."""
        return self.model.parameters(self.num_inputs, self.num_outputs)

    def trained(self, weights: Sequence[_T]) -> list[_T]:
        """Return what stands for weights that have gradients, out of one for each weight."""
        pairs = zip(self.parameters(), weights, strict=True)
        return [weight for parameter, weight in pairs if not parameter.is_average]

    def rows_per_input(self) -> int:
        """Return how many rows its layers see for one row of inputs."""
        return self.model.rows_per_input
