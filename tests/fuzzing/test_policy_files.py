"""Whatever stands in a policy's files, loading them gives a policy or a `PolicyFileError`."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from agents.commands.policies import load_policy
from hpo_env import policy_file
from hpo_env.controller import Controller
from hpo_env.errors import PolicyFileError
from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.policy import Policy, num_outputs
from hpo_env.policy_file import CONTROLLER_FILE, WEIGHTS_FILE, load, save
from hpo_env.shipped import ZOO
from hpo_env.starts import LearnedStart, StartCase
from hpo_env.tasks.registry import family_class
from tests.fuzzing.inputs import VALUES, generators, in_time, pick
from tests.hpo_env.remembering import remembering

Generator = np.random.Generator


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a policy that has a memory and is small, so that most of its file is not numbers."""
    space = family_class("supervised")().space.subset(["learning_rate", "momentum"])
    sizes = (len(field_names(space.names)), num_outputs("clipped", 2))
    policy = Policy(
        family="supervised",
        space=HyperparameterSpace(space.hyperparameters),
        base_schedule="cosine",
        head="clipped",
        activation="tanh",
        weights=(np.ones(sizes[::-1], dtype=np.float32),),
        biases=(np.zeros(sizes[1], dtype=np.float32),),
        metadata={"note": "x"},
        kinds=("binary", "regression"),
        learned_start=LearnedStart(
            cases=(
                StartCase(kind="binary", max_size=1e3, values={"momentum": 0.5}),
                StartCase(values={"momentum": 0.8}),
            )
        ),
    )
    return save(remembering(policy, 2), tmp_path_factory.mktemp("fuzz") / "policy")


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the places in plain data, with only the first few of long lists."""
    inner = list(data.items()) if isinstance(data, dict) else []
    inner += list(enumerate(data[:3])) if isinstance(data, list) else []
    return [p for key, value in inner for p in [(*path, key), *places(value, (*path, key))]]


def with_another_entry(document: dict[str, Any], rng: Generator) -> None:
    """Put something else, or nothing, in a place of the document."""
    *way, last = pick(rng, places(document))
    owner: Any = document
    for key in way:
        owner = owner[key]
    kind = rng.integers(8)
    if kind == 0:
        del owner[last]
    elif kind == 1 and isinstance(owner, list):
        owner.append(copy.deepcopy(owner[last]))
    elif kind == 2 and isinstance(owner, dict):
        owner[str(pick(rng, VALUES))] = copy.deepcopy(owner[last])
    else:
        owner[last] = copy.deepcopy(pick(rng, VALUES))  # a second change may be made inside of it


def with_other_bytes(content: bytes, rng: Generator) -> bytes:
    """Cut, exchange or repeat some bytes."""
    at, long = int(rng.integers(len(content))), int(rng.integers(1, 9))
    kind = rng.integers(4)
    if kind == 0:
        return content[:at]
    if kind == 1:
        return content[:at] + content[at + long :]
    if kind == 2:
        return content[:at] + content[at : at + long] * 2 + content[at + long :]
    return content[:at] + rng.bytes(long) + content[at + long :]


def is_loaded(folder: Path, what: object) -> bool:
    with in_time(what):
        try:
            load(folder)
        except PolicyFileError as error:
            found = str(error)
        else:
            return True
    assert str(folder) in found, "the file is named"
    return False


def test_doctored_documents_whose_checksum_is_right(small: Path, quick_path: Path) -> None:
    shutil.copytree(small, quick_path, dirs_exist_ok=True)
    text = (small / CONTROLLER_FILE).read_text()
    loaded = 0
    for rng in generators(0.6):
        document: dict[str, Any] = json.loads(text)
        for _ in range(rng.integers(1, 3)):
            with_another_entry(document, rng)
        if rng.random() < 0.9:
            document["sha256"] = policy_file._checksum(document)
        (quick_path / CONTROLLER_FILE).write_text(json.dumps(document))
        loaded += is_loaded(quick_path, document)
    assert loaded  # what is not covered, such as notes, may be edited


def test_exchanged_bytes(small: Path, quick_path: Path) -> None:
    for rng in generators(0.4):
        shutil.copytree(small, quick_path, dirs_exist_ok=True)
        name = pick(rng, (CONTROLLER_FILE, WEIGHTS_FILE))
        content = with_other_bytes((small / name).read_bytes(), rng)
        (quick_path / name).write_bytes(content)
        if name == WEIGHTS_FILE:  # past the checksums
            document = json.loads((small / CONTROLLER_FILE).read_text())
            document["weights_sha256"] = hashlib.sha256(content).hexdigest()
            document["sha256"] = policy_file._checksum(document)
            (quick_path / CONTROLLER_FILE).write_text(json.dumps(document))
        is_loaded(quick_path, content)


@pytest.mark.parametrize("digits", [301, 309, 4000, 5000])
@pytest.mark.parametrize("place", ["low", "golden", "layer_sizes", "metadata", "loss_floor"])
def test_whole_numbers_of_hundreds_of_digits(
    place: str, digits: int, small: Path, tmp_path: Path
) -> None:
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    document = json.loads((small / CONTROLLER_FILE).read_text())
    owner: Any = {
        "low": document["hyperparameters"][0],
        "golden": document["golden"]["outputs"][0],
        "layer_sizes": document["layer_sizes"],
        "metadata": document["metadata"],
        "loss_floor": document,
    }[place]
    owner[0 if isinstance(owner, list) else place] = 7777777
    document["sha256"] = policy_file._checksum(document)
    text = json.dumps(document).replace("7777777", "9" * digits)
    (tmp_path / CONTROLLER_FILE).write_text(text)
    with pytest.raises(PolicyFileError):
        load(tmp_path)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize("name", [CONTROLLER_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize("make", [a_pipe, a_folder, a_device, a_circle])
def test_what_is_no_file_is_refused_and_not_waited_for(
    make: Callable[[Path], None], name: str, small: Path, tmp_path: Path
) -> None:
    shutil.copytree(small, tmp_path, dirs_exist_ok=True)
    (tmp_path / name).unlink()
    make(tmp_path / name)
    with pytest.raises(PolicyFileError, match=name):
        load(tmp_path)


@pytest.mark.parametrize("find", [Controller.from_pretrained, load_policy, load])
@pytest.mark.parametrize(
    "name", ["", "a\0b", "n" * 300, "n/" * 3000, "é\ud800", "../x", "~", "-", "supervised/", "\n"]
)
def test_no_name_of_a_policy_is_too_strange(find: Callable[[str], object], name: str) -> None:
    with pytest.raises(PolicyFileError):
        find(name)


def test_shipped_names_are_found() -> None:
    for folder in ZOO.glob(f"*/{CONTROLLER_FILE}"):
        assert load_policy(folder.parent.name).family
