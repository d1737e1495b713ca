"""A small forecaster, so that the tests need no trained policy."""

import json

import numpy as np
import pytest

from hpo_env.forecasting.intervals import LEVELS
from hpo_env.observation import field_names
from hpo_env.policy import Policy
from hpo_env.policy_file import save
from hpo_env.tasks.forecasting.family import ForecastingFamily
from hpo_env.tasks.forecasting.layout import FEATURES


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return a folder with a policy that moves at random, and quantiles of a normal error."""
    path = tmp_path_factory.mktemp("forecaster")
    space = ForecastingFamily().space
    size = len(field_names(space.names)) + len(FEATURES)
    weights = np.random.default_rng(0).normal(size=(len(space), size)).astype(np.float32) * 0.2
    policy = Policy(
        family="forecasting",
        space=space,
        base_schedule="constant",
        head="clipped",
        activation="tanh",
        weights=(weights,),
        biases=(np.zeros(len(space), dtype=np.float32),),
        features=tuple(FEATURES),
    )
    save(policy, path)
    rows = [np.sqrt(2.0) * LEVELS / 50.0] * 3
    table = {"1": [row.tolist() for row in rows], "12": [row.tolist() for row in rows]}
    (path / "intervals.json").write_text(json.dumps(table))
    return str(path)
