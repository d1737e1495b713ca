"""An opponent that breaks its contract is named by the suite, with the rule."""

from __future__ import annotations

from dataclasses import replace
from inspect import signature
from typing import Any, ClassVar

import pytest

from agents.opponents.registry import OPPONENTS
from hpo_env.tasks.base import Task
from hpo_env.tasks.quadratic import QuadraticTrainer
from hpo_env.testing import OpponentContract
from tests.agents.testing import broken_opponents

BROKEN = {
    "spendthrift": ("budget_is_kept", "num_updates must lie in .*, the budget"),
    "whimsical": ("same_seed", "the same seed must give the same outcome"),
    "sociable": ("other_instances", "an outcome must be a function of its instance alone"),
    "peeking": ("test_rows", "run must not see what is tested on"),
    "anonymous": ("identity_and", "identity must hold the opponent's name"),
    "fickle": ("stay_as_they_are", "canonical must not change what it has returned"),
    "modest": ("best_complete_trial", "the best complete trial must be returned"),
}
"""The opponent, words of the rule that finds it, and what the message says."""


class Contract(OpponentContract):
    family: ClassVar[str] = "quadratic"
    opponents: ClassVar[tuple[str, ...]] = ("sound", *BROKEN)

    def make_tasks(self, count: int, **change: Any) -> list[Task]:
        return [replace(task, initial=(0.05,)) for task in super().make_tasks(count, **change)]

    def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
        test = QuadraticTrainer.test

        def turned_round(trainer: QuadraticTrainer, lanes: Any) -> Any:
            loss, metric = test(trainer, lanes)
            return 100.0 - loss, metric

        monkeypatch.setattr(QuadraticTrainer, "test", turned_round)


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Contract.opponents:
        monkeypatch.setitem(OPPONENTS, name, f"{broken_opponents.__name__}:{name}")


def broken_rules(name: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Try every rule about one opponent; the messages of those that it breaks."""
    contract, broken = Contract(), dict[str, str]()
    for rule in dir(contract):
        check = getattr(contract, rule)
        if not rule.startswith("test_") or "ran" not in signature(check).parameters:
            continue
        ran = contract.ran_once(name)
        with monkeypatch.context() as patch:
            needed = {"monkeypatch": patch} if "monkeypatch" in signature(check).parameters else {}
            try:
                check(ran=ran, **needed)
            except AssertionError as error:
                broken[rule] = str(error)
            except pytest.skip.Exception:
                continue
    return broken


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_opponent_is_named_with_the_rule(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, message = BROKEN[name]
    broken = broken_rules(name, monkeypatch)
    found = [text for rule, text in broken.items() if words in rule]
    assert found, broken
    with pytest.raises(AssertionError, match=message):
        raise AssertionError(found[0])


def test_a_sound_one_breaks_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert broken_rules("sound", monkeypatch) == {}
