"""What loops do to a controller: each kind of situation, over optimisers."""

from __future__ import annotations

import copy
import gc
import itertools
import math
import pickle
import warnings
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import lr_scheduler as ls

from hpo_env.control.owners import Owners
from hpo_env.control.run import Run
from hpo_env.controller import Controller, ControllerWarning, replay_schedule
from hpo_env.errors import ConfigurationError
from tests.hpo_env.controlled_runs import SPACE, Training, fixed_policy, random_policy

STEPS = 24
NAMES = ["learning_rate", "weight_decay", "momentum"]
Make = Callable[[Any], torch.optim.Optimizer]
OPTIMIZERS: dict[str, Make] = {
    "adamw": lambda p: torch.optim.AdamW(p, lr=0.01),
    "sgd": lambda p: torch.optim.SGD(p, lr=0.01, momentum=0.9, weight_decay=1e-3),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=0.01, momentum=0.5),
    "tensor rate": lambda p: torch.optim.AdamW(p, lr=torch.tensor(0.01), foreach=False),
}


def every(name: str) -> Any:
    return pytest.mark.parametrize(name, OPTIMIZERS.values(), ids=OPTIMIZERS)


def rates(optimizer: torch.optim.Optimizer) -> list[float]:
    return [float(group["lr"]) for group in optimizer.param_groups]


# ------------------------------------------------------------------------------------------ groups


@every("make")
@pytest.mark.parametrize("has_scheduler", [False, True])
def test_an_added_group_keeps_its_value_until_the_next_decision(
    make: Make, has_scheduler: bool
) -> None:
    training = Training()
    optimizer = make(training.model[0].parameters())
    scheduler = ls.CosineAnnealingLR(optimizer, STEPS) if has_scheduler else None
    run = Controller(fixed_policy(0.3, NAMES)).attach(
        optimizer, total_steps=STEPS, base_schedule=scheduler, validate=training.validate
    )
    after = scheduler.step if scheduler else None
    training.train(optimizer, run, range(10), after=after)
    optimizer.add_param_group({"params": training.model[3].parameters(), "lr": 1e-4})
    training.train(optimizer, run, range(10, 11), after=after)
    assert rates(optimizer)[1] == pytest.approx(1e-4)
    training.train(optimizer, run, range(11, STEPS), after=after)
    for group in optimizer.param_groups:
        assert 1e-6 <= float(group["lr"]) <= 1.0
        assert 0.0 <= group.get("betas", [group.get("momentum", 0.0)])[0] <= 0.999


def test_a_group_at_0_does_not_wind_the_others_up() -> None:
    training = Training()
    optimizer = torch.optim.SGD(
        [{"params": training.model[0].parameters()}, {"params": training.model[3].parameters()}],
        lr=0.01,
    )
    scheduler = ls.LambdaLR(optimizer, [lambda t: float(t >= 18), lambda t: 1.0])
    run = Controller(fixed_policy(0.5)).attach(
        optimizer, total_steps=STEPS, num_decisions=8, base_schedule=scheduler
    )
    for step in range(STEPS - 1):
        training.train(optimizer, run, [step], after=scheduler.step)
        first, second = rates(optimizer)
        if step < 17:
            assert first == 0.0
            assert second == pytest.approx(min(0.01 * 2.0 ** ((step + 1) // 3 + 1), 1.0))
            assert run.values["learning_rate"] == second


def test_groups_may_come_and_go_in_any_optimiser(tmp_path: Any) -> None:
    training = Training()
    first = torch.optim.SGD(training.model[0].parameters(), lr=0.04)
    second = torch.optim.AdamW([{"params": [p]} for p in training.model[3].parameters()], lr=0.01)
    run = Controller(random_policy()).attach([first, second], total_steps=STEPS)
    extra = nn.Parameter(torch.zeros(3))
    for step in range(STEPS):
        if step == 7:
            first.add_param_group({"params": [extra], "lr": 1e-3})
        if step == 13:
            second.param_groups.pop(0)
        loss = training.loss(step)
        loss.backward()
        for optimizer in (first, second):
            optimizer.step()
            optimizer.zero_grad()
        run.step(loss)
    assert run.is_over
    for ending in ("json", "csv"):
        path = run.save_schedule(tmp_path / f"schedule.{ending}")
        replay = replay_schedule(path, [first, second])
        assert replay.num_steps == 0


# ----------------------------------------------------------------------------- a run after a run


@every("make")
@pytest.mark.parametrize("is_closed", [True, False])
def test_a_second_run_starts_from_what_the_first_one_found(make: Make, is_closed: bool) -> None:
    training = Training()
    optimizer = make(training.model.parameters())
    controller = Controller(random_policy(NAMES))
    first = controller.attach(optimizer, total_steps=STEPS, validate=training.validate)
    start = first._decider.steering.initial.copy()
    training.train(optimizer, first, range(10))
    if is_closed:
        first.close()
    second = controller.attach(optimizer, total_steps=STEPS, validate=training.validate)
    np.testing.assert_array_equal(second._decider.steering.initial, start)
    assert len(optimizer._optimizer_step_pre_hooks) == 1
    training.train(optimizer, second, range(10, 10 + STEPS))
    assert second.is_over
    if not is_closed:
        with pytest.warns(ControllerWarning, match="another one has taken the place"):
            first.step(1.0)
    second.close()
    optimizer.param_groups[0]["lr"] = 0.5  # what the user sets is what the next one starts from
    third = controller.attach(optimizer, total_steps=STEPS)
    assert third._decider.steering.initial[0, 0] == 0.5


@pytest.mark.parametrize(("total", "decisions"), [(48, 16), (18, 6), (12, 4), (10, 4)])
def test_a_resumed_run_may_be_longer_or_shorter(total: int, decisions: int) -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    controller = Controller(random_policy())
    run = controller.attach(optimizer, total_steps=STEPS, validate=training.validate)
    training.train(optimizer, run, range(10))
    state = run.state_dict()
    resumed = controller.attach(
        optimizer, total_steps=total, validate=training.validate, state=state
    )
    assert resumed.plan.total_steps == total
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ControllerWarning)
        training.train(optimizer, resumed, range(10, total + 1))  # one too many
    assert resumed.is_over
    assert resumed.num_steps == total
    assert len(resumed.decisions) == decisions


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"total_steps": 9}, "made 10 updates already"),
        ({"num_decisions": 5}, "num_decisions=8, this one 5"),
        ({"base_schedule": "linear"}, "base_schedule='cosine', this one 'linear'"),
    ],
)
def test_a_resumed_run_of_another_plan_is_refused(options: Any, message: str) -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    controller = Controller(random_policy())
    run = controller.attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(10))
    state = run.state_dict()
    with pytest.raises(ConfigurationError, match=message):
        controller.attach(optimizer, **{"total_steps": STEPS, "state": state} | options)
    with pytest.raises(ConfigurationError, match="the state is empty"):
        controller.attach(optimizer, total_steps=STEPS, state={})


def test_a_run_is_not_copied() -> None:
    optimizer = OPTIMIZERS["adamw"](Training().model.parameters())
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
    for attempt in (copy.deepcopy, pickle.dumps):
        with pytest.raises(ConfigurationError, match=r"save run\.state_dict\(\)"):
            attempt(run)


@pytest.mark.parametrize("total", ["100", 62.5, math.inf, math.nan, True, [3]])
def test_a_length_that_is_no_whole_number_is_refused(total: Any) -> None:
    optimizer = OPTIMIZERS["adamw"](Training().model.parameters())
    with pytest.raises(ConfigurationError, match="total_steps must be a whole number"):
        Controller(random_policy()).attach(optimizer, total_steps=total)
    assert not optimizer._optimizer_step_pre_hooks


# ----------------------------------------------------------------------------------- a closed run


def test_a_checkpoint_that_is_saved_after_closing_knows_nothing_of_the_controller() -> None:
    training = Training(dropout=0.3)
    training.model.append(nn.Dropout(0.1))
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    found = copy.deepcopy(optimizer.state_dict()["param_groups"])
    run = Controller(fixed_policy(-0.5, [*NAMES, "dropout"])).attach(
        optimizer, total_steps=STEPS, model=training.model
    )
    training.train(optimizer, run, range(10))
    run.close()
    assert optimizer.state_dict()["param_groups"] == found
    assert [m.p for m in training.model if isinstance(m, nn.Dropout)] == [0.3, 0.1]


@pytest.mark.parametrize(
    "make",
    [
        lambda o: ls.CosineAnnealingLR(o, STEPS),
        lambda o: ls.ExponentialLR(o, 0.9),
        lambda o: ls.OneCycleLR(o, 0.1, total_steps=2 * STEPS),
        lambda o: ls.SequentialLR(o, [ls.LinearLR(o, 0.1), ls.StepLR(o, 3)], [4]),
        lambda o: ls.ChainedScheduler([ls.ConstantLR(o, 0.1, 3), ls.ExponentialLR(o, 0.9)]),
    ],
)
def test_a_scheduler_goes_on_after_closing_as_if_nothing_had_been(make: Any) -> None:
    seen = []
    for is_controlled in (False, True):
        training = Training()
        optimizer = OPTIMIZERS["sgd"](training.model.parameters())
        scheduler = make(optimizer)
        run: Any = None
        if is_controlled:
            run = Controller(fixed_policy(0.3, NAMES)).attach(
                optimizer, total_steps=STEPS, base_schedule=scheduler
            )
        for step in range(16):
            if step == 10 and run is not None:
                run.close()
                run = None
            loss = training.loss(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            scheduler.step()
            if run is not None:
                run.step(loss)
        group = optimizer.param_groups[0]
        seen.append((scheduler.get_last_lr(), group["lr"], group["momentum"]))
    assert seen[1] == seen[0]


def test_what_others_have_set_is_theirs_after_closing() -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy(NAMES)).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(10))
    optimizer.param_groups[0]["lr"] = 0.5
    run.close()
    run.close()
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"], group["betas"][0]) == (0.5, 0.01, 0.9)


def test_a_closed_run_does_nothing_more_and_says_so() -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy(NAMES)).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(10))
    run.close()
    with pytest.warns(ControllerWarning, match=r"step\(\) was called after close\(\)") as caught:
        training.train(optimizer, run, range(10, STEPS))
    assert len(caught) == 1
    assert rates(optimizer) == [0.01]
    with pytest.raises(ConfigurationError, match="the run is closed and cannot be extended"):
        run.extend(2 * STEPS)


def test_a_run_may_be_closed_from_within_its_validation() -> None:
    training, calls = Training(), iter(range(100))
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    runs: list[Any] = []

    def validate() -> float:
        if next(calls) == 3:
            runs[0].close()
        return training.validate()

    runs.append(
        Controller(random_policy(NAMES)).attach(optimizer, total_steps=STEPS, validate=validate)
    )
    training.train(optimizer, runs[0], range(9))
    assert rates(optimizer) == [0.01]


def test_functions_are_called_with_what_the_user_said_that_they_had_set() -> None:
    given: list[float] = []
    controller = Controller(fixed_policy(0.5, ["learning_rate", "label_smoothing"]))
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    for initial, last in (({"label_smoothing": 0.2}, 0.2), ({}, None)):
        given.clear()
        run = controller.attach(
            optimizer, total_steps=STEPS, bind={"label_smoothing": given.append}, initial=initial
        )
        training.train(optimizer, run, range(10))
        written = len(given)
        run.close()
        assert given[written:] == ([] if last is None else [last])


def test_a_function_that_raises_at_the_end_ends_nothing() -> None:
    values: list[float] = []

    def setting(value: float) -> None:
        if values and value == 0.1:
            raise RuntimeError("the loader is gone")
        values.append(value)

    run = Controller(fixed_policy(0.5)).drive(
        {"learning_rate": setting}, initial={"learning_rate": 0.1}, total_steps=STEPS
    )
    run.step(1.0)
    with pytest.warns(ControllerWarning, match="the loader is gone"):
        run.close()


@pytest.mark.parametrize(
    ("make", "is_followed"),
    [
        (lambda o: ls.CosineAnnealingLR(o, 2 * STEPS), True),
        (lambda o: ls.LambdaLR(o, lambda t: 1.0 / (1 + t)), True),
        (lambda o: ls.LambdaLR(o, [lambda t: 1.0 / (1 + t), lambda t: 1.0]), False),
    ],
)
def test_a_group_that_comes_later_follows_the_scheduler_where_its_law_is_known(
    make: Any, is_followed: bool
) -> None:
    training = Training()
    halves = [{"params": [p]} for p in training.model[0].parameters()]
    optimizer = torch.optim.SGD(halves, lr=0.05)
    scheduler = make(optimizer)
    run = Controller(fixed_policy(0.0)).attach(
        optimizer, total_steps=STEPS, base_schedule=scheduler
    )
    training.train(optimizer, run, range(10), after=scheduler.step)
    before = scheduler.get_last_lr()[0]
    optimizer.add_param_group({"params": training.model[3].parameters(), "lr": 0.01})
    training.train(optimizer, run, range(10, 21), after=scheduler.step)
    run.close()
    share = scheduler.get_last_lr()[0] / before if is_followed else 1.0
    assert rates(optimizer)[2] == pytest.approx(0.01 * share)


def test_a_resumed_run_keeps_its_reference_beside_a_larger_group() -> None:
    training = Training()
    optimizer = torch.optim.SGD(training.model[0].parameters(), lr=0.01)
    controller = Controller(fixed_policy(0.1))
    run = controller.attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(10))
    optimizer.add_param_group({"params": training.model[3].parameters(), "lr": 0.5})
    training.train(optimizer, run, range(10, 13))
    before = rates(optimizer)
    resumed = controller.attach(optimizer, total_steps=STEPS, state=run.state_dict())
    assert rates(optimizer) == pytest.approx(before)
    training.train(optimizer, resumed, range(13, STEPS))
    resumed.close()
    assert rates(optimizer) == pytest.approx([0.01, 0.5])


@every("make")
@pytest.mark.parametrize("has_scheduler", [False, True])
@pytest.mark.parametrize("at", [9, 10])  # in mid-interval, and in the middle of the next decisions
def test_a_group_that_was_added_and_saved_at_once_goes_on_bit_for_bit(
    make: Make, has_scheduler: bool, at: int
) -> None:
    controller = Controller(random_policy(NAMES))
    ends = []
    for is_resumed in (False, True):
        training = Training()
        optimizer = make(training.model[0].parameters())
        scheduler = ls.CosineAnnealingLR(optimizer, STEPS) if has_scheduler else None
        after = scheduler.step if scheduler else None
        run = controller.attach(optimizer, total_steps=STEPS, base_schedule=scheduler)
        training.train(optimizer, run, range(at), after=after)
        optimizer.add_param_group({"params": training.model[3].parameters(), "lr": 0.00123})
        if is_resumed:
            saved = copy.deepcopy((optimizer.state_dict(), run.state_dict()))
            run.close()
            optimizer.load_state_dict(saved[0])
            run = controller.attach(
                optimizer, total_steps=STEPS, base_schedule=scheduler, state=saved[1]
            )
        used = training.train(optimizer, run, range(at, STEPS), after=after)
        ends.append((used, rates(optimizer), training.weights().tolist()))
    assert ends[0] == ends[1]


# ------------------------------------------------------------------------------------------ losses


def blind(run: Run[Any], num_steps: int) -> None:
    for _ in range(num_steps):
        run.step()


def told(run: Run[Any], losses: Iterable[float]) -> None:
    for loss in losses:
        run.step(loss)


def test_without_any_loss_the_base_schedule_holds_and_that_is_said_once() -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(fixed_policy(0.5, base_schedule="constant")).attach(
        optimizer, total_steps=STEPS, num_decisions=8
    )
    with pytest.warns(ControllerWarning, match="there is no loss to go by") as caught:
        blind(run, STEPS)
    assert len(caught) == 1
    assert [d.reason for d in run.decisions] == ["policy"] + 7 * ["blind"]
    assert {d.values["learning_rate"] for d in run.decisions[1:]} == {0.01}
    assert "no loss to go by" in str(run.explain())


@pytest.mark.parametrize("losses", [lambda s: -5.0 - s, lambda s: 5.0 - s])
def test_losses_that_are_negative_or_cross_0_leave_the_base_schedule(losses: Any) -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(fixed_policy(0.2, base_schedule="constant")).attach(
        optimizer, total_steps=STEPS, num_decisions=8
    )
    with pytest.warns(ControllerWarning, match="training loss is negative") as caught:
        told(run, [losses(step) for step in range(STEPS)])
    assert len(caught) == 1
    assert {d.reason for d in run.decisions} == {"policy", "blind"}
    assert run.decisions[-1].values["learning_rate"] == 0.01


def test_losses_of_two_kinds_are_not_compared() -> None:
    training = Training()
    calls = iter(range(100))
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy()).attach(
        optimizer,
        total_steps=STEPS,
        validate=lambda: training.validate() if next(calls) % 3 == 0 else None,
    )
    for step in range(STEPS):
        loss = training.loss(step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(1000.0 * loss)
    assert {d.reason for d in run.decisions} == {"policy"}
    seen = [d.observation for d in run.decisions]
    for before, now in itertools.pairwise(seen[1:]):
        if before["has_validation"] != now["has_validation"]:
            assert now["drop"] == 0.0
        assert abs(now["large_drop"]) < 0.8


# ------------------------------------------------------------------------------------------- guard


def bad_batch_run(training: Training, optimizer: Any, at: int, **options: Any) -> Any:
    run = Controller(random_policy()).attach(
        optimizer, total_steps=STEPS, validate=training.validate, **options
    )
    for step in range(STEPS):
        loss = training.loss(step) * (math.inf if step == at else 1.0)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss)
    return run


@every("make")
def test_a_bad_batch_costs_an_interval(make: Make) -> None:
    training, told = Training(), []
    optimizer = make(training.model.parameters())
    with pytest.warns(ControllerWarning, match="rolled back") as caught:
        run = bad_batch_run(training, optimizer, 10, on_roll_back=lambda: told.append(1))
    assert len(caught) == 1  # and not once an interval
    assert 1 <= len(told) == sum(d.reason == "guard" for d in run.decisions) <= 2
    assert training.weights().isfinite().all()


def test_weights_that_thaw_within_an_interval_are_put_back_too() -> None:
    training = Training()
    training.model[0].requires_grad_(False)
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy()).attach(
        optimizer, total_steps=STEPS, validate=training.validate
    )
    training.train(optimizer, run, range(9))
    before = training.weights().clone()
    training.model[0].requires_grad_(True)
    training.train(optimizer, run, range(9, 11))
    training.x[:] = math.nan
    with pytest.warns(ControllerWarning):
        training.train(optimizer, run, range(11, 12))
    assert torch.equal(training.weights(), before)


def test_weights_that_come_within_an_interval_are_put_back_too() -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model[0].parameters())
    run = Controller(fixed_policy(0.0)).attach(optimizer, total_steps=STEPS, num_decisions=4)
    training.train(optimizer, run, range(2))
    optimizer.add_param_group({"params": training.model[3].parameters(), "lr": 0.01})
    before = [p.detach().clone() for p in training.model[3].parameters()]
    training.train(optimizer, run, range(2, 4))
    training.x[:] = math.nan
    with pytest.warns(ControllerWarning, match="rolled back"):
        training.train(optimizer, run, range(4, 6))
    assert all(map(torch.equal, training.model[3].parameters(), before))


def test_what_cannot_be_restored_is_said_once_and_ends_the_guard() -> None:
    training = Training()
    average = [weight.detach().clone() for weight in training.model.parameters()]
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())

    def follow() -> None:
        for mean, weight in zip(average, training.model.parameters(), strict=True):
            mean += 0.1 * (weight.detach() - mean)

    run = Controller(random_policy()).attach(
        optimizer,
        total_steps=STEPS,
        validate=lambda: sum(float(mean.square().sum()) for mean in average),
    )
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rows = training.x.clone()
        for step in range(STEPS):
            training.x = rows * (math.inf if step == 10 else 1.0)
            loss = training.loss(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            follow()
            run.step(loss)
    first, second = (str(warning.message) for warning in caught)
    assert "rolled back, the guard moves" in first
    assert "no copy of everything" in second
    assert "attach with on_roll_back=" in second
    assert sum(d.reason == "guard" for d in run.decisions) == 1


def hidden_in_a_list(training: Training) -> Any:
    """Put the model where only a search among all that lives finds it."""
    model, training.model = training.model, None  # type: ignore[assignment]
    hidden: list[Any] = [model]
    for _ in range(8):
        hidden = [hidden]
    return hidden


@pytest.mark.parametrize("is_affine", [True, False])
@pytest.mark.parametrize("is_given", [True, False], ids=["model=", "no model="])
def test_running_means_and_averages_are_put_back(is_affine: bool, is_given: bool) -> None:
    training = Training()
    norm = nn.BatchNorm1d(12, affine=is_affine)
    training.model.insert(1, norm)
    average = torch.optim.swa_utils.AveragedModel(training.model)
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy()).attach(
        optimizer,
        total_steps=STEPS,
        validate=training.validate,
        model=training.model if is_given else None,
    )
    rows = training.x.clone()

    def train() -> None:
        for step in range(STEPS):
            training.x = rows * (math.inf if step == 10 else 1.0)
            loss = training.loss(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            average.update_parameters(training.model)
            run.step(loss)

    with pytest.warns(ControllerWarning, match="rolled back") as caught:
        train()
    assert len(caught) == 1
    training.x = rows
    assert math.isfinite(training.validate())
    assert norm.running_mean is not None
    assert norm.running_mean.isfinite().all()
    assert all(weight.isfinite().all() for weight in average.parameters())


def test_a_model_is_found_wherever_it_lives() -> None:
    training = Training()
    model = training.model
    model.insert(1, nn.BatchNorm1d(12))
    weights, last = list(model.parameters()), model[-1]
    del model
    hidden = hidden_in_a_list(training)
    owners = Owners(weights, None)
    is_last_found = any(module is last for module in owners.modules())
    num_norms = sum(isinstance(module, nn.BatchNorm1d) for module in owners.modules())
    assert (is_last_found, num_norms) == (True, 1)
    del hidden, last
    gc.collect()
    assert not list(owners.modules())  # nothing is kept alive


def test_lazy_layers_get_their_shape_in_a_controlled_loop() -> None:
    training = Training()
    training.model = nn.Sequential(nn.LazyLinear(12), nn.LazyBatchNorm1d(), nn.LazyLinear(1))
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS, model=training.model)
    training.train(optimizer, run, range(10))
    training.x, rows = training.x * math.inf, training.x
    with pytest.warns(ControllerWarning, match="rolled back"):
        training.train(optimizer, run, range(10, 12))
    training.x = rows
    assert math.isfinite(training.validate())


def test_two_optimisers_may_train_the_same_weights() -> None:
    training = Training()
    first = torch.optim.SGD(training.model.parameters(), lr=0.1)
    second = torch.optim.AdamW(training.model.parameters(), lr=0.001)
    run = Controller(fixed_policy(0.1)).attach([first, second], total_steps=STEPS)
    for step in range(STEPS):
        loss = training.loss(step)
        first.zero_grad()
        loss.backward()
        (first if step % 2 else second).step()
        run.step(loss)
    assert rates(first)[0] == pytest.approx(100.0 * rates(second)[0])
    run.close()
    assert (rates(first), rates(second)) == ([0.1], [0.001])


class TwoSteps(torch.optim.SGD):
    """Steps as sharpness-aware minimisation does: not by `step`."""

    def second_step(self) -> None:
        """Step, without the hooks."""
        with torch.no_grad():
            for group in self.param_groups:
                for weight in group["params"]:
                    weight -= group["lr"] * weight.grad


@pytest.mark.parametrize("bad", [1, 4, 7, 10, 13])  # in intervals of three updates
def test_steps_that_are_not_announced_are_rolled_back_in_every_interval(bad: int) -> None:
    training = Training()
    optimizer = TwoSteps(training.model.parameters(), lr=0.01)
    run = Controller(random_policy(["learning_rate"])).attach(
        optimizer, total_steps=STEPS, validate=training.validate
    )

    def train() -> None:
        for step in range(STEPS):
            loss = training.loss(step) * (math.nan if step == bad else 1.0)
            optimizer.zero_grad()
            loss.backward()
            optimizer.second_step()
            run.step(loss)

    with pytest.warns(ControllerWarning, match="rolled back") as caught:
        train()
    assert len(caught) == 1
    assert training.weights().isfinite().all()
    assert run.decisions[-1].observation["has_gradient"] == 1.0


@pytest.mark.parametrize("decisions", [2, 4, 8, 12])
def test_steps_that_are_not_announced_are_measured_as_others_are(decisions: int) -> None:
    seen = []
    for is_announced in (True, False):
        training = Training()
        optimizer = TwoSteps(training.model.parameters(), lr=0.01)
        run = Controller(random_policy(["learning_rate"])).attach(
            optimizer, total_steps=STEPS, num_decisions=decisions, validate=training.validate
        )
        for step in range(STEPS):
            loss = training.loss(step)
            optimizer.zero_grad()
            loss.backward()
            (optimizer.step if is_announced else optimizer.second_step)()
            run.step(loss)
        seen.append([list(d.observation.values()) for d in run.decisions])
    assert np.allclose(seen[0], seen[1], rtol=0.0, atol=1e-5)


@pytest.mark.parametrize("from_step", [STEPS, 10])
def test_an_optimiser_that_idles_has_no_gradients(from_step: int) -> None:
    seen = []
    for is_attached in (True, False):
        training, other = Training(), Training(1)
        first, second = (OPTIMIZERS["adamw"](t.model.parameters()) for t in (training, other))
        run = Controller(fixed_policy(0.1)).attach(
            [first, second] if is_attached else first, total_steps=STEPS
        )
        for step in range(STEPS):
            loss = training.loss(step)
            first.zero_grad()  # what reaches the other adds up
            (loss + other.loss(step)).backward()
            first.step()
            if step >= from_step:
                second.step()
            run.step(loss)
        seen.append([d.observation["gradient_change"] for d in run.decisions])
    assert seen[0][:4] == seen[1][:4]
    assert (seen[0] == seen[1]) == (from_step == STEPS)


@pytest.mark.parametrize("kind", ["number", "tensor"])
def test_a_validation_that_was_kept_is_not_taken_for_a_new_one(kind: str) -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())

    def evaluated() -> Any:
        loss = training.validate()
        return loss if kind == "number" else torch.tensor(loss)

    kept = [evaluated()]
    run = Controller(random_policy()).attach(
        optimizer, total_steps=STEPS, validate=lambda: kept[-1], num_decisions=8
    )
    for step in range(STEPS):
        training.train(optimizer, run, [step])
        if step in (7, 16):  # within the third interval and the sixth
            kept.append(evaluated())
    seen = [decision.observation["has_validation"] for decision in run.decisions]
    assert seen == [1.0, -1.0, -1.0, 1.0, -1.0, -1.0, 1.0, -1.0]


@pytest.mark.parametrize("loss", ["high", [1.0], {"loss": 1.0}, 10**400])
def test_a_loss_that_is_no_number_is_refused(loss: Any) -> None:
    optimizer = OPTIMIZERS["adamw"](Training().model.parameters())
    by_torch = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
    plain = Controller(random_policy(["learning_rate"])).drive(
        {"learning_rate": lambda rate: None}, initial={"learning_rate": 0.1}, total_steps=STEPS
    )
    for run in (by_torch, plain):
        with pytest.raises(ConfigurationError, match=r"step\(loss\) needs one number"):
            run.step(loss)


# ------------------------------------------------------------------------------------ other people


@every("make")
def test_somebody_else_who_writes_is_named(make: Make) -> None:
    training = Training()
    optimizer = make(training.model.parameters())
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(4))
    group = optimizer.param_groups[0]
    if isinstance(group["lr"], torch.Tensor):
        group["lr"].fill_(0.123)
    else:
        group["lr"] = 0.123
    with pytest.raises(ConfigurationError, match=r"learning_rate was set to 0\.123"):
        training.train(optimizer, run, range(4, 8))


class Raising:
    """A logger whose disk is full."""

    def log_decision(self, decision: Any) -> None:
        raise OSError("no space")

    def log_interval(self, step: int, measured: Any) -> None:
        raise OSError("no space")

    def close(self) -> None:
        raise OSError("no space")


def test_a_logger_that_raises_is_forgiven() -> None:
    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    controller = Controller(random_policy())
    with pytest.warns(ControllerWarning, match="no space"):
        run = controller.attach(optimizer, total_steps=STEPS, loggers=[Raising()])
    training.train(optimizer, run, range(STEPS))  # nothing more is said
    run.close()
    assert run.is_over


def test_an_interrupted_validation_is_done_again_at_the_next_step() -> None:
    training, calls = Training(), iter(range(100))

    def validate() -> float:
        if next(calls) == 4:
            raise KeyboardInterrupt
        return training.validate()

    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS, validate=validate)
    with pytest.raises(KeyboardInterrupt):
        training.train(optimizer, run, range(STEPS))
    assert run.num_steps == 12
    training.train(optimizer, run, range(12, STEPS))
    assert run.is_over
    assert len(run.decisions) == 8


def test_sparse_gradients_are_measured() -> None:
    table = nn.Embedding(10, 4, sparse=True)
    optimizer = torch.optim.SparseAdam(table.parameters(), lr=0.01)
    run = Controller(random_policy(["learning_rate"])).attach(optimizer, total_steps=8)
    for _ in range(8):
        loss = table(torch.tensor([1, 1, 2])).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss)
    assert run.decisions[3].observation["has_gradient"] == 1.0


def test_a_schedule_of_the_users_own_code_is_not_run_ahead() -> None:
    calls = []

    def factor(step: int) -> float:
        calls.append(step)
        return 0.9

    training = Training()
    optimizer = OPTIMIZERS["adamw"](training.model.parameters())
    scheduler = ls.LambdaLR(optimizer, factor)
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS, base_schedule=scheduler)
    training.train(optimizer, run, range(STEPS), after=scheduler.step)
    assert len(calls) == STEPS + 1


def test_a_start_that_no_factor_changes_and_one_without_a_place_are_said() -> None:
    optimizer = torch.optim.AdamW(Training().model.parameters(), lr=0.0)
    with pytest.warns(ControllerWarning, match="the learning rate is 0"):
        Controller(random_policy(NAMES)).attach(optimizer, total_steps=STEPS)
    optimizer = torch.optim.AdamW(Training().model.parameters(), lr=0.1)
    policy = random_policy(["learning_rate", "dropout"])
    with pytest.warns(ControllerWarning, match="initial names 'dropout'"):
        Controller(policy).attach(optimizer, total_steps=STEPS, initial={"dropout": 0.1})


def test_a_batch_that_a_scaler_skips_is_not_taken_for_a_divergence() -> None:
    training = Training()
    optimizer = OPTIMIZERS["sgd"](training.model.parameters())
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    run = Controller(fixed_policy(-0.1)).attach(
        optimizer, total_steps=STEPS, validate=training.validate
    )
    for step in range(STEPS):
        loss = training.loss(step) * (math.inf if step == 10 else 1.0)
        optimizer.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        run.step(loss)
    assert {decision.reason for decision in run.decisions} == {"policy"}
    assert all(math.isfinite(decision.train_loss) for decision in run.decisions[1:])


def test_complex_weights_are_measured() -> None:
    weight = nn.Parameter(torch.ones(3, dtype=torch.complex64))
    optimizer = torch.optim.Adam([weight], lr=0.01)
    run = Controller(random_policy(["learning_rate"])).attach(optimizer, total_steps=8)
    for _ in range(8):
        loss = weight.abs().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        run.step(loss)
    assert run.is_over


def test_the_momentum_of_schedule_free_optimisers_is_left_alone() -> None:
    class AdamWScheduleFree(torch.optim.AdamW):
        """Stands in for the one of its package, which the tests do not need."""

    optimizer = AdamWScheduleFree(Training().model.parameters(), lr=0.01)
    run = Controller(random_policy(NAMES)).attach(optimizer, total_steps=STEPS)
    assert set(run.values) == {"learning_rate", "weight_decay"}


def test_the_space_inverts_what_it_corrects() -> None:
    for name, base in (("learning_rate", 1e-3), ("momentum", 0.9), ("dropout", 0.1)):
        for correction in (-0.05, 0.0, 0.2):
            value = SPACE.corrected(name, base, correction)
            assert SPACE.uncorrected(name, value, correction) == pytest.approx(base)
