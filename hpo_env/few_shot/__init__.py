"""Few-shot tasks as arrays: a handful of examples to adapt to, others to be judged by.

source = make_source("sinusoids", num_shots=5)
tasks = source.sample("train", num_tasks=25, rng=np.random.default_rng(0))
"""

from hpo_env.few_shot.base import FewShotSource, FewShotTasks
from hpo_env.few_shot.registry import SOURCES, make_source

__all__ = ["SOURCES", "FewShotSource", "FewShotTasks", "make_source"]
