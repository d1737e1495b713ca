"""What a training that was saved in the middle has of its own, and what a callback hands on."""

from __future__ import annotations

import copy
import importlib
import os
import pickle
from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, PolicyFileError, UnknownArgumentError
from tests.hpo_env.controlled_runs import random_policy
from tests.hpo_env.integrations.host_data import rows

os.environ["KERAS_BACKEND"] = "torch"
pytestmark = pytest.mark.filterwarnings("ignore")  # those of the libraries

STEPS = 8


class Estimator:
    """A classifier of scikit-learn."""

    def __init__(self) -> None:
        models = pytest.importorskip("sklearn.linear_model")
        self.trained = models.SGDClassifier(
            "log_loss", learning_rate="constant", eta0=0.01, alpha=1e-3, random_state=0
        )

    def host(self) -> Any:
        from hpo_env.integrations.sklearn import make_host

        return make_host(self.trained, lambda: 1.0)

    def update(self) -> None:
        x, y, _, _ = rows()
        self.trained.partial_fit(x[:32], y[:32], classes=[0, 1])

    def own(self) -> Any:
        return self.trained.eta0, self.trained.alpha

    def load(self, folder: Path) -> None:
        """Go on as what was saved."""
        self.trained = pickle.loads(pickle.dumps(self.trained))


class Model(Estimator):
    """A model of Keras."""

    def __init__(self) -> None:
        keras = pytest.importorskip("keras")
        x, _, _, _ = rows()
        self.trained = keras.Sequential([keras.Input((x.shape[1],)), keras.layers.Dense(1)])
        optimizer = keras.optimizers.AdamW(0.01, weight_decay=0.01)
        self.trained.compile(optimizer=optimizer, loss="mse")

    def host(self) -> Any:
        from hpo_env.integrations.keras import make_host

        return make_host(self.trained, lambda model: 1.0)

    def update(self) -> None:
        x, y, _, _ = rows()
        self.trained.train_on_batch(x[:32], y[:32])

    def own(self) -> Any:
        optimizer = self.trained.optimizer
        return float(optimizer.learning_rate), float(optimizer.weight_decay)

    def load(self, folder: Path) -> None:
        keras = pytest.importorskip("keras")
        self.trained.save(folder / "model.keras")
        self.trained = keras.models.load_model(folder / "model.keras")


TRAININGS: Mapping[str, Callable[[], Estimator]] = {"scikit-learn": Estimator, "keras": Model}


@pytest.mark.parametrize("kind", TRAININGS)
def test_what_is_loaded_gets_back_what_the_first_was_made_with(kind: str, tmp_path: Path) -> None:
    training, controller = TRAININGS[kind](), Controller(random_policy())
    before = training.own()
    options: dict[str, Any] = {"total_steps": STEPS, "num_decisions": 4}
    run = controller.steer(training.host(), **options)
    for _ in range(STEPS // 2):
        training.update()
        run.step(1.0)
    assert training.own() != before
    training.load(tmp_path)
    assert training.own() != before
    again = controller.steer(training.host(), state=run.state_dict(), **options)
    for _ in range(STEPS // 2):
        training.update()
        again.step(1.0)
    again.close()
    assert training.own() == before


CALLBACKS: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "stable-baselines3": ("stable_baselines3", "sb3:HPOControlCallback", {"validate": id}),
    "lightning": ("lightning", "lightning:HPOControlCallback", {}),
    "transformers": ("transformers", "transformers:HPOControlCallback", {}),
    "lightgbm": ("lightgbm", "lightgbm:HPOControl", {}),
    "xgboost": ("xgboost", "xgboost:HPOControlCallback", {"total_steps": 3}),
    "keras": ("keras", "keras:HPOControlCallback", {}),
}
"""Library, callback, and what it needs."""


def _make(name: str, decides: Any = None, **options: Any) -> Any:
    library, address, needed = CALLBACKS[name]
    decides = Controller(random_policy()) if decides is None else decides
    pytest.importorskip(library)
    module, _, kind = address.partition(":")
    make = getattr(importlib.import_module(f"hpo_env.integrations.{module}"), kind)
    return make(decides, **needed, **options)


@pytest.mark.parametrize("name", CALLBACKS)
def test_a_policy_may_be_named(name: str) -> None:
    assert _make(name, "supervised").run is None
    with pytest.raises(PolicyFileError, match="'supervise' is neither a folder nor a policy"):
        _make(name, "supervise")
    with pytest.raises(ConfigurationError, match=r"controller must be a Controller.* got 3"):
        _make(name, 3)


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize("copied", [copy.deepcopy, pickle.dumps])
def test_a_callback_can_be_copied_before_it_steers_and_not_after(name: str, copied: Any) -> None:
    callback = _make(name)
    copied(callback)
    # Each library begins in its own way; what counts is that there is a run.
    steered = {"stable-baselines3": "_training", "lightgbm": "_boosting", "xgboost": "_boosting"}
    if name in steered:
        setattr(callback, steered[name], SimpleNamespace(run=object()))
    else:
        callback.run = object()
    with pytest.raises(ConfigurationError, match="cannot be copied or pickled: save the state"):
        copied(callback)


@pytest.mark.parametrize("name", [n for n in CALLBACKS if n != "keras"])  # whose names are its own
def test_an_option_that_nobody_takes_is_named_before_anything_is_trained(name: str) -> None:
    with pytest.raises(UnknownArgumentError, match=r"'num_decision'.*num_decisions"):
        _make(name, num_decision=3)
    _make(name, num_decisions=3, base_schedule="linear", start="user")


@pytest.mark.parametrize("name", ["stable-baselines3", "lightgbm", "xgboost"])
@pytest.mark.parametrize("state", [5, {}, {"version": 1}])
def test_so_is_a_state_of_no_run(name: str, state: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"state|saved run"):
        _make(name, state=state)
