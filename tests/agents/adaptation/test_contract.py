"""Every algorithm of the registry keeps the contract."""

from typing import ClassVar

from agents.adaptation.registry import ALGORITHMS
from agents.testing.adaptation import AlgorithmContract


class TestRegistered(AlgorithmContract):
    """All of them; what few steps need is set."""

    algorithms = tuple(ALGORITHMS)
    settings: ClassVar = {
        "maml": {"inner_rate": 0.1, "inner_steps": 3},
        "first_order_maml": {"inner_rate": 0.1, "inner_steps": 3},
        "reptile": {"inner_rate": 0.1, "inner_steps": 4},
        "imaml": {"inner_rate": 0.1, "inner_steps": 8, "strength": 0.5},
        "meta_sgd": {"inner_rate": 0.3, "inner_steps": 2},
        "proto_maml": {"inner_rate": 0.1, "inner_steps": 2},
        "memory": {"num_rows": 12, "row_size": 12, "num_units": 24},
        "matching": {"processing_steps": 1},
    }
    training_settings: ClassVar = {"memory": {"num_steps": 400, "learning_rate": 0.01}}
