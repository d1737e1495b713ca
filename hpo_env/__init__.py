"""HPOControl: tuning hyperparameters while a model trains, as a Gymnasium environment.

Importing this package registers `HPOControl-v0` and imports neither torch nor the environment
itself; both come when `gymnasium.make` first needs them. `Controller` comes when it is first used,
and does without Gymnasium.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hpo_env.controller import Controller, replay_schedule

__all__ = ["ENV_ID", "Controller", "__version__", "replay_schedule"]

__version__ = "0.1.0"

ENV_ID = "HPOControl-v0"


def _register() -> None:
    import gymnasium

    if ENV_ID not in gymnasium.registry:  # a second registration would only warn
        gymnasium.register(
            ENV_ID,
            entry_point="hpo_env.env:HPOControlEnv",
            vector_entry_point="hpo_env.vector_env:HPOControlVectorEnv",
        )


if find_spec("gymnasium") is not None:  # a deployed controller does without Gymnasium
    _register()


def __getattr__(name: str) -> Any:
    if name in ("Controller", "replay_schedule"):
        from hpo_env import controller

        return getattr(controller, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
