"""The shipped policy, in a loop and on a network of a user's own, on a table it never saw."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.users_loop import RATES, compare
from hpo_env import Controller
from hpo_env.datasets import dataset_info


@pytest.mark.filterwarnings("ignore:learning_rate was 0.1, at which")  # it begins lower
@pytest.mark.parametrize("table", ["storm_status", "saratoga_houses", "airfare"])
def test_it_ends_below_the_default_rate_from_every_initial_rate(table: str) -> None:
    assert dataset_info(table).split == "test"
    controller = Controller.from_pretrained("supervised")
    outcomes = compare(table, steps=300, seeds=5, controller=controller)
    assert [o.rate for o in outcomes] == list(RATES)
    for outcome in outcomes:
        assert np.isfinite(outcome.controlled)
        assert outcome.controlled < outcome.default
