"""Which of a run's losses a policy can go by: it goes by ratios of positive numbers."""

from __future__ import annotations

import math
from typing import Any

from hpo_env.arguments import NOT_A_NUMBER, read_number
from hpo_env.control.announcing import Announcer
from hpo_env.control.host import Host
from hpo_env.telemetry import NOT_NEGATIVE, Telemetry

_TRAINING_LOSSES = tuple(name for name in NOT_NEGATIVE if name.startswith("train_loss"))


class LossCheck:
    """Looks at the losses of a run as they come, and remembers which kind is of no use.

    Args:
        announcer: Says so, once.

    Attributes:
        unfit: Kinds of loss that were negative: "training", "validation".
    """

    def __init__(self, announcer: Announcer) -> None:
        self.unfit: set[str] = set()
        self._announcer = announcer
        self._last: tuple[Any, float] = (None, math.nan)  # what validate() returned, and its number

    def validated(self, host: Host, *, is_guarded: bool) -> float:
        """Return the validation loss of a host, NaN where there is none.

        Args:
            host: What is asked.
            is_guarded: Whether anything is done about a loss that is not finite; where not, the
                training loss stands in.
        """
        loss = self._asked(host)
        if loss is None:
            return math.nan
        if loss < 0.0:
            self.unfit.add("validation")
            self._announcer.warn(
                "negative",
                f"validate() must return a positive loss, not a score or a log-likelihood; got "
                f"{loss:g}. The training loss stands in",
            )
        if "validation" in self.unfit:
            return math.nan
        if not math.isfinite(loss) and not is_guarded:
            return math.nan  # nothing is done about it any more; the training loss stands in
        return math.inf if math.isnan(loss) else loss  # measured, and as bad as can be

    def _asked(self, host: Host) -> float | None:
        """Return the loss that a host has to say, None where it has none, or no new one."""
        try:
            result = host.validate()
        except Exception as error:  # anybody's code; a run of days must not end here
            self._announcer.warn(
                "validate",
                f"validate() raised {type(error).__name__}: {error}. The run goes on, with the "
                "training loss in its place",
            )
            return None
        if result is None:  # there is none, or it has nothing to say yet
            return None
        try:
            loss = read_number(result)
        except NOT_A_NUMBER:
            self._announcer.warn(
                "validate",
                "validate() must return the loss alone, one number, or None where there is no new "
                f"one; got {result!r:.60}. The run goes on, with the training loss in its place",
            )
            return None
        return None if self._is_stale(result, loss) else loss

    def _is_stale(self, result: Any, loss: float) -> bool:
        """Say whether a result is the one before and was not worked out anew.

        A loop that validates less often than it decides hands over the number that it has kept: the
        same object. An equal number in another object may well be new.
        """
        last, before = self._last
        self._last = (result, loss)
        is_kept = result is last and loss == before and not isinstance(result, int)
        return is_kept and math.isfinite(loss)  # Python keeps one object of each small int

    def fitting(self, telemetry: Telemetry) -> bool:
        """Leave training losses out that are negative: no ratio says anything of them.

        Returns:
            Whether there is still a loss to go by.
        """
        sees = True
        if any(getattr(telemetry, name)[0] < 0.0 for name in _TRAINING_LOSSES):
            self.unfit.add("training")
            alone = math.isnan(telemetry.validation_loss[0])
            self._announcer.warn(
                "negative training",
                f"the training loss is negative ({telemetry.train_loss[0]:g}), and a policy goes "
                "by ratios of losses. "
                + (
                    "The controller does nothing from here on, the base schedule holds: give "
                    "validate= a positive loss to have it decide"
                    if alone
                    else "Only the validation loss is followed from here on"
                ),
            )
            sees = not alone
        if "training" in self.unfit:
            for name in _TRAINING_LOSSES:
                getattr(telemetry, name)[:] = math.nan
        return sees
