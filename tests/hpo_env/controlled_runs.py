"""Small policies and a small training, for the tests of the controller and of its integrations."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from hpo_env.hyperparameters import HyperparameterSpace
from hpo_env.observation import field_names
from hpo_env.policy import Policy, num_outputs
from hpo_env.tasks.supervised.family import SupervisedFamily

SPACE = HyperparameterSpace(SupervisedFamily.hyperparameters)


def random_policy(
    names: Sequence[str] = ("learning_rate", "weight_decay"),
    *,
    head: Any = "squashed",
    seed: int = 0,
    base_schedule: str = "cosine",
    num_decisions: int = 8,
    space: HyperparameterSpace = SPACE,
) -> Policy:
    """Make a policy of random weights, large enough that its decisions vary."""
    controlled = space.subset(names)
    rng = np.random.default_rng(seed)
    sizes = [len(field_names(controlled.names)), 16, num_outputs(head, len(controlled))]
    layers = list(pairwise(sizes))
    return Policy(
        family="supervised",
        space=controlled,
        base_schedule=base_schedule,
        head=head,
        activation="tanh",
        weights=tuple(rng.normal(0, 0.4, (o, i)).astype(np.float32) for i, o in layers),
        biases=tuple(np.zeros(o, dtype=np.float32) for _, o in layers),
        metadata={"num_decisions": num_decisions},
    )


def fixed_policy(move: float, names: Sequence[str] = ("learning_rate",), **options: Any) -> Policy:
    """Make a policy that makes the same move of everything, always."""
    policy = random_policy(names, head="clipped", **options)
    weights = tuple(np.zeros_like(w) for w in policy.weights)
    biases = (np.zeros_like(policy.biases[0]), np.full_like(policy.biases[1], move))
    return Policy(
        family=policy.family,
        space=policy.space,
        base_schedule=policy.base_schedule,
        head=policy.head,
        activation=policy.activation,
        weights=weights,
        biases=biases,
        metadata=policy.metadata,
    )


class Training:
    """A net of two layers on rows drawn once; every update is a function of the seed.

    Args:
        seed: Of weights and rows.
        dropout: Rate of the dropout layer between the two.
    """

    def __init__(self, seed: int = 0, *, dropout: float = 0.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.x = torch.randn(64, 6, generator=generator)
        self.y = self.x[:, :1] * self.x[:, 1:2] + 0.3 * torch.randn(64, 1, generator=generator)
        self.model = nn.Sequential(
            nn.Linear(6, 12), nn.Tanh(), nn.Dropout(dropout), nn.Linear(12, 1)
        )
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.copy_(0.4 * torch.randn(parameter.shape, generator=generator))

    def loss(self, step: int) -> Tensor:
        """Return the loss of one minibatch."""
        rows = torch.arange(step * 16, step * 16 + 16) % 48
        return nn.functional.mse_loss(self.model(self.x[rows]), self.y[rows])

    def validate(self) -> float:
        """Return the loss of the last 16 rows, without dropout."""
        modes = [module.training for module in self.model.modules()]
        self.model.eval()
        with torch.no_grad():
            loss = nn.functional.mse_loss(self.model(self.x[48:]), self.y[48:]).item()
        for module, mode in zip(self.model.modules(), modes, strict=True):
            module.training = mode
        return loss

    def weights(self) -> Tensor:
        """Return all weights as one vector."""
        return torch.cat([p.detach().flatten() for p in self.model.parameters()])

    def train(
        self,
        optimizer: torch.optim.Optimizer,
        run: Any,
        steps: Sequence[int],
        after: Callable[[], object] | None = None,
    ) -> list[float]:
        """Train as a user would, and return the learning rate that each update used."""
        rates = []
        for step in steps:
            loss = self.loss(step)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            rates.append(float(optimizer.param_groups[0]["lr"]))
            run.step(loss)
            if after is not None:
                after()
        return rates


def run_afresh(module: str, *processes: tuple[object, ...]) -> None:
    """Run a test module as a program, in processes of its own, one for each tuple of arguments."""
    tests = Path(__file__).parents[1]
    # A package called "tests" in site-packages must not come before ours.
    code = (
        "import sys, types, runpy; package = types.ModuleType('tests'); "
        f"package.__path__ = [{str(tests)!r}]; sys.modules['tests'] = package; "
        f"runpy.run_module({module!r}, run_name='__main__', alter_sys=True)"
    )
    command = [sys.executable, "-W", "error", "-c", code]
    started = [
        subprocess.Popen([*command, *map(str, arguments)], cwd=tests.parent)
        for arguments in processes
    ]
    codes = [process.wait(timeout=180) for process in started]
    assert not any(codes), f"{module} failed: {codes}"
