"""The controller steers the shrinkage of XGBoost, tree by tree.

    python examples/xgboost_train.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys

import xgboost
from sklearn.datasets import load_breast_cancer

from hpo_env import Controller
from hpo_env.integrations.xgboost import HPOControlCallback

x, y = load_breast_cancer(return_X_y=True)
data, validation = xgboost.DMatrix(x[:400], y[:400]), xgboost.DMatrix(x[400:], y[400:])

controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
callback = HPOControlCallback(controller, total_steps=60)
xgboost.train(
    {"objective": "binary:logistic", "eval_metric": "logloss", "nthread": 1},
    data,
    60,
    evals=[(data, "train"), (validation, "validation")],
    verbose_eval=False,
    callbacks=[callback],
)
for row in callback.run.schedule:
    print(f"tree {row['step']:3.0f}: shrinkage {row['learning_rate']:.4f}")
