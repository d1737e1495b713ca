"""Every registered family, and one from outside, keep to the contract of families."""

from __future__ import annotations

from typing import ClassVar

from hpo_env.tasks.base import Engine
from hpo_env.testing import FamilyContract
from hpo_env.testing.trainers import TrainerRules
from tests.awkward.small import Awkward
from tests.hpo_env.families import UNDER_TEST, Supervised

for _name, _small in UNDER_TEST.items():
    _test = f"Test{_name.title().replace('_', '')}"
    globals()[_test] = type(_test, (_small, FamilyContract), {"__module__": __name__})


class TestAwkward(Awkward, FamilyContract):
    """By its address."""


class TestSupervisedByReference(Supervised, TrainerRules):
    """One lane after the other."""

    engine: ClassVar[Engine] = "reference"


class TestSupervisedByKernels(Supervised, TrainerRules):
    """The fastest, which agents are trained with."""

    engine: ClassVar[Engine] = "auto"


class TestForecastingByArrays(UNDER_TEST["forecasting"], TrainerRules):  # type: ignore[misc, name-defined, valid-type]
    """Where there is no compiler."""

    engine: ClassVar[Engine] = "eager"
