"""What holds for every update rule, whatever its formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.opponents.parameter_free.table import UPDATERS, updater
from hpo_env.errors import UnknownNameError
from hpo_env.networks.updaters import Updater
from tests.agents.opponents.parameter_free.stepping import Stepping

NUM_PARAMETERS = 37  # odd, so that vectors have a remainder


@pytest.fixture(params=sorted(UPDATERS))
def rule(request: pytest.FixtureRequest) -> Updater:
    return UPDATERS[request.param]


def random_rows(num_lanes: int, seed: int, *, num_parameters: int = NUM_PARAMETERS) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_lanes, num_parameters, generator=generator)


def test_a_lane_does_not_see_its_neighbours(rule: Updater) -> None:
    weights = random_rows(7, 0)
    together, alone = Stepping(rule, weights), Stepping(rule, weights[4:5])
    for update in range(1, 40):
        gradients = random_rows(7, update)
        together.step(gradients)
        alone.step(gradients[4:5])
    assert torch.equal(together.weights[4:5], alone.weights)
    assert torch.equal(together.evaluated[4:5], alone.evaluated)
    assert np.array_equal(together.step_size[4:5], alone.step_size, equal_nan=True)


@pytest.fixture
def four_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("four_threads")
def test_a_large_lane_alone_is_not_rounded_otherwise(rule: Updater) -> None:
    weights, *gradients = (random_rows(3, seed, num_parameters=100_001) for seed in range(6))
    together, alone = Stepping(rule, weights), Stepping(rule, weights[1:2])
    for gradient in gradients:
        together.step(gradient)
        alone.step(gradient[1:2])
    assert torch.equal(together.weights[1:2], alone.weights)
    assert np.array_equal(together.step_size[1:2], alone.step_size, equal_nan=True)


def test_a_lane_of_nan_harms_no_other(rule: Updater) -> None:
    weights = random_rows(3, 0)
    healthy, ill = Stepping(rule, weights), Stepping(rule, weights)
    for update in range(1, 10):
        gradients = random_rows(3, update)
        healthy.step(gradients)
        gradients[1] = float("nan")
        ill.step(gradients)
    assert torch.equal(healthy.weights[[0, 2]], ill.weights[[0, 2]])
    assert ill.weights[1].isnan().all()


def test_arguments_are_left_as_they_are(rule: Updater) -> None:
    weights, gradients = random_rows(2, 0), random_rows(2, 1)
    optimizer = Stepping(rule, weights)
    optimizer.step(gradients)
    optimizer.step(gradients)
    assert torch.equal(weights, random_rows(2, 0))
    assert torch.equal(gradients, random_rows(2, 1))


def test_without_gradient_nothing_moves(rule: Updater) -> None:
    weights = random_rows(2, 0)
    optimizer = Stepping(rule, weights)
    for _ in range(3):
        optimizer.step(torch.zeros_like(weights))
    assert torch.equal(optimizer.weights, weights)
    torch.testing.assert_close(optimizer.evaluated, weights)


def test_before_the_first_update_the_initial_weights_are_evaluated(
    rule: Updater,
) -> None:
    weights = random_rows(2, 0)
    assert torch.equal(Stepping(rule, weights).evaluated, weights)


def test_a_padded_parameter_without_gradient_stays_zero_and_changes_nothing(
    rule: Updater,
) -> None:
    weights = random_rows(2, 0).double()
    padding = torch.zeros(2, 5, dtype=torch.float64)
    plain, padded = Stepping(rule, weights), Stepping(rule, torch.cat([weights, padding], 1))
    for update in range(1, 30):
        gradients = random_rows(2, update).double()
        plain.step(gradients)
        padded.step(torch.cat([gradients, padding], 1))
    assert torch.equal(padded.weights[:, -5:], padding)
    torch.testing.assert_close(padded.weights[:, :-5], plain.weights, rtol=1e-9, atol=1e-9)


def test_a_lane_that_starts_later_or_goes_on_elsewhere_is_the_same(rule: Updater) -> None:
    weights = random_rows(3, 0)
    alone = Stepping(rule, weights[1:2])
    company = Stepping(rule, weights)
    for update in range(1, 10):
        company.step(random_rows(3, update))
    for name, tensor in rule.start(weights[1:2]).items():  # lane 2 becomes a new run of lane 1
        company.state[name][2:] = tensor
    company.weights[2:] = weights[1:2]
    for update in range(10, 30):
        gradients = random_rows(3, update)
        company.step(gradients)
        alone.step(gradients[2:])
    assert torch.equal(company.weights[2:], alone.weights)
    assert torch.equal(company.evaluated[2:], alone.evaluated)
    assert np.array_equal(company.step_size[2:], alone.step_size, equal_nan=True)


def test_the_state_is_a_row_or_a_number_a_lane_and_shares_nothing(rule: Updater) -> None:
    weights = random_rows(2, 0)
    for tensor in rule.start(weights).values():
        is_number = tensor.shape == (2,) and tensor.dtype == torch.float64
        assert is_number or (tensor.shape == weights.shape and tensor.dtype == weights.dtype)
        tensor.fill_(7.0)
    assert torch.equal(weights, random_rows(2, 0))


def test_the_minimum_of_a_quadratic_is_found(rule: Updater) -> None:
    target = torch.tensor([[0.3, -0.2, 0.1, 0.4], [-0.5, 0.4, 0.2, -0.1]])
    curvature = torch.tensor([1.0, 0.5, 2.0, 1.5])
    optimizer = Stepping(rule, torch.zeros_like(target))
    for _ in range(3000):
        optimizer.step(curvature * (optimizer.weights - target))
    torch.testing.assert_close(optimizer.evaluated, target, rtol=0.0, atol=2e-2)


def test_an_unknown_optimiser_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'prodigi': did you mean 'prodigy'"):
        updater("prodigi")
