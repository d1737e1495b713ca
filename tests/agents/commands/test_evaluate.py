from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.commands import load_command
from agents.commands.evaluate import EvaluateConfig
from agents.commands.policies import policy_folder
from hpo_env.errors import ConfigurationError, HPOControlError, PolicyFileError, UnknownNameError
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.policy_file import save
from hpo_env.restriction import restrict
from hpo_env.tasks.registry import family_class
from tests.agents.opponents.policies import linear_policy

main = load_command("evaluate")


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    space = family_class("quadratic")().space
    num_fields = len(field_names(space.names))
    still = Policy(
        family="quadratic",
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(np.zeros((1, num_fields), dtype=np.float32),),
        biases=(np.zeros(1, dtype=np.float32),),
    )
    return save(still, tmp_path / "run" / "policy")


SMALL = ["--tasks", "2", "--tuning-tasks", "2", "--opponents", "cosine_tuned", "random_moves"]


def test_tables_are_printed_and_files_written(
    policy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, figure = tmp_path / "new" / "out.json", tmp_path / "new" / "out.png"
    main([str(policy), *SMALL, "--json", str(out), "--figure", str(figure)])
    text = capsys.readouterr().out
    for words in (
        "quadratic, test tasks: 2 tasks, 1 seed",
        "controller",
        "cosine_tuned",
        "random_moves",
    ):
        assert words in text
    assert str(out) in text.replace("\n", "")
    data = json.loads(out.read_text())
    named = {"controller", "cosine_tuned", "random_moves"}
    assert {row["opponent"] for row in data["summary"]} == named
    assert set(data["prepared"]) == {"cosine_tuned"}
    for summary in data["summary"]:
        losses = [r["log_test_loss"] for r in data["runs"] if r["opponent"] == summary["opponent"]]
        assert summary["mean_log_test_loss"] == pytest.approx(np.mean(losses))
    assert figure.read_bytes().startswith(b"\x89PNG")


def test_the_part_that_a_loop_has_is_evaluated_as_a_policy_of_its_own(tmp_path: Path) -> None:
    whole = linear_policy("supervised", ("learning_rate", "momentum"))
    part = save(restrict(whole, ["momentum"]), tmp_path / "part")
    whole_folder = save(whole, tmp_path / "whole")
    few = ["--tasks", "1", "--tuning-tasks", "1", "--opponents", "default"]
    few += ["--family-options", "dataset=diabetes"]
    for folder, more in ((part, []), (whole_folder, ["--hyperparameters", "momentum"])):
        main([str(folder), *few, *more, "--json", str(folder / "out.json")])
    ours, theirs = (json.loads((f / "out.json").read_text()) for f in (whole_folder, part))
    assert ours["summary"] == theirs["summary"]
    assert {run["task"] for run in ours["runs"]} == {"diabetes"}


def test_a_run_folder_stands_for_the_policy_in_it(policy: Path) -> None:
    assert policy_folder(policy.parent) == policy_folder(policy) == policy


def test_a_run_that_has_not_come_so_far_is_told_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(PolicyFileError, match=r"no policy yet.*--resume"):
        policy_folder(tmp_path)


def test_a_folder_without_policy_is_named(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    with pytest.raises(PolicyFileError, match="no policy there"):
        main([str(tmp_path / "nothing")])


def test_amounts_come_from_the_preset_and_flags_win() -> None:
    config = EvaluateConfig(policy="p", preset="standard", seeds=5)
    assert [config.amount(n) for n in ("tasks", "seeds", "tuning_tasks")] == [24, 5, 24]


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"preset": "quik"}, UnknownNameError, "did you mean 'quick'"),
        ({"tasks": 0}, ConfigurationError, "tasks must be at least 1; got 0"),
        ({"seeds": -1}, ConfigurationError, "seeds must be at least 1"),
        ({"seed": -1}, ConfigurationError, "seed must not be negative"),
    ],
)
def test_impossible_settings_are_refused(
    settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        EvaluateConfig(policy="p", **settings)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--opponents", "cosin"], "unknown opponent 'cosin'"),
        (["--family", "quadratics"], "did you mean 'quadratic'"),
        (["--family-options", "dataset=wine"], "'quadratic'.*dataset"),
        (
            ["--family", "local_level"],
            "the policy moves 'learning_rate'.*'local_level' has 'smoothing'",
        ),
        (["--starts", "1e9"], "must lie in"),
    ],
)
def test_what_cannot_be_evaluated_is_refused(policy: Path, words: list[str], message: str) -> None:
    with pytest.raises(HPOControlError, match=message):
        main([str(policy), "--tasks", "1", "--tuning-tasks", "1", *words])


def test_an_unwritable_output_is_noticed_before_the_work(policy: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for path in (tmp_path, tmp_path / "file" / "out.json"):
        with pytest.raises(ConfigurationError, match=r"cannot be (written|made)"):
            main([str(policy), "--json", str(path)])
