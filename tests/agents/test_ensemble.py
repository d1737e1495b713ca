"""An ensemble makes the mean of its members' moves, and is an ordinary policy."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from agents.ensemble import combine, interpolate, split
from hpo_env.errors import ConfigurationError
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.policy import Head, Policy, num_outputs
from hpo_env.policy_file import load, save
from tests.hpo_env.remembering import remembering

LR = Hyperparameter(name="lr", low=1e-6, high=1.0, default=1e-3, max_step=4.0)
WIDTH = len(field_names(["lr"]))


def policy(seed: int, hidden: tuple[int, ...] = (8, 8), head: Head = "choices") -> Policy:
    rng = np.random.default_rng(seed)
    sizes = (WIDTH, *hidden, num_outputs(head, 1))
    shapes = list(zip(sizes[1:], sizes[:-1], strict=True))
    return Policy(
        family="supervised",
        space=HyperparameterSpace([LR]),
        base_schedule="cosine",
        head=head,
        activation="tanh",
        weights=tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes),
        biases=tuple(rng.standard_normal(shape[0]).astype(np.float32) for shape in shapes),
    )


OBSERVATIONS = np.random.default_rng(9).uniform(-1.0, 1.0, (50, WIDTH)).astype(np.float32)


@pytest.mark.parametrize("hidden", [(), (8,), (8, 8), (8, 6, 4)])
@pytest.mark.parametrize("head", get_args(Head))
def test_moves_are_the_mean_of_the_members(hidden: tuple[int, ...], head: Head) -> None:
    members = [policy(seed, hidden, head) for seed in range(3)]
    together = combine(members)
    expected = np.mean([member.act(OBSERVATIONS) for member in members], axis=0)
    np.testing.assert_allclose(together.act(OBSERVATIONS), expected, rtol=0, atol=1e-7)
    assert together.num_members == 3
    assert together.layer_sizes[1:-1] == tuple(3 * width for width in hidden)


def test_members_may_differ_in_width() -> None:
    members = [policy(0, (8, 4)), policy(1, (5, 6))]
    expected = np.mean([member.act(OBSERVATIONS) for member in members], axis=0)
    np.testing.assert_allclose(combine(members).act(OBSERVATIONS), expected, atol=1e-7)


def test_an_ensemble_can_be_a_member() -> None:
    members = [policy(seed) for seed in range(4)]
    nested = combine([combine(members[:2]), combine(members[2:])])
    expected = combine(members).act(OBSERVATIONS)
    np.testing.assert_allclose(nested.act(OBSERVATIONS), expected, atol=1e-7)


def test_it_is_saved_and_loaded_like_any_policy(tmp_path: Path) -> None:
    together = combine([policy(0), policy(1)])
    loaded = load(save(together, tmp_path / "policy"))
    np.testing.assert_array_equal(loaded.act(OBSERVATIONS), together.act(OBSERVATIONS))


def test_one_member_is_itself() -> None:
    only = policy(0)
    assert combine([only]) is only


OTHER = HyperparameterSpace([replace(LR, max_step=2.0)])


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ([], "at least one"),
        ([policy(0), replace(policy(1), base_schedule="linear")], "same base_schedule"),
        ([policy(0), replace(policy(1), activation="relu")], "same activation"),
        ([policy(0), replace(policy(1), kinds=("binary",))], "same kinds"),
        ([policy(0), policy(1, (8,))], "same number of layers"),
        ([policy(0), replace(policy(1), space=OTHER)], "same hyperparameters"),
    ],
)
def test_what_cannot_be_combined_is_refused(members: list[Policy], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        combine(members)


def test_members_with_memories_remember_side_by_side(tmp_path: Path) -> None:
    members = [remembering(policy(seed), width=3 + seed, seed=seed) for seed in range(3)]
    together = load(save(combine(members), tmp_path / "together"))
    assert together.memory is not None
    assert together.memory.width == 3 + 4 + 5
    state, own = together.start(50), [member.start(50) for member in members]
    for step in range(6):
        seen = np.roll(OBSERVATIONS, step, axis=0)
        moves, _, state = together.step(seen, state)
        expected = []
        for place, member in enumerate(members):
            move, _, own[place] = member.step(seen, own[place])
            expected.append(move)
        np.testing.assert_allclose(moves, np.mean(expected, axis=0), atol=1e-5)


def test_members_with_and_without_a_memory_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="must all have a memory, or none of them"):
        combine([policy(0), remembering(policy(1))])


@pytest.mark.parametrize("hidden", [(), (8,), (8, 6, 4)])
@pytest.mark.parametrize("head", get_args(Head))
def test_an_ensemble_comes_apart_into_its_members(hidden: tuple[int, ...], head: Head) -> None:
    members = [policy(seed, hidden, head) for seed in range(3)]
    told = {"agent": "PPO", "members": [{"seed": seed} for seed in (4, 0, 7)]}
    parts = split(replace(combine(members), metadata=told))
    for part, member, seed in zip(parts, members, (4, 0, 7), strict=True):
        assert part.metadata == {"agent": "PPO", "seed": seed}
        found, own = (one.weights + one.biases for one in (part, member))
        assert all(np.array_equal(a, b) for a, b in zip(found, own, strict=True))


def test_what_is_no_ensemble_comes_apart_into_itself() -> None:
    only = replace(policy(0), metadata={"members": [{"seed": 1}]})
    assert split(only) == [only]


def test_an_ensemble_with_a_memory_does_not_come_apart() -> None:
    told = {"members": [{"seed": 0}, {"seed": 1}]}
    with pytest.raises(ConfigurationError, match="cannot be taken apart"):
        split(replace(remembering(policy(0)), metadata=told))


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_weights_lie_between_what_was_known_and_what_was_learned(share: float) -> None:
    one, other = policy(0), replace(policy(1), metadata={"of": "the other"})
    found = interpolate(one, other, share)
    assert found.metadata == other.metadata
    for name in ("weights", "biases"):
        for k, array in enumerate(getattr(found, name)):
            expected = (1 - share) * getattr(one, name)[k] + share * getattr(other, name)[k]
            np.testing.assert_allclose(array, expected, rtol=1e-6)
            assert array.dtype == np.float32


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (policy(1, (8, 4)), "of the same widths"),
        (replace(policy(1), base_schedule="constant"), "the same base_schedule"),
        (remembering(policy(1)), "all have a memory"),
    ],
)
def test_there_is_nothing_between_policies_that_are_built_otherwise(
    other: Policy, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        interpolate(policy(0), other, 0.5)
