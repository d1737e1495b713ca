"""The law is the published one where that was fitted, sound elsewhere, and its optimum is one."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from hpo_env.errors import ConfigurationError
from hpo_env.tasks.bands import band_owner
from hpo_env.tasks.schedule_law import (
    ScheduleLawFamily,
    ScheduleLawTask,
    change,
    constants,
    loss_after,
    loss_of,
    optimal_rates,
    train,
    untrained,
)
from hpo_env.tasks.supervised.space import HYPERPARAMETERS
from hpo_env.vector_env import HPOControlVectorEnv

Array = NDArray[np.float64]

PUBLISHED = {  # L_0, A, alpha, B, C, beta, gamma: src/config.py of the authors' repository, rounded
    25e6: (3.0405, 0.5247, 0.5079, 363.79, 2.0656, 0.5828, 0.6414),
    100e6: (2.6514, 0.6012, 0.4530, 437.95, 2.1325, 0.5979, 0.6552),
    400e6: (2.3747, 0.6542, 0.4288, 523.42, 2.0246, 0.5935, 0.6347),
}
PEAK = 3e-4


def task(size: float = 100e6, decisions: int = 60, updates: int = 400) -> ScheduleLawTask:
    return ScheduleLawTask(
        name="x",
        num_decisions=decisions,
        initial=(1e-3,),
        num_weights=size,
        updates_per_decision=updates,
        rate_scale=1.0,
        edge=3e-3,
        noise=0.0,
    )


def published(size: float, rates: Array) -> float:
    """Sum the law update by update, with what stands for the first rate, `rates` `[T]`."""
    floor, scale, alpha, noise, speed, beta, gamma = PUBLISHED[size]
    sums = np.cumsum(rates[::-1])[::-1]
    rises = np.diff(rates, prepend=0.0)
    settled = 1.0 - (speed * rates**-gamma * sums + 1.0) ** -beta
    floor -= noise * PEAK
    begun = (scale / (math.log(32_000) - floor)) ** (1.0 / alpha)
    return float(floor + scale * (begun + sums[0]) ** -alpha + noise * np.sum(rises * settled))


def cosine(decisions: int) -> Array:
    shares = np.arange(decisions) / decisions
    return np.asarray(3e-5 + 0.5 * (PEAK - 3e-5) * (1.0 + np.cos(np.pi * shares)))


def decay_at_the_end(decisions: int) -> Array:
    shares = np.arange(decisions) / decisions
    return np.asarray(PEAK * 0.1 ** np.clip((shares - 5 / 6) * 6, 0.0, 1.0))


def one_step(decisions: int) -> Array:
    return np.where(np.arange(decisions) < decisions // 3, PEAK, 9e-5)


@pytest.mark.parametrize("size", PUBLISHED)
def test_at_a_constant_rate_it_is_the_published_law(size: float) -> None:
    expected = published(size, np.full(24_000, PEAK))
    assert loss_after(task(size), np.full((1, 60), PEAK))[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("size", PUBLISHED)
@pytest.mark.parametrize("course", [one_step, cosine, decay_at_the_end])
def test_on_usual_courses_it_differs_by_less_than_the_fit_errs(
    size: float, course: Callable[[int], Array]
) -> None:
    rates = course(60)
    expected = published(size, np.repeat(rates, 400))
    assert loss_after(task(size), rates[None])[0] == pytest.approx(expected, abs=0.002)


@given(
    logs=st.lists(st.floats(-14.0, -3.0), min_size=8, max_size=8),
    size=st.sampled_from(sorted(PUBLISHED)),
)
@settings(max_examples=200, deadline=None)
def test_no_course_takes_more_noise_away_than_there_is(logs: list[float], size: float) -> None:
    rates = np.exp(logs)[None]
    law = constants(size, 3e-3)
    noiseless = law.copy()
    noiseless[3] = 0.0
    pair, state = np.stack([law, noiseless]), untrained(2, 8)
    for interval, rate in enumerate(rates[0]):
        state = change(state, np.full(2, rate), np.full(2, interval))
        state = train(pair, state, np.full(2, 300.0))
    noisy, quiet = loss_of(pair, state)
    assert noisy >= quiet
    assert noisy - quiet <= law[3] * rates.max() + 1e-9


def test_updates_can_be_made_in_any_portions() -> None:
    law, state = constants(100e6, 3e-3)[None], untrained(1, 1)
    state = change(state, np.array([1e-3]), np.array([0]))
    at_once, in_parts = train(law, state, np.array([90.0])), state
    for portion in (1.0, 30.0, 59.0):
        in_parts = train(law, in_parts, np.array([portion]))
    for name, values in at_once.items():
        np.testing.assert_allclose(in_parts[name], values, rtol=1e-12, err_msg=name)


def test_the_best_of_two_rates_is_the_best_of_a_fine_grid() -> None:
    short = task(decisions=2, updates=2000)
    grid = np.exp(np.linspace(math.log(1e-6), math.log(short.edge), 300))
    pairs = np.stack(np.meshgrid(grid, grid, indexing="ij"), axis=-1).reshape(-1, 2)
    losses = loss_after(short, pairs)
    rates, least = optimal_rates(short)
    np.testing.assert_allclose(rates, pairs[np.argmin(losses)], rtol=0.05)
    assert losses.min() - 1e-4 < least <= losses.min() + 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_no_usual_schedule_of_any_peak_is_below_the_best_course(seed: int) -> None:
    drawn = ScheduleLawFamily(num_decisions=20).sample(np.random.default_rng(seed))
    rates, least = optimal_rates(drawn)
    shares = (np.arange(20) + 0.5) / 20
    peaks = np.exp(np.linspace(math.log(1e-6), math.log(drawn.edge), 100))[:, None]
    shapes = {
        "cosine": 0.5 * (1.0 + np.cos(np.pi * shares)),
        "linear": 1.0 - shares,
        "decay at the end": np.minimum(1.0, 5.0 * (1.0 - shares)),
        "constant": np.ones(20),
    }
    for name, shape in shapes.items():
        assert loss_after(drawn, peaks * shape).min() > least, name
    assert rates[-1] < 0.05 * rates[0]
    assert (np.diff(rates) <= 1e-9).all()  # it never rises


def test_beyond_the_edge_a_run_is_lost_and_below_it_recovers() -> None:
    law, state = constants(100e6, 3e-3)[None], untrained(1, 3)
    first = loss_of(law, state)[0]

    def after(state: dict[str, Array], rate: float, interval: int) -> dict[str, Array]:
        begun = change(state, np.array([rate]), np.array([interval]))
        return train(law, begun, np.array([300.0]))

    fine = after(state, 2.9e-3, 0)
    assert loss_of(law, fine)[0] < 0.6 * first
    lost = after(fine, 4.5e-3, 1)
    assert loss_of(law, lost)[0] > first
    assert loss_of(law, after(lost, 1e-3, 2))[0] < loss_of(law, fine)[0]


def test_an_environment_ends_at_the_loss_of_its_course() -> None:
    one = replace(task(decisions=12, updates=100), initial=(5e-4,), noise=0.01)
    env = HPOControlVectorEnv(2, family="schedule_law", base_schedule="constant", tasks=[one] * 2)
    env.reset(seed=0)
    moves = np.random.default_rng(0).uniform(-0.3, 0.3, (12, 2, 1))
    used = []
    for move in moves:
        *_, info = env.step(move)
        ended = info.get("final_info", info)
        used.append(ended["hyperparameters"]["learning_rate"])
    expected = loss_after(one, np.stack(used, axis=1))
    np.testing.assert_allclose(ended["test_loss"], expected, rtol=1e-9)


def test_splits_hold_other_scales_of_rates() -> None:
    for split in ("train", "validation", "test"):
        family = ScheduleLawFamily(split=split)
        drawn = [family.sample(np.random.default_rng(seed)) for seed in range(20)]
        assert {band_owner(one.rate_scale) for one in drawn} == {split}


def test_its_rate_is_that_of_supervised_learning_so_that_policies_can_be_asked() -> None:
    assert ScheduleLawFamily.hyperparameters[0] == HYPERPARAMETERS[0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_decisions": 151}, "num_decisions must be at most 150; got 151"),
        ({"num_updates": 100}, "num_updates must be at least 150, one a decision; got 100"),
        ({"num_updates": 9, "num_decisions": 10}, "at least 10, one a decision; got 9"),
    ],
)
def test_lengths_that_cannot_be_are_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        ScheduleLawFamily(**options)


def test_a_length_that_was_asked_for_is_that_of_every_task() -> None:
    family = ScheduleLawFamily(num_updates=30_000, num_decisions=30)
    tasks = [family.sample(np.random.default_rng(seed)) for seed in range(5)]
    assert {one.num_updates for one in tasks} == {30_000}
    assert family.interval_updates(tasks[0]) == 1000


def test_beyond_the_edge_steps_go_to_and_fro() -> None:
    law = constants(100e6, 3e-3)[None].repeat(2, axis=0)
    state = change(untrained(2, 1), np.array([6e-3, 1.5e-3]), np.array([0, 0]))
    sums = train(law, state, np.full(2, 100.0))["sum"]
    np.testing.assert_allclose(sums, 0.15)  # twice the edge brings what half of it does


def test_what_is_measured_is_as_noisy_as_the_task_says_and_not_more() -> None:
    one, count = replace(task(decisions=4, updates=200), noise=0.01), 2000
    trainer = ScheduleLawFamily().make_trainer(count, engine="auto", device="cpu")
    trainer.reset(np.arange(count), [one] * count, list(range(count)))
    seen, _ = trainer.advance(np.full((count, 1), 1e-3))
    loss = trainer.test(np.arange(count))[0]
    assert np.std(np.log(seen.validation_loss / loss)) == pytest.approx(0.01, rel=0.1)
    assert np.mean(np.log(seen.validation_loss / loss)) == pytest.approx(0.0, abs=0.001)
    # Half of an interval is a mean of 100 minibatches, each .02 of the loss apart.
    assert np.std(np.log(seen.train_loss_second_half)) == pytest.approx(0.002, rel=0.1)
    fallen = math.log(32_000) - loss
    expected = np.hypot(0.02 * loss, fallen / math.sqrt(12.0))  # minibatches, and a line that falls
    np.testing.assert_allclose(seen.train_loss_spread, expected)


def test_a_run_costs_by_its_decisions_and_its_edge_lies_above_the_usual_rate() -> None:
    family = ScheduleLawFamily()
    drawn = [family.sample(np.random.default_rng(seed)) for seed in range(50)]
    assert all(family.effort(one) == one.num_decisions for one in drawn)
    edges = np.array([one.edge / one.rate_scale for one in drawn])
    assert edges.min() >= 3 * PEAK
    assert edges.max() <= 30 * PEAK
