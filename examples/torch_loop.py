"""Three lines in a plain training loop: handwritten digits, AdamW, a rate that is far too low.

    python examples/torch_loop.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys

import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from hpo_env import Controller

torch.manual_seed(0)
x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
order = torch.randperm(len(x))
train, validation = order[:1200], order[1200:]

model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10))
optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5)


@torch.no_grad()
def validate() -> float:
    """Return the loss on rows that are kept apart."""
    return cross_entropy(model(x[validation]), y[validation]).item()


controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
run = controller.attach(optimizer, total_steps=300, model=model, validate=validate)
for _ in range(300):
    rows = train[torch.randint(len(train), (64,))]
    loss = cross_entropy(model(x[rows]), y[rows])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    run.step(loss)

print(run.explain(interval=10))
print(f"validation loss {validate():.3f}, learning rate 1e-05 -> {run.values['learning_rate']:.2g}")
