"""Studies of Optuna whose trials are controlled runs."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError, RunStoppedError, UnknownNameError
from hpo_env.starts import LearnedStart, StartCase
from tests.hpo_env.controlled_runs import Training, random_policy

optuna: Any = pytest.importorskip("optuna")
from hpo_env.integrations.optuna import (  # noqa: E402 (after the skip)
    TrialController,
    create_study,
)

STEPS = 24
OWN = {"learning_rate": 0.01, "weight_decay": 0.001}
CONTROLLER = Controller(random_policy())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        yield
    optuna.logging.set_verbosity(before)


@pytest.fixture(autouse=True)
def closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Close the databases that studies open, so that nothing is left to be collected."""
    made: list[Any] = []
    begin = optuna.storages.RDBStorage.__init__

    def noted(self: Any, *args: Any, **kwargs: Any) -> None:
        begin(self, *args, **kwargs)
        made.append(self)

    monkeypatch.setattr(optuna.storages.RDBStorage, "__init__", noted)
    yield
    for storage in made:
        storage.engine.dispose()


class Objective:
    """Trains a small net, and keeps what the trials left behind.

    Args:
        fails: Called in the middle of a training.
    """

    def __init__(self, fails: Callable[[], object] = lambda: None, **options: Any) -> None:
        self._fails, self._options = fails, options
        self.runs: list[Any] = []
        self.rates_left: list[float] = []

    def __call__(self, trial: Any) -> float:
        training = Training()
        optimizer = torch.optim.AdamW(
            training.model.parameters(), lr=OWN["learning_rate"], weight_decay=OWN["weight_decay"]
        )
        try:
            with TrialController(trial, CONTROLLER, **self._options) as steered:
                run = steered.attach(optimizer, total_steps=STEPS, validate=training.validate)
                self.runs.append(run)
                training.train(optimizer, run, range(STEPS // 2))
                self._fails()
                training.train(optimizer, run, range(STEPS // 2, STEPS))
                return steered.value
        finally:
            self.rates_left.append(float(optimizer.param_groups[0]["lr"]))


def never_pruned() -> Any:
    return create_study(CONTROLLER, initial=OWN, seed=0, pruner=optuna.pruners.NopPruner())


def test_the_first_trial_begins_at_the_users_values_and_reports_every_interval() -> None:
    study, objective = never_pruned(), Objective()
    study.optimize(objective, n_trials=3)
    first, second, _ = study.trials
    assert first.params == {f"start/{name}": value for name, value in OWN.items()}
    assert first.user_attrs["hpo_control/start"] == OWN
    assert second.params != first.params
    losses = [decision.validation_loss for decision in objective.runs[0].decisions[1:]]
    reported = [first.intermediate_values[k] for k in sorted(first.intermediate_values)]
    assert len(reported) == 8
    assert reported[:-1] == losses
    assert first.value == reported[-1]
    assert first.user_attrs["hpo_control/end"] == objective.runs[0].decisions[-1].values


def test_a_seed_makes_a_study_that_can_be_made_again() -> None:
    def proposed(seed: int) -> list[dict[str, Any]]:
        study = create_study(CONTROLLER, initial=OWN, seed=seed, pruner=optuna.pruners.NopPruner())
        study.optimize(Objective(), n_trials=6)
        return [trial.params for trial in study.trials]

    assert proposed(1) == proposed(1)
    assert proposed(1) != proposed(2)


def test_ranges_are_widened_to_hold_the_users_values() -> None:
    def objective(trial: Any) -> float:
        training = Training()
        optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.5, weight_decay=0.001)
        with TrialController(trial, CONTROLLER) as steered:
            steered.attach(optimizer, total_steps=STEPS, validate=training.validate)
        return float(trial.number)

    study = create_study(CONTROLLER, initial={"learning_rate": 0.5, "weight_decay": 0.001}, seed=0)
    study.optimize(objective, n_trials=2)
    first, second = study.trials
    assert first.params["start/learning_rate"] == 0.5
    assert second.distributions["start/learning_rate"].high == 0.5


def test_a_trial_begins_where_the_sampler_says() -> None:
    study, objective = never_pruned(), Objective()
    study.enqueue_trial({"start/learning_rate": 0.05, "start/weight_decay": 1e-5})
    study.optimize(objective, n_trials=2)
    begun = objective.runs[1].policy.space
    assert begun.names == ("learning_rate", "weight_decay")
    initial = objective.runs[1].state_dict()["decider"]["initial"]
    assert initial == [[0.05, 1e-5]]


def test_a_pruned_trial_is_closed_and_leaves_the_users_values() -> None:
    class Always(optuna.pruners.BasePruner):
        def prune(self, study: Any, trial: Any) -> bool:
            return len(trial.intermediate_values) == 2

    study, objective = create_study(CONTROLLER, initial=OWN, seed=0, pruner=Always()), Objective()
    study.optimize(objective, n_trials=2)
    assert [trial.state.name for trial in study.trials] == ["PRUNED", "PRUNED"]
    assert [len(run.decisions) for run in objective.runs] == [2, 2]
    assert objective.rates_left == [OWN["learning_rate"]] * 2
    with pytest.warns(match="after close"):
        objective.runs[0].step(1.0)


def test_what_is_raised_is_both_an_end_of_the_run_and_a_pruning() -> None:
    from hpo_env.integrations.optuna import PrunedTrialError

    assert issubclass(PrunedTrialError, RunStoppedError)
    assert issubclass(PrunedTrialError, optuna.TrialPruned)


def test_a_trial_that_fails_closes_its_run_and_the_study_goes_on() -> None:
    study = never_pruned()
    failing = Objective(lambda: 1 / 0)
    study.optimize(failing, n_trials=1, catch=(ZeroDivisionError,))
    study.optimize(Objective(), n_trials=1)
    assert [trial.state.name for trial in study.trials] == ["FAIL", "COMPLETE"]
    assert failing.rates_left == [OWN["learning_rate"]]
    with pytest.warns(match="after close"):
        failing.runs[0].step(1.0)


def test_halving_gives_up_the_worse_and_judges_nobody_before_half() -> None:
    study, objective = create_study(CONTROLLER, initial=OWN, seed=0), Objective()
    study.optimize(objective, n_trials=6)
    ends = {len(t.intermediate_values) for t in study.trials if t.state.name == "PRUNED"}
    assert ends
    assert min(ends) >= 4
    assert study.trials[0].state.name == "COMPLETE"


@pytest.mark.parametrize("kind", ["database", "journal"])
def test_a_study_that_is_stored_goes_on(kind: str, tmp_path: Path) -> None:
    def options() -> dict[str, Any]:
        backend = optuna.storages.journal.JournalFileBackend
        storage: Any = f"sqlite:///{tmp_path}/mine.db"
        if kind == "journal":
            storage = optuna.storages.JournalStorage(backend(f"{tmp_path}/mine.log"))
        return {"storage": storage, "study_name": "mine"}

    ranges = {"learning_rate": (1e-4, 1e-1)}
    create_study(CONTROLLER, ranges=ranges, **options()).optimize(Objective(), n_trials=1)
    study = create_study(CONTROLLER, ranges=ranges, **options())
    study.optimize(Objective(), n_trials=1)
    assert [set(trial.params) for trial in study.trials] == [{"start/learning_rate"}] * 2
    assert create_study(CONTROLLER, **options()).trials == study.trials
    with pytest.raises(ConfigurationError, match="has the ranges"):
        create_study(CONTROLLER, ranges={"learning_rate": (1e-3, 1e-1)}, **options())


def test_trials_run_side_by_side() -> None:
    study, objective = never_pruned(), Objective()
    study.optimize(objective, n_trials=6, n_jobs=3)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE"] * 6
    assert objective.rates_left == [OWN["learning_rate"]] * 6
    assert len({tuple(trial.params.values()) for trial in study.trials}) == 6


def test_the_best_trial_can_be_run_again_outside_of_the_study() -> None:
    study = never_pruned()
    study.optimize(Objective(), n_trials=3)
    assert Objective()(study.best_trial) == study.best_value
    own = optuna.trial.FixedTrial({f"start/{name}": value for name, value in OWN.items()})
    assert Objective()(own) == study.trials[0].value


def test_runs_of_before_are_trials_of_the_study() -> None:
    earlier = [
        ({"learning_rate": 0.02, "weight_decay": 1e-4}, 0.5),
        ({"learning_rate": 7.0, "weight_decay": 1e-4}, 0.1),  # outside of the range
        ({"learning_rate": 0.02, "weight_decay": 1e-4}, float("nan")),
        ({"dropout": 0.1}, 0.1),
    ]
    study = create_study(CONTROLLER, initial=OWN, earlier=earlier)
    over = [trial for trial in study.trials if trial.state.name == "COMPLETE"]
    assert [trial.value for trial in over] == [0.5]
    assert study.best_params == {"start/learning_rate": 0.02, "start/weight_decay": 1e-4}


def test_a_learned_start_comes_second() -> None:
    start = LearnedStart(cases=(StartCase(values={"learning_rate": 0.03}),))
    controller = Controller(replace(random_policy(), learned_start=start))
    study = create_study(controller, initial=OWN)
    fixed = [trial.system_attrs["fixed_params"] for trial in study.get_trials(deepcopy=False)]
    assert [params["start/learning_rate"] for params in fixed] == [0.01, 0.03]


def test_a_study_that_maximises_reports_nothing() -> None:
    study = optuna.create_study(direction="maximize")
    with pytest.raises(ConfigurationError, match="prunes=False"):
        study.optimize(Objective(), n_trials=1)
    study.optimize(Objective(prunes=False), n_trials=1)
    assert study.trials[-1].state.name == "COMPLETE"
    assert study.trials[-1].intermediate_values == {}


def test_a_run_that_measures_no_validation_loss_has_no_value() -> None:
    trial = optuna.trial.FixedTrial({"start/learning_rate": 0.01})
    controller = Controller(random_policy(("learning_rate",)))
    with TrialController(trial, controller) as steered:
        steered.drive(
            {"learning_rate": lambda value: value}, initial={"learning_rate": 0.1}, total_steps=8
        ).step(1.0)
        with pytest.raises(ConfigurationError, match="no validation loss"):
            _ = steered.value


def test_a_run_that_diverges_at_its_end_has_an_infinite_value() -> None:
    trial = optuna.trial.FixedTrial({"start/learning_rate": 0.01})
    controller = Controller(random_policy(("learning_rate",)))
    losses = iter([1.0, *[0.5] * 7, float("inf")])
    with warnings.catch_warnings(), TrialController(trial, controller) as steered:
        warnings.simplefilter("ignore")
        run = steered.drive(
            {"learning_rate": lambda value: value},
            initial={"learning_rate": 0.1},
            total_steps=8,
            validate=lambda: next(losses),
        )
        for _ in range(8):
            run.step(0.5)
        assert steered.value == float("inf")


def test_where_the_user_says_where_to_begin_the_study_proposes_nothing() -> None:
    study = never_pruned()
    trial = study.ask()
    with TrialController(trial, CONTROLLER) as steered:
        training = Training()
        optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.02)
        run = steered.attach(optimizer, total_steps=STEPS, start="user")
        assert run.state_dict()["decider"]["initial"][0][0] == 0.02
    assert trial.params == {}


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"ranges": {}}, ConfigurationError, "one at least"),
        ({"ranges": {"learning_rat": (1e-4, 1.0)}}, UnknownNameError, "learning_rate"),
        ({"ranges": {"learning_rate": (1e-2, 1e-3)}}, ConfigurationError, "low < high"),
        ({"ranges": {"learning_rate": (1e-9, 1e-3)}}, ConfigurationError, "1e-06 <= low"),
        ({"ranges": {"learning_rate": 0.1}}, ConfigurationError, "low < high"),
        ({"ranges": {"learning_rate": ("a", "b")}}, ConfigurationError, "low < high"),
        ({"initial": {"dropout": 0.1}}, ConfigurationError, "must name what is searched"),
        ({"initial": {"learning_rate": 1.5}}, ConfigurationError, "Give wider ranges"),
        ({"initial": {"learning_rate": "0.1"}}, ConfigurationError, "must lie in its range"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        create_study(CONTROLLER, **options)


def test_a_range_of_what_the_loop_does_not_have_is_refused_and_nothing_stays_attached() -> None:
    controller = Controller(random_policy(("learning_rate", "dropout")))
    study = create_study(controller, ranges={"dropout": (0.0, 0.4)})
    training = Training()
    optimizer = torch.optim.AdamW(training.model.parameters(), lr=0.02)
    with (
        TrialController(study.ask(), controller) as steered,
        pytest.raises(ConfigurationError, match="searches 'dropout'"),
    ):
        steered.attach(optimizer, total_steps=STEPS)
    assert optimizer.param_groups[0]["lr"] == 0.02
    assert not optimizer._optimizer_step_pre_hooks
