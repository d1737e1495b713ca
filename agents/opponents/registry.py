"""Every opponent by name; its module is imported when it is asked for.

Adding one costs a line here: the name, and the function of a name and a `Setup` that makes it. One
from outside of this package is asked for by its address, `module:function`, and has that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from agents.opponents.base import Opponent, Setup
from hpo_env.addresses import is_address, load_address
from hpo_env.errors import unknown_name

OPPONENTS: dict[str, str] = {
    # One run, no tuning.
    "default": "agents.opponents.schedules:default",
    "cosine": "agents.opponents.schedules:from_defaults",
    "warmup_cosine": "agents.opponents.schedules:from_defaults",
    "one_cycle": "agents.opponents.schedules:from_defaults",
    "step": "agents.opponents.schedules:from_defaults",
    "linear": "agents.opponents.schedules:from_defaults",
    "plateau": "agents.opponents.schedules:from_defaults",
    "warm_restarts": "agents.opponents.schedules:from_defaults",
    "greedy_lr": "agents.opponents.schedules:from_defaults",
    "interval_hypergradient": "agents.opponents.schedules:from_defaults",
    "user_constant": "agents.opponents.schedules:user_constant",
    # One run, at a setting that others recommend for what the family trains.
    "lightgbm_slow": "agents.opponents.published:published",
    "tabarena_lightgbm": "agents.opponents.published:published",
    "lightgbm_td": "agents.opponents.published:published",
    # One run, by an optimiser that finds its own rate.
    "schedule_free": "agents.opponents.parameter_free.opponent:schedule_free",
    "prodigy": "agents.opponents.parameter_free.opponent:prodigy",
    "d_adaptation": "agents.opponents.parameter_free.opponent:d_adaptation",
    "dog": "agents.opponents.parameter_free.opponent:dog",
    "dowg": "agents.opponents.parameter_free.opponent:dowg",
    "cocob": "agents.opponents.parameter_free.opponent:cocob",
    # One run, tuned across the meta-training tasks.
    "fixed_tuned": "agents.opponents.tuned:fixed_tuned",
    "constant_tuned": "agents.opponents.tuned:tuned",
    "course_tuned": "agents.opponents.tuned_course:course_tuned",
    "cosine_tuned": "agents.opponents.tuned:tuned",
    "warmup_cosine_tuned": "agents.opponents.tuned:tuned",
    "one_cycle_tuned": "agents.opponents.tuned:tuned",
    "plateau_tuned": "agents.opponents.tuned:tuned",
    "cosine_per_optimizer": "agents.opponents.tuned:per_optimizer",
    "one_cycle_per_optimizer": "agents.opponents.tuned:per_optimizer",
    # A few runs, in an order learned on the meta-training tasks.
    "portfolio": "agents.opponents.portfolio:portfolio",
    # The controller, and what is left of it without a policy, without eyes, and with foresight.
    "controller": "agents.opponents.ablations:controller",
    "controller_learned_start": "agents.opponents.learned_start:steered",
    "learned_start": "agents.opponents.learned_start:kept",
    "frozen": "agents.opponents.schedules:frozen",
    "random_moves": "agents.opponents.ablations:random_moves",
    "open_loop": "agents.opponents.open_loop:open_loop",
    "oracle_greedy": "agents.opponents.oracle:oracle_greedy",
    # Many runs: searches that train each instance again and again.
    "grid_search": "agents.opponents.grid:grid_search",
    "random_search": "agents.opponents.random_search:random_search",
    "optuna_tpe": "agents.opponents.optuna_search:tpe",
    "optuna_gp": "agents.opponents.optuna_search:gaussian_process",
    "optuna_cma_es": "agents.opponents.optuna_search:cma_es",
    "optuna_tpe_pruned": "agents.opponents.optuna_pruning:pruned_tpe",
    "smac3": "agents.opponents.smac_search:smac3",
    "successive_halving": "agents.opponents.successive_halving:successive_halving",
    "hyperband": "agents.opponents.hyperband:hyperband",
    "hyperband_tpe": "agents.opponents.hyperband_tpe:hyperband_tpe",
    "asha": "agents.opponents.asha:asha",
    "pbt": "agents.opponents.pbt:pbt",
    "pbt_constant": "agents.opponents.pbt:pbt_constant",
    "pb2": "agents.opponents.pb2:pb2",
}
"""Name of each opponent, and where its maker is: `module:function` of a name and a `Setup`."""


def make_opponent(name: str, setup: Setup) -> Opponent:
    """Make an opponent of the registry, or of an address.

    Raises:
        UnknownNameError: There is none of that name; the nearest are suggested.
        MissingExtraError: The package that it needs is not installed.
    """
    return find_maker(name)(name, setup)


def find_maker(name: str) -> Callable[[str, Setup], Opponent]:
    """Import what makes an opponent.

    Raises:
        UnknownNameError: The name is neither registered nor an address; the nearest are suggested.
        ConfigurationError: The address leads nowhere.
    """
    check_opponents([name])
    maker: Callable[[str, Setup], Opponent] = load_address("opponent", OPPONENTS.get(name, name))
    return maker


def check_opponents(names: Iterable[str]) -> None:
    """Check names before anything expensive begins.

    Raises:
        UnknownNameError: One is neither in the registry nor an address; the nearest are suggested.
    """
    for name in names:
        if name not in OPPONENTS and not is_address(name):
            raise unknown_name("opponent", name, OPPONENTS)
