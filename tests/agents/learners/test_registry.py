from __future__ import annotations

import pytest

from agents.learners.base import Learner
from agents.learners.registry import LEARNERS, learner_class
from agents.learners.sb3 import PPO
from agents.learners.settings import Settings
from hpo_env.errors import ConfigurationError, UnknownNameError


class Nameless(PPO):
    name = ""


class Untold(PPO):
    settings = Settings  # type: ignore[assignment] # which is wrong, and told


class Idle(PPO):
    action_modes = ("sleeping",)  # type: ignore[assignment] # which is wrong, and told


@pytest.mark.parametrize("name", LEARNERS)
def test_a_registered_learner_is_called_as_its_class_says(name: str) -> None:
    assert learner_class(name).name == name
    assert learner_class(LEARNERS[name]) is learner_class(name)


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ppo'"):
        learner_class("pppo")


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Learner_", "has no 'Learner_'"),
        ("LEARNERS", "must be a subclass of hpo_agents.learners.base.Learner"),
        ("Nameless", "name must be declared"),
        ("Untold", "settings must be declared, a dataclass"),
        ("Idle", r"action_modes must be some of 'discrete' and 'continuous'; got \('sleeping',\)"),
    ],
)
def test_an_address_that_leads_to_no_learner_is_refused(attribute: str, message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        learner_class(f"{__name__}:{attribute}")


def test_what_is_missing_in_a_class_is_noticed_when_it_is_built() -> None:
    class Half(Learner):
        name = "half"

    with pytest.raises(TypeError, match="abstract"):
        Half(Settings(), None, seed=0, total_steps=1)  # type: ignore[abstract, arg-type]
