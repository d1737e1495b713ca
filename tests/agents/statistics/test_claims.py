"""Claims are read off paired runs; the tables here are small enough to be done by hand."""

from __future__ import annotations

import math

import pytest

from agents.statistics import claims
from agents.statistics.pairing import PairedRuns, pair_runs
from hpo_env.errors import ConfigurationError
from tests.agents.statistics.tables import frame_of, row

E = math.e


def paired(outcomes: dict[str, dict[tuple[str, float], float]]) -> PairedRuns:
    """Pair runs given as log test losses by opponent, data set and initial rate; untrained: 4."""
    rows = [
        row(
            name,
            [(E**value, E**value)],
            task=dataset,
            start=rate,
            unit=dataset,
            first_loss=E**4,
        )
        for name, by_run in outcomes.items()
        for (dataset, rate), value in by_run.items()
    ]
    return pair_runs(frame_of(*rows))[0]


TWO_RATES = paired(
    {
        "controller": {("a", 0.1): 0.0, ("a", 1.0): 0.2, ("b", 0.1): 1.0, ("b", 1.0): 1.0},
        "frozen": {("a", 0.1): 0.5, ("a", 1.0): -0.1, ("b", 0.1): 0.9, ("b", 1.0): 0.8},
        "cosine_tuned": {("a", 0.1): 0.1, ("a", 1.0): 0.1, ("b", 0.1): 1.4, ("b", 1.0): 1.0},
        "plateau_tuned": {("a", 0.1): 0.3, ("a", 1.0): 0.3, ("b", 0.1): 0.0, ("b", 1.0): 0.0},
    }
)


def test_the_strongest_opponent_comes_first_and_absent_ones_are_passed_over() -> None:
    found = claims.versus(TWO_RATES, claims.ONE_RUN)
    assert [entry.opponent for entry in found] == ["plateau_tuned", "cosine_tuned"]
    strongest, weaker = found
    assert strongest.difference.value == pytest.approx((0.3 + 0.1 - 1.0 - 1.0) / 4)
    assert strongest.probability.value == pytest.approx(0.5)
    assert weaker.difference.value == pytest.approx((0.1 - 0.1 + 0.4 + 0.0) / 4)
    assert weaker.probability.value == pytest.approx((1.0 + 0.0 + 1.0 + 0.5) / 4)


def test_the_worst_case_is_a_task_and_the_worst_run_may_be_on_another() -> None:
    worst = claims.worst_case(TWO_RATES)
    assert worst.task == "b"
    assert worst.excess == pytest.approx(0.15)
    assert worst.run_excess == pytest.approx(0.3)
    assert worst.harmed == pytest.approx(0.75)


def test_a_worst_case_needs_its_opponent() -> None:
    with pytest.raises(ConfigurationError, match="'pbt' did not run on suite 'interpolation'"):
        claims.worst_case(TWO_RATES, "pbt")


def test_the_spread_is_a_share_of_what_training_can_gain() -> None:
    spread = claims.spread_over_rates(TWO_RATES)
    # Task a: 0.2 of the 4.1 from untrained to the best of any method; task b: nothing of 4.
    assert spread.share.value == pytest.approx(0.2 / 4.1 / 2)
    assert spread.by_rate == {0.1: pytest.approx(0.5), 1.0: pytest.approx(0.6)}
    assert spread.chance == pytest.approx(spread.share.value)  # one seed cannot tell


def seeds_of_one_task(by_seed: list[tuple[float, float]]) -> PairedRuns:
    rows = [
        row("controller", [(E, E**loss)], task="a", start=rate, seed=seed, unit=str(seed),
            first_loss=E)
        for seed, losses in enumerate(by_seed)
        for rate, loss in zip((0.1, 1.0), losses, strict=True)
    ]  # fmt: skip
    return pair_runs(frame_of(*rows))[0]


def test_noise_of_single_runs_is_no_spread() -> None:
    noise = claims.spread_over_rates(seeds_of_one_task([(-1.0, -0.8), (-0.8, -1.0)]))
    assert noise.share.value == pytest.approx(0.0)
    # Of four relabelings two agree in the sign of 0.2 and two cancel; the best run gains 2.
    assert noise.chance == pytest.approx(0.1 / 2, rel=0.2)
    rate = claims.spread_over_rates(seeds_of_one_task([(-1.0, -0.8), (-1.0, -0.8)]))
    assert rate.share.value == pytest.approx(0.2 / 2)
    assert rate.chance == pytest.approx(0.1 / 2, rel=0.2)


def test_a_spread_needs_two_rates() -> None:
    runs = paired({"controller": {("a", 0.1): 0.0, ("b", 0.1): 1.0}})
    with pytest.raises(ConfigurationError, match="at least two"):
        claims.spread_over_rates(runs)


def test_trials_are_those_of_the_search_asked_for() -> None:
    log_losses = [2.0, 1.0, 0.5]
    search = row("optuna_tpe", [(E**v, E**v) for v in log_losses], unit="a")
    runs = pair_runs(frame_of(row("controller", [(E, E**0.7)], unit="a"), search))[0]
    found = claims.trials(runs, "optuna_tpe")
    assert found is not None
    assert (found[0].value, found[1]) == (3.0, 3)
    assert claims.trials(runs, "random_search") is None
