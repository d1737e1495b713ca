from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from hpo_env import golden_vectors, policy_file
from hpo_env.errors import PolicyFileError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.observation import OBSERVATION_VERSION, field_names
from hpo_env.policy import Head, Policy, num_outputs
from hpo_env.policy_file import CONTROLLER_FILE, WEIGHTS_FILE, load, save
from hpo_env.scope import Scope
from hpo_env.shipped import ZOO
from hpo_env.starts import LearnedStart, StartCase
from tests.hpo_env.remembering import remembering

LEARNING_RATE = Hyperparameter(
    name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0, scheduled=True
)
MOMENTUM = Hyperparameter(
    name="momentum", low=0.0, high=0.99, default=0.9, max_step=2.0, scale="one_minus_log"
)
LEARNED_START = LearnedStart(
    cases=(
        StartCase(kind="binary", max_size=1e3, values={"learning_rate": 0.05}),
        StartCase(values={"learning_rate": 0.1}),
    )
)

SCOPE = Scope(min_interval_updates=20, max_loss_gap=0.1, max_change_per_update=0.005)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    head: Any = draw(st.sampled_from(get_args(Head)))
    hyperparameters = draw(st.sampled_from([[LEARNING_RATE], [MOMENTUM, LEARNING_RATE]]))
    space = HyperparameterSpace(hyperparameters)
    hidden = draw(st.lists(st.integers(1, 9), max_size=3))
    features = tuple(draw(st.lists(st.sampled_from(["age", "season", "slope"]), unique=True)))
    num_fields = len(field_names(space.names)) + len(features)
    sizes = [num_fields, *hidden, num_outputs(head, len(space))]
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    scale = draw(st.sampled_from([1e-3, 1.0, 100.0]))
    layers = list(pairwise(sizes))
    familiarity = make_familiarity(sizes[0], rng) if draw(st.booleans()) else None
    policy = Policy(
        family="supervised",
        space=space,
        base_schedule=draw(st.sampled_from(["constant", "cosine", "one_cycle"])),
        head=head,
        activation=draw(st.sampled_from(["tanh", "relu"])),
        weights=tuple((scale * rng.normal(size=(o, i))).astype(np.float32) for i, o in layers),
        biases=tuple(rng.normal(size=o).astype(np.float32) for _, o in layers),
        metadata={
            "note": draw(st.text()),
            "score": draw(st.floats(allow_nan=False, allow_infinity=False)),
        }
        if draw(st.booleans())
        else {},
        features=features,
        familiarity=familiarity,
        learned_start=draw(st.sampled_from([None, LEARNED_START])),
        kinds=draw(st.sampled_from([None, ("binary",), ("ppo, discrete", "a2c")])),
        scope=draw(st.sampled_from([None, SCOPE])),
    )
    return remembering(policy, draw(st.integers(1, 4))) if draw(st.booleans()) else policy


@pytest.fixture
def saved_start(saved: Path, tmp_path: Path) -> Path:
    return save(replace(load(saved), learned_start=LEARNED_START), tmp_path / "start")


def make_familiarity(num_fields: int, rng: np.random.Generator) -> Familiarity:
    return Familiarity(
        mean=rng.normal(size=num_fields).astype(np.float32),
        whitening=rng.normal(size=(num_fields, num_fields)).astype(np.float32),
        threshold=float(rng.uniform(0.1, 30.0)),
    )


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    space = HyperparameterSpace([LEARNING_RATE])
    num_fields, rng = len(field_names(space.names)), np.random.default_rng(0)
    policy = Policy(
        family="supervised",
        space=space,
        base_schedule="cosine",
        head="choices",
        activation="tanh",
        weights=(
            rng.normal(size=(6, num_fields)).astype(np.float32),
            rng.normal(size=(5, 6)).astype(np.float32),
        ),
        biases=(np.zeros(6, dtype=np.float32), np.zeros(5, dtype=np.float32)),
        metadata={"score": -0.5},
    )
    return save(policy, tmp_path / "policy")


@pytest.fixture
def saved_familiar(saved: Path, tmp_path: Path) -> Path:
    policy = load(saved)
    familiarity = make_familiarity(len(policy.fields), np.random.default_rng(1))
    return save(replace(policy, familiarity=familiarity), tmp_path / "familiar")


@pytest.fixture
def saved_remembering(saved: Path, tmp_path: Path) -> Path:
    return save(remembering(load(saved)), tmp_path / "remembering")


def read_json(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / CONTROLLER_FILE).read_text())
    return document


def write_json(folder: Path, document: dict[str, Any], *, sign: bool = True) -> None:
    """Write a document as somebody would who also knows how to compute the checksum."""
    if sign:
        document["sha256"] = policy_file._checksum(document)
    (folder / CONTROLLER_FILE).write_text(json.dumps(document))


def write_weights(folder: Path, tensors: dict[str, Any]) -> None:
    save_file(tensors, folder / WEIGHTS_FILE)
    document = read_json(folder)
    content = (folder / WEIGHTS_FILE).read_bytes()
    document["weights_sha256"] = hashlib.sha256(content).hexdigest()
    write_json(folder, document)


# ------------------------------------------------------------------------------------- round trips


@settings(derandomize=True, deadline=None)  # files are written on a busy machine
@given(policy=policies())
def test_what_was_saved_is_loaded(tmp_path_factory: pytest.TempPathFactory, policy: Policy) -> None:
    again = load(save(policy, tmp_path_factory.mktemp("policy") / "new"))
    for name, tensor in policy.tensors().items():
        np.testing.assert_array_equal(again.tensors()[name], tensor)
    for name in ("family", "base_schedule", "head", "activation", "metadata", "fields", "kinds"):
        assert getattr(again, name) == getattr(policy, name)
    assert again.space.hyperparameters == policy.space.hyperparameters
    assert (again.memory is None) == (policy.memory is None)
    assert (again.familiarity is None) == (policy.familiarity is None)
    if again.familiarity is not None and policy.familiarity is not None:
        assert again.familiarity.threshold == policy.familiarity.threshold
    x = np.random.default_rng(0).uniform(-1, 1, (5, len(policy.fields)))
    np.testing.assert_array_equal(again.act(x), policy.act(x))


@pytest.mark.parametrize("fixture", ["saved", "saved_familiar", "saved_remembering"])
def test_saving_twice_writes_the_same_bytes(
    fixture: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    folder = request.getfixturevalue(fixture)
    again = save(load(folder), tmp_path / "again")
    for name in (WEIGHTS_FILE, CONTROLLER_FILE):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_a_policy_without_familiarity_is_written_as_before_there_was_such_a_thing(
    saved: Path,
) -> None:
    assert "familiarity" not in read_json(saved)
    assert set(read_json(saved)["golden"]) == {"observations", "outputs", "moves"}
    assert all(name.startswith("layers.") for name in load_file(saved / WEIGHTS_FILE))
    assert load(saved).familiarity is None


def test_saving_leaves_other_files_alone_and_no_temporary_ones(saved: Path) -> None:
    (saved / "card.md").write_text("notes")
    save(load(saved), saved)
    names = sorted(p.name for p in saved.iterdir())
    assert names == ["card.md", CONTROLLER_FILE, WEIGHTS_FILE]


@pytest.mark.parametrize("score", [float("nan"), float("inf"), np.float32(1.0), {1, 2}])
def test_metadata_that_json_cannot_hold_is_refused(saved: Path, score: object) -> None:
    policy = replace(load(saved), metadata={"score": score})
    with pytest.raises(PolicyFileError, match="metadata must be plain JSON data"):
        save(policy, saved)
    load(saved)


def test_a_full_disk_loses_nothing(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    policy = load(saved)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("hpo_env.whole_files.os.fsync", full)
    with pytest.raises(PolicyFileError, match="No space left on device"):
        save(policy, saved)
    monkeypatch.undo()
    load(saved)
    assert len(list(saved.iterdir())) == 2


def test_an_interrupted_save_is_noticed(saved: Path, tmp_path: Path) -> None:
    policy = load(saved)
    changed = tuple(weight + np.float32(1.0) for weight in policy.weights)
    newer = save(replace(policy, weights=changed), tmp_path / "newer")
    (saved / WEIGHTS_FILE).write_bytes((newer / WEIGHTS_FILE).read_bytes())
    with pytest.raises(PolicyFileError, match="saving was interrupted"):
        load(saved)


# ---------------------------------------------------------------------------------------- versions


def test_a_policy_from_before_fields_were_appended_still_loads(saved: Path) -> None:
    policy, document = load(saved), read_json(saved)
    tensors = load_file(saved / WEIGHTS_FILE)
    dropped = ["has_updates", "learning_rate/action"]
    kept = [i for i, name in enumerate(policy.fields) if name not in dropped]
    kept = kept[::-1]  # an older order of fields is fine too: they are matched by name
    old = {
        **document,
        "observation_fields": [policy.fields[i] for i in kept],
        "layer_sizes": [len(kept), 6, 5],
    }
    golden = np.array(document["golden"]["observations"], dtype=np.float32)[:, kept]
    hidden = np.tanh(golden @ tensors["layers.0.weight"][:, kept].T)
    outputs = hidden @ tensors["layers.1.weight"].T
    old["golden"] = {
        "observations": golden.tolist(),
        "outputs": outputs.tolist(),
        "moves": policy.moves_of(outputs).tolist(),
    }
    write_json(saved, old)
    tensors["layers.0.weight"] = np.ascontiguousarray(tensors["layers.0.weight"][:, kept])
    write_weights(saved, tensors)

    older = load(saved)
    x = np.random.default_rng(1).uniform(-1, 1, (9, len(policy.fields))).astype(np.float32)
    without = x.copy()
    without[:, [policy.fields.index(name) for name in dropped]] = 0.0
    np.testing.assert_allclose(older.outputs(x), policy.outputs(without), atol=1e-5)


def test_familiarity_from_before_fields_were_appended_ignores_them(
    saved_familiar: Path,
) -> None:
    policy, document = load(saved_familiar), read_json(saved_familiar)
    assert policy.familiarity is not None
    kept = [i for i, name in enumerate(policy.fields) if name != "has_updates"][::-1]
    known = Familiarity(
        mean=np.ascontiguousarray(policy.familiarity.mean[kept]),
        whitening=np.ascontiguousarray(policy.familiarity.whitening[np.ix_(kept, kept)]),
        threshold=policy.familiarity.threshold,
    )
    tensors = load_file(saved_familiar / WEIGHTS_FILE) | known.tensors()
    tensors["layers.0.weight"] = np.ascontiguousarray(tensors["layers.0.weight"][:, kept])
    golden = np.array(document["golden"]["observations"], dtype=np.float32)[:, kept]
    outputs = np.tanh(golden @ tensors["layers.0.weight"].T) @ tensors["layers.1.weight"].T
    document |= {
        "observation_fields": [policy.fields[i] for i in kept],
        "layer_sizes": [len(kept), 6, 5],
        "golden": {
            "observations": golden.tolist(),
            "outputs": outputs.tolist(),
            "moves": policy.moves_of(outputs).tolist(),
            "distances": known.distance(golden).tolist(),
        },
    }
    write_json(saved_familiar, document)
    write_weights(saved_familiar, tensors)

    older = load(saved_familiar).familiarity
    x = np.random.default_rng(1).uniform(-1, 1, (9, len(policy.fields))).astype(np.float32)
    assert older is not None
    np.testing.assert_allclose(older.distance(x), known.distance(x[:, kept]), rtol=1e-5)


def test_another_minor_version_with_known_fields_loads(saved: Path) -> None:
    document = read_json(saved)
    document["observation_version"] = [OBSERVATION_VERSION[0], OBSERVATION_VERSION[1] + 5]
    write_json(saved, document)
    load(saved)


# ---------------------------------------------------------------------------------- what is refused

Change = Callable[[dict[str, Any]], object]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.update(format="zip"), "'format' must be 'hpo-control-policy'; got 'zip'"),
        (lambda d: d.update(format_version=1), "Install the version of hpo-control"),
        (lambda d: d.update(observation_version=[99, 0]), "major number 1.*Train the policy again"),
        (lambda d: d.update(observation_version="1.0"), "major number"),
        (lambda d: d.pop("head"), "'head' must be there"),
        (lambda d: d.update(head="joint_choice", layer_sizes=[26, 6, 4]), "must be float32"),
        (lambda d: d.update(head="clipped"), "golden moves within"),
        (lambda d: d.update(head="choice"), "did you mean 'choices'"),
        (lambda d: d.update(head=["choices"]), "'head' must be a str"),
        (lambda d: d.update(activation="gelu"), "unknown activation 'gelu'"),
        (lambda d: d.update(base_schedule="cosin"), "did you mean 'cosine'"),
        (lambda d: d.update(family=""), "family"),
        (lambda d: d.update(metadata=[]), "'metadata' must be a dict"),
        (lambda d: d.update(layer_sizes=[26, 6]), "tensors must be"),
        (lambda d: d.update(layer_sizes=[25, 6, 5]), "layer_sizes must start with 26"),
        (lambda d: d.update(layer_sizes=[26, 7, 5]), r"must be float32 \(7, 26\)"),
        (lambda d: d.update(layer_sizes=[26, 10**9, 5]), "integers from 1 to"),
        (lambda d: d.update(layer_sizes=[26, True, 5]), "integers from 1 to"),
        (lambda d: d["observation_fields"].append("mood"), r"\['mood'\].*Update hpo-control"),
        (lambda d: d["observation_fields"].append("drop"), "distinct names"),
        (lambda d: d["observation_fields"].append(3), "distinct names"),
        (lambda d: d.update(hyperparameters=[]), "at least one must be given"),
        (lambda d: d.update(hyperparameters=[3]), "'hyperparameters'"),
        (lambda d: d["hyperparameters"][0].update(low=5.0), "low < high"),
        (lambda d: d["hyperparameters"][0].update(low="5"), "'hyperparameters'"),
        (lambda d: d["hyperparameters"][0].update(name=5), "names must be strings"),
        (lambda d: d["hyperparameters"][0].update(colour="red"), "not a hyperparameter space"),
        (lambda d: d["golden"]["outputs"][3].__setitem__(0, 9.0), "golden outputs within"),
        (lambda d: d["golden"]["outputs"][3].__setitem__(0, float("nan")), "golden"),
        (lambda d: d["golden"]["moves"][3].__setitem__(0, 0.5), "golden moves within"),
        (lambda d: d["golden"].update(outputs=[]), "'golden'"),
        (lambda d: d["golden"].update(observations=[[1.0, 2.0]]), "'golden'"),
        (lambda d: d["golden"].update(observations="none"), "'observations' must be a list"),
        (lambda d: d.update(activation="relu"), "golden outputs within"),
        (lambda d: d.update(weights_sha256="0" * 64), "its sha256 must be 000"),
    ],
)
def test_a_doctored_controller_file_is_refused_even_when_its_checksum_is_right(
    saved: Path, change: Change, message: str
) -> None:
    document = read_json(saved)
    assert document["layer_sizes"] == [26, 6, 5]
    change(document)
    write_json(saved, document)
    with pytest.raises(PolicyFileError, match=message) as caught:
        load(saved)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["familiarity"].update(threshold=-1.0), "must be positive and finite"),
        (lambda d: d["familiarity"].update(threshold=float("nan")), "must be positive and finite"),
        (lambda d: d["familiarity"].update(threshold="1"), "'threshold' must be a float"),
        (lambda d: d["familiarity"].pop("threshold"), "'threshold' must be there"),
        (lambda d: d.update(familiarity=[1.0]), "'familiarity' must be a dict"),
        (lambda d: d.pop("familiarity"), "tensors must be"),
        (lambda d: d["golden"].pop("distances"), "'distances' must be there"),
        (lambda d: d["golden"].update(distances=[]), "'golden' distances must have shape"),
        (lambda d: d["golden"]["distances"].__setitem__(2, 9.0), "golden distances within"),
        (lambda d: d["golden"]["distances"].__setitem__(2, "far"), "'golden'"),
    ],
)
def test_doctored_familiarity_is_refused(
    saved_familiar: Path, change: Change, message: str
) -> None:
    document = read_json(saved_familiar)
    change(document)
    write_json(saved_familiar, document)
    with pytest.raises(PolicyFileError, match=message):
        load(saved_familiar)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("cases"), "'learned_start': not a learned start"),
        (lambda s: s.update(cases=[]), "the last case of a learned start must fit every problem"),
        (lambda s: s.update(cases="all"), "not a learned start"),
        (lambda s: s.update(colour="red"), "not a learned start.*colour"),
        (lambda s: s.update(is_default="yes"), "is_default must be True or False; got 'yes'"),
        (lambda s: s["cases"].pop(), "the last case of a learned start must fit every problem"),
        (lambda s: s["cases"][0].update(kind=3), "kind must be a text or None; got 3"),
        (lambda s: s["cases"][0].update(min_size=2e3), "0 <= min_size < max_size must hold"),
        (lambda s: s["cases"][0].update(max_size="big"), "0 <= min_size < max_size must hold"),
        (lambda s: s["cases"][0].update(values={}), "must have at least one value"),
        (lambda s: s["cases"][0].update(values={"momentum": 0.5}), "for the same hyperparameters"),
        (lambda s: s["cases"][0]["values"].update(learning_rate="x"), "must be finite numbers"),
        (lambda s: s["cases"][0]["values"].update(learning_rate=9.0), r"range of learning_rate"),
        (
            lambda s: [case["values"].update(momentum=0.5) for case in s["cases"]],
            "unknown hyperparameter 'momentum'",
        ),
    ],
)
def test_a_doctored_learned_start_is_refused(
    saved_start: Path, change: Change, message: str
) -> None:
    document = read_json(saved_start)
    change(document["learned_start"])
    write_json(saved_start, document)
    with pytest.raises(PolicyFileError, match=message) as caught:
        load(saved_start)
    assert str(saved_start) in str(caught.value)


def test_a_learned_start_that_is_no_mapping_is_refused(saved_start: Path) -> None:
    write_json(saved_start, read_json(saved_start) | {"learned_start": [1]})
    with pytest.raises(PolicyFileError, match="'learned_start' must be a dict"):
        load(saved_start)


@pytest.mark.parametrize("kinds", [[], ["a", "a"], [""], [1], [["a"]], "a", {"a": 1}, None])
def test_doctored_kinds_are_refused(saved: Path, kinds: Any) -> None:
    write_json(saved, read_json(saved) | {"kinds": kinds})
    with pytest.raises(PolicyFileError, match="'kinds' must be"):
        load(saved)


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        (20, "'scope' must be a dict"),
        ({}, "'scope': a scope must have"),
        (SCOPE.to_json() | {"min_interval_updates": "20"}, "'scope': min_interval_updates must be"),
    ],
)
def test_a_doctored_scope_is_refused(saved: Path, scope: Any, message: str) -> None:
    write_json(saved, read_json(saved) | {"scope": scope})
    with pytest.raises(PolicyFileError, match=message) as caught:
        load(saved)
    assert str(saved) in str(caught.value)


def test_a_policy_without_learned_start_kinds_or_scope_is_written_as_before_there_were_such_things(
    saved: Path,
) -> None:
    assert not {"learned_start", "kinds", "scope", "lowest"} & set(read_json(saved))


def test_moved_arrays_of_familiarity_are_noticed(saved_familiar: Path) -> None:
    tensors = load_file(saved_familiar / WEIGHTS_FILE)
    tensors["familiarity.mean"] = tensors["familiarity.mean"] + np.float32(0.01)
    write_weights(saved_familiar, tensors)
    with pytest.raises(PolicyFileError, match="golden distances within"):
        load(saved_familiar)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d["memory"].update(kind="gru"), "'kind' of a memory must be 'lstm'"),
        (lambda d: d["memory"].update(width=0), "'width' of a memory must be from 1 to"),
        (lambda d: d["memory"].update(width=10**9), "'width' of a memory must be from 1 to"),
        (lambda d: d["memory"].update(width=True), "'width' must be a int"),
        (lambda d: d["memory"].update(width=4), "must be float32"),
        (lambda d: d["memory"].pop("width"), "the entry 'width' must be there"),
        (lambda d: d.update(memory=[1]), "'memory' must be a dict"),
        (lambda d: d.pop("memory"), "tensors must be"),
        (lambda d: d["golden"]["outputs"][-1].__setitem__(0, 99.0), "golden outputs within"),
    ],
)
def test_a_doctored_memory_is_refused(
    saved_remembering: Path, change: Change, message: str
) -> None:
    document = read_json(saved_remembering)
    change(document)
    write_json(saved_remembering, document)
    with pytest.raises(PolicyFileError, match=message):
        load(saved_remembering)


@pytest.mark.parametrize("part", ["input_weight", "hidden_weight", "bias"])
@pytest.mark.parametrize("fault", [0.05, float("inf")])
def test_weights_of_a_memory_that_were_changed_are_noticed(
    saved_remembering: Path, part: str, fault: float
) -> None:
    tensors = load_file(saved_remembering / WEIGHTS_FILE)
    tensors[f"memory.{part}"] = tensors[f"memory.{part}"] + np.float32(fault)
    write_weights(saved_remembering, tensors)
    with pytest.raises(PolicyFileError, match=r"golden outputs within|must be finite"):
        load(saved_remembering)


def test_a_memory_from_before_fields_were_appended_ignores_them(saved_remembering: Path) -> None:
    policy, document = load(saved_remembering), read_json(saved_remembering)
    tensors = load_file(saved_remembering / WEIGHTS_FILE)
    known = [i for i, field in enumerate(policy.fields) if field != "drop"]
    weight = tensors["memory.input_weight"].copy()
    tensors["memory.input_weight"] = np.ascontiguousarray(weight[:, known])
    weight[:, policy.fields.index("drop")] = 0.0
    assert policy.memory is not None
    blind = replace(policy, memory=replace(policy.memory, input_weight=weight))
    document["observation_fields"].remove("drop")
    document["layer_sizes"][0] -= 1
    x = np.array(document["golden"]["observations"])
    x[:, policy.fields.index("drop")] = 0.0
    outputs = golden_vectors.outputs_in_turn(blind, x)
    document["golden"]["observations"] = x[:, known].tolist()
    document["golden"]["outputs"] = outputs.tolist()
    document["golden"]["moves"] = blind.moves_of(outputs).tolist()
    write_json(saved_remembering, document)
    write_weights(saved_remembering, tensors)
    assert load(saved_remembering).memory is not None
    memory = load(saved_remembering).memory
    assert memory is not None
    np.testing.assert_array_equal(memory.input_weight, weight)


def test_a_changed_entry_is_noticed_by_the_checksum(saved: Path) -> None:
    document = read_json(saved)
    document["hyperparameters"][0]["max_step"] = 40.0
    write_json(saved, document, sign=False)
    with pytest.raises(PolicyFileError, match="checksum"):
        load(saved)


def test_notes_in_the_metadata_may_be_edited(saved: Path) -> None:
    document = read_json(saved)
    document["metadata"]["card"] = "see card.md"
    write_json(saved, document, sign=False)
    assert load(saved).metadata == {"score": -0.5, "card": "see card.md"}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"3",
        b"\xff\xfe",
        b"[" * 100_000,
        pickle.dumps({"format": 1}),
        b" " * 5_000_000,
    ],
    ids=["empty", "cut", "list", "number", "not_utf8", "nested", "pickle", "huge"],
)
def test_a_controller_file_that_is_something_else_is_refused(saved: Path, content: bytes) -> None:
    (saved / CONTROLLER_FILE).write_bytes(content)
    with pytest.raises(PolicyFileError, match=r"controller\.json: "):
        load(saved)


@settings(derandomize=True, deadline=None)  # files are written on a busy machine
@given(share=st.floats(0.0, 0.999), name=st.sampled_from([WEIGHTS_FILE, CONTROLLER_FILE]))
def test_a_file_cut_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, share: float, name: str
) -> None:
    weight, bias = np.ones((5, 26), dtype=np.float32), np.zeros(5, dtype=np.float32)
    policy = Policy(
        family="quadratic",
        space=HyperparameterSpace([LEARNING_RATE]),
        base_schedule="constant",
        head="choices",
        activation="tanh",
        weights=(weight,),
        biases=(bias,),
    )
    folder = save(policy, tmp_path_factory.mktemp("policy"))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: int(share * len(content))])
    with pytest.raises(PolicyFileError, match=name):
        load(folder)


def _renamed(t: dict[str, Any]) -> dict[str, Any]:
    return {name.replace("bias", "offset"): tensor for name, tensor in t.items()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_renamed, "tensors must be"),
        (lambda t: t | {"extra": np.zeros(1, np.float32)}, "tensors must be"),
        (lambda t: {n: a.astype(np.float64) for n, a in t.items()}, "must be float32"),
        (lambda t: {n: np.ascontiguousarray(a.T) for n, a in t.items()}, "must be float32"),
        (
            lambda t: t | {"layers.1.bias": np.full(5, np.inf, np.float32)},
            "must be finite; got inf",
        ),
        (lambda t: {n: a + np.float32(1e-3) for n, a in t.items()}, "golden outputs within"),
    ],
    ids=["renamed", "extra", "float64", "transposed", "infinite", "moved"],
)
def test_doctored_weights_are_refused_even_when_their_checksum_is_right(
    saved: Path, change: Callable[[dict[str, Any]], dict[str, Any]], message: str
) -> None:
    write_weights(saved, change(load_file(saved / WEIGHTS_FILE)))
    with pytest.raises(PolicyFileError, match=message):
        load(saved)


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("exploded"),)


def test_a_pickle_in_disguise_is_refused_and_not_run(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(saved)
    content = pickle.dumps(_Bomb())
    (saved / WEIGHTS_FILE).write_bytes(content)
    document = read_json(saved)
    document["weights_sha256"] = hashlib.sha256(content).hexdigest()
    write_json(saved, document)
    with pytest.raises(PolicyFileError, match="must be a safetensors file"):
        load(saved)
    assert not (saved / "exploded").exists()


@pytest.mark.parametrize("name", [WEIGHTS_FILE, CONTROLLER_FILE])
def test_a_missing_file_is_named(saved: Path, name: str) -> None:
    (saved / name).unlink()
    with pytest.raises(PolicyFileError, match=f"{name}: not found. A policy is a folder"):
        load(saved)


def test_a_file_in_place_of_the_folder_is_refused(saved: Path) -> None:
    with pytest.raises(PolicyFileError, match="cannot be read: Not a directory"):
        load(saved / WEIGHTS_FILE)


@pytest.mark.parametrize("name", sorted(p.parent.name for p in ZOO.glob(f"*/{CONTROLLER_FILE}")))
def test_every_shipped_policy_loads_and_is_written_with_the_same_weights(
    name: str, tmp_path: Path
) -> None:
    again = save(load(ZOO / name), tmp_path / name)
    assert (again / WEIGHTS_FILE).read_bytes() == (ZOO / name / WEIGHTS_FILE).read_bytes()
