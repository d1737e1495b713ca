"""A memory over the runs of a job."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from hpo_env.control.looks import distance
from hpo_env.control.run_memory import (
    MAX_RUNS,
    RunMemory,
    StoredRun,
    chosen,
    trust,
)
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, ControllerWarning
from tests.hpo_env.controlled_runs import SPACE, fixed_policy, random_policy

POLICY = fixed_policy(0.0, base_schedule="constant")
RATE = SPACE.subset(["learning_rate"])
OWN = {"learning_rate": 1e-4}
LOOK = {"log_loss": 0.5, "total_drop": 0.3, "update_ratio": -0.2}


def loss_of(rate: float) -> float:
    """What a run ends with; best at a rate of 0.01."""
    return 0.1 + 0.05 * (math.log10(rate) + 2.0) ** 2


def night(path: Path, *, own: float = 1e-4, steps: int = 16, **options: Any) -> Any:
    """Run the job once, and return the run; what it began with shows at its end."""
    controller = Controller(POLICY, memory=path)
    used: list[float] = [own]
    validated: list[float] = []

    def validate() -> float:
        validated.append(loss_of(used[-1]) if len(validated) == 8 else 1.0 + 0.0 * len(validated))
        return validated[-1]

    run = controller.drive(
        {"learning_rate": used.append},
        initial={"learning_rate": own},
        total_steps=16,
        validate=validate,
        **options,
    )
    for _ in range(steps):
        run.step(1.0)
    return run


def starts(path: Path) -> list[float]:
    return [run.start["learning_rate"] for run in RunMemory(path, POLICY).read()]


def stored(rate: float, reached: float, look: Any = LOOK, identity: str = "") -> StoredRun:
    return StoredRun(
        identity=identity or f"{rate} {reached}",
        start={"learning_rate": rate},
        reached=reached,
        look=look,
    )


def test_a_job_begins_at_the_users_values_then_elsewhere_then_at_the_best(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "job.json"
    for _ in range(4):
        night(path).close()
    begun = starts(path)
    assert begun[0] == OWN["learning_rate"]
    assert len(set(begun[:3])) == 3
    assert begun[3] == min(begun[:3], key=loss_of)
    assert all(1e-5 <= rate <= 1e-1 for rate in begun)
    assert [run.reached for run in RunMemory(path, POLICY).read()] == pytest.approx(
        [math.log(loss_of(rate)) for rate in begun]
    )


def test_later_runs_are_better_than_the_first_and_some_go_on_looking(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    for _ in range(12):
        night(path)
    begun = starts(path)
    assert np.mean([loss_of(rate) for rate in begun[6:]]) < loss_of(begun[0])
    assert len(set(begun[4:])) > 1


def test_the_file_is_plain_data_and_may_be_lost(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    night(path)
    document = json.loads(path.read_text())
    assert set(document) == {"format", "format_version", "policy", "runs"}
    (run,) = document["runs"]
    assert run["start"] == OWN
    assert len(run["course"]) == 8
    path.unlink()
    night(path)
    assert starts(path) == [OWN["learning_rate"]]


def test_the_users_values_come_back(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=1e-3)
    path = tmp_path / "job.json"
    memory = RunMemory(path, POLICY)
    memory.add(stored(1e-3, 1.0))
    for rate in (0.5, 0.05):
        memory.add(stored(rate, -1.0 if rate == 0.05 else 2.0))
    run = Controller(POLICY, memory=path).attach(optimizer, total_steps=16)
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)
    run.close()
    assert optimizer.param_groups[0]["lr"] == 1e-3


def test_a_run_that_was_not_finished_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    night(path, steps=15).close()
    assert not path.exists()


def test_a_run_that_is_made_longer_is_stored_once(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    run = night(path)
    run.extend(20)
    for _ in range(4):
        run.step(1.0)
    assert len(starts(path)) == 1


def test_a_run_without_a_validation_loss_is_not_stored(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    run = Controller(POLICY, memory=path).drive(
        {"learning_rate": lambda value: value}, initial=OWN, total_steps=16
    )
    for _ in range(16):
        run.step(1.0)
    assert not path.exists()


def test_who_says_where_to_begin_is_obeyed_and_the_run_is_stored(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    for start in ("user", {"learning_rate": 0.02}):
        night(path, start=start)
    assert starts(path) == [1e-4, 0.02]


def test_values_that_the_user_has_changed_are_tried_first(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    for _ in range(4):
        night(path)
    night(path, own=0.3)
    assert starts(path)[-1] == 0.3


def test_a_resumed_run_begins_where_it_began(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    for _ in range(3):
        night(path)
    run = night(path, steps=8)
    again = night(path, steps=0, state=run.state_dict())
    assert again.values == run.values


def test_a_divergence_is_the_worst_that_can_be_reached() -> None:
    runs = [stored(1e-4, 1.0), stored(0.5, math.inf), stored(0.02, 0.5)]
    rng = np.random.default_rng(0)
    assert chosen(runs, RATE, OWN, rng) == {"learning_rate": 0.02}
    assert chosen([stored(1e-4, math.inf)], RATE, OWN, rng) != OWN
    runs = [stored(1e-4, math.inf, identity=str(k)) for k in range(3)]
    assert chosen(runs, RATE, OWN, rng) == OWN


def test_one_lucky_run_does_not_beat_what_was_good_many_times() -> None:
    runs = [stored(1e-4, 2.0)]
    runs += [stored(0.02, 0.5, identity=str(k)) for k in range(5)]
    runs += [stored(0.3, 0.4), stored(0.001, 1.9)]
    assert chosen(runs, RATE, OWN, np.random.default_rng(0)) == {"learning_rate": 0.02}


def test_runs_of_another_task_count_less() -> None:
    other = {name: value + 2.0 for name, value in LOOK.items()}
    runs = [stored(0.5, -9.0, other), stored(1e-4, 1.0), stored(0.02, 0.5), stored(0.03, 0.6)]
    weights = trust(runs)
    assert weights[1:] == [1.0, 1.0, 1.0]
    assert weights[0] < 0.01
    assert chosen(runs, RATE, OWN, np.random.default_rng(0)) == {"learning_rate": 0.02}
    alike = [stored(0.5, -9.0), *runs[1:]]
    assert chosen(alike[:3], RATE, OWN, np.random.default_rng(0)) == {"learning_rate": 0.5}


def test_a_job_that_has_changed_begins_anew_at_the_users_values() -> None:
    other = {name: value + 2.0 for name, value in LOOK.items()}
    runs = [stored(1e-4, 1.0), stored(0.02, 0.5), stored(0.3, 0.6), stored(0.02, 3.0, other)]
    assert chosen(runs, RATE, OWN, np.random.default_rng(0)) == OWN


def test_a_look_that_shares_nothing_is_infinitely_far() -> None:
    assert distance({"log_loss": 1.0}, {"total_drop": 1.0}) == math.inf
    assert distance(LOOK, LOOK) == 0.0


def test_a_first_interval_unlike_all_before_is_said(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    memory = RunMemory(path, POLICY)
    for number in range(3):
        memory.add(stored(1e-4, float(number), {"log_loss": -9.0}))
    with pytest.warns(ControllerWarning, match="unlike those of all runs"):
        night(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        night(tmp_path / "anew.json")
        night(tmp_path / "anew.json")


def test_the_newest_runs_are_kept(tmp_path: Path) -> None:
    memory = RunMemory(tmp_path / "job.json", POLICY)
    for number in range(MAX_RUNS + 3):
        memory.add(stored(1e-4, float(number)))
    assert [run.reached for run in memory.read()] == [float(k) for k in range(3, MAX_RUNS + 3)]


def test_a_long_course_is_thinned(tmp_path: Path) -> None:
    path, losses = tmp_path / "job.json", iter(range(1, 152))
    run = Controller(POLICY, memory=path).drive(
        {"learning_rate": lambda value: value},
        initial=OWN,
        total_steps=150,
        num_decisions=150,
        validate=lambda: 1.0 / next(losses),
    )
    for _ in range(150):
        run.step(1.0)
    assert len(RunMemory(path, POLICY).read()[0].course) == 50


ADDING = """
import sys
from hpo_env.control.run_memory import RunMemory, StoredRun
from hpo_env.policy_file import load
path, policy, name = sys.argv[1:]
memory = RunMemory(path, load(policy))
for k in range(15):
    memory.add(StoredRun(identity=f"{name} {k}", start={"learning_rate": 0.1}, reached=1.0))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="files are locked on POSIX alone")
def test_processes_that_write_at_once_lose_nothing(tmp_path: Path) -> None:
    from hpo_env.policy_file import save

    path, policy = tmp_path / "job.json", save(POLICY, tmp_path / "policy")
    writing = [
        subprocess.Popen([sys.executable, "-c", ADDING, str(path), str(policy), name])
        for name in "ab"
    ]
    assert [process.wait(timeout=120) for process in writing] == [0, 0]
    found = {run.identity for run in RunMemory(path, POLICY).read()}
    assert found == {f"{name} {k}" for name in "ab" for k in range(15)}
    left = {entry.name for entry in tmp_path.iterdir()} - {"policy"}
    assert left == {"job.json", ".job.json.lock"}


def valid() -> dict[str, Any]:
    return {
        "format": "hpo-control-memory",
        "format_version": 1,
        "policy": RunMemory("nowhere.json", POLICY)._policy,
        "runs": [{"identity": "a", "start": OWN, "reached": 1.0, "look": LOOK, "course": [1.0]}],
    }


def with_run(**entries: Any) -> bytes:
    document = valid()
    document["runs"][0] |= entries
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is damaged"),
        (json.dumps(valid()).encode()[:-9], "is damaged"),
        (b"\x00\xff\xfe", "is damaged"),
        (b"[1, 2]", "is damaged"),
        (b"[" * 100_000, "is damaged"),
        (b" " * 1_000_001, "larger than 1,000,000 bytes"),
        (json.dumps(valid() | {"format": "hpo-control-schedule"}).encode(), "its format must be"),
        (json.dumps(valid() | {"format_version": 2}).encode(), "its format must be"),
        (json.dumps(valid() | {"policy": "other"}).encode(), "under another policy"),
        (json.dumps(valid() | {"runs": 3}).encode(), "is damaged"),
        (with_run(start={"learning_rate": "0.1"}), "is damaged"),
        (with_run(start={"learning_rate": math.nan}), "is damaged"),
        (with_run(start={}), "is damaged"),
        (with_run(start=[1]), "is damaged"),
        (with_run(reached="best"), "is damaged"),
        (with_run(look={"log_loss": True}), "is damaged"),
        (with_run(look={"__class__": 1.0}), "is damaged"),
        (with_run(course=[0.1] * 65), "is damaged"),
        (with_run(identity=3), "is damaged"),
        (with_run(code="import os"), "is damaged"),
    ],
)
def test_a_file_that_is_no_memory_of_this_policy_is_refused_and_left_alone(
    content: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "job.json"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"{said}.*Give another path, or remove the file"):
        Controller(POLICY, memory=path)
    assert path.read_bytes() == content


def test_the_file_that_is_refused_when_doctored_is_taken_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text(json.dumps(valid()))
    assert RunMemory(path, POLICY).read() == [StoredRun(**valid()["runs"][0])]


def test_values_of_a_doctored_file_outside_of_their_range_are_not_taken(
    tmp_path: Path,
) -> None:
    path = tmp_path / "job.json"
    document = json.loads(with_run(look={}))
    outside = {"start": {"learning_rate": 50.0}, "reached": -9.0, "look": {}, "course": []}
    document["runs"] += [{"identity": str(k), **outside} for k in range(4)]
    path.write_text(json.dumps(document))
    run = night(path)
    assert run.values["learning_rate"] <= 1.0


def test_a_folder_in_its_place_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Controller(POLICY, memory=tmp_path)


def test_a_file_that_is_damaged_in_the_meantime_ends_no_training(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    night(path)
    run = night(path, steps=8)
    path.write_text("{")
    for _ in range(7):
        run.step(1.0)
    with pytest.warns(ControllerWarning, match="is damaged"):
        run.step(1.0)
    assert run.is_over


def test_another_policys_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    night(path)
    with pytest.raises(ConfigurationError, match="under another policy"):
        Controller(random_policy(("learning_rate",)), memory=path)


def test_a_loop_that_cannot_begin_elsewhere_says_so_at_the_first_run(tmp_path: Path) -> None:
    optimizer = torch.optim.SGD(nn.Linear(2, 1).parameters(), lr=1e-3)
    scheduler = torch.optim.lr_scheduler.ConstantLR(optimizer)
    controller = Controller(POLICY, memory=tmp_path / "job.json")
    with pytest.raises(ConfigurationError, match="nor can values to start at"):
        controller.attach(optimizer, total_steps=16, base_schedule=scheduler)


def test_a_shipped_policy_takes_a_memory(tmp_path: Path) -> None:
    controller = Controller.from_pretrained("supervised", memory=tmp_path / "job.json")
    assert controller.memory is not None
    assert controller.memory.path == tmp_path / "job.json"
