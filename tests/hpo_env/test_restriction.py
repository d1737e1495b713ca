"""A policy for fewer hyperparameters: what the larger one does when it is told what is missing."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.errors import HyperparameterError, UnknownNameError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import LEVELS, split_joint_choices
from hpo_env.observation import field_names
from hpo_env.policy import Head, Policy, num_outputs
from hpo_env.policy_file import load, save
from hpo_env.restriction import restrict
from tests.hpo_env.controlled_runs import SPACE

NAMES = ("learning_rate", "momentum", "dropout")
FIELDS = field_names(NAMES)
PARTS = [part for count in (1, 2) for part in combinations(NAMES, count)]


def policy_of(head: Any, *, hidden: tuple[int, ...] = (16, 8), members: int = 2) -> Policy:
    rng = np.random.default_rng(1)
    sizes = (len(FIELDS), *hidden, members * num_outputs(head, len(NAMES)))
    layers = list(pairwise(sizes))
    seen = rng.uniform(-1.0, 1.0, (400, len(FIELDS)))
    return Policy(
        family="supervised",
        space=SPACE.subset(NAMES),
        base_schedule="cosine",
        head=head,
        activation="tanh",
        weights=tuple(rng.normal(0, 0.5, (o, i)).astype(np.float32) for i, o in layers),
        biases=tuple(rng.normal(0, 0.5, o).astype(np.float32) for _, o in layers),
        familiarity=Familiarity.fit(seen, FIELDS),
    )


def observed_without(missing: list[str]) -> NDArray[np.float32]:
    """Return what the environment observes where some hyperparameters cannot be moved."""
    rows = np.random.default_rng(2).uniform(-1.0, 1.0, (64, len(FIELDS))).astype(np.float32)
    for name in missing:
        for field in ("position", "correction", "action"):
            rows[:, FIELDS.index(f"{name}/{field}")] = 0.0
        rows[:, FIELDS.index(f"{name}/available")] = -1.0
    return rows


def parted(part: tuple[str, ...]) -> tuple[NDArray[np.float32], NDArray[np.float32], list[int]]:
    """Return the whole observation, that of the part, and the part's columns of the moves."""
    whole = observed_without([name for name in NAMES if name not in part])
    columns = [FIELDS.index(field) for field in field_names(part)]
    return whole, whole[:, columns], [NAMES.index(name) for name in part]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("hidden", [(), (16, 8)])
@pytest.mark.parametrize("head", [h for h in get_args(Head) if h != "joint_choice"])
def test_it_moves_and_trusts_as_the_whole_policy_does(
    head: str, hidden: tuple[int, ...], part: tuple[str, ...]
) -> None:
    policy = policy_of(head, hidden=hidden)
    assert policy.familiarity is not None
    whole, own, columns = parted(part)
    middle = float(np.median(policy.familiarity.distance(whole)))
    policy = replace(policy, familiarity=replace(policy.familiarity, threshold=middle))
    expected, expected_trust = policy.act_with_trust(whole)
    moves, trust = restrict(policy, part).act_with_trust(own)
    assert (expected_trust < 1.0).sum() == len(whole) / 2
    np.testing.assert_allclose(trust, expected_trust, rtol=1e-5)
    np.testing.assert_allclose(moves, expected[:, columns], atol=2e-5)


def test_fields_that_an_older_policy_does_not_know_still_add_no_distance() -> None:
    policy = policy_of("choices")
    assert policy.familiarity is not None
    whitening = policy.familiarity.whitening.copy()
    whitening[[2, 5]] = whitening[:, [2, 5]] = 0.0  # as `load` leaves them
    policy = replace(policy, familiarity=replace(policy.familiarity, whitening=whitening))
    whole, own, _ = parted(("momentum",))
    assert policy.familiarity is not None
    expected = policy.familiarity.distance(whole)
    known = restrict(policy, ("momentum",)).familiarity
    assert known is not None
    np.testing.assert_allclose(known.distance(own), expected, rtol=1e-5)
    other = own.copy()
    other[:, [2, 5]] = 1.0
    np.testing.assert_array_equal(known.distance(other), known.distance(own))


@pytest.mark.parametrize("part", PARTS)
def test_of_joint_choices_the_best_that_leaves_the_others_alone_is_taken(
    part: tuple[str, ...],
) -> None:
    policy = replace(policy_of("joint_choice", members=1), familiarity=None)
    whole, own, columns = parted(part)
    choices = LEVELS[split_joint_choices(np.arange(len(LEVELS) ** len(NAMES)), len(NAMES))]
    others = [h for h in range(len(NAMES)) if h not in columns]
    allowed = (choices[:, others] == 0.0).all(axis=1)
    values = np.where(allowed, policy.outputs(whole), -np.inf)
    expected = choices[values.argmax(axis=1)][:, columns]
    np.testing.assert_array_equal(restrict(policy, part).act(own), expected)


def test_less_of_less_is_the_same_as_less() -> None:
    policy = policy_of("choices")
    own = parted(("momentum",))[1]
    twice = restrict(restrict(policy, ("momentum", "dropout")), ("momentum",))
    once = restrict(policy, ("momentum",))
    np.testing.assert_allclose(twice.act(own), once.act(own), atol=2e-5)
    assert twice.familiarity is not None
    assert once.familiarity is not None
    np.testing.assert_allclose(
        twice.familiarity.distance(own), once.familiarity.distance(own), rtol=1e-5
    )


def test_all_of_it_is_the_policy_itself_and_the_order_does_not_matter() -> None:
    policy = policy_of("choices")
    assert restrict(policy, NAMES[::-1]) is policy
    assert restrict(policy, ("dropout", "momentum")).space.names == ("momentum", "dropout")


def test_it_is_saved_and_loaded_like_any_policy(tmp_path: Path) -> None:
    policy = restrict(policy_of("choices"), ("momentum", "dropout"))
    assert policy.familiarity is not None
    assert policy.familiarity.offset > 0.0
    loaded = load(save(policy, tmp_path))
    own = parted(("momentum", "dropout"))[1]
    np.testing.assert_array_equal(loaded.act(own), policy.act(own))


def test_unknown_names_none_and_one_twice_are_refused() -> None:
    policy = policy_of("choices")
    with pytest.raises(UnknownNameError, match="weight_decay"):
        restrict(policy, ("weight_decay",))
    for names in ((), ("momentum", "momentum")):
        with pytest.raises(HyperparameterError):
            restrict(policy, names)
