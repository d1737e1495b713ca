"""A host of anything that is told its losses: boosting, estimators, loops without torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from hpo_env.arguments import NOT_A_NUMBER, read_number
from hpo_env.control.host import Host
from hpo_env.control.writers import Writer, give_back, start_all, write_all
from hpo_env.errors import ConfigurationError
from hpo_env.loss_summary import summarize_losses
from hpo_env.telemetry import Telemetry


class PlainHost(Host):
    """Writes through functions and measures losses alone; it cannot roll back.

    Args:
        writers: What can be written, by hyperparameter.
        validate: Returns the validation loss, or None when it has none. None in its place: there is
            none.
    """

    def __init__(
        self, writers: Mapping[str, Writer], validate: Callable[[], Any] | None = None
    ) -> None:
        self._writers = dict(writers)
        self._validate = validate
        self._losses: list[float] = []
        self._num_updates = 1

    @property
    def initial(self) -> Mapping[str, float]:
        """See `Host.initial`."""
        return {name: writer.initial for name, writer in self._writers.items()}

    def start_at(self, values: Mapping[str, float]) -> None:
        """See `Host.start_at`."""
        start_all(self._writers, values)

    def begin_interval(self, num_updates: int) -> None:
        """Forget the losses of the interval before."""
        self._num_updates = num_updates
        self._losses = []

    def note_update(self, loss: Any) -> None:
        """Keep the loss."""
        if loss is not None:
            self._losses.append(read_loss(loss))

    def validate(self) -> Any:
        """Call the function."""
        return None if self._validate is None else self._validate()

    def measure(self, validation_loss: float) -> Telemetry:
        """Summarise the losses."""
        telemetry = Telemetry.missing(1)
        losses = np.array(self._losses, dtype=np.float64)
        summarize_losses(telemetry, losses, self._num_updates)
        telemetry.validation_loss[:] = validation_loss
        telemetry.diverged[:] = not np.isfinite(losses).all()
        return telemetry

    def write(self, values: Mapping[str, float]) -> Mapping[str, float]:
        """Call each writer."""
        return write_all(self._writers, values)

    def close(self) -> None:
        """Give the values back."""
        give_back(self._writers)

    def state_dict(self) -> dict[str, Any]:
        """Return the losses."""
        return {"losses": list(self._losses)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Take the losses back."""
        self._losses = list(state["losses"])


def read_loss(value: Any) -> float:
    """Read what `step` was given for a loss.

    Raises:
        ConfigurationError: It is no number.
    """
    try:
        return read_number(value)
    except NOT_A_NUMBER as error:
        raise ConfigurationError(
            f"step(loss) needs one number, or a tensor of one element; got {value!r:.60}"
        ) from error
