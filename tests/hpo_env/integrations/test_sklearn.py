"""The controller with estimators of scikit-learn."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import SGDClassifier, SGDRegressor
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier
from sklearn.tree import DecisionTreeClassifier

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.integrations.sklearn import attach, make_host
from hpo_env.testing.hosts import HostContract, HostUnderTest
from tests.hpo_env.controlled_runs import fixed_policy, random_policy
from tests.hpo_env.integrations.host_data import rows

STEPS = 24
POLICY = random_policy(["learning_rate", "weight_decay", "momentum"])


def train(estimator: Any, run: Any) -> list[dict[str, float]]:
    x, y, _, _ = rows()
    used = []
    for step in range(STEPS):
        batch = slice(step % 6 * 32, step % 6 * 32 + 32)
        used.append(run.values)
        estimator.partial_fit(x[batch], y[batch], classes=[0, 1])
        run.step(getattr(estimator, "loss_", None))
    return used


def validation_loss(estimator: Any) -> float | None:
    if not hasattr(estimator, "classes_"):
        return None  # not fitted yet
    _, _, x, y = rows()
    return float(log_loss(y, estimator.predict_proba(x)))


def make(solver: str) -> Any:
    if solver == "linear":
        return SGDClassifier(
            "log_loss", learning_rate="constant", eta0=0.01, alpha=1e-3, random_state=0
        )
    return MLPClassifier(8, solver=solver, learning_rate_init=0.01, alpha=1e-3, random_state=0)


@pytest.mark.parametrize("kind", ["linear", "sgd", "adam"])
def test_the_estimator_uses_what_the_controller_writes(kind: str) -> None:
    estimator = make(kind)
    run = attach(
        Controller(POLICY),
        estimator,
        total_steps=STEPS,
        validate=lambda: validation_loss(estimator),
    )
    used = train(estimator, run)
    assert run.is_over
    assert len({values["learning_rate"] for values in used}) == 8
    owner = estimator if kind == "linear" else estimator._optimizer
    rate = owner.eta0 if kind == "linear" else owner.learning_rate_init
    assert (rate, estimator.alpha) == (run.values["learning_rate"], run.values["weight_decay"])
    if kind != "linear":
        momentum = owner.momentum if kind == "sgd" else owner.beta_1
        assert momentum == run.values["momentum"]


@pytest.mark.parametrize("kind", ["linear", "sgd", "adam"])
def test_a_rate_that_is_cut_to_nothing_leaves_the_weights_where_they_are(kind: str) -> None:
    estimator = make(kind)
    policy = fixed_policy(-1.0, num_decisions=STEPS)
    validate = functools.partial(validation_loss, estimator)
    run = attach(Controller(policy), estimator, total_steps=STEPS, validate=validate)
    train(estimator, run)
    x, y, _, _ = rows()
    weights = estimator.coef_ if kind == "linear" else estimator.coefs_[0]
    before = np.array(weights)
    estimator.partial_fit(x, y)
    weights = estimator.coef_ if kind == "linear" else estimator.coefs_[0]
    assert np.abs(weights - before).max() < 1e-4


def test_estimators_that_change_their_own_rate_are_refused() -> None:
    controller = Controller(POLICY)
    with pytest.raises(ConfigurationError, match="learning_rate='constant' must hold"):
        attach(controller, SGDRegressor(), total_steps=3)
    with pytest.raises(ConfigurationError, match="solver 'adam', or 'sgd'"):
        attach(controller, MLPClassifier(solver="lbfgs"), total_steps=3)
    with pytest.raises(ConfigurationError, match="got DecisionTreeClassifier"):
        attach(controller, DecisionTreeClassifier(), total_steps=3)


def test_the_policy_decides_about_what_the_estimator_has() -> None:
    policy = random_policy(["learning_rate", "weight_decay", "momentum", "dropout"])
    run = attach(Controller(policy), make("sgd"), total_steps=STEPS)
    assert run.policy.space.names == ("learning_rate", "weight_decay", "momentum")


class Estimator(HostUnderTest):
    def __init__(self, kind: str) -> None:
        self._kind, self._step = kind, 0
        self._estimator = make(kind)
        self.host = make_host(self._estimator, lambda: validation_loss(self._estimator))

    def update(self) -> Any:
        x, y, _, _ = rows()
        batch = slice(self._step % 6 * 32, self._step % 6 * 32 + 32)
        self._estimator.partial_fit(x[batch], y[batch], classes=[0, 1])
        self._step += 1
        return getattr(self._estimator, "loss_", None)

    def read(self) -> Mapping[str, float]:
        estimator = self._estimator
        if self._kind == "linear":
            return {"learning_rate": estimator.eta0, "weight_decay": estimator.alpha}
        has_begun = hasattr(estimator, "_optimizer")
        momentum = "momentum" if self._kind == "sgd" else "beta_1"
        return {
            "learning_rate": (estimator._optimizer if has_begun else estimator).learning_rate_init,
            "weight_decay": estimator.alpha,
            "momentum": getattr(estimator._optimizer if has_begun else estimator, momentum),
        }

    def weights(self) -> Any:
        name = "coef_" if self._kind == "linear" else "coefs_"
        return [np.array(part) for part in getattr(self._estimator, name, [])]


class TestLinearModelHost(HostContract):
    kind = "linear"

    def make(self) -> HostUnderTest:
        return Estimator(self.kind)


class TestNetworkHost(TestLinearModelHost):
    kind = "sgd"


class TestAdamNetworkHost(TestLinearModelHost):
    kind = "adam"


def test_the_loss_that_a_network_keeps_is_followed_where_none_is_given() -> None:
    x, y, _, _ = rows()
    estimator = MLPClassifier(4, random_state=0)
    run = attach(Controller(random_policy(num_decisions=4)), estimator, total_steps=4)
    losses = []
    for _ in range(4):
        estimator.partial_fit(x, y, classes=[0, 1])
        run.step()
        losses.append(estimator.loss_)
    assert [d.train_loss for d in run.decisions[1:]] == losses[:3]
