"""Runs of update rules: the inner training's own runs but for the update."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from agents.opponents.base import Instance, Outcome
from agents.opponents.driving import run_once
from agents.opponents.lanes import Workload, with_initial
from agents.opponents.parameter_free.opponent import as_they_are
from agents.opponents.parameter_free.table import UPDATERS
from agents.opponents.schedules import Scheduled
from hpo_env.errors import ConfigurationError
from hpo_env.networks.updaters import State, Updater, beside, per_lane
from hpo_env.seeding import draw_episode_seed
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised.batched import BatchedTrainer
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.reference import Learner, Values
from tests.agents.opponents.parameter_free.packages import PACKAGES, Package
from tests.agents.opponents.searching import QUADRATIC, equal_outcomes, instances
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
    IMAGES,
    NAMES,
    NUMBERS,
    datasets_of,
    task,
    tolerance_of,
    values,
)

MODELS = ("mlp_32x2_relu", "mlp_48x3_gelu_norm", "resmlp_64x2", "attention_8x32", "cnn_8x8")
RATE, MOMENTUM, DECAY = 0.02, 0.9, 1e-2


def workload(engine: Engine = "eager", **changes: Any) -> Workload:
    return Workload(engine=engine, options={"updates_per_decision": 5}, **changes)


def instance(seed: int = 0, **changes: Any) -> Instance:
    return Instance(task=task(**{"num_decisions": 3, **changes}), seed=seed)


def with_values(run: Instance, **changes: float) -> Instance:
    assert isinstance(run.task, SupervisedTask)
    return with_initial(run, values([run.task], **changes)[0])


def train(workload: Workload, runs: list[Instance], rule: Updater) -> list[Outcome]:
    return run_once(workload, runs, as_they_are, updater=rule)


class SGD(Updater):
    """torch's, at a rate of the lane's own: 0.02 and more, by its first weight."""

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        return {"rate": RATE * (1.0 + 2.0 * weights[:, 0].abs().double())}

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        weights -= beside(state["rate"], weights) * gradients

    def learning_rate(self, state: State) -> Tensor:
        return state["rate"]


class AdamW(SGD):
    """torch's own class, at a tenth of the rates of SGD above."""

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        return {
            "rate": 0.1 * super().start(weights)["rate"],
            "step": per_lane(weights, 0.0),
            "exp_avg": torch.zeros_like(weights),
            "exp_avg_sq": torch.zeros_like(weights),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        for lane, rate in enumerate(state["rate"].tolist()):
            row = weights[lane].clone().requires_grad_()
            row.grad = gradients[lane].clone()
            optimizer = torch.optim.AdamW(
                [row], lr=rate, betas=(MOMENTUM, 0.999), weight_decay=DECAY
            )
            memory = {name: state[name][lane].clone() for name in ("exp_avg", "exp_avg_sq")}
            optimizer.state[row] = {"step": state["step"][lane].float(), **memory}
            optimizer.step()
            weights[lane] = row.detach()
            for name, tensor in optimizer.state[row].items():
                state[name][lane] = tensor


def under(optimizer: str, runs: list[Instance], rates: list[float]) -> list[Instance]:
    """The same runs under the task's own optimiser; changes nothing but what it is."""
    momentum = 0.0 if optimizer == "sgd" else MOMENTUM
    decay = 0.0 if optimizer == "sgd" else DECAY
    return [
        with_values(run, learning_rate=rate, momentum=momentum, weight_decay=decay)
        for run, rate in zip(runs, rates, strict=True)
    ]


def rates_of(outcomes: list[Outcome]) -> list[float]:
    return [float(outcome.hyperparameters["learning_rate"][0]) for outcome in outcomes]


def assert_equal_losses(ours: list[Outcome], theirs: list[Outcome], tolerance: float) -> None:
    for one, other in zip(ours, theirs, strict=True):
        for name in ("first_loss", "validation_loss", "test_loss", "test_metric"):
            np.testing.assert_allclose(
                getattr(one, name), getattr(other, name), rtol=tolerance, err_msg=name
            )
        assert one.num_updates == other.num_updates


CASES = [(model, dataset) for model in MODELS for dataset in datasets_of(model)]


@pytest.mark.parametrize(
    ("rule", "optimizer", "engine"),
    [(SGD(), "sgd", "eager"), (AdamW(), "adamw", "native")],
    ids=["sgd", "adamw"],
)
@pytest.mark.parametrize(("model", "dataset"), CASES)
def test_under_the_task_s_own_optimiser_losses_are_those_of_the_fast_trainer(
    model: str,
    dataset: str,
    rule: Updater,
    optimizer: str,
    engine: Engine,
) -> None:
    settings = {"dropout": 0.2, "label_smoothing": 0.1, "gradient_clip": 0.5, "batch_size": 23.0}
    drawn = [
        with_values(instance(seed, dataset=dataset, model=model, optimizer=optimizer), **settings)
        for seed in range(2)
    ]
    ours = train(workload(engine), drawn, rule)
    rates = rates_of(ours)
    assert rates[0] != rates[1]
    fast = Scheduled(name="fast", schedule="constant", is_default=False)
    theirs = fast.run(workload("eager"), under(optimizer, drawn, rates), {})
    assert_equal_losses(ours, theirs, tolerance_of(model))


@pytest.mark.parametrize("batch_size", [8.0, 100.0, 256.0])
def test_minibatches_of_any_size_are_those_of_the_fast_trainer(batch_size: float) -> None:
    drawn = [with_values(instance(optimizer="sgd", num_decisions=12), batch_size=batch_size)]
    ours = train(workload("eager"), drawn, SGD())
    fast = Scheduled(name="fast", schedule="constant", is_default=False)
    theirs = fast.run(workload("eager"), under("sgd", drawn, rates_of(ours)), {})
    assert_equal_losses(ours, theirs, 1e-5)
    assert_equal_losses(train(workload("native"), drawn, SGD()), theirs, 1e-4)


class Adapter:
    """A package in the place of the reference trainer's optimiser."""

    def __init__(self, package: Package) -> None:
        self.package = package
        self.zero_grad, self.step = package.zero_grad, package.step


@pytest.mark.parametrize("name", sorted(UPDATERS))
def test_runs_are_those_of_the_package_in_the_reference_trainer(name: str) -> None:
    settings = {"dropout": 0.2, "gradient_clip": 0.5, "batch_size": 23.0}
    runs = [with_values(instance(dataset=d), **settings) for d in (CLASSES, NUMBERS, IMAGES)]
    outcomes = train(workload(), runs, UPDATERS[name])
    for run, outcome in zip(runs, outcomes, strict=True):
        assert isinstance(run.task, SupervisedTask)
        learner = Learner(run.task, draw_episode_seed(np.random.default_rng(run.lane_seed)))
        package = PACKAGES[name](learner.module)
        learner.optimizer = Adapter(package)  # type: ignore[assignment]
        fixed = Values(**dict(zip(NAMES, run.task.initial, strict=True)))
        for _ in range(15):
            learner.update(fixed)
        nn.utils.vector_to_parameters(package.evaluated(), learner.module.parameters())
        loss, _ = learner.evaluate(learner.problem.validation)
        # DoG's loss changes in its fifth digit so early: the change is what is compared.
        change = loss - outcome.first_loss
        assert outcome.last_loss - outcome.first_loss == pytest.approx(change, rel=0.02)


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_an_outcome_is_a_function_of_its_instance_alone(engine: Engine) -> None:
    runs = [
        instance(0),
        instance(1, num_decisions=2),
        instance(2, dataset=NUMBERS, model="mlp_48x3_gelu_norm"),
        with_values(instance(3), dropout=0.3, batch_size=100.0),
        instance(4),
        instance(5),
    ]
    together = train(workload(engine), runs, UPDATERS["prodigy"])
    by_two = train(workload(engine, max_lanes=2), runs[::-1], UPDATERS["prodigy"])[::-1]
    alone = [train(workload(engine), [run], UPDATERS["prodigy"])[0] for run in runs]
    for one, other, third in zip(together, by_two, alone, strict=True):
        assert equal_outcomes(one, other)
        assert equal_outcomes(one, third)


def test_an_outcome_says_what_was_in_force() -> None:
    run = with_values(instance(num_decisions=4), batch_size=23.4, dropout=0.25)
    (outcome,) = train(workload(), [run], UPDATERS["dog"])
    values = outcome.hyperparameters
    assert sorted(values) == sorted(NAMES)
    assert values["batch_size"].tolist() == [23.0] * 4
    assert values["dropout"].tolist() == [0.25] * 4
    assert np.isnan(values["momentum"]).all()
    assert np.isnan(values["weight_decay"]).all()
    assert (np.diff(values["learning_rate"]) > 0.0).all()  # so far, DoG's distance only grows
    assert outcome.validation_loss[-1] == outcome.last_loss == outcome.trial_validation_loss[0]
    assert outcome.trial_test_loss.tolist() == [outcome.test_loss]
    assert outcome.trial_intervals.tolist() == [4]
    assert outcome.spent_updates.tolist() == [outcome.num_updates] == [20]
    assert outcome.train_seconds > outcome.overhead_seconds > 0.0


@pytest.mark.parametrize("name", sorted(UPDATERS))
def test_test_rows_change_nothing_but_the_test_results(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = [instance(seed) for seed in range(2)]
    before = train(workload(), runs, UPDATERS[name])
    garbage = np.array([1e6, 2e6]), np.array([-7.0, -8.0])
    monkeypatch.setattr(BatchedTrainer, "test", lambda trainer, lanes: garbage)
    blind = train(workload(), runs, UPDATERS[name])
    assert [outcome.test_loss for outcome in blind] == [1e6, 2e6]
    tested = ("test_loss", "test_metric", "trial_test_loss")
    for one, other in zip(blind, before, strict=True):
        assert equal_outcomes(replace(one, **{n: getattr(other, n) for n in tested}), other)


class Exploding(SGD):
    """Throws the weights of the lane that starts second away in update 7, in interval 2."""

    def __init__(self) -> None:
        self.num_started = 0

    def start(self, weights: Tensor) -> dict[str, Tensor]:
        is_second = float(self.num_started == 1)
        self.num_started += bool(weights.any())  # not a mere look at the shapes
        return {
            **super().start(weights),
            "is_second": per_lane(weights, is_second),
            "num_updates": per_lane(weights, 0.0),
        }

    def update(self, weights: Tensor, gradients: Tensor, state: State) -> None:
        super().update(weights, gradients, state)
        state["num_updates"] += 1.0
        weights[(state["num_updates"] == 7.0) & (state["is_second"] == 1.0)] = float("nan")


@pytest.mark.parametrize("engine", ["eager", "native"])
def test_a_run_that_diverges_ends_and_is_charged_no_more(engine: Engine) -> None:
    runs = [instance(seed, num_decisions=4) for seed in range(3)]
    healthy = train(workload(engine), runs, SGD())
    ill = train(workload(engine), runs, Exploding())
    assert [outcome.diverged for outcome in ill] == [False, True, False]
    assert equal_outcomes(ill[0], healthy[0])
    assert equal_outcomes(ill[2], healthy[2])
    bad = ill[1]
    assert np.isfinite(bad.validation_loss).tolist() == [True, False, False, False]
    assert np.isfinite(bad.hyperparameters["learning_rate"]).tolist() == [True, True, False, False]
    assert np.isfinite(bad.hyperparameters["batch_size"]).tolist() == [True, True, False, False]
    assert bad.trial_intervals.tolist() == [2]
    assert bad.num_updates == 10
    assert np.isnan([bad.last_loss, bad.test_loss, bad.test_metric]).all()
    assert bad.train_seconds < ill[0].train_seconds


def test_a_family_without_an_optimiser_is_refused_by_name() -> None:
    with pytest.raises(ConfigurationError, match="'quadratic' has no optimiser that SGD could"):
        train(QUADRATIC, instances(QUADRATIC), SGD())


def test_kernels_that_the_device_has_not_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="engine 'native' runs on device 'cpu'"):
        train(workload("native", device="meta"), [instance()], SGD())


def test_models_of_many_weights_train_a_few_at_a_time_and_alike(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    runs = [instance(seed) for seed in range(5)]
    together = train(workload(), runs, UPDATERS["cocob"])
    monkeypatch.setattr("hpo_env.tasks.supervised.cohort._LARGEST_TEMPORARY", 1)
    by_two = train(workload(), runs, UPDATERS["cocob"])
    assert all(map(equal_outcomes, together, by_two))
