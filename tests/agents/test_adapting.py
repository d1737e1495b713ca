"""Policies that are adapted to one task."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents import cli
from agents.adapting import (
    Adaptation,
    Judgement,
    OwnTask,
    Progress,
    begun_by,
    losses,
    losses_of_each,
    shifted,
)
from agents.commands.adapt import split_options
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.policy_file import load, save
from hpo_env.tasks.registry import make_family
from tests.hpo_env.controlled_runs import fixed_policy as fixed_supervised_policy
from tests.hpo_env.controlled_runs import random_policy

SPACE = HyperparameterSpace(make_family("quadratic").hyperparameters)
TASK = OwnTask(family="quadratic", options={"num_decisions": 4})
GENERATION = 16 * 8 * 4


def still() -> Any:
    """A policy of the quadratic that moves nothing: all there is to gain is where runs begin."""
    policy = fixed_supervised_policy(0.0, SPACE.names, space=SPACE, base_schedule="constant")
    return replace(policy, family="quadratic")


@pytest.fixture(scope="module")
def adapted() -> tuple[Adaptation, list[Progress]]:
    adaptation = Adaptation(still(), TASK, steps=4 * GENERATION)
    seen: list[Progress] = []
    adaptation.run(seen.append)
    return adaptation, seen


def test_a_policy_that_moves_nothing_learns_where_to_begin(
    adapted: tuple[Adaptation, list[Progress]],
) -> None:
    adaptation, seen = adapted
    assert [p.steps for p in seen] == [GENERATION * k for k in (1, 2, 3, 4)]
    assert adaptation.judged is not None
    assert adaptation.judged.difference == -max(p.gained for p in seen if p.is_best)
    runs = TASK.draw("held_out", 32)
    before = losses(TASK.workload(), adaptation.start, runs, of_test=True)
    after = losses(TASK.workload(), adaptation.policy, runs, of_test=True)
    assert Judgement(before=before, after=after).is_better


def test_an_adaptation_is_a_function_of_its_seed(
    adapted: tuple[Adaptation, list[Progress]],
) -> None:
    again = Adaptation(still(), TASK, steps=4 * GENERATION)
    again.run()
    assert again.policy.learned_start == adapted[0].policy.learned_start
    for name, tensor in again.policy.tensors().items():
        np.testing.assert_array_equal(tensor, adapted[0].policy.tensors()[name])


def test_where_nothing_is_better_the_start_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Judgement, "is_better", False)
    adaptation = Adaptation(still(), TASK, steps=GENERATION)
    adaptation.run()
    assert adaptation.policy is adaptation.start
    assert adaptation.judged is None


def test_who_interrupts_keeps_the_best_so_far() -> None:
    def interrupt(progress: Progress) -> None:
        raise KeyboardInterrupt

    adaptation = Adaptation(still(), TASK, steps=4 * GENERATION)
    with pytest.raises(KeyboardInterrupt):
        adaptation.run(interrupt)
    assert adaptation.judged is not None
    assert adaptation.policy.learned_start is not None


def test_the_parts_of_a_task_are_other_draws_and_the_same_again() -> None:
    assert TASK.draw("validation", 3) == TASK.draw("validation", 3)
    draws = [TASK.draw(name, 1)[0] for name in ("adapting", "validation", "held_out")]
    draws.append(TASK.draw("adapting", 1, generation=1)[0])
    assert len({run.seed for run in draws}) == 4


def test_candidates_side_by_side_reach_what_each_reaches_alone() -> None:
    runs, workload = TASK.draw("validation", 5), TASK.workload()
    policies = [shifted(still(), np.full(len(SPACE), shift)) for shift in (-0.5, 0.0, 0.5)]
    together = losses_of_each(workload, policies, runs)
    for row, policy in zip(together, policies, strict=True):
        np.testing.assert_array_equal(row, losses(workload, policy, runs))
    assert len(np.unique(together[:, 0])) == 3


@pytest.mark.parametrize("head", ["choices", "squashed", "clipped"])
def test_a_shift_turns_its_hyperparameter_up_and_no_other(head: str) -> None:
    policy = random_policy(head=head)
    seen = np.random.default_rng(0).uniform(-1, 1, (20, len(policy.fields)))
    gaps = shifted(policy, np.array([0.3, 0.0])).act(seen) - policy.act(seen)
    assert (gaps[:, 0] >= 0.0).all()
    assert gaps[:, 0].mean() > 0.05
    assert (gaps[:, 1] == 0.0).all()


def test_joint_choices_are_not_shifted() -> None:
    policy = random_policy(head="joint_choice")
    assert shifted(policy, np.array([0.3, 0.3])) is policy


def test_judgement_by_hand() -> None:
    judged = Judgement(before=np.array([1.0, 1.0, 1.0]), after=np.array([0.5, 1.0, 0.9]))
    assert judged.difference == pytest.approx(-0.2)
    assert judged.standard_error == pytest.approx(np.std([-0.5, 0.0, -0.1], ddof=1) / 3**0.5)
    assert judged.probability == pytest.approx(2.5 / 3)
    assert judged.is_better


def test_too_few_steps_are_refused_with_how_many_are_needed() -> None:
    with pytest.raises(ConfigurationError, match=f"at least {GENERATION}"):
        Adaptation(still(), TASK, steps=GENERATION - 1)


# ------------------------------------------------------------------------------------- the command


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli.main(["adapt", *words])
    code = ended.value.code
    return 0 if code is None else int(code)


@pytest.fixture
def start(tmp_path: Path) -> str:
    return str(save(still(), tmp_path / "start"))


def test_the_command_writes_a_policy_and_a_table(
    start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine"
    words = ["quadratic", "--policy", start, "--num-decisions", "4", "--judging-runs", "32"]
    assert call(*words, "--steps", str(4 * GENERATION), "--out", str(out)) == 0
    said = capsys.readouterr().out
    assert "log test loss, mean of 32 runs on held-out data" in said
    assert "runs begin at" in said
    result = json.loads((out / "adapted.json").read_text())
    assert result["is_changed"]
    assert result["held_out"]["after"] < result["held_out"]["before"]
    policy = Controller.from_pretrained(out).policy
    assert policy.learned_start is not None
    assert policy.metadata["adapted"]["to"] == {
        "family": "quadratic",
        "options": {"num_decisions": 4},
    }
    family = make_family("quadratic")
    task = family.sample(np.random.default_rng(0))
    assert begun_by(load(out), family, task).initial != task.initial
    assert call(*words, "--out", str(out)) == 2
    assert "holds a policy already" in capsys.readouterr().err


def test_ctrl_c_leaves_the_best_so_far(
    start: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    search, out = Adaptation._search, tmp_path / "mine"

    def interrupted(self: Adaptation, generation: int) -> None:
        if generation == 1:
            raise KeyboardInterrupt
        search(self, generation)

    monkeypatch.setattr(Adaptation, "_search", interrupted)
    words = ["quadratic", "--policy", start, "--num-decisions", "4", "--out", str(out)]
    assert call(*words, "--steps", str(3 * GENERATION)) == cli.EXIT_INTERRUPTED
    assert "interrupted. The best so far is in" in capsys.readouterr().out
    assert load(out).learned_start is not None


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["quadratic"], "neither a folder nor a policy that we ship"),
        (["local_level", "--policy", "START"], "cannot be adapted to 'local_level'"),
        (["quadratic", "--policy", "START", "--steps", "3"], "steps must be at least"),
        (["quadratic", "--policy", "START", "--split", "test"], "split is chosen here"),
        (["quadratic", "--policy", "START", "--judging-runs", "3"], "at least 8"),
        (["quadratic", "--policy", "START", "--seed", "-1"], "seed must be at least 0"),
        (["quadratic", "--policy", "START", "--num-decisions"], "needs a value"),
        (["quadratc", "--policy", "START"], "did you mean 'quadratic'"),
        (["supervised"], "rows are held out of one data set"),
        (["supervised", "--dataset", "SMALL", "--target", "y"], "200 are needed"),
        (["supervised", "--dataset", "none.csv", "--target", "y"], "none.csv"),
    ],
)
def test_what_cannot_be_adapted_is_refused_with_the_reason(
    words: list[str], said: str, start: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = tmp_path / "small.csv"
    small.write_text("x,y\n" + "".join(f"{i},{i % 7}.5\n" for i in range(150)))
    named = {"START": start, "SMALL": str(small)}
    out = tmp_path / "out"
    assert call(*(named.get(word, word) for word in words), "--out", str(out)) == 2
    assert said in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "own", "options"),
    [
        (["quadratic", "--num-decisions=4"], ["quadratic"], {"num_decisions": 4}),
        (
            ["supervised", "--missing", "na", "?", "--out", "o"],
            ["supervised", "--out", "o"],
            {"missing": ["na", "?"]},
        ),
        (["quadratic", "--dataset", "a"], ["quadratic", "--dataset", "a"], {}),
    ],
)
def test_options_of_the_family_are_flags(
    words: list[str], own: list[str], options: dict[str, Any]
) -> None:
    assert split_options(words) == (own, options)


def test_help_fits_a_screen(capsys: pytest.CaptureFixture[str]) -> None:
    assert call("--help") == 0
    assert len(capsys.readouterr().out.splitlines()) <= 24
