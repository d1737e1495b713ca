"""Torch schedulers as base schedules, saved schedules and their replay."""

from __future__ import annotations

import gc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as ls

from hpo_env.controller import Controller, replay_schedule
from hpo_env.errors import ConfigurationError
from tests.hpo_env.controlled_runs import Training, fixed_policy, random_policy

STEPS = 24


def groups(training: Training, kind: Callable[[float], Any] = float) -> list[dict[str, Any]]:
    return [
        {"params": training.model[0].parameters(), "lr": kind(0.004)},
        {"params": training.model[3].parameters(), "lr": kind(0.01)},
    ]


KINDS = pytest.mark.parametrize("kind", [float, torch.tensor], ids=["number", "tensor"])


SCHEDULERS: dict[str, Callable[[Any], Any]] = {
    "lambda": lambda o: ls.LambdaLR(o, [lambda t: 0.9**t, lambda t: 1 / (1 + t)]),
    "cosine": lambda o: ls.CosineAnnealingLR(o, STEPS),
    "step": lambda o: ls.StepLR(o, 5, 0.5),
    "exponential": lambda o: ls.ExponentialLR(o, 0.9),
    "one_cycle": lambda o: ls.OneCycleLR(o, max_lr=[0.004, 0.01], total_steps=STEPS + 1),
    "restarts": lambda o: ls.CosineAnnealingWarmRestarts(o, 7),
    "sequential": lambda o: ls.SequentialLR(
        o, [ls.LinearLR(o, total_iters=5), ls.ExponentialLR(o, 0.9)], [5]
    ),
    "chained": lambda o: ls.ChainedScheduler([ls.ConstantLR(o), ls.ExponentialLR(o, 0.9)]),
}


@KINDS
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_policy_that_does_nothing_leaves_a_torch_scheduler_alone(name: str, kind: Any) -> None:
    plain, controlled = Training(), Training()
    rates = []
    for training in (plain, controlled):
        optimizer = torch.optim.SGD(groups(training, kind), momentum=0.9)
        scheduler = SCHEDULERS[name](optimizer)
        run: Any = _Nothing()
        if training is controlled:
            run = Controller(fixed_policy(0.0)).attach(
                optimizer, total_steps=STEPS, base_schedule=scheduler
            )
        used = training.train(optimizer, run, range(STEPS), after=scheduler.step)
        rates.append(used)
    assert rates[0] == rates[1]
    assert torch.equal(plain.weights(), controlled.weights())


class _Nothing:
    def step(self, loss: object) -> None:
        pass


@KINDS
@pytest.mark.parametrize("name", SCHEDULERS)
def test_what_a_torch_scheduler_asks_for_is_corrected_and_not_compounded(
    name: str, kind: Any
) -> None:
    training = Training()
    alone = torch.optim.SGD(groups(Training(), kind), momentum=0.9)
    reference = SCHEDULERS[name](alone)
    optimizer = torch.optim.SGD(groups(training, kind), momentum=0.9)
    scheduler = SCHEDULERS[name](optimizer)
    run = Controller(fixed_policy(-0.5)).attach(
        optimizer, total_steps=STEPS, num_decisions=3, base_schedule=scheduler
    )
    alone.step()
    for step in range(STEPS):
        asked = [float(group["lr"]) for group in alone.param_groups]
        factor = max(0.5 ** (1 + step // 8), 1e-6)
        training.train(optimizer, run, [step])
        used = [float(group["lr"]) for group in optimizer.param_groups]
        if (step + 1) % 8:  # at an interval's end the next one's values are already there
            assert used == pytest.approx([rate * factor for rate in asked], rel=1e-7)
        scheduler.step()
        reference.step()
    assert scheduler.get_last_lr() == reference.get_last_lr()
    run.close()
    left = [[group["lr"] for group in o.param_groups] for o in (optimizer, alone)]
    assert left[0] == left[1]


def test_a_scheduler_that_waits_for_a_metric_goes_on_doing_so() -> None:
    training = Training()
    optimizer = torch.optim.SGD(groups(training))
    scheduler = ls.ReduceLROnPlateau(optimizer, patience=0)
    run = Controller(fixed_policy(0.0)).attach(
        optimizer, total_steps=6, num_decisions=3, base_schedule=scheduler
    )
    rates = training.train(optimizer, run, range(6), after=lambda: scheduler.step(1.0))
    assert rates == pytest.approx([0.004, 0.004, 4e-4, 4e-5, 4e-6, 4e-7])


def test_the_policy_sees_what_a_torch_scheduler_will_do_next() -> None:
    training = Training()
    optimizer = torch.optim.SGD(groups(training))
    scheduler = ls.ExponentialLR(optimizer, 0.9)
    run = Controller(fixed_policy(0.0)).attach(
        optimizer, total_steps=24, num_decisions=4, base_schedule=scheduler
    )
    training.train(optimizer, run, range(24), after=scheduler.step)
    expected = torch.tanh(torch.tensor(0.9).log() * 6 / 0.3).item()
    for decision in run.decisions[1:]:
        assert decision.observation["base_change"] == pytest.approx(expected, abs=0.02)


def test_closing_gives_a_scheduler_its_optimizer_back() -> None:
    training = Training()
    optimizer = torch.optim.SGD(groups(training))
    scheduler = ls.ExponentialLR(optimizer, 0.5)
    run = Controller(fixed_policy(0.0)).attach(optimizer, total_steps=6, base_schedule=scheduler)
    training.train(optimizer, run, range(2), after=scheduler.step)
    run.close()
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[1]["lr"] == pytest.approx(0.01 / 8)


def test_a_scheduler_that_nobody_holds_is_no_writer() -> None:
    optimizer = torch.optim.SGD(groups(Training()))
    gc.disable()  # it does not come by itself
    try:
        scheduler: Any = ls.ExponentialLR(optimizer, 0.5)
        scheduler.itself = scheduler  # goes when the collector comes, and not before
        del scheduler
        run = Controller(fixed_policy(0.0)).attach(optimizer, total_steps=6)
    finally:
        gc.enable()
    assert not run.is_over


def test_another_scheduler_is_refused_by_name() -> None:
    optimizer = torch.optim.SGD(groups(Training()))
    scheduler = ls.OneCycleLR(optimizer, max_lr=0.1, total_steps=10)
    with pytest.raises(ConfigurationError, match=r"OneCycleLR also writes.*base_schedule"):
        Controller(random_policy()).attach(optimizer, total_steps=10)
    assert scheduler.last_epoch == 0


def test_a_scheduler_that_nobody_holds_any_more_is_no_obstacle() -> None:
    optimizer = torch.optim.SGD(groups(Training()))
    ls.ExponentialLR(optimizer, 0.9)
    Controller(random_policy()).attach(optimizer, total_steps=10)


def test_a_scheduler_that_comes_later_is_refused_when_it_writes() -> None:
    training = Training()
    optimizer = torch.optim.SGD(groups(training))
    run = Controller(random_policy()).attach(optimizer, total_steps=10)
    scheduler = ls.ExponentialLR(optimizer, 0.9)
    with pytest.raises(ConfigurationError, match=r"learning_rate was set to .* by ExponentialLR"):
        training.train(optimizer, run, range(4), after=scheduler.step)


def test_a_scheduler_of_another_optimizer_is_refused() -> None:
    optimizer = torch.optim.SGD(groups(Training()))
    other = torch.optim.SGD(groups(Training()))
    with pytest.raises(ConfigurationError, match="ExponentialLR belongs to another optimiser"):
        Controller(random_policy()).attach(
            optimizer, total_steps=10, base_schedule=ls.ExponentialLR(other, 0.9)
        )


def test_what_is_no_schedule_is_refused() -> None:
    optimizer = torch.optim.SGD(groups(Training()))
    with pytest.raises(ConfigurationError, match="base_schedule must be the name"):
        Controller(random_policy()).attach(optimizer, total_steps=10, base_schedule=0.1)
    with pytest.raises(ValueError, match="did you mean 'cosine'"):
        Controller(random_policy()).attach(optimizer, total_steps=10, base_schedule="cosin")


@pytest.mark.parametrize("ending", ["json", "csv"])
@pytest.mark.parametrize("scheduler_name", [None, "lambda", "one_cycle"])
def test_a_saved_schedule_gives_the_same_weights_without_the_controller(
    ending: str, scheduler_name: str | None, tmp_path: Path
) -> None:
    first = Training(dropout=0.1)
    optimizer = torch.optim.SGD(groups(first), momentum=0.9, weight_decay=1e-3)
    scheduler = SCHEDULERS[scheduler_name](optimizer) if scheduler_name else None
    rates: list[float] = []
    run = Controller(random_policy(["learning_rate", "weight_decay", "dropout"])).attach(
        optimizer,
        total_steps=STEPS,
        base_schedule=scheduler,
        validate=first.validate,
        bind={"dropout": lambda value: setattr(first.model[2], "p", value)},
        initial={"dropout": 0.1},
    )
    torch.manual_seed(0)
    first.train(optimizer, run, range(STEPS), after=scheduler.step if scheduler else lambda: None)
    path = run.save_schedule(tmp_path / f"schedule.{ending}")

    second = Training(dropout=0.1)
    own = torch.optim.SGD(groups(second), momentum=0.9, weight_decay=1e-3)
    replay = replay_schedule(
        path, own, bind={"dropout": lambda value: setattr(second.model[2], "p", value)}
    )
    torch.manual_seed(0)
    rates = second.train(own, replay, range(STEPS))
    assert torch.equal(first.weights(), second.weights())
    assert len(set(rates)) > 4


def test_a_replay_can_be_resumed(tmp_path: Path) -> None:
    first = Training()
    optimizer = torch.optim.SGD(groups(first))
    run = Controller(random_policy(["learning_rate"])).attach(optimizer, total_steps=STEPS)
    rates = first.train(optimizer, run, range(STEPS))
    path = run.save_schedule(tmp_path / "schedule.json")

    second = Training()
    own = torch.optim.SGD(groups(second))
    replay = replay_schedule(path, own)
    second.train(own, replay, range(10))
    other = torch.optim.SGD(groups(second))
    resumed = replay_schedule(path, other)
    resumed.load_state_dict(replay.state_dict())
    assert second.train(other, resumed, range(10, STEPS)) == rates[10:]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.json", "{", "not a schedule"),
        ("a.json", "[]", "'format' must be 'hpo-control-schedule'"),
        ("a.json", '{"format": "hpo-control-schedule", "format_version": 9}', "must be 1; got 9"),
        ("a.csv", "step,learning_rate\n", "needs rows"),
        ("a.csv", "step,learning_rate\n0,0.1\n0,0.2\n", "must start at 0 and increase"),
        ("a.csv", "step,learning_rate\n0,much\n", "not a schedule: could not convert"),
        ("a.csv", "step,learning_rate\n0,nan\n", "finite"),
        ("a.csv", "step,learning_rate\n0\n", "not a schedule"),
        ("a.csv", "step,depth\n0,3\n", "has 'depth', which no param group has"),
        ("a.csv", "step,learning_rate/7\n0,3\n", "has 'learning_rate/7', which no param"),
        ("a.txt", "", r"must end in \.json or \.csv"),
    ],
)
def test_a_damaged_schedule_is_refused(name: str, text: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=message):
        replay_schedule(path, torch.optim.SGD(groups(Training())))


def test_a_schedule_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"not a schedule: .*No such file"):
        replay_schedule(tmp_path / "none.json", torch.optim.SGD(groups(Training())))


def test_a_schedule_is_saved_as_json_or_csv_only(tmp_path: Path) -> None:
    run = Controller(random_policy()).attach(torch.optim.SGD(groups(Training())), total_steps=3)
    with pytest.raises(ConfigurationError, match=r"must end in \.json or \.csv"):
        run.save_schedule(tmp_path / "schedule.pkl")
