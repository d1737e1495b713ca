"""Nine groups in one number: geometric mean of MASE over that of the seasonal naive.

    python benchmarks/forecasting_groups.py

Reads the tables that `benchmarks/forecasting.py` wrote for M1, M3 and Tourism, each of which was
held out from what was measured on it, and writes `groups.md` beside them. The groups are the
yearly, quarterly and monthly series of the three.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import tyro

_COMPETITIONS = ("m1", "m3", "tourism")
_FREQUENCIES = ("yearly", "quarterly", "monthly")
_POLICY = "policy"
_KNOWN = (
    "seasonal naive",
    "Naive2",
    "Theta",
    "Comb",
    "Trigg-Leach",
    "constants of the season",
    "grid by series",
)


@dataclass(frozen=True, kw_only=True)
class Config:
    """Compare over nine groups.

    Args:
        folder: Where the tables are.
    """

    folder: Path = Path("benchmarks/results/forecasting")


def ratios(folder: Path) -> pd.DataFrame:
    """Return MASE over that of the seasonal naive, a row a method, a column a group.

    A competition's shipped mean of moves, or its only policy, is called "policy".
    """
    columns = {}
    for competition in _COMPETITIONS:
        table = pd.read_csv(folder / f"{competition}.csv").set_index("method")
        policies = [name for name in table.index if name not in _KNOWN]
        chosen = "mean of moves" if "mean of moves" in policies else policies[0]
        table = table.rename(index={chosen: _POLICY})
        for part in _FREQUENCIES:
            mase = table[f"mase_{part}"]
            columns[f"{competition} {part}"] = mase / mase["seasonal naive"]
    return pd.DataFrame(columns).dropna()


def main(config: Config) -> None:
    """Print and write the table."""
    found = ratios(config.folder)
    found["geometric mean"] = np.exp(np.log(found).mean(axis=1))
    found = found.sort_values("geometric mean")
    lines = ["| method | " + " | ".join(found.columns) + " |", "|---" * (found.shape[1] + 1) + "|"]
    for name, row in found.iterrows():
        lines.append(f"| {name} | " + " | ".join(f"{value:.3f}" for value in row) + " |")
    text = "\n".join(lines) + "\n"
    (config.folder / "groups.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main(tyro.cli(Config))
