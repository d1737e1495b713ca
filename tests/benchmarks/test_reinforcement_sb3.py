"""Real agents under a controller: what is run, and what is said where a package is missing."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks.reinforcement_sb3 import CALLBACK, ENVIRONMENTS, Config, finished, main
from hpo_env.errors import MissingExtraError

NEEDED = {"LunarLander-v3": "Box2D", "MinAtar/Breakout-v1": "minatar.gym"}


@pytest.mark.parametrize("name", NEEDED)
def test_a_missing_package_is_named_before_anything_is_trained(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NEEDED[name], None)
    out = tmp_path / "runs.jsonl"
    with pytest.raises(MissingExtraError, match=rf"{name} needs .*pip install"):
        main(Config(environments=("CartPole-v1", name), out=out))
    assert not out.exists()
    assert set(NEEDED) <= set(ENVIRONMENTS)


def test_every_kind_of_steered_run_is_kept_with_what_it_came_to(tmp_path: Path) -> None:
    config = Config(
        environments=("CartPole-v1",),
        kinds=tuple(CALLBACK),
        seeds=1,
        share=0.02048,  # one rollout
        out=tmp_path / "runs.jsonl",
    )
    main(config)
    rows = {row["kind"]: row for row in finished(config.out)}
    assert set(rows) == set(CALLBACK)
    assert "epochs" not in rows["epochs kept"]["values"]
    assert "epochs" in rows["controller"]["values"]
    assert rows["controller"]["values"] != rows["from learned"]["values"]
