"""A policy sees and does in a family's host what it saw and did in training, for every family."""

from __future__ import annotations

from typing import ClassVar

import pytest

from hpo_env.tasks.registry import FAMILIES
from hpo_env.testing.parity import ParityContract
from tests.hpo_env.families import SMALL

_EXACT = {"supervised": "reference", "automl": "reference", "reinforcement": "reference"}
_SMALLER = {
    # Agents of Stable-Baselines3 take a hundred times as long as lanes.
    "reinforcement": {"environment": "cart_pole", "shape": (2, 8, 2), "start": "default"}
}

for _name in FAMILIES:
    _options = {k: v for k, v in SMALL[_name].items() if k not in ("engine", "num_decisions")}
    _options |= _SMALLER.get(_name, {})
    _facts = {"family": _name, "options": _options, "engine": _EXACT.get(_name, "auto")}
    globals()[f"TestParityOf_{_name}"] = type("_", (ParityContract,), _facts)


class TestParityOfRealTraining(ParityContract):
    """All that a loop can move, from a rate at which intervals fail."""

    family = "supervised"
    engine = "reference"
    controlled = ("learning_rate", "weight_decay", "momentum", "dropout", "batch_size")
    options: ClassVar = {
        "dataset": "breast_cancer",
        "model": "mlp_32x2_relu",
        "optimizer": "sgd",
        "updates_per_decision": 3,
        "initial": {"learning_rate": 0.3, "weight_decay": 1e-3, "dropout": 0.1, "batch_size": 24.0},
    }


class TestParityWithoutRollBack(ParityContract):
    """A host that is told losses alone and cannot roll back."""

    family = "tests.hpo_env.losses_only:LossesOnlyFamily"

    def test_intervals_that_fail_are_kept_and_the_guard_moves(self) -> None:
        run = self.check_parity(self.reckless_policy(), 20)
        assert 2 <= sum(decision.reason == "guard" for decision in run.decisions) < 19


class TestParityOfAFamilyThatNamesNoTwin(ParityContract):
    family = "tests.hpo_env.losses_only:WithoutTwinFamily"


def test_a_twin_that_does_something_else_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    from hpo_env.tasks.quadratic import QuadraticFamily

    class TestOther(ParityContract):
        family = "quadratic"

    monkeypatch.setattr(QuadraticFamily, "twin", "tests.hpo_env.losses_only:train")
    contract = TestOther()
    with pytest.raises(AssertionError, match="interval 1"):
        contract.check_parity(contract.random_policy("squashed"), 4)
