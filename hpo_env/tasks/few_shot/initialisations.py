"""What runs start from: weights and rates that were learned over many tasks, a kind of input each.

They are in a file beside this one, which `tools/few_shot_initialisations.py` makes again.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import safetensors
from numpy.typing import NDArray

from hpo_env.tasks.few_shot.network import Perceptron, prototype_head
from hpo_env.tasks.few_shot.preparation import Prepared

Float32 = NDArray[np.float32]

FILE = Path(__file__).parent / "initialisations.safetensors"

KINDS = {
    "characters": "images",
    "digits": "images",
    "tables": "tables",
    "sinusoids": "sinusoids",
}
"""The initialisation of each source."""

_RATE, _SCALE = "rate.", "scale"


@dataclass(frozen=True, kw_only=True, eq=False)
class Initialisation:
    """Learned weights of the trunk, and of the head where values are predicted.

    Args:
        weights: Matrices by name; see `Perceptron.shapes`.
        rates: Learning rate of each matrix, the head's included, by name.
        scale: What squared distances to prototypes are multiplied by.
    """

    weights: dict[str, Float32]
    rates: dict[str, float]
    scale: float

    def network(self, num_outputs: int, *, is_classification: bool) -> Perceptron:
        """Return the shapes of a network for a task."""
        layers = sum(name.endswith(".weight") for name in self.weights if name[0] != "h")
        first = [self.weights[f"{layer}.weight"].shape[0] for layer in range(layers)]
        widths = (*first, self.weights[f"{layers - 1}.weight"].shape[1])
        return Perceptron(widths, num_outputs, is_classification)

    def start(self, network: Perceptron, rows: Prepared) -> Float32:
        """Return the weights that a run starts from `[P]`."""
        if not network.is_classification:
            return network.row(self.weights)
        trunk = dict(self.weights)
        hidden = rows.adapted.inputs
        for layer in range(network.num_layers - 1):
            hidden = np.maximum(hidden @ trunk[f"{layer}.weight"] + trunk[f"{layer}.bias"], 0.0)
        return network.row(trunk | prototype_head(hidden, rows.adapted.targets, self.scale))

    def rates_of(self, network: Perceptron) -> tuple[Float32, NDArray[np.bool_]]:
        """Return the rate of every weight `[P]`, and which belong to the trunk `[P]`."""
        sizes = [rows * columns for rows, columns in network.shapes.values()]
        rates = np.repeat([self.rates[name] for name in network.shapes], sizes)
        is_trunk = np.repeat([not name.startswith("head") for name in network.shapes], sizes)
        return rates.astype(np.float32), is_trunk


@cache
def initialisation(source: str) -> Initialisation:
    """Load what a source's runs start from."""
    kind = KINDS[source]
    with safetensors.safe_open(FILE, framework="np") as file:
        facts = json.loads(file.metadata()["facts"])[kind]
        names = [name for name in file.keys() if name.startswith(f"{kind}.")]  # noqa: SIM118
        weights = {
            name.removeprefix(f"{kind}."): file.get_tensor(name).astype(np.float32)
            for name in names
        }
    return Initialisation(weights=weights, rates=facts["rates"], scale=facts["scale"])
