"""Forecasting as a family: what is hidden stays hidden, and the contract of a trainer holds."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.tasks.base import Engine
from hpo_env.tasks.declarations import check_declarations
from hpo_env.tasks.forecasting import trainer as trainer_module
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.layout import FEATURES, HYPERPARAMETERS
from hpo_env.tasks.forecasting.series import COMPETITIONS, Series
from hpo_env.tasks.forecasting.starts import start_of
from hpo_env.tasks.forecasting.task import ForecastingTask
from hpo_env.tasks.registry import make_family
from hpo_env.vector_env import HPOControlVectorEnv

ENGINES = ("native", "eager")


def made_up_series(seed: int = 0, num: int = 70, after: Any = None) -> Series:
    """A monthly series; the last 18 observations can be anything."""
    rng = np.random.default_rng(seed)
    season = 1.0 + 0.2 * np.sin(np.arange(num) * np.pi / 6.0)
    values = 100.0 * season * np.exp(np.cumsum(0.03 * rng.normal(size=num)))
    if after is not None:
        values[-18:] = after
    return Series(
        source="made up", name="a", frequency="monthly", period=12, values=values, horizon=18
    )


@pytest.fixture
def only_series(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Let tasks of the source "made up" find a given series."""

    def put(series: Any) -> None:
        trainer_module._walk_of_task.cache_clear()
        monkeypatch.setattr(trainer_module, "load_source", lambda source: {series.name: series})

    yield put
    trainer_module._walk_of_task.cache_clear()


def task_of(series: Any, **changes: Any) -> Any:
    family = ForecastingFamily()
    return replace(family._task(series, 0, None), **changes)


def walk_through(task: Any, actions: Any, **arguments: Any) -> Any:
    env = HPOControlVectorEnv(1, family="forecasting", tasks=[task], **arguments)
    observations, rewards, infos = [env.reset(seed=0)[0]], [], []
    for action in actions:
        observation, reward, ended, _, info = env.step(action[None])
        observations.append(info["final_obs"][0][None] if ended[0] else observation)
        rewards.append(float(reward[0]))
        infos.append(info)
        if ended[0]:
            break
    return np.concatenate(observations), np.array(rewards), infos


def random_actions(num: int = 60, seed: int = 3) -> Any:
    return np.random.default_rng(seed).uniform(-1.0, 1.0, (num, len(HYPERPARAMETERS)))


def test_declarations_are_in_order() -> None:
    check_declarations(ForecastingFamily)
    assert tuple(h.name for h in ForecastingFamily.hyperparameters) == HYPERPARAMETERS


@pytest.mark.parametrize("engine", ENGINES)
def test_the_future_changes_the_reward_and_no_observation(engine: str, only_series: Any) -> None:
    seen, rewarded = [], []
    for after in (None, 1.0, 1e5):
        series = made_up_series(after=after)
        only_series(series)
        observations, rewards, _ = walk_through(task_of(series), random_actions(), engine=engine)
        seen.append(observations)
        rewarded.append(rewards)
    assert len(seen[0]) == task_of(made_up_series()).num_decisions + 1
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[0], seen[2])
    assert not np.allclose(rewarded[0], rewarded[1])


def test_a_series_without_a_future_is_observed_alike(only_series: Any) -> None:
    series = made_up_series()
    only_series(series)
    whole, _, _ = walk_through(task_of(series), random_actions())
    cut = replace(series, values=series.values[:-18])
    only_series(cut)
    alone, _, _ = walk_through(task_of(series), random_actions())
    assert np.array_equal(whole, alone)


def test_rewards_add_up_to_the_fall_of_the_hidden_loss() -> None:
    family = ForecastingFamily(split="validation")
    task = family.sample(np.random.default_rng(0))
    env = HPOControlVectorEnv(1, family="forecasting", tasks=[task])
    first = env.reset(seed=0)[1]["validation_loss"][0]
    _, rewards, infos = walk_through(task, random_actions())
    last = infos[-1]["final_info"]["validation_loss"][0]
    assert rewards.sum() == pytest.approx(np.log(first / last))


def test_doing_nothing_from_the_constants_is_what_the_loss_is_relative_to() -> None:
    tasks = ForecastingFamily(split="validation").tasks()[:3]
    env = HPOControlVectorEnv(3, family="forecasting", tasks=tasks)
    losses = [env.reset(seed=0)[1]["validation_loss"]]
    losses += [env.step(np.zeros((3, len(HYPERPARAMETERS))))[4]["validation_loss"] for _ in "abc"]
    assert np.array_equal(losses, np.ones((4, 3)))


def test_the_hidden_loss_is_masked_in_the_observation() -> None:
    env = HPOControlVectorEnv(4, family="forecasting")
    column = list(env.observation_docs).index("has_validation")
    assert (env.reset(seed=0)[0][:, column] == -1.0).all()
    observations = env.step(np.zeros((4, len(HYPERPARAMETERS))))[0]
    assert (observations[:, column] == -1.0).all()
    assert list(env.observation_docs)[-len(FEATURES) :] == list(FEATURES)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_snapshot_continues_bit_for_bit(engine: Engine) -> None:
    env = HPOControlVectorEnv(3, family="forecasting", engine=engine)
    env.reset(seed=1)
    for action in random_actions(2):
        env.step(np.tile(action, (3, 1)))
    kept = env.snapshot()
    runs = []
    for _ in range(2):
        env.restore(kept)
        runs.append([env.step(np.tile(a, (3, 1)))[:2] for a in random_actions(8)])
    for (a, b), (c, d) in zip(*runs, strict=True):
        assert np.array_equal(a, c)
        assert np.array_equal(b, d)


@pytest.mark.parametrize("engine", ENGINES)
def test_roll_back_puts_the_state_before_the_interval_back(engine: Engine) -> None:
    family = ForecastingFamily()
    tasks: list[Any] = [family.sample(np.random.default_rng(k)) for k in range(2)]
    trainer: Any = family.make_trainer(2, engine=engine, device="cpu")
    trainer.reset(np.arange(2), tasks, [0, 0])
    values = np.array([task.initial for task in tasks])
    before = trainer.walks.state.copy()
    trainer.advance(values)
    trainer.roll_back(np.array([1]))
    assert not np.array_equal(trainer.walks.state[0], before[0])
    assert np.array_equal(trainer.walks.state[1], before[1])


def test_a_lane_is_the_same_alone_and_among_others() -> None:
    family = ForecastingFamily()
    tasks = [family.sample(np.random.default_rng(k)) for k in range(5)]
    env = HPOControlVectorEnv(5, family="forecasting", tasks=tasks)
    env.reset(seed=0)
    together = [env.step(np.tile(a, (5, 1)))[0][2] for a in random_actions(2)]
    alone, _, _ = walk_through(tasks[2], random_actions(2))
    assert np.array_equal(np.stack(together), alone[1:])


def test_doing_nothing_keeps_the_values_of_the_start() -> None:
    family = ForecastingFamily()
    task = family.sample(np.random.default_rng(4))
    _, _, infos = walk_through(task, np.zeros((60, len(HYPERPARAMETERS))))
    values = infos[-1]["final_info"]["hyperparameters"]
    assert tuple(float(values[name][0]) for name in HYPERPARAMETERS) == task.initial


def test_tasks_are_plain_data_that_make_the_same_walk() -> None:
    family = ForecastingFamily()
    for seed in range(20):
        task = family.sample(np.random.default_rng(seed))
        again = ForecastingTask(**json.loads(json.dumps(task.to_json())))
        lists: dict[str, Any] = {
            name: tuple(getattr(again, name)) for name in ("initial", "constants")
        }
        assert replace(again, **lists) == task
        assert task.origin > task.start >= 0
        assert set(task.labels) == {"frequency"}


def test_test_tasks_are_the_competition_at_its_own_origins() -> None:
    tasks = ForecastingFamily(split="test").tasks()
    assert len(tasks) == 3003
    assert {(t.source, t.is_adjusted) for t in tasks} == {("M3", False)}
    assert sum(t.start > 0 for t in tasks) < 300  # 126 months are walked from the seventh on
    counts = {h: sum(t.horizon == h for t in tasks) for h in (6, 8, 18)}
    assert counts == {6: 645, 8: 930, 18: 1428}


@pytest.mark.parametrize("held_out", COMPETITIONS)
def test_every_competition_can_be_held_out(held_out: Any) -> None:
    family = ForecastingFamily(held_out=held_out)
    for seed in range(5):
        task = family.sample(np.random.default_rng(seed))
        assert task.source != held_out
        assert task.constants == start_of(task.period, held_out)


def test_test_errors_are_those_of_the_forecasts() -> None:
    family = ForecastingFamily(split="test")
    task = family.tasks()[700]  # quarterly
    _, _, infos = walk_through(task, random_actions())
    final = infos[-1]["final_info"]
    assert 0.0 < final["test_loss"][0] < 20.0
    assert 0.0 < final["test_metric"][0] < 200.0


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"num_decisions": 0}, ConfigurationError),
        ({"held_out": "M5"}, UnknownNameError),
        ({"horizon": 0}, ConfigurationError),
        ({"data": "a.csv"}, ConfigurationError),
        ({"left_out": 3}, ConfigurationError),
        ({"left_out": 0, "data": "a.csv", "horizon": 6}, ConfigurationError),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, error: Any) -> None:
    with pytest.raises(error):
        make_family("forecasting", **options)


@pytest.mark.parametrize("num_decisions", [1, 4, 200])
def test_walks_of_a_given_number_of_decisions(num_decisions: int) -> None:
    family = ForecastingFamily(num_decisions=num_decisions)
    task = family.sample(np.random.default_rng(0))
    assert task.num_decisions == num_decisions
    observations, _, _ = walk_through(task, random_actions(num_decisions))
    assert len(observations) == num_decisions + 1


def test_engines_it_does_not_have_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="native"):
        ForecastingFamily().make_trainer(1, engine="compiled", device="cpu")
