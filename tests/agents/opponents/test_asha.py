from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from agents.opponents import asha
from agents.opponents.asha import ASHA, NUM_WORKERS
from agents.opponents.lanes import Lanes
from tests.agents.opponents.searching import (
    LOCAL_LEVEL,
    QUADRATIC,
    instances,
    open_trials,
    search_one,
)

KNOBS = LOCAL_LEVEL.space.names[:1]


def test_about_one_in_three_goes_on_from_each_rung() -> None:
    search = ASHA(name="asha", hyperparameters=KNOBS, max_runs=20)
    outcome = search_one(search, LOCAL_LEVEL, instances(LOCAL_LEVEL)[0])
    count = Counter(outcome.trial_intervals.tolist())
    assert set(count) == {1, 3, 9}
    reached_second, reached_last = count[3] + count[9], count[9]
    # Somewhat more than a third: who is among the best early may not be so later.
    assert 1 / 3 <= reached_second / sum(count.values()) < 1 / 2
    assert 1 / 4 < reached_last / reached_second < 1 / 2


def test_workers_never_wait_until_the_budget_is_spent(monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    advance = Lanes.advance

    def counted(self: Lanes, values: np.ndarray) -> object:
        widths.append(int((~self.is_over).sum()))
        return advance(self, values)

    monkeypatch.setattr(Lanes, "advance", counted)
    search = ASHA(name="asha", hyperparameters=KNOBS, max_runs=20)
    outcome = search_one(search, LOCAL_LEVEL, instances(LOCAL_LEVEL)[0])
    assert sum(widths) * LOCAL_LEVEL.updates_per_decision == outcome.num_updates
    assert widths[0] == NUM_WORKERS
    assert set(widths[:-9]) == {NUM_WORKERS}  # but for the last run, when nothing more is begun


def test_a_run_is_promoted_once_and_ends_once() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0], max_runs=10)
    ASHA(name="asha", hyperparameters=("learning_rate",), max_runs=10).search(trials)
    outcome = trials.lanes.outcome(trials.instance)
    # Every interval that was paid for belongs to exactly one trial that has ended.
    spent = 10 * 9 - trials.budget
    assert outcome.trial_intervals.sum() == spent
    assert outcome.num_updates == spent * QUADRATIC.updates_per_decision


def test_a_rung_promotes_the_best_third_of_those_that_have_come() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0])
    made = trials.make(np.linspace(0.2, 0.6, 6)[:, None])
    trials.train(made, 1)
    rungs = asha._Rungs(ends=(1, 3, 9))
    rungs.arrived[0] += made[:2]
    assert rungs.promotable() == []
    rungs.arrived[0] += made[2:]
    ranked = sorted(made, key=lambda trial: trial.score)
    assert rungs.promotable() == [(0, ranked[0]), (0, ranked[1])]
    rungs.promoted[0].append(ranked[0])
    assert rungs.promotable() == [(0, ranked[1])]
