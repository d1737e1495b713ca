"""The comparison with schedules, each of one run: what `evaluate`, the demo and the zoo run.

Such opponents choose the leading hyperparameter alone, and leave the others as the task has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from hpo_env.policy import Policy
from hpo_env.tasks.base import Suite
from hpo_env.tasks.registry import family_class

from ..opponents.base import Setup
from .comparison import Comparison, make_comparison
from .matrix import EvaluationProtocol

SCHEDULES = (
    "default",
    "frozen",
    "constant_tuned",
    "cosine_tuned",
    "one_cycle_tuned",
    "cosine_per_optimizer",
    "one_cycle_per_optimizer",
)
"""Opponents that the figures of a policy are taken beside.

- default: the family's own value, kept.
- frozen: the user's own value on the policy's base schedule; the controller switched off.
- `SCHEDULE_tuned`: a schedule whose start was chosen on the meta-training tasks.
- `SCHEDULE_per_optimizer`: the same with one start for each optimiser. These are the strongest
  opponents that, like the controller, look at no more than one run of the new task.
"""


def compare_schedules(
    policy: Policy,
    family: str,
    suites: Sequence[Suite],
    protocol: EvaluationProtocol,
    *,
    names: Iterable[str] = SCHEDULES,
) -> Comparison:
    """Set a policy beside opponents that choose the leading hyperparameter; see `make_comparison`.

    Args:
        policy: The controller's.
        family: The task family.
        suites: What is held out.
        protocol: How much is run.
        names: The opponents.
    """
    setup = Setup(policy=policy, hyperparameters=(family_class(family).leading(),))
    return make_comparison(family, suites, names, protocol, setup)
