from __future__ import annotations

import numpy as np
import pytest

from agents.opponents.lanes import Workload
from agents.opponents.pb2 import PB2
from agents.opponents.pbt import (
    DOWN,
    LINEAR_STEP,
    NUM_PERIODS,
    PBT,
    UP,
    Explorer,
    Perturbation,
    exploit_and_explore,
    period_ends,
    points,
)
from agents.opponents.search_space import SearchSpace
from hpo_env.tasks.registry import make_family
from tests.agents.opponents.searching import (
    QUADRATIC,
    RATE,
    SUPERVISED,
    instances,
    open_trials,
    search_one,
)

SUPERVISED_HYPERPARAMETERS = ("learning_rate", "weight_decay")


class Marking(Explorer):
    """Sends every copy to the same point."""

    def observe(self, points: np.ndarray, falls: np.ndarray) -> None:
        pass

    def propose(self, sources: np.ndarray, staying: np.ndarray) -> np.ndarray:
        return np.full_like(sources, 0.25)


@pytest.mark.parametrize("cls", [PBT, PB2])
@pytest.mark.parametrize(
    ("workload", "hyperparameters"),
    [(QUADRATIC, RATE), (SUPERVISED, SUPERVISED_HYPERPARAMETERS)],
    ids=["quad", "net"],
)
def test_the_schedule_of_the_winner_gives_its_loss_again(
    cls: type[PBT], workload: Workload, hyperparameters: tuple[str, ...]
) -> None:
    search = cls(name="population", hyperparameters=hyperparameters, max_runs=6)
    instance = search.canonical(instances(workload, num_decisions=10)[0], workload)
    outcome = search.run(workload, [instance], {})[0]
    schedule = np.stack([outcome.hyperparameters[name] for name in workload.space.names], axis=1)
    lanes = workload.open([instance])
    for values in schedule:
        lanes.advance(values[None])
    lanes.finish([0])
    replayed = lanes.outcome(instance)
    assert replayed.last_loss == outcome.last_loss
    assert replayed.test_loss == outcome.test_loss
    np.testing.assert_array_equal(replayed.validation_loss, outcome.validation_loss)


def test_the_winner_has_changed_its_values_on_the_way() -> None:
    search = PBT(name="pbt", hyperparameters=RATE, max_runs=12, schedule="constant")
    outcomes = [
        search_one(search, QUADRATIC, instance)
        for instance in instances(QUADRATIC, 3, num_decisions=20)
    ]
    steps = np.concatenate([np.diff(np.log(o.hyperparameters["learning_rate"])) for o in outcomes])
    moved = steps[np.abs(steps) > 1e-9]
    assert len(moved)
    assert all(np.isclose(moved, UP) | np.isclose(moved, DOWN))


def test_the_worst_fifth_copies_the_best_fifth() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0])
    trials.load(trials.make(np.linspace(0.1, 0.6, 10)[:, None]))
    trials.step()
    before = points(trials)[:, 0], np.array([trial.score for trial in trials.slots])
    order = np.argsort(before[1])
    exploit_and_explore(trials, Marking(), np.random.default_rng(0))
    after = points(trials)[:, 0], np.array([trial.score for trial in trials.slots])
    copies, others = order[-2:], order[:-2]
    assert set(after[0][copies]) == {0.25}
    assert set(after[1][copies]) <= set(before[1][order[:2]])
    np.testing.assert_array_equal(after[0][others], before[0][others])
    np.testing.assert_array_equal(after[1][others], before[1][others])


def test_all_diverged_runs_are_taken_up_again() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0])
    trials.load(trials.make(np.array([[1.0], [1.0], [0.5], [1.0], [0.45]])))
    while not trials.slots[0].diverged:
        trials.step()
    exploit_and_explore(trials, Marking(), np.random.default_rng(0))
    assert not trials.lanes.diverged.any()
    assert len(set(trials.lanes.interval)) == 1


def test_nothing_is_copied_where_all_have_diverged() -> None:
    trials = open_trials(QUADRATIC, instances(QUADRATIC)[0])
    trials.load(trials.make(np.ones((3, 1))))
    while not all(trial.diverged for trial in trials.slots):
        trials.step()
    exploit_and_explore(trials, Marking(), np.random.default_rng(0))
    assert trials.lanes.diverged.all()


def test_perturbations_are_the_papers_on_every_scale() -> None:
    space = make_family("supervised").space
    names = ("learning_rate", "momentum", "dropout")
    search = SearchSpace(space, names)
    source = np.full((200, 3), 0.5)
    moved = search.decode(
        Perturbation(search, np.random.default_rng(0)).propose(source, source[:0]), space.defaults
    )
    start = search.decode(source[:1], space.defaults)[0]
    columns = [space.index(name) for name in names]
    rates, momenta, dropouts = (moved[:, column] for column in columns)
    ratios = rates / start[columns[0]], (1 - momenta) / (1 - start[columns[1]])
    assert set(ratios[0].round(6)) == {0.8, 1.2}
    assert set(ratios[1].round(6)) == {round(1 / 0.8, 6), round(1 / 1.2, 6)}
    widest = space.high[columns[2]] - space.low[columns[2]]
    assert set(dropouts.round(6)) == set(
        np.round(start[columns[2]] + np.array([-1, 1]) * LINEAR_STEP * widest, 6)
    )


def test_perturbations_stay_in_the_range() -> None:
    search = SearchSpace(make_family("quadratic").space, RATE)
    perturb = Perturbation(search, np.random.default_rng(0))
    ends = np.array([[0.0], [1.0]] * 20)
    moved = perturb.propose(ends, ends[:0])
    assert moved.min() == 0.0
    assert moved.max() == 1.0


@pytest.mark.parametrize("num_intervals", [1, 5, 10, 37])
def test_periods_are_even_and_end_with_the_run(num_intervals: int) -> None:
    lengths = np.diff([0, *period_ends(num_intervals)])
    assert lengths.sum() == num_intervals
    assert len(lengths) == min(NUM_PERIODS, num_intervals)
    assert np.ptp(lengths) <= 1
