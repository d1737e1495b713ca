"""The shipped policy in a user's own loop, from rates that are too low, usual and too high.

    python benchmarks/users_loop.py --json users_loop.json

Held-out tables, a network written here and not among the package's own, AdamW and Adam in plain
PyTorch. The opponent is the same loop at torch's default rate of 1e-3, from the same weights and
minibatches.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import tyro
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, mse_loss

from hpo_env import Controller
from hpo_env.datasets import load_dataset

DEFAULT_RATE = 1e-3
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "AdamW": torch.optim.AdamW,  # with a weight decay of 0.01, which can be moved
    "Adam": torch.optim.Adam,  # without
}
RATES = (1e-5, 1e-3, 1e-1)
TABLES = ("storm_status", "orange_juice", "marital_status", "airfare", "saratoga_houses")
_BATCH = 64


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """Test losses of one table, rate and horizon, means over seeds.

    Args:
        optimizer: A key of `OPTIMIZERS`.
        table: The data set.
        steps: Updates in a run.
        rate: What the controlled run starts from.
        controlled: Its test loss.
        default: That of the loop at the default rate.
        wins: Seeds in which the controlled run ends lower.
        seeds: Seeds.
    """

    optimizer: str
    table: str
    steps: int
    rate: float
    controlled: float
    default: float
    wins: int
    seeds: int


class Gated(nn.Module):
    """A gated network with batch normalisation: a kind that meta-training never saw."""

    def __init__(self, num_inputs: int, num_outputs: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(num_inputs)
        self.hidden = nn.Linear(num_inputs, 80)
        self.gate = nn.Linear(num_inputs, 80)
        self.output = nn.Linear(80, num_outputs)

    def forward(self, x: Tensor) -> Tensor:
        """Compute outputs `[B, K]`."""
        x = self.norm(x)
        outputs: Tensor = self.output(torch.sigmoid(self.gate(x)) * self.hidden(x))
        return outputs


def load_parts(table: str, seed: int) -> tuple[list[tuple[Tensor, Tensor]], int]:
    """Split a table's rows 60/20/20 and standardise them with the first part; also give K."""
    data = load_dataset(table)
    rows = np.random.default_rng(seed).permutation(len(data.x))
    bounds = [int(0.6 * len(rows)), int(0.8 * len(rows))]
    train, validation, test = np.split(rows, bounds)
    mean, std = np.nanmean(data.x[train], axis=0), np.nanstd(data.x[train], axis=0) + 1e-6
    x = np.nan_to_num((data.x - mean) / std).clip(-8.0, 8.0).astype(np.float32)
    y = data.y
    if data.kind == "regression":
        y = ((y - y[train].mean()) / y[train].std()).astype(np.float32)
    parts = [(torch.from_numpy(x[p]), torch.from_numpy(y[p])) for p in (train, validation, test)]
    return parts, data.num_classes


def train_once(
    table: str,
    *,
    optimizer: str,
    seed: int,
    steps: int,
    rate: float,
    controller: Controller | None,
) -> float:
    """Train and return the test loss."""
    parts, num_classes = load_parts(table, seed)
    (x, y), validation, test = parts
    torch.manual_seed(seed)
    model = Gated(x.shape[1], max(num_classes, 1))
    updates = OPTIMIZERS[optimizer](model.parameters(), lr=rate)
    loss_of: Callable[[Tensor, Tensor], Tensor] = (
        cross_entropy if num_classes else lambda z, target: mse_loss(z[:, 0], target)
    )

    def measure(part: tuple[Tensor, Tensor]) -> float:
        model.eval()
        with torch.no_grad():
            loss = loss_of(model(part[0]), part[1]).item()
        model.train()
        return loss

    run = None
    if controller is not None:
        run = controller.attach(
            updates, total_steps=steps, model=model, validate=lambda: measure(validation)
        )
    batches = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        rows = torch.randint(len(x), (_BATCH,), generator=batches)
        loss = loss_of(model(x[rows]), y[rows])
        updates.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        updates.step()
        if run is not None:
            run.step(loss)
    return measure(test)


def compare(
    table: str, *, steps: int, seeds: int, controller: Controller, optimizer: str = "AdamW"
) -> list[Outcome]:
    """Run the default rate once a seed, and the controller from every rate."""
    run = partial(train_once, table, optimizer=optimizer, steps=steps)
    default = [run(seed=s, rate=DEFAULT_RATE, controller=None) for s in range(seeds)]
    outcomes = []
    for rate in RATES:
        controlled = [run(seed=s, rate=rate, controller=controller) for s in range(seeds)]
        outcomes.append(
            Outcome(
                optimizer=optimizer,
                table=table,
                steps=steps,
                rate=rate,
                controlled=float(np.mean(controlled)),
                default=float(np.mean(default)),
                wins=sum(c < d for c, d in zip(controlled, default, strict=True)),
                seeds=seeds,
            )
        )
    return outcomes


def main(
    *,
    policy: str = "supervised",
    optimizers: tuple[Literal["AdamW", "Adam"], ...] = ("AdamW", "Adam"),
    steps: tuple[int, ...] = (300, 3000),
    seeds: int = 5,
    json_path: Annotated[Path | None, tyro.conf.arg(name="json")] = None,
) -> None:
    """Compare the shipped policy with the default rate in a user's loop.

    Args:
        policy: A shipped policy, or the folder of one.
        optimizers: Optimisers of the loop.
        steps: Updates in a run, one comparison each.
        seeds: Splits, weights and minibatch orders.
        json_path: Where to write the rows as JSON.
    """
    torch.set_num_threads(1)  # two threads crawl as soon as another process is busy
    controller = Controller.from_pretrained(policy)
    shown = Table(title="Test loss in a user's own loop, mean over seeds")
    for heading in ("optimizer", "table", "updates", "from rate", "controlled", "1e-3", "wins"):
        shown.add_column(heading, justify="left" if heading in ("optimizer", "table") else "right")
    outcomes = []
    for optimizer, table, horizon in product(optimizers, TABLES, steps):
        for outcome in compare(
            table, steps=horizon, seeds=seeds, controller=controller, optimizer=optimizer
        ):
            outcomes.append(asdict(outcome))
            shown.add_row(
                optimizer,
                table,
                f"{horizon:,}",
                f"{outcome.rate:g}",
                f"{outcome.controlled:.4f}",
                f"{outcome.default:.4f}",
                f"{outcome.wins}/{outcome.seeds}",
            )
    Console().print(shown)
    if json_path is not None:
        json_path.write_text(json.dumps(outcomes, indent=2) + "\n")


if __name__ == "__main__":
    tyro.cli(main)
