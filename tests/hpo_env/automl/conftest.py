"""A policy of boosting that nobody has trained, in the place of the shipped one.

Its moves depend on all that it sees.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo_env import shipped
from hpo_env.automl.base import SHIPPED
from hpo_env.policy_file import save
from hpo_env.tasks.automl.space import LIBRARY_NAMES
from hpo_env.testing.policies import linear_policy


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("zoo")
    save(linear_policy("automl", LIBRARY_NAMES, base_schedule="constant"), folder / SHIPPED)
    return folder


@pytest.fixture(autouse=True)
def untrained(zoo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shipped, "ZOO", zoo)
