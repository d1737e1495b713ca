"""Deployment walks as the environment does."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hpo_env.controller import Controller
from hpo_env.familiarity import Familiarity
from hpo_env.observation import field_names
from hpo_env.policy import Policy, num_outputs
from hpo_env.policy_file import load, save
from hpo_env.tasks.forecasting import trainer as trainer_module
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.layout import FEATURES
from hpo_env.tasks.forecasting.native.kernel import Kernel
from hpo_env.tasks.forecasting.native.network import Network
from hpo_env.tasks.forecasting.series import Series
from hpo_env.tasks.forecasting.steering import kernel_or_twin, steer
from hpo_env.tasks.forecasting.trainer import walk_of, walk_of_task
from hpo_env.tasks.forecasting.walk_host import WalkHost
from hpo_env.vector_env import HPOControlVectorEnv


def random_policy(seed: int = 0) -> Policy:
    space = ForecastingFamily().space
    size = len(field_names(space.names)) + len(FEATURES)
    rng = np.random.default_rng(seed)
    return Policy(
        family="forecasting",
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(rng.normal(size=(len(space), size)).astype(np.float32) * 0.2,),
        biases=(np.zeros(len(space), dtype=np.float32),),
        features=tuple(FEATURES),
        loss_floor=ForecastingFamily.loss_floor,
    )


@pytest.mark.parametrize("kernel", [Kernel, lambda: None], ids=["kernel", "twin"])
def test_the_course_is_that_of_the_environment(kernel: Any) -> None:
    family, policy = ForecastingFamily(split="validation"), random_policy()
    tasks = [family.sample(np.random.default_rng(k)) for k in range(8)]
    env = HPOControlVectorEnv(8, family="forecasting", tasks=tasks)
    observations = env.reset(seed=0)[0]
    courses: list[list[Any]] = [[] for _ in tasks]
    for _ in range(max(task.num_decisions for task in tasks)):
        observations, _, ended, _, info = env.step(policy.act(observations))
        last = info["final_info"] if ended.any() else info
        for lane, course in enumerate(courses):
            if len(course) < tasks[lane].num_decisions:
                values = (last if ended[lane] else info)["hyperparameters"]
                course.append([values[name][lane] for name in env.space.names])
    walks = [walk_of_task(task) for task in tasks]
    initial = np.array([task.initial for task in tasks])
    steered = steer(walks, family.space, [policy], num_ahead=6, initial=initial, kernel=kernel())
    for lane, course in enumerate(courses):
        found = steered.course[lane][: len(course)]
        np.testing.assert_allclose(found, np.array(course), rtol=1e-9)


def test_errors_that_nobody_cares_about_are_seen_as_in_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Observations that the walk foresees to the last digit: their error is below the floor."""
    values = np.concatenate([np.repeat([50.0, 60.0], 12), 60.0 + np.cumsum(np.ones(8))])
    series = Series(
        source="made up", name="a", frequency="yearly", period=1, values=values, horizon=6
    )
    monkeypatch.setattr(trainer_module, "load_source", lambda source: {series.name: series})
    trainer_module._walk_of_task.cache_clear()
    family, policy = ForecastingFamily(), random_policy()
    task = family._task(series, 0, None)
    env = HPOControlVectorEnv(1, family="forecasting", tasks=[task], autoreset_mode="Disabled")
    observations, course, losses = env.reset(seed=0)[0], [], []
    for _ in range(task.num_decisions):
        observations, *_, info = env.step(policy.act(observations))
        course.append([info["hyperparameters"][name][0] for name in env.space.names])
        losses.append(info["train_loss"][0])
    assert min(losses) < family.loss_floor
    steered = steer(
        [walk_of_task(task)],
        family.space,
        [policy],
        num_ahead=6,
        initial=np.array([task.initial]),
        kernel=kernel_or_twin(),
    )
    np.testing.assert_allclose(steered.course[0], np.array(course), rtol=1e-12)
    trainer_module._walk_of_task.cache_clear()


def test_without_a_policy_the_defaults_stay() -> None:
    series = 50.0 + np.cumsum(np.random.default_rng(0).normal(size=40))
    space = ForecastingFamily().space
    steered = steer([walk_of(series, 1, np.zeros(0))], space, [], num_ahead=3)
    assert np.array_equal(steered.course[0], np.tile(space.defaults, (len(steered.course[0]), 1)))


def random_start_tasks(num: int) -> tuple[list[Any], np.ndarray, np.ndarray]:
    family = ForecastingFamily(split="validation")
    tasks = [family.sample(np.random.default_rng(k)) for k in range(num)]
    anywhere = [family.random_start(np.random.default_rng(k)) for k in range(num)]
    return tasks, np.array(anywhere), np.array([task.constants for task in tasks])


@pytest.mark.filterwarnings("ignore:the training diverged")  # large errors, and nothing else
@pytest.mark.parametrize("kernel", [Kernel, lambda: None], ids=["kernel", "twin"])
def test_the_first_decision_goes_on_from_the_start_that_is_given(kernel: Any) -> None:
    """As a run does that was told to begin where its kind begins best."""
    family, policy = ForecastingFamily(), random_policy()
    tasks, anywhere, constants = random_start_tasks(4)
    steered = steer(
        [walk_of_task(task) for task in tasks],
        family.space,
        [policy],
        num_ahead=6,
        initial=anywhere,
        start=constants,
        kernel=kernel(),
    )
    for lane, task in enumerate(tasks):
        host = WalkHost(
            walk_of_task(task), dict(zip(family.space.names, anywhere[lane], strict=True))
        )
        number = task.num_decisions
        run = Controller(policy).steer(
            host, total_steps=number, num_decisions=number, start="learned"
        )
        for _ in range(number):
            run.step()
        run.close()
        found = np.array([[d.values[name] for name in family.space.names] for d in run.decisions])
        np.testing.assert_allclose(found, steered.course[lane][:number], rtol=1e-9)


@pytest.mark.parametrize("kernel", [Kernel, lambda: None], ids=["kernel", "twin"])
def test_a_start_at_the_initial_values_changes_nothing(kernel: Any) -> None:
    family, policy = ForecastingFamily(), random_policy()
    tasks, anywhere, constants = random_start_tasks(6)
    walks = [walk_of_task(task) for task in tasks]

    def walked(initial: np.ndarray, start: np.ndarray | None) -> np.ndarray:
        arguments: dict[str, Any] = {"num_ahead": 6, "initial": initial, "kernel": kernel()}
        return steer(walks, family.space, [policy], start=start, **arguments).forecasts

    usual = walked(constants, None)
    assert np.array_equal(walked(constants, constants), usual)
    assert not np.array_equal(walked(anywhere, None), walked(anywhere, constants))
    assert (walked(anywhere, constants) != usual).any()


def test_realised_errors_are_those_of_forecasts_made_on_the_way() -> None:
    series = 50.0 + np.cumsum(np.random.default_rng(0).normal(size=40))
    space = ForecastingFamily().space
    whole = steer([walk_of(series, 1, np.zeros(0))], space, [], num_ahead=2)
    first = len(series) - len(whole.course[0]) + 1
    sizes = []
    for origin in range(first, len(series)):
        ahead = min(2, len(series) - origin)
        # Another origin has another scale, which nothing here depends on but rounding.
        made = steer(
            [walk_of(series[:origin], 1, np.zeros(0))], space, [], num_ahead=ahead
        ).forecasts[0]
        sizes.append(np.abs(series[origin : origin + ahead] - made))
    assert whole.num_errors[0].tolist() == [len(sizes), len(sizes) - 1]
    assert whole.errors[0, 0] == pytest.approx(np.mean([size[0] for size in sizes]), rel=0.2)
    for ahead in (0, 1):
        known = np.array([size[ahead] for size in sizes if len(size) > ahead])
        weights = 0.89 ** np.arange(len(known))[::-1]
        late = float(known @ weights / weights.sum())
        assert late != pytest.approx(known.mean(), rel=0.02)
        assert whole.recent_errors[0, ahead] == pytest.approx(late, rel=1e-2)


def test_a_policy_with_features_survives_its_file(tmp_path: Path) -> None:
    policy = random_policy()
    again = load(save(policy, tmp_path))
    assert again.features == policy.features
    observations = np.random.default_rng(1).uniform(-1, 1, (3, len(policy.fields)))
    assert np.array_equal(policy.act(observations), again.act(observations))


def network_policy(head: Any, activation: Any, num_members: int, seed: int = 1) -> Policy:
    """Draw a policy with two hidden layers, of several members where asked."""
    space = ForecastingFamily().space
    outputs = num_members * num_outputs(head, len(space))
    sizes = [len(field_names(space.names)) + len(FEATURES), 24, 16, outputs]
    rng = np.random.default_rng(seed)
    return Policy(
        family="forecasting",
        space=space,
        base_schedule="constant",
        head=head,
        activation=activation,
        weights=tuple(
            (0.4 * rng.normal(size=(out, into))).astype(np.float32) for into, out in pairwise(sizes)
        ),
        biases=tuple(rng.normal(size=out).astype(np.float32) for out in sizes[1:]),
        features=tuple(FEATURES),
        loss_floor=ForecastingFamily.loss_floor,
    )


@pytest.mark.parametrize("is_wary", [False, True])
@pytest.mark.parametrize("num_members", [1, 2])
@pytest.mark.parametrize("activation", ["tanh", "relu"])
@pytest.mark.parametrize("head", ["choices", "clipped"])
def test_the_kernel_walks_to_the_end_as_decision_by_decision(
    head: Any, activation: Any, num_members: int, is_wary: bool
) -> None:
    family, policy = (
        ForecastingFamily(split="validation"),
        network_policy(head, activation, num_members),
    )
    if is_wary:  # most observations of a walk are foreign to what lies around 0
        rows = np.random.default_rng(0).normal(scale=0.3, size=(400, len(policy.fields)))
        policy = replace(policy, familiarity=Familiarity.fit(rows, policy.fields))
    assert Network.is_known(family.space, policy)
    tasks = [family.sample(np.random.default_rng(k)) for k in range(24)]
    walks = [walk_of_task(task) for task in tasks]
    initial = np.array([family.random_start(np.random.default_rng(k)) for k in range(24)])
    ways = [
        steer(walks, family.space, [policy], num_ahead=7, initial=initial, kernel=kernel)
        for kernel in (Kernel(), None)
    ]
    for name in ("forecasts", "errors", "recent_errors", "num_errors", "course"):
        found, expected = (getattr(way, name) for way in ways)
        scale = np.nanmax(np.abs(expected), axis=tuple(range(1, expected.ndim)), keepdims=True)
        np.testing.assert_allclose(found / scale, expected / scale, atol=1e-9, err_msg=name)


@pytest.mark.parametrize(
    "changes",
    [{"head": "squashed"}, {"features": ()}],
    ids=lambda changes: next(iter(changes)),
)
def test_other_policies_are_asked_at_every_decision(changes: dict[str, Any]) -> None:
    policy = random_policy()
    if "features" in changes:
        size = len(field_names(policy.space.names))
        changes = {"features": (), "weights": (policy.weights[0][:, :size],)}
    assert not Network.is_known(policy.space, replace(policy, **changes))
