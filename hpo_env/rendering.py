"""A picture of one run so far, for `render_mode="rgb_array"`."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hpo_env.errors import MissingExtraError

_SIZE_INCHES, _DPI = (6.4, 4.8), 100


@dataclass(kw_only=True)
class RunHistory:
    """What was measured after each decision interval; the first entry is the start of the run."""

    title: str = ""
    train_loss: list[float] = field(default_factory=list)
    validation_loss: list[float] = field(default_factory=list)
    hyperparameters: dict[str, list[float]] = field(default_factory=dict)

    def append(
        self, *, train_loss: float, validation_loss: float, hyperparameters: dict[str, float]
    ) -> None:
        """Add one interval."""
        self.train_loss.append(float(train_loss))
        self.validation_loss.append(float(validation_loss))
        for name, value in hyperparameters.items():
            self.hyperparameters.setdefault(name, []).append(float(value))


def require_matplotlib() -> None:
    """Check that pictures can be drawn.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise MissingExtraError(
            "drawing needs matplotlib: pip install 'hpo-control[plots]'"
        ) from error


def draw_run(history: RunHistory) -> NDArray[np.uint8]:
    """Draw losses above and hyperparameters below, over decision intervals.

    Returns:
        RGB image `[height, width, 3]`.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    # The object interface, and not pyplot: no global state, no window, no leak.
    figure = Figure(figsize=_SIZE_INCHES, dpi=_DPI, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    losses, hyperparameters = figure.subplots(2, 1, sharex=True)
    intervals = np.arange(len(history.validation_loss))
    losses.plot(intervals, history.validation_loss, marker=".", label="validation loss")
    losses.plot(intervals, history.train_loss, marker=".", label="training loss")
    losses.set_title(history.title)
    losses.legend(loc="upper right")
    for name, values in history.hyperparameters.items():
        hyperparameters.plot(intervals, values, drawstyle="steps-mid", label=name)
    # symlog and not log: a weight decay or a dropout of 0 is a value too
    hyperparameters.set_yscale("symlog", linthresh=1e-6)
    hyperparameters.set_xlabel("decision interval")
    hyperparameters.legend(loc="upper right")
    canvas.draw()  # type: ignore[no-untyped-call]
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()  # type: ignore[no-untyped-call]
