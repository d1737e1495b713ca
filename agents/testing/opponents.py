"""The contract of an opponent, as a test class that the opponent's author subclasses.

    class TestMine(OpponentContract):
        opponents = ("my_package.rules:mine",)
        family = "quadratic"

It runs each opponent on a few small runs of a family, `quadratic` being the fastest. The attributes
of `FamilyUnderTest` say which family and how small; see also `mislead` there.

Axes: `T` decision intervals, `K` trials.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar

import numpy as np
import pytest

from hpo_env.errors import MissingExtraError
from hpo_env.seeding import stream
from hpo_env.tasks.base import Task
from hpo_env.testing.policies import linear_policy
from hpo_env.testing.under_test import NUM_DECISIONS, FamilyUnderTest

from ..comparing.store import outcome_from_json, outcome_to_json
from ..opponents.base import Instance, Opponent, Outcome, Prepared, Setup, label_need
from ..opponents.lanes import Workload
from ..opponents.registry import make_opponent

NUM_RUNS = 4
"""Full runs that a search may spend, and runs that a population keeps."""

_FINISHED = ("last_loss", "test_loss", "test_metric")
_TEST_RESULTS = ("test_loss", "test_metric", "trial_test_loss")


@dataclass(frozen=True, kw_only=True)
class Ran:
    """An opponent that was prepared on two instances, and has run on three others."""

    opponent: Opponent
    instances: list[Instance]
    prepared: Prepared
    outcomes: list[Outcome]


class OpponentContract(FamilyUnderTest):
    """What every opponent of a comparison must keep to.

    Attributes:
        opponents: Names of the registry, or addresses of makers, `module:function`.
        hyperparameters: What opponents may choose; what an agent has by default where None.
        held_out: Options of the family from which the tasks of the runs are drawn.
    """

    opponents: ClassVar[tuple[str, ...]]
    hyperparameters: ClassVar[tuple[str, ...] | None] = None
    held_out: ClassVar[Mapping[str, Any]] = {"split": "test"}
    _ran_before: ClassVar[dict[tuple[type, str], Ran | str]] = {}

    def hopeless_task(self) -> Task:
        """Return a held-out task whose run diverges under its own initial values."""
        pytest.skip(f"{type(self).__name__}.hopeless_task does not say what diverges")

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """Run every rule about one opponent for each."""
        if "ran" in metafunc.fixturenames:
            metafunc.parametrize("ran", self.opponents, indirect=True)

    @pytest.fixture
    def ran(self, request: pytest.FixtureRequest) -> Ran:
        """An opponent's runs, once for all rules; skipped where it does not fit."""
        found = self.ran_once(request.param)
        if isinstance(found, str):
            pytest.skip(found)
        return found

    # --------------------------------------------------------------------------------- budget

    def test_the_budget_is_kept_to_the_update(self, ran: Ran) -> None:
        """Every inner update of every trial counts."""
        for instance, outcome in zip(ran.instances, ran.outcomes, strict=True):
            updates = self.workload.interval_updates(instance.task)
            budget = ran.opponent.max_runs * NUM_DECISIONS * updates
            assert 0 < outcome.num_updates <= budget, (
                f"num_updates must lie in [1, {budget}], the budget; got {outcome.num_updates}"
            )
            spent = outcome.spent_updates
            assert spent.max() <= outcome.num_updates, f"spent more than there is: {spent}"
            assert (np.diff(spent) >= 0).all(), f"spent_updates must not fall; got {spent}"

    def test_one_run_opponents_have_one_trial(self, ran: Ran) -> None:
        """They train once, as the controller does."""
        if ran.opponent.max_runs == 1:
            trials = [len(outcome.trial_test_loss) for outcome in ran.outcomes]
            assert trials == [1, 1, 1], f"one run is one trial; got {trials}"

    # --------------------------------------------------------------------- what outcomes depend on

    def test_the_same_seed_gives_the_same_outcomes(self, ran: Ran) -> None:
        """Bit for bit, what was learned before included."""
        again = self.run(ran.opponent.name)
        assert again.prepared == ran.prepared, "prepare must depend on its instances alone"
        for outcome, before in zip(again.outcomes, ran.outcomes, strict=True):
            check_equal(outcome, before, "the same seed must give the same outcome")

    def test_an_outcome_does_not_depend_on_the_other_instances(self, ran: Ran) -> None:
        """Neither on their number nor on their order."""
        rule = "an outcome must be a function of its instance alone"
        alone = ran.opponent.run(self.workload, ran.instances[1:2], ran.prepared)
        assert len(alone) == 1
        check_equal(alone[0], ran.outcomes[1], rule)
        turned = ran.opponent.run(self.workload, ran.instances[::-1], ran.prepared)
        for outcome, before in zip(turned[::-1], ran.outcomes, strict=True):
            check_equal(outcome, before, rule)

    def test_test_rows_change_nothing_but_the_test_results(
        self, ran: Ran, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An opponent never sees what it is tested on."""
        self.mislead(monkeypatch)
        misled = self.run(ran.opponent.name)
        assert misled.prepared == ran.prepared, "prepare must not see what is tested on"
        for outcome, before in zip(misled.outcomes, ran.outcomes, strict=True):
            assert outcome.test_loss > before.test_loss, (
                "mislead() must make test losses rise, or this shows nothing: "
                f"{before.test_loss} became {outcome.test_loss}"
            )
            tested = {name: getattr(before, name) for name in _TEST_RESULTS}
            check_equal(replace(outcome, **tested), before, "run must not see what is tested on")

    # ----------------------------------------------------------------------- what outcomes are

    def test_outcomes_have_the_shapes_that_are_promised(self, ran: Ran) -> None:
        """Curves `[T]`, trials `[K]`, one outcome an instance."""
        assert len(ran.outcomes) == len(ran.instances)
        for outcome in ran.outcomes:
            assert list(outcome.hyperparameters) == list(self.workload.space.names)
            curves = [outcome.validation_loss, *outcome.hyperparameters.values()]
            assert {curve.shape for curve in curves} == {(NUM_DECISIONS,)}
            trials = [f.name for f in fields(outcome) if f.name.startswith("trial_")]
            shapes = {getattr(outcome, name).shape for name in [*trials, "spent_updates"]}
            assert len(shapes) == 1, f"arrays of trials must be equally long; got {shapes}"
            assert outcome.trial_intervals.dtype == outcome.spent_updates.dtype == np.int64
            assert outcome.train_seconds > 0.0
            assert outcome.overhead_seconds >= 0.0

    def test_the_run_that_is_returned_is_the_best_complete_trial(self, ran: Ran) -> None:
        """Chosen by its validation loss."""
        has_metric = np.isfinite(self._usual_metric())
        for outcome in ran.outcomes:
            assert not outcome.diverged, "a small run diverged: choose options under which it won't"
            finished = [name for name in _FINISHED if name != "test_metric" or has_metric]
            assert np.isfinite([getattr(outcome, name) for name in finished]).all()
            assert outcome.last_loss == outcome.validation_loss[-1]
            complete = outcome.trial_intervals == NUM_DECISIONS
            best = np.nanmin(outcome.trial_validation_loss[complete])
            assert outcome.last_loss == best, (
                f"the best complete trial must be returned, {best}; got {outcome.last_loss}"
            )

    def test_a_run_that_blows_up_ends_in_an_outcome_all_the_same(self, ran: Ran) -> None:
        """With NaN from the interval on in which it diverged."""
        hopeless = Instance(task=self.hopeless_task(), seed=2)
        instance = ran.opponent.canonical(hopeless, self.workload)
        outcome = ran.opponent.run(self.workload, [instance], ran.prepared)[0]
        assert np.isfinite(outcome.last_loss) != outcome.diverged
        assert np.isfinite(outcome.test_loss) != outcome.diverged
        if ran.opponent.name in ("user_constant", "frozen"):
            assert outcome.diverged, "hopeless_task() must diverge, or this shows nothing"
        if outcome.diverged:
            assert np.isnan([getattr(outcome, name) for name in _FINISHED]).all()
            num_trained = outcome.trial_intervals.max()
            assert np.isnan(outcome.validation_loss[num_trained - 1 :]).all()
            assert np.isfinite(outcome.validation_loss[: num_trained - 1]).all()
            leading = outcome.hyperparameters[self.family_class.leading()]
            assert np.isfinite(leading[:num_trained]).all()

    # -------------------------------------------------------------------------------- plain data

    def test_identity_and_what_was_learned_are_plain_data(self, ran: Ran) -> None:
        """They are keys and files."""
        for data in (ran.opponent.identity(), dict(ran.prepared)):
            read = json.loads(json.dumps(data, allow_nan=False))
            assert read == data, f"it must be plain data: {data} came back as {read}"
        name = ran.opponent.identity()["name"]
        assert name == ran.opponent.name, (
            f"identity must hold the opponent's name, {ran.opponent.name!r}; got {name!r}"
        )

    def test_outcomes_survive_being_stored(self, ran: Ran) -> None:
        """As JSON without NaN."""
        for outcome in ran.outcomes:
            stored = json.dumps(outcome_to_json(outcome), allow_nan=False)
            check_equal(outcome_from_json(json.loads(stored)), outcome, "stored must be equal")

    def test_identities_differ(self) -> None:
        """Two opponents of equal identity would share their outcomes."""
        found = [self.ran_once(name) for name in self.opponents]
        identities = [
            json.dumps(one.opponent.identity() | {"name": ""}, sort_keys=True)
            for one in found
            if isinstance(one, Ran)
        ]
        assert len(set(identities)) == len(identities), f"identities must differ; got {identities}"

    def test_canonical_instances_stay_as_they_are(self, ran: Ran) -> None:
        """What is ignored once is ignored."""
        for instance in ran.instances:
            again = ran.opponent.canonical(instance, self.workload)
            assert again == instance, (
                f"canonical must not change what it has returned: {instance} became {again}"
            )

    def test_canonical_instances_keep_task_and_lane(self, ran: Ran) -> None:
        """Only initial values are ignored."""
        for instance, given in zip(ran.instances, self._given(), strict=True):
            assert instance.task.name == given.task.name, "canonical must keep the task"
            assert instance.lane_seed == given.lane_seed, "canonical must keep the seed of the lane"

    # ------------------------------------------------------------------------------ the insides

    @property
    def workload(self) -> Workload:
        """Where the runs are trained."""
        read = self.family_class.trainer_options
        options = {name: value for name, value in self.options.items() if name in read}
        return Workload(family=self.family, engine=self.engine, max_lanes=16, options=options)

    def make_tasks(self, count: int, **change: Any) -> list[Task]:
        """Draw tasks, the first ones being the same however many are drawn."""
        family = self.make_family(**change)
        return [family.sample(stream(k, "task")) for k in range(count)]

    def run(self, name: str) -> Ran:
        """Prepare an opponent and run it, what it has learned having been through JSON."""
        workload, opponent = self.workload, make_opponent(name, self._setup())
        learned_on = [Instance(task=task, seed=1) for task in self.make_tasks(2)]
        prepared = opponent.prepare(workload, learned_on)
        instances = [opponent.canonical(instance, workload) for instance in self._given()]
        outcomes = opponent.run(workload, instances, json.loads(json.dumps(prepared)))
        return Ran(opponent=opponent, instances=instances, prepared=prepared, outcomes=outcomes)

    def _given(self) -> list[Instance]:
        drawn = self.make_tasks(3, **self.held_out)
        return [Instance(task=task, seed=seed) for task, seed in zip(drawn, (2, 2, 3), strict=True)]

    def _setup(self) -> Setup:
        cls = self.family_class
        names = self.hyperparameters or cls.default_controlled
        policy = linear_policy(self.family, names)
        return Setup(policy=policy, hyperparameters=names, num_runs=NUM_RUNS, num_lanes=NUM_RUNS)

    def ran_once(self, name: str) -> Ran | str:
        """Run an opponent the first time that it is asked for; a reason where it does not fit."""
        key = type(self), name
        if key not in self._ran_before:
            self._ran_before[key] = self._why_not(name) or self.run(name)
        return self._ran_before[key]

    def _why_not(self, name: str) -> str:
        try:
            opponent = make_opponent(name, self._setup())
        except MissingExtraError as error:
            return str(error)
        labels = {label_need(label) for label in self.make_tasks(1)[0].labels}
        lacking = sorted(opponent.needs - self.family_class.offers() - labels)
        return f"{name} needs {' and '.join(lacking)} of {self.family!r}" if lacking else ""

    def _usual_metric(self) -> float:
        """Measure the test metric of an untouched run; NaN where the family has none."""
        runs = self.make_runs(1)
        trainer = self.make_trainer(1)
        trainer.reset(np.array([0]), [runs[0].task], [0])
        trainer.advance(runs[0].values[:1])
        return float(trainer.test(np.array([0]))[1][0])


def check_equal(one: Outcome, other: Outcome, rule: str) -> None:
    """Check that all but the wall-clock is equal, bit for bit."""
    assert equal_outcomes(one, other), f"{rule}; got {one} and {other}"


def equal_outcomes(one: Outcome, other: Outcome) -> bool:
    """Say whether all but the wall-clock is equal, bit for bit."""
    names = [n for n in vars(one) if not n.endswith("_seconds") and n != "hyperparameters"]
    pairs = [(getattr(one, name), getattr(other, name)) for name in names]
    pairs += [
        (one.hyperparameters[name], other.hyperparameters[name]) for name in one.hyperparameters
    ]
    return all(np.array_equal(np.asarray(a), np.asarray(b), equal_nan=True) for a, b in pairs)
