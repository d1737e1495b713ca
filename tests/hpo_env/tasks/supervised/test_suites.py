"""Each suite leaves meta-training along the axis that it names, and along no other."""

from typing import cast

import numpy as np
import pytest

from hpo_env.datasets import dataset_names
from hpo_env.networks.mlp import MLP
from hpo_env.networks.registry import ARCHITECTURES
from hpo_env.tasks.supervised.data import SupervisedTask
from hpo_env.tasks.supervised.family import SupervisedFamily

SUITES = {suite.name: suite for suite in SupervisedFamily.suites}
AXES = {
    "interpolation": set(),
    "wider": {"architecture"},
    "deeper": {"architecture"},
    "architecture": {"architecture"},
    "optimizer": {"optimizer"},
    "longer": {"updates"},
    "batch": {"batch"},
    "modality": {"architecture"},
    "extrapolation": {"architecture", "optimizer", "updates", "batch"},
}


def trained() -> list[SupervisedTask]:
    family, rng = SupervisedFamily(split="train"), np.random.default_rng(0)
    return [family.sample(rng) for _ in range(300)]


def batch_size(task: SupervisedTask) -> float:
    return task.initial[SupervisedFamily().space.index("batch_size")]


def test_every_suite_of_results_has_its_axes_written_down() -> None:
    assert {name for name, suite in SUITES.items() if suite.is_for_results} == set(AXES)


@pytest.mark.parametrize("modality", ["images", "tokens"])
def test_decisions_about_a_modality_are_taken_on_its_validation_side(modality: str) -> None:
    suite = SUITES[f"validation-{modality}"]
    assert not suite.is_for_results
    family, rng = SupervisedFamily(**suite.options), np.random.default_rng(1)
    models = {ARCHITECTURES[family.sample(rng).architecture] for _ in range(8)}
    assert {(m.modality, m.split) for m in models} == {(modality, "validation")}


@pytest.mark.parametrize("name", AXES)
def test_a_suite_leaves_meta_training_along_its_axes_alone(name: str) -> None:
    suite, seen = SUITES[name], trained()
    family, rng = SupervisedFamily(**suite.options), np.random.default_rng(1)
    tasks = [family.sample(rng) for _ in range(8)]
    assert {task.dataset for task in tasks} <= set(dataset_names(split="test"))
    known = {
        "architecture": {task.architecture for task in seen},
        "optimizer": {task.optimizer for task in seen},
    }
    left = {
        axis for axis, values in known.items() if not {getattr(t, axis) for t in tasks} & values
    }
    if min(map(batch_size, tasks)) >= 4 * max(map(batch_size, seen)):
        left.add("batch")
    usual = SupervisedFamily().updates_per_decision
    if suite.options.get("updates_per_decision", usual) == 4 * usual:
        left.add("updates")
    assert left == AXES[name]


def test_wider_and_deeper_mean_what_they_say() -> None:
    inside = [m for m in ARCHITECTURES.values() if isinstance(m, MLP) and m.split == "train"]
    wide = cast(MLP, ARCHITECTURES[SUITES["wider"].options["model"]])
    deep = cast(MLP, ARCHITECTURES[SUITES["deeper"].options["model"]])
    assert wide.width == 4 * max(m.width for m in inside)
    assert wide.depth <= max(m.depth for m in inside)
    assert deep.depth == 2 * max(m.depth for m in inside)
    assert deep.width <= max(m.width for m in inside)
