from __future__ import annotations

import numpy as np

from agents.opponents.base import Instance, Opponent, Setup
from agents.opponents.drawing import make_tasks
from agents.opponents.lanes import Workload
from agents.opponents.open_loop import NUM_POINTS
from agents.opponents.registry import make_opponent
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.policies import steady_policy

WORKLOAD = Workload(family="quadratic")
NUM_DECISIONS = 3
STEP = 0.5 * np.log(100.0)  # half of the quadratic's largest move


def make(name: str, level: float = 0.5) -> Opponent:
    policy = steady_policy("quadratic", ("learning_rate",), level=level)
    return make_opponent(name, Setup(policy=policy, hyperparameters=("learning_rate",)))


def instances(count: int, num_decisions: int, seed: int, rate: float = 1e-5) -> list[Instance]:
    family = make_family("quadratic", num_decisions=num_decisions)
    tasks = make_tasks(family, count, seed, starts=(rate,))
    return [Instance(task=task, seed=seed) for task in tasks]


def test_the_mean_course_is_that_of_the_policys_moves() -> None:
    prepared = make("open_loop").prepare(WORKLOAD, instances(4, NUM_DECISIONS, seed=0))
    course = np.array(prepared["corrections"]["learning_rate"])
    assert course.shape == (NUM_POINTS,)
    times = (np.arange(NUM_POINTS) + 0.5) / NUM_POINTS
    middles = (np.arange(NUM_DECISIONS) + 0.5) / NUM_DECISIONS
    expected = np.interp(times, middles, STEP * np.arange(1, NUM_DECISIONS + 1))
    np.testing.assert_allclose(course, expected, rtol=1e-9)


def test_a_policy_that_does_not_look_is_replayed_on_other_tasks() -> None:
    prepared = make("open_loop").prepare(WORKLOAD, instances(4, NUM_DECISIONS, seed=0))
    others = instances(2, NUM_DECISIONS, seed=5, rate=3e-5)
    replayed = make("open_loop").run(WORKLOAD, others, prepared)
    steered = make("controller").run(WORKLOAD, others, {})
    for one, other in zip(replayed, steered, strict=True):
        rates = one.hyperparameters["learning_rate"], other.hyperparameters["learning_rate"]
        np.testing.assert_allclose(*rates, rtol=0.02)  # 64 points cut the corners of 3 a little
        np.testing.assert_allclose(one.validation_loss, other.validation_loss, rtol=0.02)


def test_the_course_is_stretched_to_the_tasks_horizon() -> None:
    prepared = {"corrections": {"learning_rate": np.linspace(0.0, 1.0, NUM_POINTS).tolist()}}
    for num_decisions in (4, 40):
        given = instances(1, num_decisions, seed=1)
        frozen = make("frozen").run(WORKLOAD, given, {})[0].hyperparameters["learning_rate"]
        rates = make("open_loop").run(WORKLOAD, given, prepared)[0].hyperparameters["learning_rate"]
        times = (np.arange(num_decisions) + 0.5) / num_decisions
        np.testing.assert_allclose(np.log(rates / frozen), times, atol=0.01)


def test_means_are_taken_over_tasks_at_equal_shares_of_the_run() -> None:
    short, long = instances(1, 3, seed=0), instances(1, 6, seed=0)
    courses = [
        np.array(make("open_loop").prepare(WORKLOAD, given)["corrections"]["learning_rate"])
        for given in (short, long, short + long)
    ]
    np.testing.assert_allclose(courses[2], (courses[0] + courses[1]) / 2)


def test_the_replay_has_the_controllers_guard() -> None:
    hyperparameters = ("learning_rate", "weight_decay")
    policy = steady_policy("supervised", hyperparameters, base_schedule="constant")
    setup = Setup(policy=policy, hyperparameters=hyperparameters)
    options = {"updates_per_decision": 3}
    family = make_family(
        "supervised",
        dataset="diabetes",
        model="mlp_32x2_relu",
        optimizer="sgd",
        num_decisions=5,
        **options,
    )
    tasks = make_tasks(family, 1, 5, starts=(1e-3, 1.0))  # the second fails at once
    given = [Instance(task=task, seed=2) for task in tasks]
    workload = Workload(options=options)
    still = {"corrections": {name: [0.0] * NUM_POINTS for name in hyperparameters}}
    steered = make_opponent("controller", setup).run(workload, given, {})
    replayed = make_opponent("open_loop", setup).run(workload, given, still)
    assert replayed[1].hyperparameters["learning_rate"][-1] < 0.5  # it was cut
    for one, other in zip(replayed, steered, strict=True):
        np.testing.assert_array_equal(one.validation_loss, other.validation_loss)
        assert one.test_loss == other.test_loss


def test_what_one_move_cannot_reach_is_left_to_the_next() -> None:
    far = 2.5 * 2 * STEP  # two and a half of the largest moves
    prepared = {"corrections": {"learning_rate": [far] * NUM_POINTS}}
    given = instances(1, 5, seed=1)
    frozen = make("frozen").run(WORKLOAD, given, {})[0].hyperparameters["learning_rate"]
    rates = make("open_loop").run(WORKLOAD, given, prepared)[0].hyperparameters["learning_rate"]
    expected = far * np.array([0.4, 0.8, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(np.log(rates / frozen), expected, rtol=1e-9)
