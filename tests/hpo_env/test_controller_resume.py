"""A run that is saved, loaded and continued equals one that was never interrupted."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import lr_scheduler as ls

from hpo_env.control.run import Run
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from tests.hpo_env.controlled_runs import Training, random_policy, run_afresh

STEPS = 24
POLICY = random_policy(["learning_rate", "weight_decay", "momentum"])


def start(policy: Policy, has_scheduler: bool) -> tuple[Training, Any, Any, Run[Any]]:
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.01)
    scheduler = ls.CosineAnnealingLR(optimizer, STEPS) if has_scheduler else None
    run = Controller(policy).attach(
        optimizer, total_steps=STEPS, validate=training.validate, base_schedule=scheduler
    )
    return training, optimizer, scheduler, run


def advance(parts: tuple[Training, Any, Any, Run[Any]], steps: range) -> list[float]:
    training, optimizer, scheduler, run = parts
    return training.train(optimizer, run, steps, after=scheduler.step if scheduler else None)


def checkpoint(parts: tuple[Training, Any, Any, Run[Any]], path: Path) -> Path:
    training, optimizer, scheduler, run = parts
    state = {
        "model": training.model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scheduler": scheduler.state_dict() if scheduler else None,
        "run": run.state_dict(),
    }
    torch.save(state, path)
    return path


def restore(parts: tuple[Training, Any, Any, Run[Any]], path: Path, run_last: bool) -> None:
    training, optimizer, scheduler, run = parts
    state = torch.load(path, weights_only=True)  # plain data and tensors: nothing is executed
    if not run_last:
        run.load_state_dict(state["run"])
    training.model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    if scheduler:
        scheduler.load_state_dict(state["scheduler"])
    if run_last:
        run.load_state_dict(state["run"])


@pytest.mark.parametrize("run_last", [True, False])
@pytest.mark.parametrize("has_scheduler", [False, True])
@pytest.mark.parametrize("cut", [0, 1, 11, 12, 13, 23, 24])
def test_a_resumed_run_equals_an_uninterrupted_one(
    cut: int, has_scheduler: bool, run_last: bool, tmp_path: Path
) -> None:
    whole = start(POLICY, has_scheduler)
    rates = advance(whole, range(STEPS))
    half = start(POLICY, has_scheduler)
    advance(half, range(cut))
    path = checkpoint(half, tmp_path / "checkpoint.pt")
    other = start(POLICY, has_scheduler)
    restore(other, path, run_last)
    assert advance(other, range(cut, STEPS)) == rates[cut:]
    assert torch.equal(other[0].weights(), whole[0].weights())
    assert str(other[3].decisions) == str(whole[3].decisions)  # NaN included
    assert other[3].schedule == whole[3].schedule
    assert other[3].is_over


def test_a_run_can_be_attached_to_go_on_at_once(tmp_path: Path) -> None:
    whole = start(POLICY, False)
    rates = advance(whole, range(STEPS))
    half = start(POLICY, False)
    advance(half, range(10))
    training, optimizer, _, run = half
    state = run.state_dict()
    run.close()
    calls: list[float] = []

    def validate() -> float:
        calls.append(training.validate())
        return calls[-1]

    resumed = Controller(POLICY).attach(
        optimizer,
        total_steps=STEPS,
        validate=validate,
        state=state,
    )
    assert not calls  # nothing is validated again
    assert training.train(optimizer, resumed, range(10, STEPS)) == rates[10:]


def test_a_frozen_run_stays_so(tmp_path: Path) -> None:
    half = start(POLICY, False)
    advance(half, range(10))
    half[3].freeze()
    path = checkpoint(half, tmp_path / "checkpoint.pt")
    other = start(POLICY, False)
    restore(other, path, True)
    advance(other, range(10, STEPS))
    assert {d.reason for d in other[3].decisions[4:]} == {"frozen"}


def test_a_state_of_other_hyperparameters_or_of_another_version_is_refused() -> None:
    state = start(POLICY, False)[3].state_dict()
    other = start(random_policy(["learning_rate"]), False)[3]
    with pytest.raises(ConfigurationError, match="the saved run moves"):
        other.load_state_dict(state)
    with pytest.raises(ConfigurationError, match="has version 7"):
        other.load_state_dict(state | {"version": 7})


if __name__ == "__main__":  # the fresh process of the test below
    _, policy_folder, checkpoint_path, cut, out = sys.argv
    torch.set_num_threads(1)
    fresh = start(load(policy_folder), False)
    restore(fresh, Path(checkpoint_path), True)
    advance(fresh, range(int(cut), STEPS))
    torch.save({"weights": fresh[0].weights(), "schedule": fresh[3].schedule}, out)


def test_a_fresh_process_goes_on(tmp_path: Path) -> None:
    folder = save(POLICY, tmp_path / "policy")
    whole = start(POLICY, False)
    advance(whole, range(STEPS))
    half = start(POLICY, False)
    advance(half, range(STEPS // 2 + 1))
    path = checkpoint(half, tmp_path / "checkpoint.pt")
    out = tmp_path / "out.pt"
    arguments = (folder, path, STEPS // 2 + 1, out)
    run_afresh("tests.hpo_env.test_controller_resume", arguments)
    result = torch.load(out, weights_only=True)
    assert torch.equal(result["weights"], whole[0].weights())
    assert result["schedule"] == whole[3].schedule
