"""A policy with a memory: state goes in, state comes out, wherever policies are used."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError
from hpo_env.lstm import Lstm
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.restriction import restrict
from tests.hpo_env.controlled_runs import Training, random_policy
from tests.hpo_env.remembering import remembering

POLICY = remembering(random_policy(head="clipped"))
STEPS = 24


def sequence(policy: Policy, num_lanes: int = 6, num_steps: int = 12) -> NDArray[np.float32]:
    shape = (num_steps, num_lanes, len(policy.fields))
    return np.random.default_rng(4).uniform(-1.0, 1.0, shape).astype(np.float32)


def played(policy: Policy, observations: NDArray[np.float32]) -> NDArray[np.float64]:
    """Moves `[T, N, H]` over observations `[T, N, D]`."""
    state, moves = policy.start(observations.shape[1]), []
    for seen in observations:
        move, _, state = policy.step(seen, state)
        moves.append(move)
    return np.stack(moves)


def test_it_computes_what_torch_does() -> None:
    memory = POLICY.memory
    assert memory is not None
    lstm = torch.nn.LSTM(len(POLICY.fields), memory.width)
    with torch.no_grad():
        lstm.get_parameter("weight_ih_l0").copy_(torch.from_numpy(memory.input_weight))
        lstm.get_parameter("weight_hh_l0").copy_(torch.from_numpy(memory.hidden_weight))
        lstm.get_parameter("bias_ih_l0").copy_(torch.from_numpy(memory.bias))
        lstm.get_parameter("bias_hh_l0").zero_()
        x = sequence(POLICY)
        expected, (hidden, cell) = lstm(torch.from_numpy(x))
    state, told = memory.start(x.shape[1]), []
    for seen in x:
        out, state = memory.step(seen.astype(np.float64), state)
        told.append(out)
    np.testing.assert_allclose(np.stack(told), expected.numpy(), atol=1e-6)
    np.testing.assert_allclose(state[0], hidden[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(state[1], cell[0].numpy(), atol=1e-6)


def test_huge_weights_overflow_nowhere() -> None:
    huge = Lstm(
        input_weight=np.full((8, 3), 1e30, dtype=np.float32),
        hidden_weight=np.full((8, 2), -1e30, dtype=np.float32),
        bias=np.zeros(8, dtype=np.float32),
    )
    told, state = huge.step(-np.ones((2, 3)), huge.start(2))
    told, _ = huge.step(np.ones((2, 3)), state)
    assert np.isfinite(told).all()


def test_what_it_saw_before_changes_what_it_does() -> None:
    x = sequence(POLICY)
    x[1] = x[0]
    moves = played(POLICY, x)
    assert (moves[1] != moves[0]).any()
    np.testing.assert_array_equal(moves[0], POLICY.act(x[0]))


def test_a_lane_does_not_depend_on_its_neighbours() -> None:
    x = sequence(POLICY, num_steps=40)
    alone = [played(POLICY, x[:, lane : lane + 1]) for lane in range(x.shape[1])]
    np.testing.assert_array_equal(played(POLICY, x), np.concatenate(alone, axis=1))


def test_a_lane_that_forgets_begins_anew() -> None:
    first, second, third = sequence(POLICY, num_steps=3)
    _, _, state = POLICY.step(second, POLICY.step(first, POLICY.start(6))[2])
    lanes = np.arange(6) < 2
    moves, _, _ = POLICY.step(third, POLICY.forget(state, lanes))
    np.testing.assert_array_equal(moves[lanes], POLICY.act(third)[lanes])
    np.testing.assert_array_equal(moves[~lanes], POLICY.step(third, state)[0][~lanes])


def test_a_policy_without_a_memory_has_an_empty_state() -> None:
    plain = random_policy()
    x = sequence(plain)
    assert plain.start(6) == ()
    assert plain.step(x[0], ())[2] == ()
    assert plain.forget((), np.ones(6, dtype=bool)) == ()
    np.testing.assert_array_equal(played(plain, x), [plain.act(seen) for seen in x])


def test_an_actor_plays_an_episode() -> None:
    x = sequence(POLICY)
    decide = POLICY.actor(6)
    np.testing.assert_array_equal([decide(seen) for seen in x], played(POLICY, x))


@pytest.mark.parametrize("state", [(), (np.zeros((6, 5), np.float32),), POLICY.start(5)])
def test_a_state_of_others_is_refused(state: Any) -> None:
    with pytest.raises(ConfigurationError, match="state"):
        POLICY.step(sequence(POLICY)[0], state)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"bias": np.zeros(7, np.float32)}, "must have an input weight"),
        ({"bias": np.zeros(0, np.float32)}, "must have an input weight"),
        ({"hidden_weight": np.zeros((20, 4), np.float32)}, r"hidden_weight must be float32 \(20, "),
        ({"bias": np.zeros(20)}, "bias must be float32"),
        ({"bias": np.full(20, np.nan, np.float32)}, "memory.bias must be finite"),
    ],
)
def test_a_memory_that_contradicts_itself_is_refused(change: Any, message: str) -> None:
    assert POLICY.memory is not None
    with pytest.raises(ConfigurationError, match=message):
        replace(POLICY.memory, **change)


def test_a_memory_that_reads_something_else_is_refused() -> None:
    assert POLICY.memory is not None
    narrow = replace(POLICY.memory, input_weight=POLICY.memory.input_weight[:, :-1])
    with pytest.raises(ConfigurationError, match=r"memory\.input_weight must be float32"):
        replace(POLICY, memory=narrow)


def test_a_part_of_it_remembers_the_same() -> None:
    x = sequence(POLICY)
    for field, value in (("position", 0), ("correction", 0), ("action", 0), ("available", -1)):
        x[..., POLICY.fields.index(f"weight_decay/{field}")] = value
    part = restrict(POLICY, ["learning_rate"])
    columns = [POLICY.fields.index(field) for field in part.fields]
    moves = played(part, x[..., columns])
    np.testing.assert_allclose(moves, played(POLICY, x)[..., :1], atol=2e-5)


# ----------------------------------------------------------------------------- deployed controllers


def controlled(policy: Policy, steps: range, state: Any = None) -> tuple[Any, Training, Any]:
    training = Training()
    optimizer = torch.optim.SGD(training.model.parameters(), lr=1e-4, weight_decay=1e-3)
    run = Controller(policy).attach(optimizer, total_steps=STEPS, validate=training.validate)
    if state is not None:
        run.load_state_dict(state["run"])
        training.model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
    training.train(optimizer, run, steps)
    return run, training, optimizer


def test_the_controller_decides_by_what_the_run_has_shown_so_far() -> None:
    run, _, _ = controlled(POLICY, range(STEPS))
    seen = np.array([[d.observation[f] for f in POLICY.fields] for d in run.decisions])
    moves = played(POLICY, seen[:, None].astype(np.float32))[:, 0]
    made = [[d.moves[name] for name in POLICY.space.names] for d in run.decisions]
    np.testing.assert_array_equal(made, moves)


def test_a_saved_run_remembers() -> None:
    whole, _, _ = controlled(POLICY, range(STEPS))
    run, training, optimizer = controlled(POLICY, range(10))
    state = {
        "run": copy.deepcopy(run.state_dict()),
        "model": training.model.state_dict(),
        "optimizer": optimizer.state_dict(),
    }
    resumed, _, _ = controlled(POLICY, range(10, STEPS), state)
    assert resumed.decisions[-1].to_json() == whole.decisions[-1].to_json()


def test_a_decision_is_explained_from_what_was_remembered_then() -> None:
    run, _, _ = controlled(POLICY, range(STEPS))
    all_of_them = run.explain()
    for decision, reasons in zip(run.decisions, all_of_them.reasons, strict=True):
        assert run.explain(decision.interval).reasons == (reasons,)


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    loaded = load(save(POLICY, tmp_path / "policy"))
    x = sequence(POLICY)
    np.testing.assert_array_equal(played(loaded, x), played(POLICY, x))
