"""The same training in three ways: in the environment, in the bare trainer, and in a plain loop.

A lane step is one model's share: `updates` minibatches, and one pass over the validation rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from hpo_env.networks.registry import architecture
from hpo_env.tasks.base import Engine
from hpo_env.tasks.supervised.data import SupervisedTask, prepare
from hpo_env.tasks.supervised.family import SupervisedFamily
from hpo_env.tasks.supervised.rows import Rows, Windows
from hpo_env.tasks.supervised.space import DEFAULT_BATCH_SIZE
from hpo_env.vector_env import HPOControlVectorEnv

_NUM_SEQUENTIAL = 8  # models of the loop, which takes the same time for each
_ENDLESS = 10**6  # decisions: no run ends in the middle of a measurement


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What lanes train, with AdamW.

    Args:
        model: Architecture.
        dataset: Data set.
        lanes: How many at once; the loop needs no more than a few.
        updates: Updates in one step.
        values: Hyperparameters other than their defaults.
        batch_sizes: Rows of a minibatch, dealt to the lanes in turn.
        hyperparameters: Those that the environment controls; None for the family's own choice.
    """

    model: str
    dataset: str
    lanes: int
    updates: int
    values: Mapping[str, float] = field(default_factory=dict)
    batch_sizes: tuple[int, ...] = (DEFAULT_BATCH_SIZE,)
    hyperparameters: str | None = None

    def family(self) -> SupervisedFamily:
        """Return the family that draws its tasks."""
        return SupervisedFamily(
            split="validation",
            num_decisions=_ENDLESS,
            updates_per_decision=self.updates,
            dataset=self.dataset,
            model=self.model,
            optimizer="adamw",
            initial={"learning_rate": 1e-3, **self.values},
        )

    def tasks(self, num: int) -> list[SupervisedTask]:
        """Draw tasks, the same ones at every call."""
        family, rng = self.family(), np.random.default_rng(0)
        column = family.space.index("batch_size")
        return [_with_batch_size(family.sample(rng), column, b) for b in self._dealt(num)]

    def _dealt(self, num: int) -> list[int]:
        return [self.batch_sizes[i % len(self.batch_sizes)] for i in range(num)]


def _with_batch_size(task: SupervisedTask, column: int, rows: int) -> SupervisedTask:
    initial = list(task.initial)
    initial[column] = float(rows)
    return replace(task, initial=tuple(initial))


def environment(workload: Workload, engine: Engine) -> HPOControlVectorEnv:
    """Build and reset an environment whose lanes do the work."""
    env = HPOControlVectorEnv(
        workload.lanes,
        split="validation",
        engine=engine,
        tasks=workload.tasks(workload.lanes),
        hyperparameters=workload.hyperparameters,
        updates_per_decision=workload.updates,
    )
    env.reset(seed=0)
    return env


def environment_steps(workload: Workload, engine: Engine) -> Callable[[], int]:
    """Return a function that takes one vector step of the environment and counts lane steps."""
    env = environment(workload, engine)
    still = np.zeros(env.action_space.shape or (), dtype=np.float32)

    def step() -> int:
        env.step(still)
        return workload.lanes

    return step


def trainer_steps(workload: Workload, engine: Engine) -> Callable[[], int]:
    """Return a function that advances the bare trainer by one interval and counts lane steps."""
    trainer = workload.family().make_trainer(workload.lanes, engine=engine)
    tasks = workload.tasks(workload.lanes)
    trainer.reset(np.arange(workload.lanes), list(tasks), list(range(workload.lanes)))
    values = np.array([task.initial for task in tasks])

    def step() -> int:
        trainer.advance(values)
        return workload.lanes

    return step


def sequential_steps(workload: Workload, *, fused: bool = False) -> Callable[[], int]:
    """Return a function that trains models one after another and counts model steps."""
    names = workload.family().space.names
    loops = [
        SequentialLoop(task, dict(zip(names, task.initial, strict=True)), seed, fused=fused)
        for seed, task in enumerate(workload.tasks(_NUM_SEQUENTIAL))
    ]

    def step() -> int:
        for loop in loops:
            loop.run(workload.updates)
        return len(loops)

    return step


class SequentialLoop:
    """The loop that everybody writes: a module, `torch.optim.AdamW`, random minibatches.

    Args:
        task: What to train.
        values: Hyperparameters by name.
        seed: Of the initial weights.
        fused: Whether the optimiser is torch's fused one.
    """

    def __init__(
        self, task: SupervisedTask, values: Mapping[str, float], seed: int, *, fused: bool
    ) -> None:
        problem = prepare(task)
        sizes = (problem.num_features, problem.num_outputs)
        model = architecture(task.architecture)
        self.module = model.reference(*sizes).load(model.initial_weights(*sizes, seed))
        self.objective = problem.objective
        self.x, self.y = _tensors(problem.train)
        measured = problem.validation.measured()
        self.x_validation, self.y_validation = map(torch.tensor, (measured.x, measured.y))
        self.num_rows = int(values["batch_size"])
        self.drop = _dropout(values["dropout"])
        self.smoothing, self.clip = values["label_smoothing"], values["gradient_clip"]
        self.optimizer = torch.optim.AdamW(
            self.module.parameters(),
            lr=values["learning_rate"],
            weight_decay=values["weight_decay"],
            fused=fused,
        )

    def run(self, updates: int) -> float:
        """Train, and return the validation loss."""
        for rows in self._minibatches(updates):
            self.optimizer.zero_grad()
            outputs = self.module(self.x[rows], self.drop)
            loss = self.objective.reference_loss(outputs, self.y[rows], self.smoothing)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip)
            self.optimizer.step()
        self.module.normalizes_by_minibatch(False)
        with torch.no_grad():
            outputs = self.module(self.x_validation, _keep)
            loss = self.objective.reference_loss(outputs, self.y_validation, 0.0)
        self.module.normalizes_by_minibatch(True)
        return loss.item()

    def _minibatches(self, updates: int) -> Sequence[torch.Tensor]:
        """Choose rows, epoch after epoch; windows of a text are drawn from all."""
        if self.x is self.y:
            return torch.randint(len(self.x), (updates, self.num_rows)).unbind(0)
        order = torch.randperm(len(self.x)).repeat(1 + updates * self.num_rows // len(self.x))
        return torch.split(order, self.num_rows)[:updates]


def _tensors(rows: Rows | Windows) -> tuple[torch.Tensor, torch.Tensor]:
    """Return inputs and targets; all windows of a text, which share its memory, are both."""
    if isinstance(rows, Windows):
        windows = torch.tensor(rows.tokens).unfold(0, rows.width, 1)
        return windows, windows
    return torch.tensor(rows.x), torch.tensor(rows.y)


def _dropout(rate: float) -> Callable[[torch.Tensor, int], torch.Tensor]:
    if rate == 0.0:
        return _keep
    return lambda h, site: F.dropout(h, rate)


def _keep(h: torch.Tensor, site: int) -> torch.Tensor:
    return h
