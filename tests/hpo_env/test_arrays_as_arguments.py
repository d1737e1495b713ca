"""Numpy's arrays, where users write lists and dicts: taken where they fit, refused in our words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from hpo_env import Controller
from hpo_env.automl import ControlledBoostingClassifier
from hpo_env.automl.columns import Columns
from hpo_env.errors import ConfigurationError
from hpo_env.forecasting.intervals import check_levels
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.testing.policies import steady_policy

NUMBERS = np.arange(3.0)
"""Neither true nor false, which `x or {}` would ask."""


def attached(**options: Any) -> object:
    weight = torch.nn.Parameter(torch.zeros(1))
    controller = Controller(steady_policy("supervised", ["learning_rate"]))
    return controller.attach(torch.optim.SGD([weight], lr=0.1), total_steps=10, **options)


def driven(**options: Any) -> object:
    controller = Controller(steady_policy("supervised", ["learning_rate"]))
    given = {"bind": {"learning_rate": print}, "initial": {"learning_rate": 0.1}, **options}
    return controller.drive(**given, total_steps=10)


def boosted(**options: Any) -> object:
    x = np.random.default_rng(0).normal(size=(40, 2))
    return ControlledBoostingClassifier(**options).fit(x, x[:, 0] > 0.0)


REFUSED: dict[str, Callable[[], object]] = {
    "initial of a family": lambda: SupervisedFamily(initial=NUMBERS),  # type: ignore[arg-type]
    "initial of attach": lambda: attached(initial=NUMBERS),
    "bind of attach": lambda: attached(bind=NUMBERS),
    "initial of drive": lambda: driven(initial=NUMBERS),
    "bind of drive": lambda: driven(bind=NUMBERS),
    "initial of an estimator": lambda: boosted(initial=NUMBERS),
    "library_params": lambda: boosted(library_params=NUMBERS),
    "level as text": lambda: check_levels("95"),  # type: ignore[arg-type]
    "level as number": lambda: check_levels(95),  # type: ignore[arg-type]
    "level of nothing": lambda: check_levels(np.array(95)),  # type: ignore[arg-type]
    "level of texts": lambda: check_levels(["95"]),  # type: ignore[list-item]
    "categorical_features as text": lambda: Columns.of(np.eye(2), "0"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    argument = name.split()[0]
    with pytest.raises(ConfigurationError, match=rf"^{argument}s? (must be|are)"):
        REFUSED[name]()


def test_arrays_that_fit() -> None:
    assert check_levels(np.array([80, 95])) == (80, 95)  # type: ignore[arg-type]
    assert check_levels(np.array([])) == ()  # type: ignore[arg-type]
    assert Columns.of(np.eye(2), np.array([1])).is_categorical.tolist() == [False, True]  # type: ignore[arg-type]
