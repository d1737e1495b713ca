"""The first moves of a run count several steps, wherever a policy decides; the guard's never do."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.control.decider import Decider
from hpo_env.errors import ConfigurationError
from hpo_env.familiarity import Familiarity
from hpo_env.hyperparameters import Hyperparameter, HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.opening import FIELD, checked_opening, observed, steps_after, steps_observed
from hpo_env.policy import Policy
from hpo_env.policy_file import load
from hpo_env.restriction import check_together, restrict
from hpo_env.scope import Scope
from hpo_env.shipped import shipped
from hpo_env.steering import Steering
from hpo_env.telemetry import Telemetry
from hpo_env.vector_env import HPOControlVectorEnv

OPENING = (4.0, 2.0)
SPACE = HyperparameterSpace(
    [
        Hyperparameter(name="rate", low=1e-9, high=1.0, default=1e-5, max_step=2.0, retreat=-1.0),
        Hyperparameter(name="share", low=-9, high=9, default=0, max_step=0.5, scale="linear"),
    ]
)
LANES = np.array([0, 1])


def measured(*losses: float) -> Telemetry:
    telemetry = Telemetry.missing(len(losses))
    telemetry.validation_loss[:] = losses
    return telemetry


def begun(opening: tuple[float, ...] = OPENING) -> Steering:
    steering = Steering(SPACE, 2, opening=opening)
    begin(steering, LANES)
    return steering


def begin(steering: Steering, lanes: np.ndarray, available: Any = None) -> None:
    initial, count = np.tile(SPACE.defaults, (len(lanes), 1)), len(lanes)
    steering.begin(
        lanes,
        measured(*[1.0] * count),
        initial=initial,
        base=initial,
        num_intervals=np.full(count, 9),
        available=available,
    )


def moved(steering: Steering, losses: tuple[float, float] = (1.0, 1.0)) -> list[list[float]]:
    """Ask for a whole move of all, and return by how many steps it was carried out `[2, 2]`."""
    before = steering.corrections
    steering.move(np.ones((2, 2)))
    steps = (steering.corrections - before) / SPACE.steps
    values = steering.values(steering.initial)
    steering.close_interval(
        measured(*losses), values=values, base_change=np.zeros(2), roll_back=lambda lanes: True
    )
    return steps.round(9).tolist()


@pytest.mark.parametrize(
    ("opening", "counts"),
    [((), [1, 1, 1]), ((3.0,), [3, 1, 1]), (OPENING, [4, 2, 1]), ((2.0, 2.0), [2, 2, 1])],
)
def test_so_much_the_moves_of_a_run_count(opening: tuple[float, ...], counts: list[int]) -> None:
    steering = begun(opening)
    assert [moved(steering) for _ in range(3)] == [[[c, c], [c, c]] for c in counts]
    begin(steering, np.array([1]))  # a new run opens anew, and the others go on
    assert moved(steering) == [[1, 1], [counts[0], counts[0]]]


def test_the_guard_moves_one_step_in_place_of_a_move_that_counts_more() -> None:
    steering = begun()
    moved(steering, (9.0, 1.0))
    assert steering.observe()[:, steering.names.index(FIELD)].tolist() == [-1.0, 0.0]
    assert moved(steering) == [[-1, 0], [2, 2]]
    assert moved(steering) == [[1, 1], [1, 1]]


def test_what_cannot_be_moved_is_not_and_ends_of_ranges_hold() -> None:
    steering = begun((16.0, 16.0))
    begin(steering, LANES, np.array([[True, False], [True, True]]))
    assert moved(steering)[0] == [16, 0]
    moved(steering)
    np.testing.assert_allclose(steering.values(steering.initial)[1], [1.0, 9.0])


@pytest.mark.parametrize("decisions", range(4))
def test_a_snapshot_and_a_saved_run_go_on_in_the_opening(decisions: int) -> None:
    steering, other = begun(), begun()
    for _ in range(decisions):
        moved(steering)
    other.restore(LANES, steering.snapshot(LANES))
    decider, again = deciding(), deciding()
    for _ in range(decisions):
        decide(decider)
    again.load_state_dict(decider.state_dict())
    for _ in range(3):
        np.testing.assert_array_equal(steering.observe(), other.observe())
        assert moved(steering) == moved(other)
        assert decide(decider) == decide(again)


def test_a_saved_run_of_before_there_were_openings_has_none() -> None:
    decider = deciding()
    state = decider.state_dict()
    del state["num_decisions"]
    decider.load_state_dict(state)
    assert decide(decider)[1] == pytest.approx([1.0, 1.0])


def deciding() -> Decider:
    decider = Decider([policy()], dict(zip(SPACE.names, SPACE.defaults.tolist(), strict=True)))
    decider.begin(1.0, num_intervals=9, base=SPACE.defaults[None])
    return decider


def decide(decider: Decider) -> tuple[Any, list[float]]:
    steering = decider.steering
    before = steering.corrections
    verdict = decider.decide()
    steps = (steering.corrections - before)[0] / SPACE.steps
    decider.close_interval(
        measured(0.5),
        values=decider.values(steering.initial),
        base_change=np.zeros(1),
        roll_back=bool,
    )
    return verdict, steps.tolist()


def policy(move: float = 1.0, opening: tuple[float, ...] = OPENING) -> Policy:
    """Make one that always moves all by the same."""
    num_fields = len(field_names(SPACE.names)) + bool(opening)
    return Policy(
        family="quadratic",
        space=SPACE,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(np.zeros((2, num_fields), np.float32),),
        biases=(np.full(2, move, np.float32),),
        opening=opening,
    )


def test_where_nothing_is_familiar_a_move_back_goes_back_and_not_beyond() -> None:
    foreign = Familiarity(
        mean=np.full(len(policy().fields), 99.0, np.float32),
        whitening=np.eye(len(policy().fields), dtype=np.float32),
        threshold=1e-6,
    )
    lost, steering = replace(policy(), familiarity=foreign), begun()
    steering.take(np.array([[0.3, -0.2], [0.01, 0.0]]))  # the next one counts two steps
    steering.close_interval(
        measured(1.0, 1.0),
        values=steering.values(steering.initial),
        base_change=np.zeros(2),
        roll_back=bool,
    )
    steering.take(lost.act(steering.observe()))
    np.testing.assert_allclose(steering.corrections, 0.0, atol=1e-5)


def test_an_environment_opens_by_what_it_is_told_and_says_so() -> None:
    plain, opened = (
        HPOControlVectorEnv(2, family="quadratic", num_decisions=5, opening=sizes)
        for sizes in ((), OPENING)
    )
    assert [n for n in opened.observation_docs if n not in plain.observation_docs] == [FIELD]
    assert opened.single_observation_space.shape == (len(opened.observation_docs),)
    column, told = list(opened.observation_docs).index(FIELD), []
    observations, _ = opened.reset(seed=1)
    for _ in range(6):  # the last of them begins a new episode
        told.append(observations[0, column])
        observations, *_ = opened.step(np.zeros((2, 1)))
    assert told == [1.0, 0.0, -1.0, -1.0, -1.0, 1.0]


@pytest.mark.parametrize("name", sorted(set(shipped()) - {"reinforcement"}))
def test_policies_of_before_there_were_openings_have_none(name: str) -> None:
    known = load(shipped()[name])
    assert known.opening == ()
    assert FIELD not in known.fields


def test_a_part_of_a_policy_keeps_its_opening_and_takes_turns_with_its_like_only() -> None:
    part = restrict(policy(), ["share"])
    assert part.opening == OPENING
    assert FIELD in part.fields
    scope = Scope(min_interval_updates=2, max_loss_gap=0.1)
    check_together([policy(), replace(policy(), scope=scope)])
    for other in ((), (3.0,)):
        with pytest.raises(ConfigurationError, match=r"must have the opening .*\[4.0, 2.0\]"):
            check_together([policy(), replace(policy(opening=other), scope=scope)])


@pytest.mark.parametrize(
    "opening",
    [(1.0,), (0.5,), (2, 4), (17.0,), (np.nan,), ("4",), (True,), (None,), "42", 4.0, (2,) * 9],
)
def test_an_opening_that_is_none_is_refused(opening: Any) -> None:
    for use in (checked_opening, lambda o: HPOControlVectorEnv(1, family="quadratic", opening=o)):
        with pytest.raises(ConfigurationError, match="opening must be up to 8 numbers"):
            use(opening)


@pytest.mark.parametrize("opening", [(4.0, 2.0), (2.0,), (16.0, 9.0, 1.5)])
def test_what_is_observed_tells_how_much_a_move_counts(opening: tuple[float, ...]) -> None:
    counts = steps_after(opening, np.arange(len(opening) + 2))
    entry = observed(opening, counts)
    assert entry[0] == 1.0
    assert entry[-1] == -1.0
    np.testing.assert_allclose(steps_observed(opening, entry.astype(np.float32)), counts, rtol=1e-6)
