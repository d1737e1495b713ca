"""Meta-learning algorithms: models that adapt to a new task from a few examples.

An algorithm learns over many tasks what a model starts from (`Algorithm.gradient`), and afterwards
predicts on a task that it has never seen from the few examples of its support set
(`Algorithm.predict`). The core is functional: meta-parameters go in, gradients come out; who steps
along them is `training.MetaTraining`.

    source = make_source("sinusoids", num_shots=10)
    training = MetaTraining.of("maml", source, TrainingSettings(num_steps=2_000), seed=0)
    training.run()
    training.model().predict(support_inputs, support_targets, inputs)
"""

from .base import Algorithm
from .episodes import Episodes, Examples
from .model import FewShotModel
from .problems import Problem
from .registry import ALGORITHMS, algorithm_class
from .training import MetaTraining, TrainingSettings

__all__ = [
    "ALGORITHMS",
    "Algorithm",
    "Episodes",
    "Examples",
    "FewShotModel",
    "MetaTraining",
    "Problem",
    "TrainingSettings",
    "algorithm_class",
]
