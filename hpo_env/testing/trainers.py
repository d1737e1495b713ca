"""Rules for a family's trainer: what it measures, and that each lane is a run of its own.

Axes: `N` lanes, `H` hyperparameters.
"""

from __future__ import annotations

import pickle
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from hpo_env.tasks.base import Trainer
from hpo_env.telemetry import MEASUREMENTS, NOT_NEGATIVE, Telemetry
from hpo_env.testing.under_test import (
    NUM_DECISIONS,
    FamilyUnderTest,
    SmallRun,
    advance,
    check_array,
    lane_of,
    start,
)

_NUM_LANES = 3
_HALF = NUM_DECISIONS // 2


class TrainerRules(FamilyUnderTest):
    """Telemetry has its shapes and signs; a lane is a function of task, seed and values."""

    # ------------------------------------------------------------------------ what is measured

    def test_a_reset_measures_what_is_to_fall(self) -> None:
        """The validation loss before the first update, of every lane."""
        runs = self.make_runs(_NUM_LANES)
        telemetry = start(self.make_trainer(_NUM_LANES), runs)
        check_telemetry(telemetry, _NUM_LANES, when="after reset")
        assert not telemetry.diverged.any(), "no lane may have diverged before its first update"

    def test_every_interval_measures_in_the_promised_shapes_and_signs(self) -> None:
        """One float64 a lane, not negative where a logarithm is taken."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        for interval in range(NUM_DECISIONS):
            telemetry = advance(trainer, runs, interval)
            check_telemetry(telemetry, _NUM_LANES, when=f"after interval {interval}")

    def test_the_ends_of_the_ranges_stay_within_the_contract(self) -> None:
        """Whatever a policy does, a run that fails says so and measures nothing impossible."""
        runs = self._extreme_runs()
        trainer = self.make_trainer(len(runs))
        start(trainer, runs)
        for interval in range(NUM_DECISIONS):
            telemetry = advance(trainer, runs, interval)
            check_telemetry(telemetry, len(runs), when=f"at the ends, after interval {interval}")

    def test_values_are_read_back_as_they_were_given(self) -> None:
        """A value inside of its range is used as it is: an action of 0 is to change nothing."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        values = np.stack([run.values[0] for run in runs])
        given = values.copy()
        _, used = trainer.advance(values)
        assert np.array_equal(values, given), "advance must not change the values that it is given"
        check_array(used, shape=given.shape, name="values read back")
        assert np.array_equal(used, given), (
            f"values must be read back as used: gave {given.tolist()}, got {used.tolist()}"
        )

    def test_features_are_numbers_in_their_range(self) -> None:
        """The entries of the observation that only the family has, of the lanes asked for."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        shape = (_NUM_LANES, len(self.family_class.features))
        for interval in range(NUM_DECISIONS):
            features = trainer.features(np.arange(_NUM_LANES))
            check_array(features, shape=shape, name="features")
            assert (np.abs(features) <= 1.0).all(), f"features must lie in [-1, 1]; got {features}"
            turned = trainer.features(np.array([2, 0]))
            assert np.array_equal(turned, features[[2, 0]]), "a row of features is a lane asked for"
            advance(trainer, runs, interval)

    def test_what_was_measured_stays_as_it_was(self) -> None:
        """Results are the caller's own: the next interval does not write into them."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        telemetry = start(trainer, runs)
        kept = telemetry.take(np.arange(_NUM_LANES))
        for interval in range(_HALF):
            following = advance(trainer, runs, interval)
            check_same(telemetry, kept, "telemetry must not change once it is handed over")
            telemetry, kept = following, following.take(np.arange(_NUM_LANES))

    def test_a_test_measures_loss_and_metric_of_the_lanes_asked_for(self) -> None:
        """In the order asked for; a finite loss of each that has not diverged."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        diverged = advance(trainer, runs, 0).diverged
        measured = trainer.test(np.arange(_NUM_LANES))
        turned = trainer.test(np.arange(_NUM_LANES)[::-1])
        for name, array, other in zip(("loss", "metric"), measured, turned, strict=True):
            check_array(array, shape=(_NUM_LANES,), name=f"test {name}")
            assert np.array_equal(array, other[::-1], equal_nan=True), (
                f"test {name} must be in the order of the lanes: {array} and {other}"
            )
        assert np.isfinite(measured[0][~diverged]).all(), (
            f"test loss must be finite unless the lane has diverged; got {measured[0]}"
        )

    # ----------------------------------------------------------------------- a lane is a function

    def test_the_same_task_seed_and_values_give_the_same_run(self) -> None:
        """Bit for bit, in another trainer of as many lanes."""
        runs = self.make_runs(_NUM_LANES)
        one, other = (self._course(runs) for _ in range(2))
        for before, now in zip(one, other, strict=True):
            check_same(now, before, "equal task, seed and values must give an equal run")

    def test_another_seed_gives_another_run(self) -> None:
        """Otherwise repeating a run says nothing, and the family has to declare that."""
        run = self.make_runs(1)[0]
        one, other = (self._course([replace(run, seed=seed)]) for seed in (1, 2))
        differ = any(_first_difference(a, b) for a, b in zip(one, other, strict=True))
        if self.family_class.is_seeded:
            rule = "runs with other seeds must differ; seeds 1 and 2 measured the same throughout"
        else:
            rule = "is_seeded is False, so seeds must change nothing; 1 and 2 measured differently"
        assert differ == self.family_class.is_seeded, rule

    def test_neighbours_and_their_number_change_nothing(self) -> None:
        """A lane alone is the lane among others, bit for bit."""
        runs = self.make_runs(_NUM_LANES)
        together = self._course(runs)
        for lane, run in enumerate(runs):
            for among, alone in zip(together, self._course([run]), strict=True):
                check_same(
                    lane_of(among, lane),
                    alone,
                    f"a lane must not depend on its neighbours or their number: lane {lane} of "
                    f"{_NUM_LANES} and the same run alone",
                )

    def test_a_neighbour_at_the_ends_of_its_ranges_changes_nothing(self) -> None:
        """Not even one that diverges."""
        run, *_ = self.make_runs(1)
        wild = self._extreme_runs()
        among = self._course([run, *wild])
        for beside, alone in zip(among, self._course([run]), strict=True):
            check_same(
                lane_of(beside, 0), alone, "a lane must not depend on a neighbour that goes wild"
            )

    def test_the_order_of_lanes_and_of_resets_changes_nothing(self) -> None:
        """A run is the same in any lane, whenever it was begun, and others go on undisturbed."""
        a, b, c = self.make_runs(3)
        course_a, course_b, course_c = (self._course([run]) for run in (a, b, c))
        trainer = self.make_trainer(2)
        first = start(trainer, [b, a], lanes=[1, 0])
        rule = "the order of lanes and resets must change nothing"
        check_same(lane_of(first, 0), course_b[0], f"{rule}: telemetry in the order of lanes")
        check_same(lane_of(first, 1), course_a[0], f"{rule}: telemetry in the order of lanes")
        telemetry = advance(trainer, [a, b], 0)
        check_same(lane_of(telemetry, 1), course_b[1], rule)
        check_same(start(trainer, [c], lanes=[1]), course_c[0], f"{rule}: a lane that is reset")
        mixed = [a, replace(c, values=np.roll(c.values, 1, axis=0))]
        for interval in range(1, _HALF + 1):
            telemetry = advance(trainer, mixed, interval)
            check_same(lane_of(telemetry, 0), course_a[interval + 1], f"{rule}: beside a reset")
            check_same(lane_of(telemetry, 1), course_c[interval], f"{rule}: a lane that is reset")

    # ---------------------------------------------------------------- copied, restored, rolled back

    def test_a_snapshot_continues_in_its_lane_in_others_and_in_another_trainer(self) -> None:
        """Bit for bit, as often as it is restored, and after a journey to another process."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        for interval in range(_HALF):
            advance(trainer, runs, interval)
        held = pickle.loads(pickle.dumps(trainer.snapshot(np.array([0, 2]))))
        expected = [advance(trainer, runs, k) for k in range(_HALF, NUM_DECISIONS)]
        tested = trainer.test(np.array([0, 2]))
        smaller = self.make_trainer(2)
        start(smaller, runs[:2])
        places = [(trainer, [0, 2], "its own lanes"), (trainer, [1, 0], "other lanes")]
        for where, lanes, place in [*places, (smaller, [0, 1], "another trainer")]:
            rule = f"a snapshot must hold all state: restored into {place}"
            where.restore(np.array(lanes), held)
            placed = dict(zip(lanes, (runs[0], runs[2]), strict=True))
            beside = [placed.get(lane, runs[1]) for lane in range(3 if where is trainer else 2)]
            for k, before in enumerate(expected):
                now = advance(where, beside, _HALF + k)
                for source, target in zip((0, 2), lanes, strict=True):
                    check_same(lane_of(now, target), lane_of(before, source), rule)
            for now_tested, was in zip(where.test(np.array(lanes)), tested, strict=True):
                assert np.array_equal(now_tested, was, equal_nan=True), (
                    f"{rule}, test results must be equal; got {now_tested} and {was}"
                )

    def test_a_roll_back_restores_what_the_interval_began_with(self) -> None:
        """A failed interval leaves no trace in the weights: what they were worth, they are worth.

        Trainers can do so even where the hosts of the family cannot.
        """
        runs = self.make_runs(_NUM_LANES)
        undisturbed = self._course(runs)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        lanes = np.arange(_NUM_LANES)
        advance(trainer, runs, 0)
        before = trainer.test(lanes)
        trainer.advance(np.tile(self.make_family().space.high, (_NUM_LANES, 1)))
        trainer.roll_back(lanes)
        for was, now in zip(before, trainer.test(lanes), strict=True):
            assert np.array_equal(now, was, equal_nan=True), (
                "roll_back must put back the weights that the last interval began with: the test "
                f"measured {was} before it and {now} after"
            )
        telemetry = advance(trainer, runs, 1)
        check_telemetry(telemetry, _NUM_LANES, when="after roll_back and another interval")
        harmed = telemetry.diverged & ~undisturbed[1].diverged & ~undisturbed[2].diverged
        assert not harmed.any(), (
            "roll_back must undo a divergence: lanes that are fine without the failed interval "
            f"diverge after it; {harmed}"
        )

    def test_a_roll_back_touches_no_other_lane(self) -> None:
        """Neighbours go on bit for bit."""
        runs = self.make_runs(_NUM_LANES)
        trainer = self.make_trainer(_NUM_LANES)
        expected = self._course(runs)
        start(trainer, runs)
        for interval in range(NUM_DECISIONS):
            telemetry = advance(trainer, runs, interval)
            trainer.roll_back(np.array([1]))
            for lane in (0, 2):
                check_same(
                    lane_of(telemetry, lane),
                    lane_of(expected[interval + 1], lane),
                    "roll_back must touch the lanes that it names and no others",
                )

    # ---------------------------------------------------------------------- what is tested on

    def test_testing_changes_nothing(self) -> None:
        """A run that is tested in every interval is the run that is not."""
        runs = self.make_runs(_NUM_LANES)
        expected = self._course(runs)
        trainer = self.make_trainer(_NUM_LANES)
        start(trainer, runs)
        for interval in range(NUM_DECISIONS):
            trainer.test(np.arange(_NUM_LANES))
            telemetry = advance(trainer, runs, interval)
            check_same(telemetry, expected[interval + 1], "test() must change nothing")

    def test_what_is_tested_on_never_reaches_telemetry(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Other test data give another test loss and the same telemetry."""
        runs = self.make_runs(_NUM_LANES)
        before, tested = self._course_and_test(runs)
        self.mislead(monkeypatch)
        misled, tested_otherwise = self._course_and_test(runs)
        assert not np.array_equal(tested, tested_otherwise), (
            f"mislead() must change what is tested on; the test loss was {tested} twice"
        )
        for now, was in zip(misled, before, strict=True):
            check_same(now, was, "what is tested on must never reach telemetry")

    # ------------------------------------------------------------------------------ the insides

    def _course(self, runs: list[SmallRun]) -> list[Telemetry]:
        return self._course_and_test(runs)[0]

    def _course_and_test(self, runs: list[SmallRun]) -> tuple[list[Telemetry], NDArray[np.float64]]:
        """Run each in a lane of a trainer of its own; telemetry of the reset comes first."""
        trainer: Trainer = self.make_trainer(len(runs))
        course = [start(trainer, runs)]
        course += [advance(trainer, runs, interval) for interval in range(NUM_DECISIONS)]
        return course, trainer.test(np.arange(len(runs)))[0]

    def _extreme_runs(self) -> list[SmallRun]:
        """One run at each end of each range, and one with all at either end."""
        space = self.make_family().space
        ends = np.concatenate([np.diag(space.low), np.diag(space.high)])
        is_end = np.tile(np.eye(len(space), dtype=bool), (2, 1))
        runs = self.make_runs(len(ends) + 2)
        usual = np.array([run.task.initial for run in runs[: len(ends)]])
        values = [*np.where(is_end, ends, usual), space.low, space.high]
        return [
            replace(run, values=np.tile(row, (NUM_DECISIONS, 1)))
            for run, row in zip(runs, values, strict=True)
        ]


def check_telemetry(telemetry: Telemetry, num_lanes: int, *, when: str) -> None:
    """Check shapes, dtypes and signs, and that the validation loss is there."""
    for name in (*MEASUREMENTS, "diverged"):
        dtype = bool if name == "diverged" else float
        check_array(
            getattr(telemetry, name), shape=(num_lanes,), dtype=dtype, name=f"{when}: {name}"
        )
    fine = ~telemetry.diverged
    for name in NOT_NEGATIVE:
        array = getattr(telemetry, name)
        assert not (array[fine] < 0.0).any(), (
            f"{when}: {name} must not be negative, or be left NaN; got {array}"
        )
    loss = telemetry.validation_loss
    assert np.isfinite(loss[fine]).all(), (
        f"{when}: validation_loss must be finite unless the lane has diverged; got {loss}, "
        f"diverged {telemetry.diverged}"
    )


def check_same(now: Telemetry, before: Telemetry, rule: str) -> None:
    """Check that two records are equal bit for bit."""
    difference = _first_difference(now, before)
    assert difference is None, f"{rule}; {difference}"


def _first_difference(now: Telemetry, before: Telemetry) -> str | None:
    for name in (*MEASUREMENTS, "diverged"):
        one, other = getattr(now, name), getattr(before, name)
        if not np.array_equal(one, other, equal_nan=name != "diverged"):
            return f"{name} is {one}, and {other} was expected"
    return None
