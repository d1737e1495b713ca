"""The controller in a loop over `partial_fit` of scikit-learn.

    python examples/scikit_learn_partial_fit.py [POLICY]

POLICY is the name of a policy that comes with hpo-control, or the folder of one of your own.
"""

import sys

import numpy as np
from sklearn.datasets import load_digits
from sklearn.metrics import log_loss
from sklearn.neural_network import MLPClassifier

from hpo_env import Controller
from hpo_env.integrations.sklearn import attach

x, y = load_digits(return_X_y=True)
x, classes = x / 16, np.arange(10)
estimator = MLPClassifier(64, learning_rate_init=1e-4, random_state=0)


def validate() -> float | None:
    """Return the loss on rows that are kept apart, None before there is one."""
    if not hasattr(estimator, "classes_"):  # nothing is learnt yet
        return None
    return log_loss(y[1200:], estimator.predict_proba(x[1200:]), labels=classes)


controller = Controller.from_pretrained(sys.argv[1] if len(sys.argv) > 1 else "supervised")
run = attach(controller, estimator, total_steps=150, validate=validate)
rng = np.random.default_rng(0)
for _ in range(150):
    rows = rng.integers(0, 1200, 64)
    estimator.partial_fit(x[rows], y[rows], classes=classes)
    run.step(estimator.loss_)
print(f"validation loss {validate():.3f}; {run.values}")
