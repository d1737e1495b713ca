"""What the doors to all libraries share: what decides, and that no callback in use is copied."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Protocol, TypeAlias

from hpo_env.controller import Controller
from hpo_env.errors import ConfigurationError

Decides: TypeAlias = Controller | str | Path
"""What decides: a controller, or the name or the folder of a policy."""


def controller_of(decides: Decides) -> Controller:
    """Return the controller, loaded where its policy is named: see `Controller.from_pretrained`.

    Raises:
        PolicyFileError: There is no such policy.
        ConfigurationError: It is anything else.
    """
    if isinstance(decides, Controller):
        return decides
    if isinstance(decides, str | os.PathLike):
        return Controller.from_pretrained(decides)
    raise ConfigurationError(
        "controller must be a Controller, or the name or the folder of a policy; "
        f"got {decides!r:.60}"
    )


class _Steering(Protocol):
    @property
    def run(self) -> Any:
        """The run of the last training, None before."""


class Callback:
    """A callback that steers one training after another, and tells of its `run`."""

    def __reduce_ex__(self: _Steering, protocol: Any) -> Any:
        if self.run is not None:
            raise ConfigurationError(
                "a callback that has steered is tied to the training and cannot be copied or "
                "pickled: save the state_dict() of its run, and make another one"
            )
        return object.__reduce_ex__(self, protocol)
