from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.control.decider import Decider
from hpo_env.env import HPOControlEnv
from hpo_env.errors import ConfigurationError
from hpo_env.familiarity import Familiarity, is_mask
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.policy_file import load, save
from hpo_env.schedules import interval_factors
from tests.hpo_env.controlled_runs import fixed_policy, random_policy

SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="learning_rate", low=1e-6, high=1.0, default=1e-3, max_step=4.0),
        Hyperparameter(
            name="dropout", low=0.0, high=0.5, default=0.0, max_step=0.1, scale="linear"
        ),
        Hyperparameter(
            name="momentum", low=0.0, high=0.99, default=0.9, max_step=200.0, scale="one_minus_log"
        ),  # one step is longer than the range
    ]
)
FIELDS = field_names(SPACE.names)
NUM_FIELDS = len(FIELDS)
MASKS = [i for i, name in enumerate(FIELDS) if is_mask(name)]


def usual_observations(num_lanes: int = 4000) -> NDArray[np.float32]:
    """Draw observations in which everything is measured and one field follows from another."""
    seen = np.tanh(np.random.default_rng(0).normal(0, 0.5, (num_lanes, NUM_FIELDS)))
    seen[:, FIELDS.index("remaining")] = -seen[:, FIELDS.index("progress")]
    seen[:, MASKS] = 1.0
    return seen.astype(np.float32)


def fitted() -> Familiarity:
    return Familiarity.fit(usual_observations(), FIELDS)


def identity(policy: Policy, threshold: float) -> Familiarity:
    num_fields = len(policy.fields)
    return Familiarity(
        mean=np.zeros(num_fields, dtype=np.float32),
        whitening=np.eye(num_fields, dtype=np.float32),
        threshold=threshold,
    )


def make_policy(move: float = 1.0, **changes: Any) -> Policy:
    """Make a policy that makes the same move of everything, always."""
    policy = Policy(
        family="supervised",
        space=SPACE,
        base_schedule="cosine",
        head="clipped",
        activation="tanh",
        weights=(np.zeros((len(SPACE), NUM_FIELDS), dtype=np.float32),),
        biases=(np.full(len(SPACE), move, dtype=np.float32),),
    )
    return replace(policy, **changes)


# ---------------------------------------------------------------------------------------- distances


def test_distance_is_mahalanobis_of_the_floored_covariance() -> None:
    seen, fields = np.array([[0.0, 0.0], [1.0, 1.0], [0.5, -0.25]]), ("drop", "has_updates")
    known = Familiarity.fit(seen, fields)
    covariance = np.cov(seen.T) + np.diag([0.01, 4.0])
    deviations = seen - seen.mean(axis=0)
    squared = [d @ np.linalg.solve(covariance, d) for d in deviations]
    np.testing.assert_allclose(known.distance(seen) ** 2, squared, rtol=1e-5)


def test_all_but_a_thousandth_of_what_was_seen_is_trusted_fully() -> None:
    trust = fitted().trust(usual_observations())
    assert int((trust < 1.0).sum()) == 4


def test_trust_is_exactly_one_inside_and_falls_with_the_distance_outside() -> None:
    known = fitted()
    direction = np.zeros(NUM_FIELDS)
    direction[FIELDS.index("drop")], direction[FIELDS.index("train_slope")] = 1.0, -1.0
    lengths = np.linspace(0.0, 30.0, 40)
    observations = known.mean + lengths[:, None] * direction
    distance, trust = known.distance(observations), known.trust(observations)
    inside = distance <= known.threshold
    assert 0 < inside.sum() < 40
    assert (trust[inside] == 1.0).all()
    assert (np.diff(trust[~inside]) < 0.0).all()
    np.testing.assert_allclose(trust[~inside], (known.threshold / distance[~inside]) ** 2)
    assert trust.min() > 0.0


def test_breaking_a_rule_of_training_is_foreign_where_each_field_alone_is_not() -> None:
    known, usual = fitted(), np.zeros((2, NUM_FIELDS), dtype=np.float32)
    usual[:, MASKS] = 1.0
    usual[:, FIELDS.index("progress")] = 0.8
    usual[:, FIELDS.index("remaining")] = [-0.8, 0.8]
    assert (known.trust(usual) < 1.0).tolist() == [False, True]


@pytest.mark.parametrize("name", [FIELDS[i] for i in MASKS])
def test_a_flipped_mask_alone_costs_less_than_the_threshold(name: str) -> None:
    known, middle = fitted(), fitted().mean[None].copy()
    middle[:, FIELDS.index(name)] = -1.0
    assert known.distance(middle)[0] == pytest.approx(1.0, abs=1e-3)
    assert known.trust(middle)[0] == 1.0


def test_a_loop_without_validation_or_gradients_is_no_more_foreign_than_others() -> None:
    known, seen = fitted(), usual_observations()
    seen[:, [i for i, name in enumerate(FIELDS) if name.startswith("has_")]] = -1.0
    seen[:, FIELDS.index("generalisation_gap")] = 0.0
    assert (known.trust(seen) < 1.0).mean() < 0.02


def test_what_was_constant_in_training_and_changes_a_lot_is_foreign() -> None:
    seen = usual_observations()
    column = FIELDS.index("base_change")
    seen[:, column] = 0.0
    known = Familiarity.fit(seen, FIELDS)
    changed = np.tile(seen.mean(axis=0), (2, 1))
    changed[:, column] = [0.1, 1.0]
    np.testing.assert_allclose(known.distance(changed), [1.0, 10.0], rtol=1e-3)
    assert (known.trust(changed) < 1.0).tolist() == [False, True]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (dict(threshold=0.0), "must be positive and finite; got 0.0"),
        (dict(threshold=np.inf), "must be positive and finite; got inf"),
        (dict(mean=np.zeros(2)), "familiarity.mean must be float32"),
        (dict(whitening=np.zeros((2, 3), np.float32)), r"must be float32 \(2, 2\)"),
        (dict(mean=np.full(2, np.nan, np.float32)), "familiarity.mean must be finite"),
    ],
)
def test_familiarity_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    given: dict[str, Any] = {
        "mean": np.zeros(2, np.float32),
        "whitening": np.eye(2, dtype=np.float32),
    }
    with pytest.raises(ConfigurationError, match=message):
        Familiarity(**({**given, "threshold": 1.0} | changes))


@pytest.mark.parametrize("shape", [(1, 2), (5, 3), (5,)])
def test_familiarity_is_fitted_to_observations_only(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigurationError, match=r"must have shape \[N >= 2, D=2\]"):
        Familiarity.fit(np.zeros(shape), ("drop", "has_updates"))


# ------------------------------------------------------------------------------ what a policy does


def test_familiar_observations_get_the_networks_moves_bit_for_bit() -> None:
    plain = random_policy(["learning_rate", "dropout"], head="squashed")
    guarded = replace(plain, familiarity=identity(plain, 1.0))
    x = np.random.default_rng(0).uniform(-0.1, 0.1, (6, len(plain.fields))).astype(np.float32)
    familiar = guarded.familiarity is not None and guarded.familiarity.trust(x) == 1.0
    assert np.all(familiar)
    np.testing.assert_array_equal(guarded.act(x), plain.act(x))
    mixed = np.concatenate([x, np.ones_like(x)])
    np.testing.assert_array_equal(guarded.act(mixed)[:6], plain.act(mixed)[:6])
    assert (guarded.act(mixed)[6:] != plain.act(mixed)[6:]).all()


@pytest.mark.parametrize("side", [-1.0, 1.0])
def test_without_trust_corrections_go_to_the_base_schedule_and_never_beyond(side: float) -> None:
    guarded = make_policy(move=side, familiarity=identity(make_policy(), 1e-6))
    start = SPACE.to_axis(SPACE.high) - SPACE.to_axis(SPACE.low)
    initial = np.where(side > 0, SPACE.low, SPACE.high)[None]
    corrections = side * 0.9 * start[None]
    seen = [np.abs(corrections)]
    for _ in range(12):
        observation = np.zeros((1, NUM_FIELDS), dtype=np.float32)
        columns = [FIELDS.index(f"{name}/correction") for name in SPACE.names]
        observation[:, columns] = SPACE.relative(corrections)
        observation[:, FIELDS.index("drop")] = 1.0  # foreign also at the base
        corrections = SPACE.move(corrections, guarded.act(observation), initial)
        assert (side * corrections >= -1e-5).all()
        seen.append(np.abs(corrections))
    assert (np.diff(np.concatenate(seen), axis=0) <= 1e-5).all()
    np.testing.assert_allclose(corrections, 0.0, atol=1e-5)
    assert (np.concatenate(seen)[:2, 2] > 1e-5).tolist() == [True, False]  # the long step: at once


def test_the_less_trust_the_nearer_the_moves_are_to_those_that_lead_back() -> None:
    policy = make_policy(move=1.0)
    observations = np.zeros((5, NUM_FIELDS), dtype=np.float32)
    columns = [FIELDS.index(f"{name}/correction") for name in SPACE.names]
    observations[:, columns] = 0.9
    observations[:, FIELDS.index("drop")] = [0.0, 1.0, 2.0, 4.0, 8.0]
    known = identity(policy, 1.0)
    moves = replace(policy, familiarity=known).act(observations)
    assert (np.diff(moves[:, :2], axis=0) < 0.0).all()
    # 0.9 of the range is more than a step of the first two, so they move by a whole step.
    trust = known.trust(observations)
    np.testing.assert_allclose(moves[:, 0], trust - (1.0 - trust))


def test_familiarity_of_other_fields_is_refused() -> None:
    policy = random_policy(["learning_rate"])
    with pytest.raises(ConfigurationError, match=r"familiarity\.mean must be float32"):
        make_policy(familiarity=identity(policy, 1.0))


@pytest.mark.parametrize(
    ("threshold", "has_familiar", "has_foreign"),
    [(0.5, False, True), (3.25, True, True), (100.0, True, False)],
)
def test_a_decider_follows_the_environment_through_foreign_observations(
    threshold: float, has_familiar: bool, has_foreign: bool, tmp_path: Path
) -> None:
    plain = fixed_policy(0.3, ("learning_rate", "weight_decay"), base_schedule="cosine")
    policy = load(save(replace(plain, familiarity=identity(plain, threshold)), tmp_path / "p"))
    env = HPOControlEnv(
        family="supervised",
        engine="eager",
        hyperparameters=policy.space.names,
        base_schedule=policy.base_schedule,
        dataset="breast_cancer",
        model="mlp_32x2_relu",
        initial={"learning_rate": 1e-4},
        num_decisions=5,
        updates_per_decision=2,
    )
    observation, _ = env.reset(seed=1)
    task = env.lanes.tasks[0]
    space = env.lanes.space
    initial = {name: task.initial[space.index(name)] for name in policy.space.names}
    decider, counts = Decider([policy], initial), np.array([5])
    started = decider.steering.initial
    factors = interval_factors(policy.base_schedule, np.array([0]), counts)
    base = policy.space.base(started, factors)
    decider.begin(float(env.lanes.steering.first_loss[0]), num_intervals=5, base=base)
    moved = []
    for interval in range(5):
        factors = interval_factors(policy.base_schedule, np.array([interval]), counts)
        verdict = decider.decide()
        seen = np.array(list(verdict.observation.values()), np.float32)
        np.testing.assert_array_equal(seen, observation)
        assert policy.familiarity is not None
        assert verdict.trust == policy.familiarity.trust(observation[None])[0]
        move = policy.act(observation[None])[0]
        np.testing.assert_array_equal(decider.steering.moves[0], move)
        moved.append(move)
        observation, *_, info = env.step(move)
        assert not info["rolled_back"]  # otherwise the guard moves, whatever the policy says
        values = decider.values(policy.space.base(started, factors))[0]
        assert values.tolist() == [info["hyperparameters"][n] for n in policy.space.names]
        steering = env.lanes.steering
        decider.close_interval(
            steering.telemetry,
            values=values[None],
            base_change=steering.observer.memory.base_change,
            roll_back=lambda lanes: False,
        )
    is_networks = (np.round(moved, 6) == 0.3).all(axis=1)
    assert is_networks.any() == has_familiar
    assert (~is_networks).any() == has_foreign
