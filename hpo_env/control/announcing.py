"""What a run says while it goes on: warnings to the user, records to loggers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from hpo_env.control.decider import Decision
from hpo_env.errors import ControllerWarning, RunStoppedError


class RunLogger(Protocol):
    """Where a run reports to; `hpo_env.integrations` has some.

    What goes wrong in a logger ends no training. One that means to end it, as a study does that
    prunes, raises `RunStoppedError` in `log_interval`: the run is closed, with the user's values
    put back, and the loop's call of `step` raises it.
    """

    def log_decision(self, decision: Decision) -> None:
        """Take note of a decision.

        One that is taken anew before its first update, as the gradients showed that it would wreck
        the weights, is told once more under the number of the same interval.
        """

    def log_interval(self, step: int, measured: Mapping[str, float]) -> None:
        """Take note of what an interval measured, without what was not measured."""

    def close(self) -> None:
        """Write everything out."""


class Announcer:
    """Warns once of each kind of thing, and tells the loggers; one that fails ends no training.

    Args:
        loggers: Told of every decision and every interval.
    """

    def __init__(self, loggers: Sequence[RunLogger]) -> None:
        self._loggers = list(loggers)
        self._warned: set[str] = set()

    def warn(self, kind: str, message: str) -> None:
        """Warn, as from three calls up: the user's own line; once of each kind."""
        if kind not in self._warned:
            self._warned.add(kind)
            warnings.warn(message, ControllerWarning, stacklevel=4)

    def allow_again(self, kind: str) -> None:
        """Warn of this kind once more when it happens."""
        self._warned.discard(kind)

    def tell(self, what: str, *arguments: Any) -> None:
        """Call a method of every logger.

        Raises:
            RunStoppedError: A logger has; all others were told before.
        """
        stopped: RunStoppedError | None = None
        for logger in self._loggers:
            try:
                getattr(logger, what)(*arguments)
            except RunStoppedError as error:
                stopped = error
            except Exception as error:  # anybody's code, and perhaps a full disk
                self.warn(
                    f"logger {type(logger).__name__}",
                    f"{type(logger).__name__}.{what} raised {type(error).__name__}: {error}. The "
                    "run goes on",
                )
        if stopped is not None:
            raise stopped
