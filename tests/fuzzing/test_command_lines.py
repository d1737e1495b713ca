"""Whatever words a command is given, it says what is wrong and exits with 2: no traceback."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tyro

from agents import cli
from agents.commands import COMMANDS
from agents.commands.compare import CompareConfig
from agents.commands.evaluate import EvaluateConfig
from agents.commands.train import parse
from hpo_env.errors import HPOControlError
from tests.fuzzing.inputs import amount, generators, pick

WORDS = (
    *("--family", "--family-options", "--agent", "--preset", "--steps", "--seed", "--num-envs"),
    *("--hyperparameters", "--action-mode", "--resume", "--engine", "--learning-rate", "--out"),
    *(
        "--starts",
        "--tasks",
        "--suites",
        "--opponents",
        "--workers",
        "--json",
        "--kind",
        "--target",
    ),
    *("--port", "--", "-h", "--no-such", "-", "", " ", "\n", "é\ud800", "n" * 300, "a\0b", "@x"),
    *("quadratic", "supervised", "supervised-lr", "ppo", "dqn", "quick", "joint", "no:such", "."),
    *(
        "check",
        "list",
        "describe",
        "digits",
        "--split",
        "0",
        "1",
        "-1",
        "2.5",
        "1e309",
        "nan",
        "9" * 400,
        "true",
        "None",
        "a=b",
        "dataset=no.csv",
    ),
    *("updates_per_decision=0", "split=3", "=", "x=[", "x=" + "[" * 2000, "../..", "/dev/null"),
)
ENDS_AT_ONCE = tuple(name for name in COMMANDS if name in ("data", "report", "zoo"))
"""Commands that do little when something is wrong with their words, so that all of them can run."""


def words_of(rng: np.random.Generator) -> list[str]:
    return [str(pick(rng, WORDS)) for _ in range(rng.integers(0, 6))]


def refused(call: Any, words: Sequence[str]) -> str:
    """Call with the words, and return what was printed; a wrong kind of end is a failure."""
    out, code = io.StringIO(), None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
        try:
            call(list(words))
        except HPOControlError as error:
            return str(error)
        except SystemExit as stop:
            code = stop.code
    assert code in (None, 0, 2), words
    assert "Traceback" not in out.getvalue(), words
    return out.getvalue()


def test_what_takes_long_is_only_parsed() -> None:
    for rng in generators(0.05):
        words = words_of(rng)
        call = pick(
            rng,
            (
                parse,
                lambda args: tyro.cli(EvaluateConfig, args=args),
                lambda args: tyro.cli(CompareConfig, args=args),
            ),
        )
        refused(call, words)


def test_whole_commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for rng in generators(0.95):
        name = pick(rng, (*ENDS_AT_ONCE, "train", "no-such", "", "--help"))
        words = words_of(rng)
        if name == "train":  # only what cannot begin
            words = ["--resume", str(tmp_path / "nothing"), *words]
        refused(cli.main, [name, *words])
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_the_amount_can_be_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    assert amount() >= 2000
    monkeypatch.setenv("HPO_CONTROL_FUZZ", "70")
    assert amount() == 70
    assert len([*generators(0.1)]) == 7


def test_inputs_are_the_same_again_and_others_with_another_seed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    first = [rng.random() for rng in generators(0.01)]
    assert len(set(first)) == len(first)
    assert [rng.random() for rng in generators(0.01)] == first
    monkeypatch.setenv("HPO_CONTROL_FUZZ_SEED", "4")
    assert not {rng.random() for rng in generators(0.01)} & set(first)
