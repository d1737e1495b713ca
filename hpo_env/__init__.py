"""HPOControl: tuning hyperparameters while a model trains, as a Gymnasium environment.

Importing this package registers `HPOControl-v0` and imports neither torch nor the environment
itself; both come when `gymnasium.make` first needs them.
"""

from __future__ import annotations

from importlib.util import find_spec

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
