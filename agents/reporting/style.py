"""How our pictures look: one palette, on paper and on a screen, light or dark.

The object interface of matplotlib, and not pyplot: no global state, no window, no leak.
"""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hpo_env.axes import Scale
from hpo_env.rendering import require_matplotlib
from hpo_env.whole_files import write_atomically

Array = NDArray[np.float64]

PALETTE = ("#0072B2", "#E69F00", "#009E73", "#D55E00", "#CC79A7", "#56B4E9", "#B8A800")
"""Okabe and Ito's colours, told apart with any kind of colour vision; their yellow darkened, which
white paper would swallow."""

LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
BAND = (0.1, 0.5, 0.9)
"""Quantiles: the lower end of a band, the line in it, the upper end."""

GREY = "#888888"
INK = "#252525"
"""Text and axes. The report replaces it by the colour of the page's text."""

_DOTS_PER_INCH = 110
_READABLE_POINTS = 480.0  # narrower than this, a picture of three columns is scrolled sideways
_STYLE: Any = {
    "font.size": 10.0,
    "svg.fonttype": "none",  # letters stay letters: small, searchable, in the reader's font
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": "medium",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "legend.frameon": False,
    "grid.color": GREY,
    "grid.alpha": 0.35,
}


@contextmanager
def styled() -> Iterator[None]:
    """Draw in our style.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    require_matplotlib()
    import matplotlib as mpl

    with mpl.rc_context(_STYLE):
        yield


def new_figure(width: float, height: float) -> Any:
    """Make an empty figure of a size in inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def set_axis(axes: Any, scale: Scale) -> None:
    """Give the vertical axis the scale of a hyperparameter that was drawn on it.

    Logarithmic where the scale is, also of the distance to 1. What is not positive cannot be drawn
    on a logarithm, so where nothing is, the axis stays linear.
    """
    from matplotlib.ticker import FixedLocator

    drawn = [np.asarray(line.get_ydata(), dtype=np.float64) for line in axes.lines]
    values = np.concatenate([np.zeros(0), *drawn])
    if scale in ("log", "log_integer") and (values > 0.0).any():
        axes.set_yscale("log")
    elif scale == "one_minus_log" and (values < 1.0).any():
        axes.set_yscale("function", functions=(_minus_log_to_one, _minus_exp_from_one))
        axes.yaxis.set_major_locator(FixedLocator(_TOWARDS_ONE))
    axes.minorticks_off()  # they take most of the drawing's time


_TOWARDS_ONE = (0.0, 0.5, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9999)


def _minus_log_to_one(values: Array) -> Array:
    return -np.log1p(-np.minimum(values, 1.0 - 1e-12))


def _minus_exp_from_one(distances: Array) -> Array:
    return -np.expm1(-distances)


def save_figure(draw: Callable[[], Any], folder: Path, name: str) -> Path:
    """Draw a figure and save it as PNG and SVG.

    Args:
        draw: Makes the figure; called in our style.
        folder: Where to; it is made.
        name: Of the files, without ending.

    Returns:
        The PNG file.
    """
    import matplotlib as mpl

    folder.mkdir(parents=True, exist_ok=True)
    with styled(), mpl.rc_context({"svg.hashsalt": name}):  # ids that repeat from run to run
        figure = draw()
        png, svg = io.BytesIO(), io.BytesIO()
        figure.savefig(png, format="png", facecolor="white")
        figure.set_layout_engine("none")  # it is laid out now, which takes longer than drawing
        figure.savefig(svg, format="svg", transparent=True, metadata={"Date": None})
    write_atomically(folder / f"{name}.png", png.getvalue())
    write_atomically(folder / f"{name}.svg", svg.getvalue())
    return folder / f"{name}.png"


_WHAT_HTML_CANNOT_USE = re.compile(r"^.*?(?=<svg)|<metadata>.*?</metadata>", re.DOTALL)
_NAMESPACES = re.compile(r' xmlns(:\w+)?="[^"]*"')
_NAMES = re.compile(r'(\bid="|url\(#|href="#)')


def inline_svg(svg: str, *, prefix: str, title: str) -> str:
    """Turn an SVG file into an element of an HTML page.

    Args:
        svg: What `save_figure` saved.
        prefix: Distinguishes its ids from those of the page's other pictures.
        title: What the picture shows, for those who cannot see it.

    Returns:
        `<svg>...</svg>` as wide as the page allows, but no smaller than can be read, its ink in the
        page's text colour and its blue in the page's.
    """
    body = _WHAT_HTML_CANNOT_USE.sub("", svg)
    head, _, rest = body.partition(">")
    width = float(re.findall(r' width="([\d.]+)pt"', head)[0])
    head = re.sub(r' (width|height)="[^"]*"', "", _NAMESPACES.sub("", head))
    size = f"max-width:{width:.0f}pt;min-width:{min(width, _READABLE_POINTS):.0f}pt"
    body = f'{head} role="img" aria-label="{title}" style="{size}">{rest}'
    body = _NAMES.sub(rf"\g<1>{prefix}-", body)
    for colour, name in ((INK, "currentColor"), (PALETTE[0], "var(--blue)")):
        body = re.sub(colour, name, body, flags=re.IGNORECASE)
    return body
