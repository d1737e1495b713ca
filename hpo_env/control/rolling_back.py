"""What is done and said when an interval has failed."""

from __future__ import annotations

import math
from collections.abc import Callable

from hpo_env.control.announcing import Announcer
from hpo_env.control.decider import Decider
from hpo_env.control.host import Host
from hpo_env.control.loss_check import LossCheck
from hpo_env.telemetry import Telemetry


class RollingBack:
    """Has the host put back what an interval started from, and says what happened.

    Args:
        host: The training.
        decider: Whose guard is given up where nothing brings the training back.
        losses: By which it is seen whether it is back.
        announcer: Told of it.
        on_roll_back: Called after it, to put back what the host has no copy of.
    """

    def __init__(
        self,
        host: Host,
        decider: Decider,
        losses: LossCheck,
        announcer: Announcer,
        on_roll_back: Callable[[], object] | None,
    ) -> None:
        self._host = host
        self._decider = decider
        self._losses = losses
        self._announcer = announcer
        self._on_roll_back = on_roll_back

    def take_back(self, telemetry: Telemetry, *, interval: int, num_steps: int) -> bool:
        """Roll the interval back where the host can.

        Args:
            telemetry: What it measured.
            interval: Which it was.
            num_steps: Updates done.

        Returns:
            Whether there was anything to put back.
        """
        has_state = self._host.roll_back()
        if has_state and self._on_roll_back is not None:
            try:
                self._on_roll_back()
            except Exception as error:  # anybody's code; a run of days must not end here
                self._announcer.warn(
                    "on_roll_back",
                    f"on_roll_back() raised {type(error).__name__}: {error}. The run goes on",
                )
        space = self._decider.space
        retreating = [n for n, r in zip(space.names, space.retreat, strict=True) if r != 0.0]
        done = ["the interval is rolled back"] if has_state else []
        done += [f"the guard moves {' and '.join(retreating)}"] if retreating else []
        why = self._host.failure() or (
            f"training loss {telemetry.train_loss[0]:g}, validation loss "
            f"{telemetry.validation_loss[0]:g}"
        )
        self._announcer.warn(
            "diverged",
            f"the training diverged in interval {interval}, before step {num_steps} ({why}): "
            + (", ".join(done) or "nothing can be done but go on"),
        )
        if has_state:
            self._check_what_is_back(telemetry)
        self._look_for_harm()
        return has_state

    def _look_for_harm(self) -> None:
        """Have the policy steer no more where the training says that it did harm."""
        harm = self._host.harm()
        if harm is None or not self._decider.knows_kind or self._decider.is_harmful:
            return
        self._decider.is_harmful = True
        self._announcer.warn(
            "harmful",
            f"{harm}: the hyperparameters go back to what the run began with, and stay there",
        )

    def _check_what_is_back(self, telemetry: Telemetry) -> None:
        """Give the guard up where rolling back does not bring the training back."""
        spoiled, was_bad = self._host.unrestored(), math.isinf(telemetry.validation_loss[0])
        if spoiled is None and was_bad:
            again = self._losses.validated(self._host, is_guarded=True)
            if math.isinf(self._host.mean_loss(again)):
                spoiled = (
                    "something that only validate() meets, as the running means of batch "
                    "normalisation (attach with model=) or averaged weights (attach with "
                    "on_roll_back=)"
                )
        if spoiled is not None:
            self._decider.is_guarded = False
            self._announcer.warn(
                "unrestored",
                f"the interval is rolled back, but there is no copy of everything: {spoiled}. "
                "Nothing is rolled back any more",
            )
