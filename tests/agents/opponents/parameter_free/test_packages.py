"""Every optimiser against the package of its authors.

The packages train one model at a time, the update rules three at once.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch.func import functional_call

from agents.opponents.parameter_free.table import UPDATERS
from tests.agents.opponents.parameter_free.packages import PACKAGES, Package, flat
from tests.agents.opponents.parameter_free.stepping import Stepping

NUM_LANES, NUM_ROWS, NUM_UPDATES = 3, 120, 100
NAMES = sorted(UPDATERS)


@pytest.fixture
def double_precision() -> Iterator[None]:
    """Make float64 the type of all tensors, those inside the packages included."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(before)


class Problems:
    """Three small networks that learn to tell three classes apart, each with data of its own.

    The labels are so noisy that none can learn them by heart: where gradients vanish, some methods
    take steps at which rounding errors grow a thousandfold in a few updates.
    """

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        normal = torch.randn(NUM_LANES, NUM_ROWS, 5, generator=generator)
        self.x = normal * torch.tensor([0.25, 0.5, 1.0])[:, None, None]
        teacher = torch.randn(NUM_LANES, 5, 3, generator=generator)
        noise = 4.0 * torch.randn(NUM_LANES, NUM_ROWS, 3, generator=generator)
        self.y = (normal @ teacher + noise).argmax(-1)
        torch.manual_seed(0)
        self.modules = [
            nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)) for _ in range(NUM_LANES)
        ]
        self.weights = torch.stack([flat(module) for module in self.modules])

    def batch(self, lane: int, update: int) -> tuple[Tensor, Tensor]:
        rows = (torch.arange(40) + 40 * update) % NUM_ROWS
        return self.x[lane, rows], self.y[lane, rows]

    def loss(self, lane: int, weights: Tensor, update: int) -> Tensor:
        """The loss of one network at weights `[P]`."""
        named = dict(self.modules[lane].named_parameters())
        pieces = weights.split([p.numel() for p in named.values()])
        shaped = {k: w.view_as(p) for (k, p), w in zip(named.items(), pieces, strict=True)}
        x, y = self.batch(lane, update)
        return F.cross_entropy(functional_call(self.modules[lane], shaped, (x,)), y)

    def gradients(self, weights: Tensor, update: int) -> Tensor:
        leaf = weights.clone().requires_grad_()
        losses = [self.loss(lane, leaf[lane], update) for lane in range(NUM_LANES)]
        return torch.autograd.grad(sum(losses, torch.zeros(())), leaf)[0]


def package_step(package: Package, problems: Problems, lane: int, update: int) -> Tensor:
    """Update one network, and return the gradient `[P]` by which that was done."""
    x, y = problems.batch(lane, update)
    package.zero_grad()
    F.cross_entropy(package.module(x), y).backward()
    gradients = [p.grad for p in package.module.parameters() if p.grad is not None]
    gradient = torch.cat([g.reshape(-1) for g in gradients])  # a copy
    package.step()
    return gradient


def relative(ours: Tensor, theirs: Tensor) -> float:
    """The largest relative distance of a lane's row."""
    return float(((ours - theirs).norm(dim=1) / theirs.norm(dim=1)).max())


def assert_alike(
    optimizer: Stepping, packages: list[Package], *, start: Tensor, tolerance: float
) -> None:
    """Compare rates, and how far the weights have come: a closer look than at the weights."""
    weights = torch.stack([flat(package.module) for package in packages])
    evaluated = torch.stack([package.evaluated() for package in packages])
    assert relative(optimizer.weights - start, weights - start) < tolerance
    assert relative(optimizer.evaluated - start, evaluated - start) < tolerance
    rates = [package.step_size(package.optimizer.param_groups[0]) for package in packages]
    torch.testing.assert_close(
        optimizer.step_size,
        torch.tensor(rates, dtype=torch.float64),
        rtol=tolerance,
        atol=0.0,
        equal_nan=True,
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_hundred_updates_lead_where_those_of_the_package_lead(
    name: str, double_precision: None
) -> None:
    # In float64: a hundred updates of D-Adaptation still make 1e-11 of rounding errors of 1e-16,
    # and would make 1e-4 of those of float32.
    problems = Problems()
    packages = [PACKAGES[name](copy.deepcopy(module)) for module in problems.modules]
    optimizer = Stepping(UPDATERS[name], problems.weights)
    for update in range(NUM_UPDATES):
        optimizer.step(problems.gradients(optimizer.weights, update))
        for lane, package in enumerate(packages):
            package_step(package, problems, lane, update)
        assert_alike(optimizer, packages, start=problems.weights, tolerance=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_by_equal_gradients_each_update_is_that_of_the_package_in_single_precision(
    name: str,
) -> None:
    problems = Problems()
    packages = [PACKAGES[name](copy.deepcopy(module)) for module in problems.modules]
    optimizer = Stepping(UPDATERS[name], problems.weights)
    for update in range(NUM_UPDATES):
        steps = [package_step(p, problems, lane, update) for lane, p in enumerate(packages)]
        optimizer.step(torch.stack(steps))
        weights = torch.stack([flat(package.module) for package in packages])
        assert relative(optimizer.weights, weights) < 1e-5
