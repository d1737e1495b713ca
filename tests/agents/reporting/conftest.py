"""A realistic table, and the page that is made of it, once."""

from __future__ import annotations

import pandas as pd
import pytest

from agents.reporting.html import render_comparison
from tests.agents.statistics.tables import realistic_table


@pytest.fixture(scope="session")
def table() -> pd.DataFrame:
    return realistic_table(num_seeds=2)


@pytest.fixture(scope="session")
def text(table: pd.DataFrame) -> str:
    return render_comparison(table, {"title": "Quick & small", "seed": 3, "preset": "quick"})
