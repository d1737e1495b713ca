"""The controller as a callback of Keras 3 on the torch backend.

    python examples/keras_fit.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import os
import sys

os.environ["KERAS_BACKEND"] = "torch"

import keras
import numpy as np
import torch
from sklearn.datasets import load_digits

from hpo_env import Controller
from hpo_env.integrations.keras import HPOControlCallback

x, y = load_digits(return_X_y=True)
x = np.asarray(x / 16, dtype=np.float32)
model = keras.Sequential(
    [keras.Input((64,)), keras.layers.Dense(64, "relu"), keras.layers.Dense(10)]
)
loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
model.compile(optimizer=keras.optimizers.AdamW(1e-4, weight_decay=1e-3), loss=loss)


def validate(model: keras.Model) -> float:
    """Return the loss on rows that are kept apart."""
    return torch.nn.functional.cross_entropy(model(x[1200:]), torch.tensor(y[1200:])).item()


controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
callback = HPOControlCallback(controller, validate=validate)
model.fit(x[:1200], y[:1200], batch_size=64, epochs=5, verbose=0, callbacks=[callback])
print(callback.run.explain(interval=10))
