"""A family that breaks its contract is named by the suite, with the rule and the value."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo_env.tasks.quadratic import QuadraticFamily
from hpo_env.testing import FamilyContract
from tests.hpo_env.testing import broken_families

BROKEN = {
    "StartsOutOfRange": ("declarations_do", r"starts are values of 'learning_rate'.*1000000000"),
    "NoFloor": ("declarations_do", r"loss_floor must be a positive number; got 0\.0"),
    "NothingForResults": ("some_suite_is", "at least one of suites must be for results"),
    "ResultsFromTraining": ("suites_of_results", r"'easy' .* must draw from test; got split='tr"),
    "SuiteOfNothing": ("every_suite", r"suite 'far' must draw tasks: .*distance"),
    "TrainerOptionOfNobody": ("options_of_the_trainer", r"trainer_options must be .*'rounds'"),
    "NotDeterministic": ("sampling_depends", "sample must depend on its generator alone"),
    "RemembersItsDraws": ("sampling_depends", "sample must depend on its generator alone"),
    "ArrayInTask": ("tasks_are_frozen", r"fields of a task must be numbers.* noise is .*float32"),
    "NoInitialValues": ("initial_values", r"one value for each of \['learning_rate'\]; got \(\)"),
    "InitialOutOfRange": ("initial_values", r"learning_rate must lie in \[1e-06, 100\]; got 0\.0"),
    "DecisionsOfItsOwn": ("number_of_decisions", "num_decisions=1 must be the task's; got 4"),
    "SplitsAlike": ("splits_share", "splits must share no task; train and validation have"),
    "ForgetsInJson": ("tasks_come_back", "to_json must hold all of a task"),
    "LabelsThatAreNumbers": ("labels_are", r"labels must be strings; got 'noise': .*\(float\)"),
    "LabelsOfOtherNames": ("labels_are", r"same names in the same order; got \['(quiet|loud)'\]"),
    "AlikeThatCannotBeSorted": ("alike_can", "alike must be hashable and sortable"),
    "NoEffort": ("effort_is", r"effort must be a positive finite float; got 0\.0"),
    "SharedDefaults": ("defaults_are", "defaults must be a fresh array"),
    "WrongShape": ("reset_measures", r"train_loss must be float64 of shape \[3\]; got .*\[3, 1\]"),
    "WrongDtype": ("every_interval", r"update_ratio must be float64 .*; got float32"),
    "NegativeValidation": ("reset_measures", "validation_loss must not be negative"),
    "NegativeTraining": ("every_interval", "train_loss must not be negative, or be left NaN"),
    "NoValidation": ("reset_measures", "validation_loss must be finite unless"),
    "NeverDiverges": ("ends_of_the_ranges_stay", "validation_loss must be finite unless"),
    "ReusedArrays": ("what_was_measured", "telemetry must not change once it is handed over"),
    "NeighboursMean": ("neighbours_and", "a lane must not depend on its neighbours"),
    "GlobalNoise": ("same_task_seed", "equal task, seed and values must give an equal run"),
    "RoundedValues": ("values_are_read", "values must be read back as used"),
    "WritesIntoValues": ("values_are_read", "advance must not change the values"),
    "IgnoresSeeds": ("another_seed_gives_another_run", "runs with other seeds must differ"),
    "SharedGenerator": ("neighbours_and", "a lane must not depend on its neighbours"),
    "SharedWeights": ("neighbour_at_the_ends", "must not depend on a neighbour that goes wild"),
    "ResetsEverybody": ("order_of_lanes", "order of lanes and resets must change nothing"),
    "ForgetsItsGenerator": ("a_snapshot_continues", "a snapshot must hold all state"),
    "ForgetsTheNoise": ("a_snapshot_continues", "hold all state: restored into other lanes"),
    "RollsNothingBack": ("roll_back_restores", "roll_back must put back the weights"),
    "RollsEverybodyBack": ("roll_back_touches", "the lanes that it names and no others"),
    "DrawsInTests": ("testing_changes", r"test\(\) must change nothing"),
    "TestOfAll": ("loss_and_metric", "in the order of the lanes"),
    "TestsInAnotherOrder": ("loss_and_metric", "in the order of the lanes"),
    "ShowsTestRows": ("never_reaches", "what is tested on must never reach telemetry"),
}
"""Name of the family, words of the rule that finds it, and what the message says."""


def contract_of(address: str) -> FamilyContract:
    class Contract(FamilyContract):
        family = address

        def mislead(self, monkeypatch: pytest.MonkeyPatch) -> None:
            monkeypatch.setattr(broken_families, "TEST_SCALE", 3.0)

    return Contract()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_family_is_named_with_the_rule(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    words, message = BROKEN[name]
    contract = contract_of(f"{broken_families.__name__}:{name}")
    (rule,) = [rule for rule in dir(contract) if rule.startswith("test_") and words in rule]
    needed = [monkeypatch] if words == "never_reaches" else []
    with pytest.raises(AssertionError, match=message):
        getattr(contract, rule)(*needed)


def test_every_broken_family_is_tried() -> None:
    families = [name for name in vars(broken_families) if name[0] != "_" and name in BROKEN]
    defined = [
        name
        for name, value in vars(broken_families).items()
        if isinstance(value, type)
        and issubclass(value, QuadraticFamily)
        and name[0] != "_"
        and value is not QuadraticFamily
    ]
    assert families == defined


def test_a_family_that_cannot_even_be_defined_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (
        "from hpo_env.hyperparameters import Hyperparameter\n"
        "from hpo_env.tasks.quadratic import QuadraticFamily\n"
        "class Bold(QuadraticFamily):\n"
        "    hyperparameters = (Hyperparameter(name='rate', low=1.0, high=2.0, default=1.0,\n"
        "        max_step=2.0, retreat=-3.0),)\n"
    )
    (tmp_path / "bold_family.py").write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(AssertionError, match=r"rate: retreat must lie in \[-1, 1\].*got -3\.0"):
        contract_of("bold_family:Bold").test_declarations_do_not_contradict_each_other()


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("no_such_module:Family", "there is no module 'no_such_module'"),
        (f"{broken_families.__name__}:Missing", "has no 'Missing'"),
        (f"{broken_families.__name__}:TEST_SCALE", "must be a subclass of"),
        ("quadratics", "did you mean 'quadratic'"),
    ],
)
def test_an_address_that_leads_to_no_family_is_named(address: str, message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        contract_of(address).test_every_suite_and_every_scene_draws_tasks()
