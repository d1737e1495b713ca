from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from agents.config import TrainConfig
from agents.initial_policies.data_sets import draw_groups
from agents.testing.learners import Onlooker, build
from hpo_env.tasks.base import Engine, Task, TaskFamily, Trainer
from hpo_env.tasks.registry import make_family


class Named(TaskFamily):
    """The tasks of another family, under names drawn by given shares."""

    def __init__(self, shares: dict[str, float]) -> None:
        self._usual = make_family("quadratic")
        self._shares = shares

    def sample(self, rng: np.random.Generator) -> Task:
        name = str(rng.choice(list(self._shares), p=list(self._shares.values())))
        return replace(self._usual.sample(rng), name=name)

    def make_trainer(self, num_lanes: int, *, engine: Engine, device: str) -> Trainer:
        return self._usual.make_trainer(num_lanes, engine=engine, device=device)


@pytest.mark.parametrize(
    ("shares", "names", "distinct"),
    [
        ({"a": 0.5, "b": 0.3, "c": 0.2}, 2, 4),
        ({"a": 0.98, "b": 0.02}, 2, 1),  # the second is too rare to fill its group
        ({"a": 1.0}, 1, 4),  # one name for both groups, with tasks of their own
    ],
)
def test_a_group_is_of_one_name(shares: dict[str, float], names: int, distinct: int) -> None:
    rng = np.random.default_rng(3)
    groups = draw_groups(Named(shares), rng, num_groups=2, size=4)
    assert [len(group) for group in groups] == [4, 4]
    assert all(len({task.name for task in group}) == 1 for group in groups)
    assert len({group[0].name for group in groups}) == names
    assert all(len(set(group)) >= distinct for group in groups)
    if names == 1:
        assert not set(groups[0]) & set(groups[1])


@pytest.mark.parametrize("critic", ["task", "observation"])
def test_lanes_of_a_group_train_on_the_data_set_that_was_drawn(critic: str) -> None:
    config = TrainConfig.of(
        family="supervised",
        algorithm="first_order_maml",
        updates_per_decision=2,
        critic=critic,
        num_envs=6,
        lanes_per_data_set=3,
        num_decisions=3,
        n_steps=4,
        n_epochs=1,
        rounds=1,
        steps=48,
        segment_steps=48,
    ).resolved()
    learner = build(config)
    learner.seed(1)
    learner.learn(config.segment_bounds()[0], Onlooker())
    first, second = np.split(np.array([task.name for task in learner._env.tasks]), 2)  # type: ignore[attr-defined]
    assert len(set(first)) == len(set(second)) == 1
    assert first[0] != second[0]
