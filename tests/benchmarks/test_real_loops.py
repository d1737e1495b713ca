"""The benchmark of real loops runs, goes on after it was stopped, and reckons as it says."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

from benchmarks.loops.gaps import gaps, summary
from benchmarks.loops.nadamw import NAdamW
from benchmarks.loops.opponents import (
    OPPONENTS,
    OPTIMIZERS,
    greedy,
    warm_cosine,
    warmup_stable_decay,
)
from benchmarks.loops.rescue import RESCUES, settings
from benchmarks.loops.rescue import markdown as rescued
from benchmarks.loops.running import Outcome, Setting, train
from benchmarks.loops.tables import markdown
from benchmarks.loops.workloads import WORKLOADS
from benchmarks.real_loops import main, read

LIGHT = ("digits_residual", "patch_autoencoder")


def setting(**changes: object) -> Setting:
    facts = {
        "workload": "patch_autoencoder",
        "opponent": "cosine",
        "optimizer": "adamw",
        "rate": 1e-3,
        "seed": 0,
        "scale": 0.01,
    }
    return Setting(**facts | changes)  # type: ignore[arg-type]


def test_workloads_that_choose_and_those_that_test_are_enough_and_apart() -> None:
    assert len(WORKLOADS) >= 10
    choosing = [name for name, w in WORKLOADS.items() if not w.is_test]
    assert min(len(choosing), len(WORKLOADS) - len(choosing)) >= 5
    assert any(w.is_tuned_already for w in WORKLOADS.values())


@pytest.mark.parametrize("rule", [warm_cosine, warmup_stable_decay])
def test_a_schedule_rises_to_its_rate_and_falls_to_nothing(rule: object) -> None:
    factors = [rule(step / 1000) for step in range(1000)]  # type: ignore[operator]
    assert 0.0 < factors[0] < 0.1
    assert max(factors) == pytest.approx(1.0, abs=0.02)
    assert factors[-1] < 0.03


@pytest.mark.parametrize("optimizer", list(OPTIMIZERS))
def test_every_optimiser_trains(optimizer: str) -> None:
    outcome = train(setting(optimizer=optimizer, scale=0.05, rate=1e-3))
    assert outcome.test < outcome.untrained


def test_two_runs_of_one_setting_end_alike_and_another_seed_elsewhere() -> None:
    ends = [train(setting(seed=seed)).test for seed in (0, 0, 1)]
    assert ends[0] == ends[1] != ends[2]


def test_a_stopped_benchmark_goes_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "loops.csv"
    options = {"csv_path": path, "schedule_rates": (1e-3,), "rates": (1e-1,), "scale": 0.02}
    main(workloads=LIGHT[:1], **options)  # type: ignore[arg-type]
    rows = path.read_text()
    path.write_text(rows[: rows.rindex(",")])  # killed while the last row was written
    kept = dict(read(path))
    assert len(kept) == 1
    capsys.readouterr()
    main(workloads=LIGHT, **options)  # type: ignore[arg-type]
    assert capsys.readouterr().out.count(" adamw ") == 3
    done = dict(read(path))
    assert len(done) == 4
    assert done.items() >= kept.items()


def test_gaps_are_to_the_best_rate_of_the_baseline() -> None:
    def ended(test: float) -> Outcome:
        return Outcome(test=test, validation=test, untrained=9.0, seconds=1.0)

    done = {
        setting(rate=1e-3): ended(2.0),
        setting(rate=1e-2): ended(1.0),
        setting(opponent="controller", rate=1e-1, seed=0): ended(1.0),
        setting(opponent="controller", rate=1e-1, seed=1): ended(3.0),
        setting(workload="gpt", opponent="controller", rate=1e-1): ended(5.0),
    }
    lines = markdown(done, ["patch_autoencoder"]).splitlines()
    gap = f"{math.log(2.0):+.3f}"
    assert f"| controller | 0.1 | 2.000 | {gap} | {gap} |" in lines
    assert "| cosine | 0.01 | 1.000 | +0.000 | +0.000 |" in lines
    assert not any("5.000" in line for line in lines)


def test_a_sweep_is_chosen_by_test_or_by_validation_loss_of_the_same_seed() -> None:
    def ended(test: float, validation: float) -> Outcome:
        return Outcome(test=test, validation=validation, untrained=9.0, seconds=1.0)

    done = {
        setting(rate=1e-3): ended(1.0, 3.0),
        setting(rate=1e-2): ended(2.0, 1.0),
        setting(rate=1e-2, seed=1): ended(8.0, 1.0),
        setting(workload="gpt", rate=1e-2): ended(1.0, 1.0),
        setting(opponent="controller", rate=1e-5): ended(4.0, 1.0),
        setting(opponent="controller", rate=1e-1, seed=1): ended(4.0, 1.0),
        setting(workload="gpt", opponent="controller", rate=1e-5): ended(1.0, 1.0),
        setting(workload="gpt", opponent="controller", rate=1e-5, seed=1): ended(1.0, 1.0),
    }
    both = ["gpt", "patch_autoencoder"]
    by_test = gaps(done, "controller", "test", both)
    assert sorted(by_test.values) == pytest.approx([math.log(0.5), 0.0, math.log(4.0)])
    by_validation = gaps(done, "controller", "validation", both)
    assert sorted(by_validation.values) == pytest.approx([math.log(0.5), 0.0, math.log(2.0)])
    assert gaps(done, "controller", "test", both[:1]).values == pytest.approx([0.0])
    mean = by_test.mean()  # of one workload or the other: 0, 0 and log 0.5, log 4
    assert (mean.low, mean.high) == pytest.approx((0.0, 0.5 * math.log(2.0)))
    lines = summary(done, "controller", both).splitlines()
    assert len(lines) == 2
    assert "lowest validation loss: mean +0.000 [" in lines[1]
    assert "level or ahead in 2 of 3, within .05 in 2" in lines[0]
    assert summary(done, "controller_open", both) == ""


def test_nadamw_goes_by_the_formula_of_its_paper() -> None:
    rate, (first, second), decay, eps = 0.1, (0.9, 0.99), 0.2, 1e-8
    weight = torch.nn.Parameter(torch.tensor([2.0, -1.0]))
    optimizer = NAdamW([weight], lr=rate, betas=(first, second), eps=eps, weight_decay=decay)
    expected = weight.detach().clone().double()
    average, squares = torch.zeros_like(expected), torch.zeros_like(expected)
    for step in range(1, 6):
        weight.grad = gradient = torch.tensor([0.5, -2.0]) * step
        optimizer.step()
        average = first * average + (1 - first) * gradient.double()
        squares = second * squares + (1 - second) * gradient.double() ** 2
        ahead = (first * average + (1 - first) * gradient.double()) / (1 - first**step)
        size = (squares / (1 - second**step)).sqrt() + eps
        expected = expected * (1 - rate * decay) - rate * ahead / size
    torch.testing.assert_close(weight.detach().double(), expected, rtol=1e-5, atol=1e-6)


def test_greedy_raises_the_rate_while_the_loss_falls_and_lowers_it_within_bounds() -> None:
    pytest.importorskip("transformers")
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.01)
    (group,) = optimizer.param_groups
    follow = greedy([optimizer])
    for step in range(200):
        follow(1.0 - step / 200)
    raised = group["lr"]
    for step in range(3000):
        follow(1.0 + step)
    assert raised > 0.02
    assert group["lr"] == pytest.approx(1e-3)


@pytest.mark.parametrize("opponent", [n for n, o in OPPONENTS.items() if o.policy is None])
def test_every_schedule_trains(opponent: str) -> None:
    chosen = OPPONENTS[opponent]
    pytest.importorskip("schedulefree" if chosen.is_schedule_free else "torch")
    pytest.importorskip("prodigyopt" if opponent == "prodigy" else "torch")
    pytest.importorskip("transformers" if opponent == "greedy" else "torch")
    rate = 1e-3 if chosen.own_rate is None else chosen.own_rate
    outcome = train(setting(opponent=opponent, scale=0.05, rate=rate))
    assert outcome.test < outcome.untrained


def test_an_opponent_with_a_rate_of_its_own_is_given_no_others(tmp_path: Path) -> None:
    path = tmp_path / "loops.csv"
    schedules = ("nadamw_algoperf", "cosine")
    main(csv_path=path, workloads=LIGHT[1:], schedules=schedules, controllers=(), scale=0.01)
    rates = [(s.opponent, s.rate) for s in dict(read(path))]
    own = OPPONENTS["nadamw_algoperf"].own_rate
    assert rates == [(schedules[0], own), *((schedules[1], r) for r in (3e-4, 1e-3, 3e-3, 1e-2))]


def test_what_is_rescued_is_reckoned_from_alone_to_the_best_well_set_run_of_the_seed() -> None:
    asked = list(settings(["gpt"], ["controller"], (1e-3, 1e-2), seeds=2, scale=1.0))
    optimizer, rate = RESCUES["decay 10"]
    ends = {"constant": 8.0, "controller": 2.0, "cosine": 2.0}

    def ended(s: Setting) -> Outcome:
        test = ends[s.opponent] * (0.5 if (s.opponent, s.rate) == ("cosine", 1e-2) else 1.0)
        return Outcome(test=test, validation=test, untrained=9.0, seconds=1.0)

    chosen = [s for s in asked if s.opponent == "cosine" or s.optimizer == optimizer]
    assert {s.rate for s in chosen if s.optimizer == optimizer} == {rate}
    lines = rescued({s: ended(s) for s in chosen}, ["gpt"], ["controller"]).splitlines()
    alone, steered = math.log(8.0), math.log(2.0)
    cells = f"{alone:+.3f} → {steered:+.3f} | {alone:+.3f} | {steered:+.3f} | 67%"
    assert lines[-1] == f"| decay 10 | {cells} |"
