"""The controller in a loop with Accelerate, with accumulated gradients and a checkpoint.

    python examples/accelerate_loop.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys
import tempfile

import torch
from accelerate import Accelerator
from sklearn.datasets import load_wine
from torch.nn.functional import cross_entropy

from hpo_env import Controller
from hpo_env.integrations.accelerate import attach, step

x, y = load_wine(return_X_y=True)
x, y = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32), torch.tensor(y)
rows = torch.utils.data.TensorDataset(x[::2], y[::2])

accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
model = torch.nn.Sequential(torch.nn.Linear(13, 32), torch.nn.ReLU(), torch.nn.Linear(32, 3))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
loader = torch.utils.data.DataLoader(rows, batch_size=16, shuffle=True)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)


@torch.no_grad()
def validate() -> float:
    """Return the loss on rows that are kept apart."""
    return cross_entropy(model(x[1::2]), y[1::2]).item()


controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
epochs, steps = 40, 3  # six batches an epoch, two a step
run = attach(controller, accelerator, optimizer, total_steps=epochs * steps, validate=validate)
for _ in range(epochs):
    for features, labels in loader:
        with accelerator.accumulate(model):
            loss = cross_entropy(model(features), labels)
            accelerator.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            step(run, accelerator, loss)
accelerator.save_state(tempfile.mkdtemp())  # the run is part of it
print(f"validation loss {validate():.3f} after {run.num_steps} steps; {run.values}")
