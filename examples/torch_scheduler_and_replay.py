"""Correct a scheduler that a loop has already, save the schedule, and train by it alone.

    python examples/torch_scheduler_and_replay.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys
import tempfile
from pathlib import Path

import torch
from sklearn.datasets import load_diabetes
from torch.nn.functional import mse_loss

from hpo_env import Controller, replay_schedule

x, y = load_diabetes(return_X_y=True, scaled=True)
x, y = torch.tensor(x * 21, dtype=torch.float32), torch.tensor((y - y.mean()) / y.std()).float()


def make() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """Return a model and its optimiser, the same ones each time."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(10, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1))
    return model, torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)


def train(model: torch.nn.Module, optimizer: torch.optim.Optimizer, run, scheduler=None) -> float:
    """Train, and return the loss on rows that are kept apart."""
    for step in range(200):
        rows = torch.arange(step * 32, step * 32 + 32) % 300
        loss = mse_loss(model(x[rows])[:, 0], y[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()  # as ever: the controller corrects what it asks for
        run.step(loss)
    with torch.no_grad():
        return mse_loss(model(x[300:])[:, 0], y[300:]).item()


model, optimizer = make()
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=201)
controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
run = controller.attach(optimizer, total_steps=200, base_schedule=scheduler)
first = train(model, optimizer, run, scheduler)
path = run.save_schedule(Path(tempfile.mkdtemp()) / "schedule.json")

model, optimizer = make()
second = train(model, optimizer, replay_schedule(path, optimizer))
print(f"with the controller {first:.6f}, by its saved schedule {second:.6f}")
assert first == second
