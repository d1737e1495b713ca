"""The controller as a callback of Lightning.

    python examples/lightning_trainer.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys

import lightning.pytorch as lightning
import torch
from sklearn.datasets import load_digits
from torch.nn.functional import cross_entropy

from hpo_env import Controller
from hpo_env.integrations.lightning import HPOControlCallback

x, y = load_digits(return_X_y=True)
x, y = torch.tensor(x, dtype=torch.float32) / 16, torch.tensor(y)
rows = torch.utils.data.TensorDataset(x[:1200], y[:1200])


class Digits(lightning.LightningModule):
    """A small net for images of digits."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Sequential(
            torch.nn.Linear(64, 64), torch.nn.ReLU(), torch.nn.Linear(64, 10)
        )

    def training_step(self, batch, batch_idx: int) -> torch.Tensor:
        """Return the loss of a batch."""
        return cross_entropy(self.net(batch[0]), batch[1])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Return the optimiser, as ever."""
        return torch.optim.AdamW(self.parameters(), lr=1e-4)


def validate(module: Digits) -> float:
    """Return the loss on rows that are kept apart."""
    return cross_entropy(module.net(x[1200:]), y[1200:]).item()


controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
callback = HPOControlCallback(controller, validate=validate)
trainer = lightning.Trainer(
    max_epochs=5,
    accelerator="cpu",
    callbacks=[callback],
    logger=False,
    enable_checkpointing=False,
    enable_progress_bar=False,
)
trainer.fit(Digits(), torch.utils.data.DataLoader(rows, batch_size=64, shuffle=True))
print(callback.run.explain(interval=10))
