"""Tasks of meta-training, stored by how their first interval looked."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo_env.control.looks import SPREADS
from hpo_env.control.run_memory import StoredRun, chosen
from hpo_env.control.stored_tasks import (
    STORED_TASKS_FILE,
    StoredTasks,
    read_stored_tasks,
    write_stored_tasks,
)
from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.policy_file import load, save
from hpo_env.seeding import stream
from hpo_env.shipped import policy_folder
from tests.hpo_env.controlled_runs import SPACE, fixed_policy

RATE = SPACE.subset(["learning_rate"])
NEAR, FAR = dict.fromkeys(SPREADS, 0.0), dict.fromkeys(SPREADS, 3.0)
TABLE = StoredTasks(
    starts=({"learning_rate": 0.01}, {"learning_rate": 0.02}, {"learning_rate": 0.03}),
    looks=(NEAR, FAR),
    gains=np.array([[-0.1, -0.3, 0.5], [-0.1, 0.4, -0.2]]),
)


def run(rate: float, reached: float = 0.0, look: Any = NEAR) -> StoredRun:
    return StoredRun(identity=f"{rate}", start={"learning_rate": rate}, reached=reached, look=look)


@pytest.mark.parametrize(
    ("look", "first"), [(NEAR, 0.02), (FAR, 0.03), ({"log_loss": 0.1}, 0.02), ({}, 0.01)]
)
def test_what_gained_on_tasks_that_looked_so_comes_first(look: Any, first: float) -> None:
    # Of a look that shares nothing all tasks are alike: 0.01 gains on both.
    assert TABLE.ranked(look)[0] == {"learning_rate": first}


def test_expected_gains_are_a_mean_weighted_by_a_gaussian() -> None:
    look = dict.fromkeys(SPREADS, 0.0) | {"log_loss": SPREADS["log_loss"]}
    near = 1.0 / len(SPREADS)
    far = np.mean([((3.0 - look[n]) / spread) ** 2 for n, spread in SPREADS.items()])
    weight = 1.0 / (1.0 + np.exp(-0.5 * (far - near) / 0.5**2))
    np.testing.assert_allclose(
        TABLE.expected(look), weight * TABLE.gains[0] + (1.0 - weight) * TABLE.gains[1]
    )


def test_prototypes_are_the_means_of_tasks_that_look_alike() -> None:
    rng = np.random.default_rng(0)
    looks = [
        {n: centre + 0.01 * rng.standard_normal() for n in SPREADS}
        for centre in (0.0, 3.0)
        for _ in range(5)
    ]
    gains = np.concatenate([TABLE.gains[:1] + np.zeros((5, 3)), TABLE.gains[1:] + np.zeros((5, 3))])
    gains += 0.01 * rng.standard_normal(gains.shape)
    whole = StoredTasks(starts=TABLE.starts, looks=looks, gains=gains)
    two = whole.condensed(2, stream(0, "prototypes"))
    order = np.argsort([look["log_loss"] for look in two.looks])
    np.testing.assert_allclose(two.gains[order], [gains[:5].mean(0), gains[5:].mean(0)])
    assert two.sizes is not None
    assert two.sizes.tolist() == [5.0, 5.0]
    assert two.ranked(FAR)[0] == {"learning_rate": 0.03}
    assert StoredTasks.from_json(two.to_json()).to_json() == two.to_json()
    for count in (0, 11):
        with pytest.raises(ConfigurationError, match="count of prototypes"):
            whole.condensed(count, stream(0, "prototypes"))


def test_prototypes_weigh_as_much_as_their_members() -> None:
    table = StoredTasks(
        starts=TABLE.starts, looks=(NEAR, NEAR), gains=TABLE.gains, sizes=np.array([1.0, 3.0])
    )
    np.testing.assert_allclose(table.expected(NEAR), [0.25, 0.75] @ TABLE.gains)


def test_a_memory_explores_what_suited_tasks_that_looked_so() -> None:
    rng, own = np.random.default_rng(0), {"learning_rate": 1e-4}
    runs = [run(1e-4)]
    for expected in (0.02, 0.01):  # what should gain most, then the next of it
        runs.append(run(chosen(runs, RATE, own, rng, TABLE)["learning_rate"], -expected))
        assert runs[-1].start == {"learning_rate": expected}
    assert chosen(runs, RATE, own, rng, TABLE) == {"learning_rate": 0.02}  # the best known


@pytest.mark.parametrize(
    "runs",
    [
        [run(1e-4, look={})],
        [run(1e-4), run(0.02), run(0.01), run(0.03), run(1e-4)],  # the sixth run explores
    ],
)
def test_without_a_look_or_with_all_tried_values_are_drawn(runs: list[StoredRun]) -> None:
    own = {"learning_rate": 1e-4}
    matched, drawn = (chosen(runs, RATE, own, np.random.default_rng(5), t) for t in (TABLE, None))
    assert matched == drawn
    assert matched not in [dict(known.start) for known in runs]


DAMAGED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "another format": lambda d: d | {"format": "other"},
    "a version to come": lambda d: d | {"format_version": 2},
    "no tasks": lambda d: d | {"tasks": []},
    "no starts": lambda d: d | {"starts": []},
    "a gain too few": lambda d: d | {"tasks": [d["tasks"][0] | {"gains": [0.1]}, d["tasks"][1]]},
    "a gain that is no number": lambda d: d | {"tasks": [d["tasks"][0] | {"gains": ["x"] * 3}]},
    "an unknown look": lambda d: d | {"tasks": [d["tasks"][0] | {"look": {"other": 1.0}}]},
    "a start that is no number": lambda d: d | {"starts": [{"learning_rate": "x"}] * 3},
    "a start that is no mapping": lambda d: d | {"starts": [1.0, 2.0, 3.0]},
    "an empty group": lambda d: d | {"tasks": [row | {"size": 0.0} for row in d["tasks"]]},
    "no mapping": lambda d: [d],
}


@pytest.mark.parametrize("damage", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_table_is_refused_by_name(
    tmp_path: Path, damage: Callable[[dict[str, Any]], Any]
) -> None:
    path = write_stored_tasks(TABLE, tmp_path)
    path.write_text(json.dumps(damage(json.loads(path.read_text()))))
    with pytest.raises(ConfigurationError, match=STORED_TASKS_FILE):
        read_stored_tasks(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"\xff\xfe", b"[" * 100_000, b" " * 1_000_001])
def test_what_is_no_table_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    (tmp_path / STORED_TASKS_FILE).write_bytes(content)
    with pytest.raises(ConfigurationError, match=STORED_TASKS_FILE):
        read_stored_tasks(tmp_path)


def test_a_policy_that_stored_no_tasks_says_so(tmp_path: Path) -> None:
    save(fixed_policy(0.0), tmp_path / "mine")
    memory = tmp_path / "job.json"
    Controller.from_pretrained(tmp_path / "mine", memory=memory)
    with pytest.raises(ConfigurationError, match="explores='matched'"):
        Controller.from_pretrained(tmp_path / "mine", memory=memory, explores="matched")
    wrong: dict[str, Any] = {"explores": "matchd"}
    with pytest.raises(UnknownNameError, match="explores"):
        Controller.from_pretrained("supervised", **wrong)


def test_the_second_run_begins_where_the_shipped_table_says(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    for _ in range(2):
        controller = Controller.from_pretrained("supervised", memory=path, explores="matched")
        losses = np.geomspace(1.0, 0.5, 100).tolist()
        steered = controller.drive(
            {"learning_rate": lambda value: None},
            initial={"learning_rate": 1e-3},
            total_steps=60,
            validate=partial(losses.pop, 0),
        )
        for loss in np.geomspace(1.0, 0.5, 60):
            steered.step(float(loss))
        steered.close()
    assert controller.memory is not None
    first, second = controller.memory.read()
    expected = read_stored_tasks(policy_folder("supervised")).ranked(first.look)[0]
    assert first.start == {"learning_rate": 1e-3}
    assert second.start == {"learning_rate": expected["learning_rate"]}


def test_the_shipped_table_is_of_the_policys_hyperparameters() -> None:
    folder = policy_folder("supervised")
    space, table = load(folder).space, read_stored_tasks(folder)
    spans = {h.name: (h.low, h.high) for h in space.hyperparameters}
    assert table.sizes is None
    for start in table.starts:
        assert set(start) == set(space.names)
        assert all(spans[name][0] <= value <= spans[name][1] for name, value in start.items())
