"""A controlled run in TensorBoard: the schedule, the losses, the decisions.

    python examples/tensorboard_logging.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys
import tempfile

import torch
from sklearn.datasets import load_wine
from torch.nn.functional import cross_entropy

from hpo_env import Controller
from hpo_env.integrations.tensorboard import TensorBoardLogger

x, y = load_wine(return_X_y=True)
x, y = torch.tensor((x - x.mean(0)) / x.std(0), dtype=torch.float32), torch.tensor(y)
model = torch.nn.Linear(13, 3)
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)

folder = tempfile.mkdtemp()
controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
run = controller.attach(optimizer, total_steps=120, loggers=[TensorBoardLogger(folder)])
for _ in range(120):
    loss = cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    run.step(loss)
run.close()
print(f"tensorboard --logdir {folder}")
