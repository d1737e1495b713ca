"""Journeys: what ends them and what it pays, and known answers of what moves in them."""

from typing import Any

import numpy as np
import pytest

from hpo_env.tasks.reinforcement.environments.base import MAX_PHYSICS, Random
from hpo_env.tasks.reinforcement.environments.long_types import JOURNEYS
from hpo_env.tasks.reinforcement.environments.registry import NUMBER, TYPE
from hpo_env.tasks.reinforcement.native.kernel import Kernel

# A state of the usual physics one step before an end, an action, and the share of the worth.
ENDS = [
    ("docking", (0.104, 0.0, -0.05, 0.0), (0,), 1.0),
    ("docking", (0.104, 0.0, -0.2, 0.0), (0,), -1.0),
    ("docking", (1.595, 0.0, 0.2, 0.0), (0,), -1.0),
    ("parking", (0.0, -0.21, 0.5 * np.pi, 0.15, 0.0), (0, 0), 1.0),
    ("parking", (0.44, -0.01, 0.1, 0.5, 0.0), (0, 0), -1.0),
    ("parking", (0.0, -3.19, 0.5 * np.pi, -0.3, 0.0), (-1, 0), -1.0),
    ("trailer", (0.01, 0.1, 0.2, 0.0, 0.0), (1,), 0.6),
    ("trailer", (0.01, 0.9, 0.2, 0.0, 0.0), (1,), -0.5),
    ("trailer", (2.0, 0.0, 0.0, 1.099, -0.6), (0,), -1.0),
    ("crane", (3.0, 0.0, 0.0, 0.0, 1.5), (0, 1), 1.0),
    ("crane", (1.19, 0.5, 0.0, 0.0, 1.3), (0, 0), -1.0),
    ("crane", (0.0, 0.0, 0.0, 0.0, 1.795), (0, 1), -1.0),
    ("plate", (0.6, 0.52, 0.0, 0.3, 0.0, 0.0), (0, 0), 1.0),
    ("plate", (-0.8, 0.02, 0.0, 0.5, 0.0, 0.0), (0, 0), -1.0),
    ("channel", (9.99, None, 0.0, 0.0, 0.4, 0.0), (1,), 1.0),
    ("channel", (5.0, 3.0, 0.0, 0.0, 0.4, 0.0), (1,), -1.0),
]

DISTURBANCE = {"docking": 7, "parking": 7, "trailer": 6, "crane": 7, "plate": 6, "channel": 8}
"""Which of the physics is drawn in every step: none where answers are known."""


def at(name: str, state: Any) -> Any:
    env: Any = TYPE[name].rules(next(iter(TYPE[name].physics.values())), Random(5))
    env.reset()
    env.physics[
        {"docking": 7, "parking": 7, "trailer": 6, "crane": 7, "plate": 6, "channel": 8}[name]
    ] = 0.0
    if name == "channel" and state[1] is None:  # in the middle
        env.state[5] = state[5]
        state = (state[0], env._middle(np.float32(state[0])), *state[2:])
    env.state[:-1] = state
    env.state[-1] = env._merit()
    return env


@pytest.mark.parametrize(("name", "state", "action", "share"), ENDS)
def test_an_end_pays_its_worth_in_the_rules_and_in_the_kernel(
    name: Any, state: Any, action: Any, share: Any
) -> None:
    env, given = at(name, state), np.array(action, dtype=np.float32)
    physics = np.zeros(MAX_PHYSICS, dtype=np.float32)
    physics[: len(env.physics)] = env.physics
    memory, random = env.state.copy(), np.array([env.random.state], dtype=np.uint64)
    before = env.state[-1]
    reward, is_end = env.step(given)
    _, paid, over = Kernel().step_environment(NUMBER[name], physics, memory, given, random)
    assert is_end
    assert over
    assert paid == pytest.approx(reward, rel=2e-5)
    pay, worth = env.physics[:2]
    assert reward - pay * (env.state[-1] - before) == pytest.approx(share * worth, abs=3.0)


def test_every_journey_has_an_arrival_and_a_crash() -> None:
    for kind in JOURNEYS:
        assert {np.sign(end[3]) for end in ENDS if end[0] == kind.name} == {1.0, -1.0}
        assert kind.rules.max_steps >= 300


def test_a_drifting_spacecraft_closes_its_ellipse() -> None:
    """Clohessy and Wiltshire: a speed of -2 n x along the way makes it come round."""
    env = at("docking", (0.5, 0.0, 0.0, -0.1))
    places = []
    for _ in range(628):  # 2 pi / n at steps of .1
        _, is_end = env.step(np.zeros(1, dtype=np.float32))
        assert not is_end
        places.append(env.state[:2].copy())
    assert places[-1] == pytest.approx([0.5, 0.0], abs=0.04)
    assert np.abs(places).max(axis=0) == pytest.approx([0.5, 1.0], abs=0.04)


def test_a_load_that_nobody_moves_swings_as_a_pendulum_does() -> None:
    env = at("crane", (0.0, 0.0, 0.1, 0.0, 1.4))
    angles = []
    for _ in range(200):
        env.step(np.zeros(2, dtype=np.float32))
        angles.append(env.state[2])
    turns = np.flatnonzero(np.diff(np.sign(angles)) < 0) * 0.05
    assert np.diff(turns).mean() == pytest.approx(2.0 * np.pi * np.sqrt(1.4 / 9.8), rel=0.03)


def test_a_car_turns_in_the_circle_of_its_wheels() -> None:
    """The radius is the wheelbase over the tangent of the wheels' angle."""
    env = at("parking", (0.0, -1.8, 0.5 * np.pi, 0.3, 0.3))
    env.physics[4] = 0.0  # the wheels stay
    turned, gone = 0.0, 0.0
    for _ in range(15):
        heading, place = env.state[2], env.state[:2].copy()
        env.step(np.array([0.0, 0.0], dtype=np.float32))
        turned += env.state[2] - heading
        gone += float(np.hypot(*(env.state[:2] - place)))
    assert gone / turned == pytest.approx(0.4 / np.tan(0.3), rel=1e-3)


def test_a_backing_trailer_folds_when_nobody_steers() -> None:
    env = at("trailer", (3.0, 0.0, 0.0, 0.02, 0.0))
    hitches = [float(env.state[3])]
    for _ in range(100):
        env.step(np.ones(1, dtype=np.float32))
        hitches.append(float(env.state[3]))
    growth = np.log(hitches[-1] / hitches[0]) / (100 * 0.1)
    assert growth == pytest.approx(0.15 / 0.7, rel=0.05)  # speed over length of the trailer
