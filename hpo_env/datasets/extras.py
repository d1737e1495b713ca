"""Packages of the extra `data`, imported only when a data set needs them."""

from __future__ import annotations

import importlib
from types import ModuleType

from hpo_env.errors import MissingExtraError


def require(module: str) -> ModuleType:
    """Import a module that the extra `data` brings.

    Args:
        module: Dotted name, such as "sklearn.datasets".

    Returns:
        The module.

    Raises:
        MissingExtraError: It, or something it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        msg = (
            f"this data set needs the package {module.partition('.')[0]!r}, which cannot be "
            f'imported ({error}); install it with: pip install "hpo-control[data]"'
        )
        raise MissingExtraError(msg) from error
