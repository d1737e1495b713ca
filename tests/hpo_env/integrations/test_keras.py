"""The controller in Keras on torch."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.testing.hosts import HostContract, HostUnderTest
from tests.hpo_env.controlled_runs import random_policy
from tests.hpo_env.integrations.host_data import rows

os.environ["KERAS_BACKEND"] = "torch"
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    keras = pytest.importorskip("keras")
    from hpo_env.integrations.keras import HPOControlCallback, make_host

pytestmark = pytest.mark.filterwarnings("ignore")  # those of the host itself

EPOCHS, STEPS = 4, 24


def make_model(optimizer: Any) -> Any:
    keras.utils.set_random_seed(0)
    x, _, _, _ = rows()
    model = keras.Sequential(
        [keras.Input((x.shape[1],)), keras.layers.Dense(16, "tanh"), keras.layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss)
    return model


def validation_loss(model: Any) -> float:
    _, _, x, y = rows()
    return float(torch.nn.functional.cross_entropy(model(x), torch.tensor(y)))


class Recorder(keras.callbacks.Callback):  # type: ignore[name-defined]
    """Reads back what the host used."""

    def __init__(self) -> None:
        super().__init__()
        self.rates: list[float] = []
        self.decays: list[float] = []

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.rates.append(float(self.model.optimizer.learning_rate))
        self.decays.append(float(self.model.optimizer.weight_decay))


def fit(model: Any, *callbacks: Any, epochs: int = EPOCHS) -> None:
    x, y, _, _ = rows()
    model.fit(
        x, y, batch_size=32, epochs=epochs, shuffle=False, verbose=0, callbacks=list(callbacks)
    )


def test_the_host_uses_what_the_controller_writes() -> None:
    model = make_model(keras.optimizers.AdamW(0.01, weight_decay=0.01))
    policy = random_policy(["learning_rate", "weight_decay", "momentum"])
    callback: Any = HPOControlCallback(Controller(policy), validate=validation_loss)
    recorder = Recorder()
    fit(model, callback, recorder)
    run = callback.run
    assert run.is_over
    assert len(recorder.rates) == STEPS
    written = [decision.values["learning_rate"] for decision in run.decisions]
    assert recorder.rates == np.repeat(written, STEPS // 8).tolist()
    assert len(set(written)) == 8
    assert recorder.decays == pytest.approx(
        np.repeat([d.values["weight_decay"] for d in run.decisions], STEPS // 8)
    )
    assert set(run.values) == {"learning_rate", "weight_decay", "momentum"}
    seen = run.decisions[2].observation
    assert (seen["has_training"], seen["has_gradient"], seen["has_updates"]) == (1, 1, 1)


def test_batch_losses_are_told_apart_from_the_average_that_keras_reports() -> None:
    model = make_model(keras.optimizers.SGD(1e-12))  # weights stay, so losses are known
    callback: Any = HPOControlCallback(
        Controller(random_policy(["learning_rate"])), num_decisions=1
    )
    x, y, _, _ = rows()
    with torch.no_grad():
        outputs = model(x)
    losses = torch.nn.functional.cross_entropy(outputs, torch.tensor(y), reduction="none")
    batches = losses.reshape(6, 32).mean(1)
    fit(model, callback, epochs=1)
    telemetry = callback.run._telemetry
    assert telemetry.train_loss_spread[0] == pytest.approx(float(batches.std(correction=0)), 1e-3)


def test_a_run_goes_on_from_its_saved_state() -> None:
    whole, recorder = make_model(keras.optimizers.AdamW(0.01)), Recorder()
    first = HPOControlCallback(Controller(random_policy()), validate=validation_loss)
    fit(whole, first, recorder)
    half = make_model(keras.optimizers.AdamW(0.01))
    callback: Any = HPOControlCallback(
        Controller(random_policy()), validate=validation_loss, total_steps=STEPS
    )
    fit(half, callback, epochs=EPOCHS // 2)
    resumed = HPOControlCallback(
        Controller(random_policy()),
        validate=validation_loss,
        total_steps=STEPS,
        state=callback.run.state_dict(),
    )
    rest = Recorder()
    fit(half, resumed, rest, epochs=EPOCHS // 2)
    assert rest.rates == recorder.rates[STEPS // 2 :]


def test_a_schedule_of_keras_own_is_refused() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.9)
    model = make_model(keras.optimizers.SGD(schedule))
    with pytest.raises(ConfigurationError, match="comes from a LearningRateSchedule"):
        fit(model, HPOControlCallback(Controller(random_policy())))


def test_the_policy_decides_about_what_the_optimiser_has() -> None:
    callback = HPOControlCallback(Controller(random_policy(["learning_rate", "dropout"])))
    fit(make_model(keras.optimizers.SGD(0.01)), callback)
    assert callback.run is not None
    assert callback.run.policy.space.names == ("learning_rate",)


class Fitting(HostUnderTest):
    """A compiled model whose update is a call of `train_on_batch`."""

    def __init__(self) -> None:
        self._model = make_model(keras.optimizers.AdamW(0.01, weight_decay=0.01))
        self._weights = self.host = make_host(self._model, validation_loss)
        self._num_updates = 0

    def update(self) -> Any:
        x, y, _, _ = rows()
        batch = slice(self._num_updates % 6 * 32, self._num_updates % 6 * 32 + 32)
        self._model.reset_metrics()
        self._weights.copy_weights()
        loss = self._model.train_on_batch(x[batch], y[batch])
        self._weights.measure_gradients()
        self._num_updates += 1
        return float(loss)

    def read(self) -> Mapping[str, float]:
        optimizer = self._model.optimizer
        return {
            "learning_rate": float(optimizer.learning_rate),
            "weight_decay": float(optimizer.weight_decay),
            "momentum": float(optimizer.beta_1),
        }

    def weights(self) -> Any:
        return [np.array(w) for w in self._model.get_weights()]


class TestModelHost(HostContract):
    def make(self) -> HostUnderTest:
        return Fitting()


def test_epochs_that_were_made_before_are_not_to_come() -> None:
    x, y, _, _ = rows()
    callback = HPOControlCallback(Controller(random_policy()))
    model = make_model(keras.optimizers.AdamW(0.01))
    model.fit(x, y, batch_size=32, epochs=4, initial_epoch=2, verbose=0, callbacks=[callback])
    assert callback.run is not None
    assert callback.run.num_steps == callback.run.plan.total_steps == STEPS // 2


@pytest.mark.parametrize("epochs", [2, 6])
def test_a_saved_run_goes_on_for_the_epochs_to_come(epochs: int) -> None:
    model = make_model(keras.optimizers.AdamW(0.01))
    first = HPOControlCallback(Controller(random_policy()), total_steps=STEPS)
    fit(model, first, epochs=2)
    assert first.run is not None
    state = first.run.state_dict()
    resumed = HPOControlCallback(Controller(random_policy()), state=state)
    fit(model, resumed, epochs=epochs)
    assert resumed.run is not None
    assert resumed.run.num_steps == STEPS // 2 + 6 * epochs
    assert resumed.run.is_over


def test_a_bad_batch_leaves_nothing_behind() -> None:
    keras.utils.set_random_seed(0)
    x, y, _, _ = rows()
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization(), keras.layers.Dense(2)]
    model = keras.Sequential([keras.Input((x.shape[1],)), *layers])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Nadam(0.01), loss=loss)

    def batches() -> Any:
        for step in range(STEPS):
            rows_of_batch = slice(step % 6 * 32, step % 6 * 32 + 32)
            batch = x[rows_of_batch].copy()
            batch[0, 0] = np.inf if step == 4 else batch[0, 0]
            yield batch, y[rows_of_batch]

    callback = HPOControlCallback(Controller(random_policy()), validate=lambda m: loss_without(m))
    history = model.fit(
        batches(), steps_per_epoch=6, epochs=EPOCHS, verbose=0, callbacks=[callback]
    )
    assert callback.run is not None
    reasons = [decision.reason for decision in callback.run.decisions]
    assert reasons == ["policy", "policy", "guard", *["policy"] * 5]
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    assert all(np.isfinite(np.array(v)).all() for v in model.optimizer.variables)
    assert np.isfinite(history.history["loss"]).all()


def loss_without(model: Any) -> float:
    _, _, x, y = rows()
    outputs = model(x, training=False)
    return float(torch.nn.functional.cross_entropy(outputs, torch.tensor(y)))


@pytest.mark.parametrize("kind", ["SGD", "Adam", "Adagrad", "Nadam", "RMSprop", "Lion"])
def test_a_roll_back_empties_the_optimisers_memory(kind: str) -> None:
    model = make_model(getattr(keras.optimizers, kind)(0.01))
    model.optimizer.build(model.trainable_variables)
    new = [np.array(v) for v in model.optimizer.variables]
    host = make_host(model, validation_loss)
    host.begin_interval(4)
    x, y, _, _ = rows()
    for _ in range(2):
        host.copy_weights()
        host.note_update(float(model.train_on_batch(x, y)))
    host.write({"learning_rate": 0.5})
    assert host.roll_back()
    for found, expected in zip(model.optimizer.variables, new, strict=True):
        if found is not model.optimizer._learning_rate:
            np.testing.assert_array_equal(np.array(found), expected)
    assert float(model.optimizer.learning_rate) == 0.5


def test_averages_of_weights_start_from_the_weights_after_a_roll_back() -> None:
    model = make_model(keras.optimizers.SGD(0.01, use_ema=True))
    host = make_host(model, validation_loss)
    host.begin_interval(4)
    x, y, _, _ = rows()
    for _ in range(2):
        host.copy_weights()
        host.note_update(float(model.train_on_batch(x, y)))
    assert host.roll_back()
    weights = model.get_weights()
    model.optimizer.finalize_variable_values(model.trainable_weights)
    for found, expected in zip(model.get_weights(), weights, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_the_optimiser_within_one_that_scales_losses_is_steered() -> None:
    inner = keras.optimizers.AdamW(0.01, weight_decay=0.01)
    model = make_model(keras.optimizers.LossScaleOptimizer(inner))
    policy = random_policy(["learning_rate", "weight_decay", "momentum"])
    callback = HPOControlCallback(Controller(policy), validate=validation_loss)
    fit(model, callback)
    assert callback.run is not None
    assert callback.run.host.initial == pytest.approx(
        {"learning_rate": 0.01, "weight_decay": 0.01, "momentum": 0.9}
    )
    assert callback.run.host.roll_back()
    assert float(inner.iterations) == 0.0
