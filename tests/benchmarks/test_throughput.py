"""The benchmark runs, and writes what it prints."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.throughput import Options, main


def test_numbers_are_measured_and_written(tmp_path: Path) -> None:
    path = tmp_path / "new" / "throughput.json"
    options = Options(
        lanes=4, model="mlp_32x2_relu", engine="eager", others=False, repeats=1, json=path
    )
    (row,) = main(options)["rows"]
    assert json.loads(path.read_text())["rows"] == [row]
    assert row["ratio"] == row["environment"] / row["sequential"]
    assert min(row["environment"], row["trainer"], row["sequential_fused"]) > 0.0
