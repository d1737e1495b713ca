"""The controller in a plain torch loop."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import hpo_env
from hpo_env.control.run import ControllerWarning
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, PolicyFileError, UnknownNameError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.policy_file import save
from hpo_env.schedules import SCHEDULES, interval_factors
from tests.hpo_env.controlled_runs import Training, fixed_policy, random_policy

STEPS = 24


def adamw(training: Training, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(training.model.parameters(), **{"lr": 0.01} | options)


def test_a_policy_folder_makes_a_controller_that_writes_the_optimizer(tmp_path: Path) -> None:
    training = Training()
    optimizer = adamw(training)
    controller = hpo_env.Controller.from_pretrained(save(random_policy(), tmp_path / "policy"))
    run = controller.attach(optimizer, total_steps=STEPS, validate=training.validate)
    rates = training.train(optimizer, run, range(STEPS))
    assert run.is_over
    assert len(set(rates)) == len(run.decisions) == 8
    assert rates[-1] == optimizer.param_groups[0]["lr"] == run.values["learning_rate"]
    assert optimizer.param_groups[0]["weight_decay"] == run.values["weight_decay"]


@pytest.mark.parametrize("base_schedule", SCHEDULES)
def test_a_policy_that_does_nothing_keeps_the_base_schedule(base_schedule: str) -> None:
    training = Training()
    optimizer = adamw(training, lr=0.3)
    policy = fixed_policy(0.0, base_schedule=base_schedule)
    run = Controller(policy).attach(optimizer, total_steps=STEPS, num_decisions=8)
    rates = training.train(optimizer, run, range(STEPS))
    factors = interval_factors(base_schedule, np.arange(8), np.full(8, 8))
    assert rates == np.repeat(0.3 * factors, 3).tolist()


def test_a_range_that_the_users_value_lies_outside_is_widened() -> None:
    training = Training()
    optimizer = adamw(training, lr=1e-9)
    policy = fixed_policy(0.0, base_schedule="constant")
    run = Controller(policy).attach(optimizer, total_steps=2, num_decisions=2)
    assert training.train(optimizer, run, range(2)) == [1e-9, 1e-9]


def test_moves_multiply() -> None:
    training = Training()
    optimizer = adamw(training, lr=1e-4)
    policy = fixed_policy(0.5, base_schedule="constant")
    run = Controller(policy).attach(optimizer, total_steps=4, num_decisions=4)
    rates = training.train(optimizer, run, range(4))
    assert rates == pytest.approx([2e-4, 4e-4, 8e-4, 16e-4])


def test_intervals_cover_all_steps_when_they_do_not_divide() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=10, num_decisions=3)
    training.train(optimizer, run, range(10))
    assert [decision.step for decision in run.decisions] == [0, 3, 6]
    assert run.is_over


def test_more_decisions_than_steps_leave_one_a_step() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=3, num_decisions=30)
    training.train(optimizer, run, range(3))
    assert len(run.decisions) == 3


def test_groups_keep_their_ratios() -> None:
    training = Training()
    first, second = training.model[0], training.model[3]
    groups = [
        {"params": first.parameters(), "lr": 0.002, "weight_decay": 0.0, "betas": (0.8, 0.99)},
        {"params": second.parameters(), "lr": 0.01, "weight_decay": 0.02, "betas": (0.9, 0.99)},
    ]
    optimizer = torch.optim.AdamW(groups)
    policy = random_policy(["learning_rate", "weight_decay", "momentum"])
    run = Controller(policy).attach(optimizer, total_steps=STEPS)
    for step in range(STEPS):
        a, b = optimizer.param_groups
        assert a["lr"] == pytest.approx(max(0.2 * b["lr"], 1e-6))  # each is kept in its range
        assert a["weight_decay"] == 0.0
        assert b["weight_decay"] == run.values["weight_decay"] > 0.0
        assert 1 - a["betas"][0] == pytest.approx(2 * (1 - b["betas"][0]))
        assert a["betas"][1] == 0.99
        training.train(optimizer, run, [step])


def test_a_group_added_on_the_way_keeps_its_value_and_is_moved_alike() -> None:
    training = Training()
    first, second = training.model[0], training.model[3]
    optimizer = torch.optim.AdamW(first.parameters(), lr=0.01)
    run = Controller(fixed_policy(0.5)).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(4))
    ratio = 0.001 / optimizer.param_groups[0]["lr"]
    optimizer.add_param_group({"params": second.parameters(), "lr": 0.001})
    training.train(optimizer, run, range(4, STEPS))
    a, b = optimizer.param_groups
    assert b["lr"] == pytest.approx(ratio * a["lr"])


@pytest.mark.parametrize(
    "options",
    [
        {"lr": torch.tensor(0.01), "capturable": False, "foreach": False},
        {"lr": 0.01, "fused": True},
        {"lr": 0.01, "foreach": True},
    ],
)
def test_every_implementation_of_an_optimizer_uses_what_is_written(options: Any) -> None:
    plain, other = Training(), Training()
    for training, settings in ((plain, {"lr": 0.01, "foreach": False}), (other, options)):
        optimizer = adamw(training, **settings)
        run = Controller(fixed_policy(-0.7)).attach(optimizer, total_steps=STEPS)
        training.train(optimizer, run, range(STEPS))
    torch.testing.assert_close(plain.weights(), other.weights(), rtol=1e-4, atol=1e-5)
    assert (plain.weights() != Training().weights()).any()


def test_what_no_optimizer_has_is_left_out() -> None:
    training = Training()
    optimizer = torch.optim.Adagrad(training.model.parameters(), lr=0.01)
    policy = random_policy(["learning_rate", "momentum", "dropout", "label_smoothing"])
    run = Controller(policy).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(STEPS))
    assert set(run.values) == {"learning_rate"}
    for decision in run.decisions:
        assert set(decision.moves) == {"learning_rate"}
        assert tuple(decision.observation) == field_names(["learning_rate"])
        assert decision.observation["learning_rate/available"] == 1.0


def test_a_weight_decay_of_zero_stays_so_and_is_left_out() -> None:
    training = Training()
    optimizer = adamw(training, weight_decay=0.0)
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(STEPS))
    assert set(run.values) == {"learning_rate"}
    assert optimizer.param_groups[0]["weight_decay"] == 0.0


def test_rmsprop_without_momentum_keeps_none_and_with_it_never_drops_it() -> None:
    for momentum, names in ((0.0, {"learning_rate"}), (0.1, {"learning_rate", "momentum"})):
        training = Training()
        optimizer = torch.optim.RMSprop(training.model.parameters(), 1e-3, momentum=momentum)
        policy = fixed_policy(-1.0, ["learning_rate", "momentum"])
        run = Controller(policy).attach(optimizer, total_steps=4, num_decisions=4)
        assert set(run.values) == names
        training.train(optimizer, run, range(4))  # torch fails where buffers are missing


def test_nothing_to_write_is_refused() -> None:
    optimizer = adamw(Training())
    with pytest.raises(ConfigurationError, match=r"label_smoothing.*bind"):
        Controller(fixed_policy(0.0, ["label_smoothing"])).attach(optimizer, total_steps=3)


def test_bound_functions_are_called_and_may_say_what_they_set() -> None:
    training, written = Training(), []

    def set_batch_size(value: float) -> float:
        written.append(value)
        return 8.0 * round(value / 8.0)

    policy = fixed_policy(-0.4, ["learning_rate", "batch_size"])
    optimizer = adamw(training)
    run = Controller(policy).attach(
        optimizer,
        total_steps=4,
        num_decisions=4,
        bind={"batch_size": set_batch_size},
        initial={"batch_size": 48.0},
    )
    training.train(optimizer, run, range(4))
    assert written == [36.0, 28.0, 21.0, 16.0]
    assert [d.values["batch_size"] for d in run.decisions] == [32.0, 32.0, 24.0, 16.0]


def test_a_bound_name_that_the_policy_does_not_know_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'learning_rate'"):
        Controller(random_policy()).attach(
            adamw(Training()), total_steps=3, bind={"learning_rat": print}
        )


def test_dropout_layers_of_the_model_are_moved() -> None:
    training = Training(dropout=0.2)
    policy = fixed_policy(0.5, ["learning_rate", "dropout"])
    optimizer = adamw(training)
    run = Controller(policy).attach(optimizer, total_steps=2, num_decisions=2, model=training.model)
    assert training.model[2].p == pytest.approx(0.25)
    training.train(optimizer, run, range(2))
    assert training.model[2].p == pytest.approx(0.3)


def test_gradients_are_clipped_where_the_user_gives_a_norm_to_start_from() -> None:
    training = Training()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=1.0)
    policy = fixed_policy(0.0, ["gradient_clip"])
    run = Controller(policy).attach(optimizer, total_steps=1, initial={"gradient_clip": 0.05})
    before = training.weights()
    training.train(optimizer, run, [0])
    assert (training.weights() - before).norm().item() == pytest.approx(0.05, rel=1e-4)
    assert run._telemetry.gradient_norm_first[0] > 0.06  # measured before clipping


def test_the_model_is_back_in_the_modes_it_was_in_after_validation() -> None:
    training = Training(dropout=0.2)
    training.model[0].eval()

    def validate() -> float:
        training.model.eval()
        return training.validate()

    optimizer = adamw(training)
    run = Controller(random_policy()).attach(
        optimizer, total_steps=3, model=training.model, validate=validate
    )
    training.train(optimizer, run, range(3))
    assert [m.training for m in training.model] == [False, True, True, True]


def test_without_validation_the_training_loss_stands_in_and_the_mask_says_so() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
    training.train(optimizer, run, range(STEPS))
    assert all(d.observation["has_validation"] == -1.0 for d in run.decisions)
    assert len({d.observation["drop"] for d in run.decisions[2:]}) > 1


def test_gradient_statistics_do_not_depend_on_where_gradients_are_zeroed() -> None:
    seen = []
    for zeroes_first in (True, False):
        training = Training()
        optimizer = adamw(training)
        run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
        for step in range(STEPS):
            loss = training.loss(step)
            if zeroes_first:
                optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if not zeroes_first:
                optimizer.zero_grad()
            run.step(loss)
        assert run.decisions[1].observation["has_gradient"] == 1.0
        seen.append([d.observation for d in run.decisions])
    assert seen[0] == seen[1]


def test_an_accumulated_gradient_counts_as_one_step() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS // 4)
    for step in range(STEPS):
        loss = training.loss(step) / 4
        loss.backward()
        if step % 4 == 3:
            optimizer.step()
            optimizer.zero_grad()
            run.step(loss * 4)
    assert run.is_over


def test_several_optimizers_share_a_run() -> None:
    training = Training()
    first = torch.optim.SGD(training.model[0].parameters(), lr=0.04, momentum=0.5)
    second = torch.optim.AdamW(training.model[3].parameters(), lr=0.01)
    both = [first, second]
    run = Controller(random_policy()).attach(both, total_steps=STEPS, validate=training.validate)
    for step in range(STEPS):
        loss = training.loss(step)
        loss.backward()
        for optimizer in both:
            optimizer.step()
            optimizer.zero_grad()
        run.step(loss)
        assert second.param_groups[0]["lr"] == pytest.approx(first.param_groups[0]["lr"] / 4)
    assert run.decisions[2].observation["has_gradient"] == 1.0
    assert run.decisions[2].observation["has_updates"] == 1.0


def test_gradients_under_a_scaler_are_measured_unscaled() -> None:
    norms = []
    for scale in (1.0, 1024.0):
        for fused in (False, True):
            training = Training()
            optimizer = adamw(training, fused=fused)
            scaler = torch.amp.GradScaler("cpu", init_scale=scale)
            run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
            for step in range(STEPS):
                loss = training.loss(step)
                optimizer.zero_grad()
                scaler.scale(loss).backward()
                scaler.step(optimizer)
                scaler.update()
                run.step(loss)
            norms.append([d.observation["gradient_trend"] for d in run.decisions])
            assert run.decisions[3].observation["has_gradient"] == 1.0
    for other in norms[1:]:
        assert other == pytest.approx(norms[0], abs=1e-4)


def test_a_step_that_the_scaler_skips_does_not_disturb() -> None:
    training = Training()
    optimizer = adamw(training)
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # overflows, and is halved
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
    skipped = 0
    for step in range(STEPS):
        loss = training.loss(step)
        optimizer.zero_grad()
        scaler.scale(64.0 * loss).backward()
        before = scaler.get_scale()
        scaler.step(optimizer)
        scaler.update()
        skipped += scaler.get_scale() < before
        run.step(loss)
    assert skipped > 0
    assert run.is_over
    assert all(decision.reason == "policy" for decision in run.decisions)


def test_freezing_keeps_the_corrections_and_lets_the_base_schedule_go_on() -> None:
    training = Training()
    optimizer = adamw(training)
    policy = fixed_policy(0.5, base_schedule="linear")
    run = Controller(policy).attach(optimizer, total_steps=8, num_decisions=8)
    rates = training.train(optimizer, run, range(3))
    run.freeze()
    rates += training.train(optimizer, run, range(3, 8))
    factors = interval_factors("linear", np.arange(8), np.full(8, 8))
    corrections = [2.0, 4.0, 8.0, 16.0, 16.0, 16.0, 16.0, 16.0]  # the fourth was decided before
    assert rates == pytest.approx((0.01 * factors * corrections).tolist())
    assert [d.reason for d in run.decisions] == ["policy"] * 4 + ["frozen"] * 4


def test_a_run_can_be_extended_on_the_way_and_after_its_end() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=12, num_decisions=4)
    training.train(optimizer, run, range(4))
    run.extend(18)
    training.train(optimizer, run, range(4, 18))
    assert run.is_over
    assert [decision.step for decision in run.decisions] == [0, 3, 6, 9, 12, 15]
    run.extend(24)
    assert not run.is_over
    training.train(optimizer, run, range(18, 24))
    assert run.is_over
    assert [decision.step for decision in run.decisions[6:]] == [18, 21]
    with pytest.raises(ConfigurationError, match="extended, not cut"):
        run.extend(20)


def test_stepping_after_the_end_warns_once_and_changes_nothing() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=3)
    training.train(optimizer, run, range(3))
    with pytest.warns(ControllerWarning, match=r"after the run's 3 updates.*extend") as caught:
        rates = training.train(optimizer, run, range(3, 6))
    assert len(caught) == 1
    assert len(set(rates)) == 1


def test_a_run_without_steps_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="total_steps must be at least 1; got 0"):
        Controller(random_policy()).attach(adamw(Training()), total_steps=0)


def test_a_run_without_decisions_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="num_decisions must be at least 1; got 0"):
        Controller(random_policy()).attach(adamw(Training()), total_steps=5, num_decisions=0)


def test_a_loss_of_many_elements_is_refused() -> None:
    run = Controller(random_policy()).attach(adamw(Training()), total_steps=5)
    with pytest.raises(ConfigurationError, match=r"one number; got a tensor of shape \(3,\)"):
        run.step(torch.ones(3))


def test_what_is_no_optimizer_is_refused() -> None:
    controller = Controller(random_policy())
    wrong: Any = "adamw"
    with pytest.raises(ConfigurationError, match="optimiser of torch must be given"):
        controller.attach(wrong, total_steps=5)
    with pytest.raises(ConfigurationError, match="at least one optimiser"):
        controller.attach([], total_steps=5)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_not_finite_cuts_the_rate_and_the_run_goes_on(
    bad: float, tmp_path: Path
) -> None:
    training = Training()
    optimizer = adamw(training)
    policy = fixed_policy(0.1, base_schedule="constant")
    run = Controller(policy).attach(optimizer, total_steps=8, num_decisions=4)
    run.step(bad)
    with pytest.warns(ControllerWarning, match="diverged in interval 0"):
        run.step(1.0)
    assert run.decisions[1].reason == "guard"
    assert run.values["learning_rate"] == pytest.approx(0.01 * 4**0.1 / 4)
    training.train(optimizer, run, range(2, 8))
    assert [d.reason for d in run.decisions] == ["policy", "guard", "policy", "policy"]
    with pytest.warns(ControllerWarning, match=r"intervals \[0\] .* rolls nothing back"):
        run.save_schedule(tmp_path / "schedule.csv")


def test_weights_that_are_not_finite_are_put_back() -> None:
    training = Training()
    training.model.append(nn.BatchNorm1d(1))
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(
        optimizer, total_steps=8, num_decisions=4, model=training.model
    )
    training.train(optimizer, run, range(2))
    before = training.weights().clone()
    buffers = [buffer.clone() for buffer in training.model.buffers()]
    rows = training.x.clone()
    training.x[:] = float("nan")
    training.train(optimizer, run, [2])
    assert not torch.isfinite(training.weights()).any()
    with pytest.warns(
        ControllerWarning, match="the interval is rolled back, the guard moves learning_rate$"
    ):
        training.train(optimizer, run, [3])
    assert torch.equal(training.weights(), before)
    assert all(map(torch.equal, training.model.buffers(), buffers))
    training.x = rows
    training.train(optimizer, run, range(4, 8))
    assert torch.isfinite(training.weights()).all()
    assert run.is_over


def test_a_validation_loss_that_explodes_cuts_the_rate() -> None:
    training = Training()
    losses = iter([1.0, 60.0, 1.0, 1.0, 1.0])
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(
        optimizer, total_steps=4, num_decisions=4, validate=lambda: next(losses)
    )
    with pytest.warns(ControllerWarning, match="validation loss 60"):
        training.train(optimizer, run, range(4))
    assert [d.reason for d in run.decisions] == ["policy", "guard", "policy", "policy"]


def test_a_validation_that_raises_is_reported_once_and_masked() -> None:
    training = Training()

    def validate() -> float:
        if run_started:
            raise RuntimeError("no disk")
        return training.validate()

    run_started: list[int] = []
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS, validate=validate)
    run_started.append(1)
    with pytest.warns(ControllerWarning, match=r"validate\(\) raised RuntimeError: no disk") as w:
        training.train(optimizer, run, range(STEPS))
    assert len(w) == 1
    assert [d.observation["has_validation"] for d in run.decisions] == [1.0] + 7 * [-1.0]


def test_a_negative_validation_loss_is_reported_and_masked() -> None:
    training = Training()
    optimizer = adamw(training)
    with pytest.warns(ControllerWarning, match="must return a positive loss"):
        run = Controller(random_policy()).attach(
            optimizer, total_steps=3, validate=lambda: torch.tensor(-1.0, requires_grad=True)
        )
    assert run.decisions[0].observation["has_validation"] == -1.0


def test_an_explanation_names_values_and_the_fields_that_moved_them() -> None:
    training = Training()
    optimizer = adamw(training)
    run = Controller(random_policy()).attach(
        optimizer, total_steps=STEPS, validate=training.validate
    )
    training.train(optimizer, run, range(STEPS))
    text = str(run.explain())
    assert text.splitlines()[0] == "A policy of learning_rate, weight_decay"
    assert text.count("Decision ") == 8
    assert "Decision 3 of 8, at step 6, training loss" in text
    assert "learning_rate:" in text
    one = run.explain(4)
    reasons = one.reasons[0]["learning_rate"]
    assert 1 <= len(reasons) <= 3
    assert [abs(r.influence) for r in reasons] == sorted(
        (abs(r.influence) for r in reasons), reverse=True
    )
    assert all(r.observed == one.decisions[0].observation[r.field] for r in reasons)
    assert f"learning_rate: {run.decisions[3].values['learning_rate']:.4g} -> " in str(one)
    with pytest.raises(ConfigurationError, match="no decision for interval 99"):
        run.explain(99)


def test_a_run_tells_how_far_the_policy_was_trusted() -> None:
    policy = random_policy()
    size = len(policy.fields)
    narrow = Familiarity(
        mean=np.zeros(size, np.float32), whitening=np.eye(size, dtype=np.float32), threshold=1.0
    )
    policy = replace(policy, familiarity=narrow)
    training = Training()
    optimizer = adamw(training)
    run = Controller(policy).attach(optimizer, total_steps=STEPS, validate=training.validate)
    training.train(optimizer, run, range(STEPS))
    for decision in run.decisions:
        seen = np.array(list(decision.observation.values()))
        assert decision.trust == pytest.approx(1.0 / (seen @ seen), rel=1e-5)
    trust = run.decisions[2].trust
    assert 0.0 < trust < 1.0
    share = f"(unlike meta-training: {trust:.0%} policy, the rest base schedule)"
    assert share in str(run.explain(2))
    again = Controller(policy).attach(adamw(training), total_steps=STEPS)
    again.load_state_dict(run.state_dict())
    # As texts, which hold every digit: from Python 3.13 on records with a NaN are never equal.
    assert repr(again.decisions) == repr(run.decisions)


def test_an_explanation_says_what_the_run_cannot_write() -> None:
    run = Controller(random_policy()).drive(
        {"learning_rate": lambda value: None}, initial={"learning_rate": 1e-3}, total_steps=8
    )
    expected = "A policy of learning_rate, weight_decay, without weight_decay, which this run"
    assert str(run.explain()).startswith(expected)


@pytest.mark.parametrize("head", ["clipped", "squashed", "choices", "likeliest", "joint_choice"])
def test_leaving_out_the_only_field_that_matters_explains_the_whole_move(head: str) -> None:
    from hpo_env.control.explain import influences

    policy = random_policy(["learning_rate"], head=head)
    weights = [np.zeros_like(w) for w in policy.weights]
    place = policy.fields.index("drop")
    weights[0][0, place] = 1.0
    weights[1][-1, 0] = 0.4
    changed = random_policy(["learning_rate"], head=head)
    object.__setattr__(changed, "weights", tuple(weights))
    observation = np.linspace(-1.0, 1.0, len(policy.fields), dtype=np.float32)
    added = influences(changed, observation)
    assert np.flatnonzero(added[:, 0]).tolist() == [place]


@pytest.mark.parametrize("name", ["supervise", "../policies/supervised", "/nowhere/at/all"])
def test_a_policy_that_is_not_there_is_refused_in_one_sentence(name: str) -> None:
    with pytest.raises(PolicyFileError, match="neither a folder nor a policy that we ship"):
        Controller.from_pretrained(name)


def test_the_controller_needs_neither_gymnasium_nor_sb3_nor_tensorboard(tmp_path: Path) -> None:
    folder = save(random_policy(), tmp_path / "policy")
    code = f"""
import sys
for name in ("gymnasium", "stable_baselines3", "tensorboard"):
    sys.modules[name] = None  # as good as not installed
import hpo_env
assert "torch" not in sys.modules
controller = hpo_env.Controller.from_pretrained({str(folder)!r})
assert "torch" not in sys.modules
import torch
w = torch.nn.Parameter(torch.ones(3))
optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
run = controller.attach(optimizer, total_steps=4)
for _ in range(4):
    loss = (w ** 2).sum()
    loss.backward(); optimizer.step(); optimizer.zero_grad()
    run.step(loss)
assert run.is_over and w.abs().max() < 1
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, timeout=120)


def test_a_host_without_torch_is_driven_by_functions() -> None:
    space = HyperparameterSpace(
        [Hyperparameter(name="shrinkage", low=1e-3, high=1.0, default=0.1, max_step=2.0)]
    )
    policy = random_policy(["shrinkage"], space=space, base_schedule="constant")
    written: list[float] = []
    loss = iter(np.linspace(1.0, 0.5, 40))
    run = Controller(policy).drive(
        {"shrinkage": written.append},
        initial={"shrinkage": 0.1},
        total_steps=16,
        validate=lambda: next(loss),
    )
    for _ in range(16):
        run.step(next(loss))
    assert len(written) == len(run.decisions) == 8
    assert [row["shrinkage"] for row in run.schedule] == list(dict.fromkeys(written))
    with pytest.raises(ConfigurationError, match="bind and initial must name the same"):
        Controller(policy).drive({"shrinkage": print}, initial={}, total_steps=3)
    with pytest.raises(UnknownNameError):
        Controller(policy).drive({"depth": print}, initial={"depth": 3.0}, total_steps=3)


def closure_of(training: Training, optimizer: torch.optim.Optimizer, step: int) -> Any:
    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = training.loss(step)
        loss.backward()
        return loss

    return closure


def test_gradients_that_a_closure_computes_are_measured() -> None:
    seen = []
    for has_closure in (False, True):
        training = Training()
        optimizer = torch.optim.SGD(training.model.parameters(), lr=0.01)
        run = Controller(random_policy()).attach(optimizer, total_steps=STEPS)
        for step in range(STEPS):
            closure = closure_of(training, optimizer, step)
            if has_closure:
                run.step(optimizer.step(closure))
            else:
                loss = closure()
                optimizer.step()
                run.step(loss)
        assert run.decisions[1].observation["has_gradient"] == 1.0
        seen.append([decision.observation for decision in run.decisions])
    assert seen[0] == seen[1]


def test_an_optimizer_with_a_line_search_can_be_steered() -> None:
    training = Training()
    optimizer: Any = torch.optim.LBFGS(training.model.parameters(), lr=0.1, max_iter=3)
    run = Controller(fixed_policy(-0.1)).attach(optimizer, total_steps=6, num_decisions=3)
    losses = []
    for _ in range(6):
        loss = optimizer.step(closure_of(training, optimizer, 0))
        run.step(loss)
        losses.append(loss.item())
    assert run.is_over
    assert losses[-1] < losses[0]


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_is_waited_for_only_at_the_end_of_an_interval() -> None:
    training = Training()
    training.model.cuda()
    training.x, training.y = training.x.cuda(), training.y.cuda()
    optimizer = adamw(training, fused=True)
    run = Controller(random_policy()).attach(optimizer, total_steps=STEPS, num_decisions=4)
    for step in range(STEPS):
        loss = training.loss(step)
        optimizer.zero_grad()
        loss.backward()
        ends = step % 6 == 5
        torch.cuda.set_sync_debug_mode("default" if ends else "error")
        optimizer.step()
        run.step(loss)
        torch.cuda.set_sync_debug_mode("default")
    assert run.is_over
    assert run.decisions[1].observation["has_updates"] == 1.0
