"""The compiled step does what the eager one does, for any number of lanes.

One model is compiled, with dropout, for two bounds of the minibatch, which takes seconds each.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812

from hpo_env.errors import ConfigurationError
from hpo_env.networks.optimizers import OPTIMIZERS
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised import step
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.tasks.supervised.step import row_losses, weight_movement
from tests.hpo_env.tasks.supervised.runs import (
    CLASSES,
    IMAGES,
    NUMBERS,
    run,
    task,
    train_losses,
    values,
)

KNOB_NAMES = SupervisedFamily().space.names
ENGINES: tuple[Engine, ...] = ("eager", "reference")
needs_compiler = pytest.mark.skipif(
    step.missing_for_compiling() is not None, reason="cannot compile"
)


@needs_compiler
def test_compiled_equals_eager_and_lanes_do_not_depend_on_each_other() -> None:
    optimizers = ("sgd", "adamw", "rmsprop")
    tasks = [
        task((CLASSES, NUMBERS, IMAGES)[i // 3], optimizer=optimizers[i % 3], seed=i)
        for i in range(6)
    ]
    table = values(tasks, dropout=0.2, label_smoothing=0.1, gradient_clip=1.0, batch_size=50.0)
    table[5, KNOB_NAMES.index("batch_size")] = 100.0  # a call of its own, for twice the rows
    _, compiled, tests = run(tasks, [table] * 10, engine="compiled")
    _, eager, eager_tests = run(tasks, [table] * 10)
    np.testing.assert_allclose(train_losses(compiled), train_losses(eager), atol=1e-4)
    np.testing.assert_allclose(tests, eager_tests, atol=1e-3)

    for chosen in ([4], [5, 0, 2]):  # a single lane runs beside an idle one
        few = [tasks[i] for i in chosen]
        _, alone, _ = run(few, [table[chosen]] * 10, seeds=chosen, engine="compiled")
        np.testing.assert_array_equal(train_losses(alone), train_losses(compiled)[:, chosen])


KNOBS = {
    "learning_rate": 3e-3,
    "weight_decay": 0.1,
    "momentum": 0.5,
    "batch_size": 17.0,
    "dropout": 0.3,
    "label_smoothing": 0.2,
    "gradient_clip": 0.05,
}


@needs_compiler
def test_fifty_compiled_updates_agree_with_eager_and_reference_for_every_optimizer_and_knob() -> (
    None
):
    # a lane an optimiser and knob: one compilation, the one above, serves them all
    pairs = [(optimizer, knob) for optimizer in OPTIMIZERS for knob in KNOBS]
    tasks = [task(CLASSES, optimizer=optimizer) for optimizer, _ in pairs]
    table = values(tasks)
    for lane, (_, knob) in enumerate(pairs):
        table[lane, KNOB_NAMES.index(knob)] = KNOBS[knob]
    tables, seeds = [table] * 50, [3] * len(tasks)
    compiled = train_losses(run(tasks, tables, seeds=seeds, updates=1, engine="compiled")[1])
    for engine in ENGINES:
        other = train_losses(run(tasks, tables, seeds=seeds, updates=1, engine=engine)[1])
        np.testing.assert_allclose(compiled, other, atol=1e-4, err_msg=engine)


def test_row_losses_are_torchs() -> None:
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(3, 8, 16, generator=generator)
    y = torch.randint(0, 4, (3, 8), generator=generator).float()
    y[2] = torch.randn(8, generator=generator)
    losses = row_losses(
        outputs,
        y,
        num_outputs=torch.tensor([4.0, 7.0, 1.0]),
        objective=torch.tensor([0.0, 0.0, 1.0]),
        smoothing=torch.tensor([0.0, 0.2, 0.2]),
    )
    for lane, (k, smoothing) in enumerate([(4, 0.0), (7, 0.2)]):
        wanted = F.cross_entropy(
            outputs[lane, :, :k], y[lane].long(), reduction="none", label_smoothing=smoothing
        )
        torch.testing.assert_close(losses[lane], wanted)
    torch.testing.assert_close(losses[2], (outputs[2, :, 0] - y[2]) ** 2)


def test_weight_movement_of_hand_made_weights() -> None:
    start = [torch.tensor([[3.0, 0.0]]), torch.tensor([[4.0]])]
    middle = [torch.tensor([[4.0, 0.0]]), torch.tensor([[4.0]])]
    end = [torch.tensor([[4.0, 0.0]]), torch.tensor([[2.0]])]
    assert weight_movement(start, middle, end).tolist() == [[25.0], [5.0], [1.0], [4.0], [0.0]]


def broken(*args: Any, **kwargs: Any) -> Any:
    def fail(*inner: Any) -> Any:
        raise RuntimeError("the compiler\nis broken\n\nand more")

    return fail


def test_a_failing_compiler_is_an_error_or_under_auto_one_warning(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch, "compile", broken)

    def double(x: int) -> int:
        return 2 * x

    with pytest.raises(ConfigurationError, match="engine 'compiled' failed: the compiler is brok"):
        step._compiled(double, "compiled")(1)
    automatic = step._compiled(double, "auto")
    with pytest.warns(UserWarning, match=r"without torch\.compile: the compiler is broken$"):
        assert automatic(3) == 6
    assert automatic(4) == 8
