"""The controller steers the shrinkage of LightGBM, tree by tree.

    python examples/lightgbm_train.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys

import lightgbm
from sklearn.datasets import load_breast_cancer

from hpo_env import Controller
from hpo_env.integrations.lightgbm import HPOControl

x, y = load_breast_cancer(return_X_y=True)
data = lightgbm.Dataset(x[:400], y[:400])
validation = data.create_valid(x[400:], y[400:])

controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
control = HPOControl(controller)
lightgbm.train(
    {"objective": "binary", "verbose": -1, "num_threads": 1},
    data,
    60,
    valid_sets=[data, validation],
    valid_names=["training", "validation"],
    callbacks=control.callbacks(),
)
for row in control.run.schedule:
    print(f"tree {row['step']:3.0f}: shrinkage {row['learning_rate']:.4f}")
