"""Several processes train one model: they measure together and use the same values."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import torch
import torch.distributed as dist

from hpo_env.controller import Controller
from tests.hpo_env.controlled_runs import Training, random_policy, run_afresh

STEPS = 12


def train_replica(rank: int, folder: Path) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    training = Training()
    model = torch.nn.parallel.DistributedDataParallel(training.model)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

    def validate() -> float:
        if rank == 1 and optimizer.state:  # one replica cannot: the other's value stands
            raise RuntimeError("no data here")
        return training.validate() * (1 + rank)

    # Another seed gives rank 1 a policy of its own: what rank 0 decides must count.
    run = Controller(random_policy(seed=rank)).attach(
        optimizer, total_steps=STEPS, validate=validate
    )
    rates, losses = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for step in range(STEPS):
            loss = training.loss(2 * step + rank)
            optimizer.zero_grad()
            torch.nn.functional.mse_loss(model(training.x[rank::2]), training.y[rank::2]).backward()
            optimizer.step()
            rates.append(optimizer.param_groups[0]["lr"])
            losses.append(loss.item())
            run.step(loss)
    observed = [decision.observation for decision in run.decisions]
    out = {"rates": rates, "losses": losses, "observed": observed, "weights": training.weights()}
    torch.save(out, folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    train_replica(int(sys.argv[1]), Path(sys.argv[2]))


def test_replicas_measure_together_and_use_what_the_first_decides(tmp_path: Path) -> None:
    run_afresh("tests.hpo_env.test_controller_replicas", (0, tmp_path), (1, tmp_path))
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert first["losses"] != second["losses"]
    assert first["rates"] == second["rates"]
    assert len(set(first["rates"])) > 4
    assert first["observed"] == second["observed"]
    assert torch.equal(first["weights"], second["weights"])
