"""Parameter-free optimisers as opponents."""

from __future__ import annotations

import numpy as np
import pytest

from agents.opponents.base import Instance
from agents.opponents.lanes import Workload, with_initial
from agents.opponents.parameter_free.opponent import ParameterFree
from agents.opponents.parameter_free.table import UPDATERS
from agents.opponents.registry import make_opponent
from hpo_env.errors import ConfigurationError, UnknownNameError
from hpo_env.tasks.registry import family_class
from tests.agents.opponents.searching import (
    QUADRATIC,
    SUPERVISED,
    equal_outcomes,
    instances,
    setup_of,
)

WORKLOAD = Workload(family="supervised", engine="eager", options={"updates_per_decision": 2})


def changed(instance: Instance, **values: float) -> Instance:
    initial = np.array(instance.task.initial)
    for name, value in values.items():
        initial[SUPERVISED.space.index(name)] = value
    return with_initial(instance, initial)


@pytest.mark.parametrize("name", sorted(UPDATERS))
def test_the_registry_makes_each_under_its_own_name(name: str) -> None:
    opponent = make_opponent(name, setup_of("supervised", 1))
    assert isinstance(opponent, ParameterFree)
    assert (opponent.name, opponent.optimizer, opponent.max_runs) == (name, name, 1)


def test_identities_differ_by_optimiser() -> None:
    one, other = (ParameterFree(name="x", optimizer=name) for name in ("dog", "dowg"))
    assert one.identity() != other.identity()


def test_what_belongs_to_the_replaced_optimiser_is_ignored() -> None:
    opponent = ParameterFree(name="dog", optimizer="dog")
    (instance,) = instances(SUPERVISED)
    one = changed(instance, learning_rate=1e-4, weight_decay=1e-3, momentum=0.5)
    other = changed(instance, learning_rate=1e-1, weight_decay=1e-5, momentum=0.9)
    assert opponent.canonical(one, WORKLOAD) == opponent.canonical(other, WORKLOAD)
    assert opponent.canonical(one, WORKLOAD).lane_seed == instance.lane_seed
    outcomes = opponent.run(WORKLOAD, [one, other, opponent.canonical(one, WORKLOAD)], {})
    assert equal_outcomes(outcomes[0], outcomes[1])
    assert equal_outcomes(outcomes[0], outcomes[2])


def test_what_belongs_to_the_task_is_kept() -> None:
    opponent = ParameterFree(name="dog", optimizer="dog")
    (instance,) = instances(SUPERVISED)
    one = changed(instance, dropout=0.4)
    assert opponent.canonical(one, WORKLOAD) != opponent.canonical(instance, WORKLOAD)
    with_dropout, without = opponent.run(WORKLOAD, [one, changed(instance, dropout=0.0)], {})
    assert not equal_outcomes(with_dropout, without)


def test_a_family_without_an_optimiser_is_refused_before_anything_is_run() -> None:
    opponent = ParameterFree(name="cocob", optimizer="cocob")
    (instance,) = instances(QUADRATIC)
    with pytest.raises(ConfigurationError, match="'quadratic' has no optimiser that COCOB"):
        opponent.canonical(instance, QUADRATIC)
    with pytest.raises(ConfigurationError, match="'quadratic' has no optimiser that COCOB"):
        opponent.run(QUADRATIC, [instance], {})


def test_what_it_needs_is_declared_and_offered_by_networks_alone() -> None:
    needs = ParameterFree(name="dog", optimizer="dog").needs
    assert needs == {"optimizer", "gradients"}
    assert needs <= family_class("supervised").offers()
    assert not needs <= family_class("quadratic").offers()


def test_an_unknown_optimiser_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="unknown parameter-free optimiser 'adam'"):
        ParameterFree(name="adam", optimizer="adam")
