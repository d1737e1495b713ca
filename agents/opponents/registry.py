"""Every opponent by name; its module is imported when it is asked for.

Adding one costs a line here: the name, and the function of a name and a `Setup` that makes it. One
from outside of this package is asked for by its address, `module:function`, and has that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hpo_env.addresses import check_name, load_address

from .base import Opponent, Setup

_MAKERS = {
    # One run, no tuning.
    "default": "schedules:default",
    "cosine": "schedules:from_defaults",
    "warmup_cosine": "schedules:from_defaults",
    "one_cycle": "schedules:from_defaults",
    "step": "schedules:from_defaults",
    "linear": "schedules:from_defaults",
    "plateau": "schedules:from_defaults",
    "warm_restarts": "schedules:from_defaults",
    "greedy_lr": "schedules:from_defaults",
    "interval_hypergradient": "schedules:from_defaults",
    "user_constant": "schedules:user_constant",
    "kl_adaptive": "kl_adaptive:kl_adaptive",
    "ultho": "clustered_bandit:ultho",
    # One run, at a setting that others recommend for what the family trains.
    "lightgbm_slow": "published:published",
    "tabarena_lightgbm": "published:published",
    "lightgbm_td": "published:published",
    # One run, by an optimiser that finds its own rate.
    "schedule_free": "parameter_free.opponent:schedule_free",
    "prodigy": "parameter_free.opponent:prodigy",
    "d_adaptation": "parameter_free.opponent:d_adaptation",
    "dog": "parameter_free.opponent:dog",
    "dowg": "parameter_free.opponent:dowg",
    "cocob": "parameter_free.opponent:cocob",
    # One run, tuned across the meta-training tasks.
    "fixed_tuned": "tuned:fixed_tuned",
    "goto": "goto:goto",
    "constant_tuned": "tuned:tuned",
    "course_tuned": "tuned_course:course_tuned",
    "cosine_tuned": "tuned:tuned",
    "warmup_cosine_tuned": "tuned:tuned",
    "one_cycle_tuned": "tuned:tuned",
    "plateau_tuned": "tuned:tuned",
    "cosine_per_optimizer": "tuned:per_optimizer",
    "one_cycle_per_optimizer": "tuned:per_optimizer",
    # A few runs, in an order learned on the meta-training tasks.
    "portfolio": "portfolio:portfolio",
    # The controller, and what is left of it without a policy, without eyes, and with foresight.
    "controller": "ablations:controller",
    "controller_learned_start": "learned_start:steered",
    "learned_start": "learned_start:kept",
    "matched_start": "matched_start:matched_start",
    "prototype_start": "matched_start:prototype_start",
    "frozen": "schedules:frozen",
    "random_moves": "ablations:random_moves",
    "open_loop": "open_loop:open_loop",
    "oracle_greedy": "oracle:oracle_greedy",
    # Many runs: searches that train each instance again and again.
    "grid_search": "grid:grid_search",
    "random_search": "random_search:random_search",
    "optuna_tpe": "optuna_search:tpe",
    "optuna_gp": "optuna_search:gaussian_process",
    "optuna_cma_es": "optuna_search:cma_es",
    "optuna_tpe_pruned": "optuna_pruning:pruned_tpe",
    "smac3": "smac_search:smac3",
    "successive_halving": "successive_halving:successive_halving",
    "hyperband": "hyperband:hyperband",
    "hyperband_tpe": "hyperband_tpe:hyperband_tpe",
    "asha": "asha:asha",
    "pbt": "pbt:pbt",
    "pbt_constant": "pbt:pbt_constant",
    "pb2": "pb2:pb2",
}

OPPONENTS: dict[str, str] = {name: f"{__package__}.{maker}" for name, maker in _MAKERS.items()}
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
        check_name("opponent", name, OPPONENTS)
