"""Packages of optional extras, imported only by the integration that is about them."""

from __future__ import annotations

import importlib
from typing import Any

from hpo_env.errors import MissingExtraError


def require(module: str, *, extra: str) -> Any:
    """Import a module of a host.

    Args:
        module: Dotted name, such as "lightning.pytorch".
        extra: The extra that brings it.

    Raises:
        MissingExtraError: It, or something it needs, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f"{module.partition('.')[0]} cannot be imported ({error}); install it with: "
            f"pip install 'hpo-control[{extra}]'"
        ) from error
