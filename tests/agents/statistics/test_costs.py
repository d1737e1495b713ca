from __future__ import annotations

import pytest

from agents.statistics.costs import mean_costs
from tests.agents.statistics.tables import frame_of, row


def test_costs_are_means_over_rows_and_the_cheapest_comes_first() -> None:
    rows = [
        row("search", [(1.0, 1.0)] * 3, seed=s, train_seconds=t, overhead_seconds=2.0)
        for s, t in ((0, 5.0), (1, 7.0))
    ]
    cheap, dear = mean_costs(frame_of(*rows, row("controller", [(1.0, 1.0)])))
    assert (cheap.opponent, cheap.num_updates, cheap.overhead_share) == ("controller", 40.0, 0.2)
    assert (dear.num_updates, dear.train_seconds, dear.overhead_seconds) == (120.0, 6.0, 2.0)
    assert dear.overhead_share == pytest.approx(0.25)


def test_what_took_no_time_has_no_overhead() -> None:
    nothing = row("controller", [(1.0, 1.0)], train_seconds=0.0, overhead_seconds=0.0)
    assert mean_costs(frame_of(nothing))[0].overhead_share == 0.0
