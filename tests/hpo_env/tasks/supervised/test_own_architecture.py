"""A kind of network from outside: one class with its twin, named by its address."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from torch import Tensor, nn

from hpo_env.networks.base import (
    OUTPUT_GAIN,
    Architecture,
    Dropout,
    ModelSplit,
    Parameter,
    apply_linear,
    linear_weights,
)
from hpo_env.networks.reference import Drop, ReferenceModule
from hpo_env.tasks.base import Engine
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
    IMAGES,
    NUMBERS,
    run,
    task,
    train_losses,
    values,
)


@dataclass(frozen=True, kw_only=True)
class Linear(Architecture):
    """A linear model."""

    split: ModelSplit = "test"

    def parameters(self, num_inputs: int, num_outputs: int) -> list[Parameter]:
        return linear_weights(num_inputs, num_outputs, OUTPUT_GAIN)

    def apply(self, weights: Sequence[Tensor], x: Tensor, dropout: Dropout) -> Tensor:
        return apply_linear(x, *weights)

    def reference(self, num_inputs: int, num_outputs: int) -> ReferenceModule:
        return LinearModule(num_inputs, num_outputs)


class LinearModule(ReferenceModule):
    """Twin of `Linear`."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.output = nn.Linear(num_inputs, num_outputs)

    def children_in_order(self) -> Iterator[nn.Module]:
        yield self.output

    def forward(self, x: Tensor, drop: Drop) -> Tensor:
        return self.output(x)


LINEAR = Linear()
ADDRESS = f"{__name__}:LINEAR"


@pytest.mark.parametrize("engine", ["auto", "eager"])
def test_it_trains_beside_the_others_as_its_twin_does(engine: Engine) -> None:
    tasks = [task(d, model=ADDRESS, seed=s) for s, d in enumerate((CLASSES, NUMBERS, IMAGES))]
    tasks.append(task(CLASSES))
    tables = [values(tasks, label_smoothing=0.1, gradient_clip=0.5)] * 4
    first, ours, tests = run(tasks, tables, engine=engine)
    twin_first, theirs, twin_tests = run(tasks, tables, engine="reference")
    np.testing.assert_allclose(first.validation_loss, twin_first.validation_loss, atol=1e-5)
    np.testing.assert_allclose(train_losses(ours), train_losses(theirs), atol=1e-4)
    np.testing.assert_allclose(tests, twin_tests, atol=1e-3)
    assert (ours[-1].validation_loss[:1] < first.validation_loss[:1]).all()
