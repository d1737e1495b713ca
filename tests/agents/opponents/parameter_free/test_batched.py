"""What holds for every batched optimiser, whatever its formula."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from agents.opponents.parameter_free.batched import BatchedOptimizer
from agents.opponents.parameter_free.table import OPTIMIZERS, optimizer_class
from hpo_env.errors import UnknownNameError

NUM_PARAMETERS = 37  # odd, so that vectors have a remainder


@pytest.fixture(params=sorted(OPTIMIZERS))
def kind(request: pytest.FixtureRequest) -> type[BatchedOptimizer]:
    return OPTIMIZERS[request.param]


def random_rows(num_lanes: int, seed: int, *, num_parameters: int = NUM_PARAMETERS) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(num_lanes, num_parameters, generator=generator)


def test_a_lane_does_not_see_its_neighbours(kind: type[BatchedOptimizer]) -> None:
    weights = random_rows(7, 0)
    together, alone = kind(weights), kind(weights[4:5])
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
def test_a_large_lane_alone_is_not_rounded_otherwise(kind: type[BatchedOptimizer]) -> None:
    weights, *gradients = (random_rows(3, seed, num_parameters=100_001) for seed in range(6))
    together, alone = kind(weights), kind(weights[1:2])
    for gradient in gradients:
        together.step(gradient)
        alone.step(gradient[1:2])
    assert torch.equal(together.weights[1:2], alone.weights)
    assert np.array_equal(together.step_size[1:2], alone.step_size, equal_nan=True)


def test_a_lane_of_nan_harms_no_other(kind: type[BatchedOptimizer]) -> None:
    weights = random_rows(3, 0)
    healthy, ill = kind(weights), kind(weights)
    for update in range(1, 10):
        gradients = random_rows(3, update)
        healthy.step(gradients)
        gradients[1] = float("nan")
        ill.step(gradients)
    assert torch.equal(healthy.weights[[0, 2]], ill.weights[[0, 2]])
    assert ill.weights[1].isnan().all()


def test_arguments_are_left_as_they_are(kind: type[BatchedOptimizer]) -> None:
    weights, gradients = random_rows(2, 0), random_rows(2, 1)
    optimizer = kind(weights)
    optimizer.step(gradients)
    optimizer.step(gradients)
    assert torch.equal(weights, random_rows(2, 0))
    assert torch.equal(gradients, random_rows(2, 1))


def test_without_gradient_nothing_moves(kind: type[BatchedOptimizer]) -> None:
    weights = random_rows(2, 0)
    optimizer = kind(weights)
    for _ in range(3):
        optimizer.step(torch.zeros_like(weights))
    assert torch.equal(optimizer.weights, weights)
    torch.testing.assert_close(optimizer.evaluated, weights)


def test_before_the_first_update_the_initial_weights_are_evaluated(
    kind: type[BatchedOptimizer],
) -> None:
    weights = random_rows(2, 0)
    assert torch.equal(kind(weights).evaluated, weights)


def test_a_padded_parameter_without_gradient_stays_zero_and_changes_nothing(
    kind: type[BatchedOptimizer],
) -> None:
    weights = random_rows(2, 0).double()
    padding = torch.zeros(2, 5, dtype=torch.float64)
    plain, padded = kind(weights), kind(torch.cat([weights, padding], 1))
    for update in range(1, 30):
        gradients = random_rows(2, update).double()
        plain.step(gradients)
        padded.step(torch.cat([gradients, padding], 1))
    assert torch.equal(padded.weights[:, -5:], padding)
    torch.testing.assert_close(padded.weights[:, :-5], plain.weights, rtol=1e-9, atol=1e-9)


def test_the_minimum_of_a_quadratic_is_found(kind: type[BatchedOptimizer]) -> None:
    target = torch.tensor([[0.3, -0.2, 0.1, 0.4], [-0.5, 0.4, 0.2, -0.1]])
    curvature = torch.tensor([1.0, 0.5, 2.0, 1.5])
    optimizer = kind(torch.zeros_like(target))
    for _ in range(3000):
        optimizer.step(curvature * (optimizer.weights - target))
    torch.testing.assert_close(optimizer.evaluated, target, rtol=0.0, atol=2e-2)


def test_an_unknown_optimiser_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'prodigi': did you mean 'prodigy'"):
        optimizer_class("prodigi")
