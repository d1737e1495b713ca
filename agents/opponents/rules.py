"""Every rule of the leading hyperparameter by name.

Adding one costs a line here; opponents that follow it cost one each in `registry.py`.
"""

from __future__ import annotations

from functools import partial

from hpo_env.errors import unknown_name
from hpo_env.schedules import SCHEDULES, interval_factors

from .greedy import GreedyRates
from .hypergradient import HypergradientRates
from .plateau import PlateauRates
from .rates import Rule, adapt, follow
from .restarts import restart_factors

RULES: dict[str, Rule] = {
    **{name: follow(partial(interval_factors, name)) for name in SCHEDULES},
    "warm_restarts": follow(restart_factors),
    "plateau": adapt(PlateauRates),
    "greedy_lr": adapt(GreedyRates),
    "interval_hypergradient": adapt(HypergradientRates),
}


def find_rule(name: str) -> Rule:
    """Return the rule of that name.

    Raises:
        UnknownNameError: There is none; the nearest names are suggested.
    """
    if name not in RULES:
        raise unknown_name("rule of the learning rate", name, RULES)
    return RULES[name]


def rule_needs(name: str) -> frozenset[str]:
    """Return what a rule needs of a family, as in `Opponent.needs`.

    Keeping a value needs nothing. All else multiplies it, as only a rate stands.
    """
    if name == "constant":
        return frozenset()
    if name == "interval_hypergradient":
        return frozenset({"rate", "gradients"})
    return frozenset({"rate"})
