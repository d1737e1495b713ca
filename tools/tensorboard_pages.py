"""TensorBoard's pages in a browser: each function opens one, and returns once it shows something.

The guide's pictures are taken of them, and tests look at the same pages.
"""

from __future__ import annotations

import time
from collections.abc import Collection
from typing import Any

from tools.browser import inside, texts, until

_CHARTS = "tf-custom-scalar-margin-chart-card, tf-custom-scalar-multi-line-chart-card"
_BUSY = "paper-spinner-lite"
_DRAWING_SECONDS = 3.0  # curves and points are drawn by workers, which leave no trace in the page


def open_scalars(browser: Any, address: str) -> None:
    """Open the curves, a card a tag."""
    browser.get(f"{address}#timeseries")
    body = "return document.body.innerText"
    until(browser, lambda b: "rollout" in b.execute_script(body), "the group of rollout curves")
    until(browser, lambda b: inside(b, "card-view"), "cards")
    until(browser, lambda b: inside(b, "line-chart"), "a line chart")
    time.sleep(_DRAWING_SECONDS)


def open_story(browser: Any, address: str) -> None:
    """Open the page that is arranged by questions."""
    browser.get(f"{address}#custom_scalars")
    until(browser, lambda b: inside(b, _CHARTS), "charts of the layout")
    until(browser, lambda b: len(inside(b, "vz-line-chart2, vz-line-chart")) > 2, "curves")
    hidden = "return arguments[0].every(e => e.offsetParent === null)"
    until(browser, lambda b: b.execute_script(hidden, inside(b, _BUSY)), "the data of all curves")
    time.sleep(_DRAWING_SECONDS)


def open_table(browser: Any, address: str, words: Collection[str]) -> None:
    """Open the table of runs, and wait for cells that say these words."""
    browser.get(f"{address}#hparams")
    cells = "vaadin-grid-cell-content"
    until(browser, lambda b: set(words) <= set(texts(b, cells)), f"rows of {sorted(words)}")


def open_map(browser: Any, address: str, num_points: int | None = None) -> None:
    """Open the map of tasks, and wait until it says how many points it has.

    Args:
        browser: Ends up in the projector's own frame.
        address: TensorBoard's.
        num_points: How many there must be; `None` for any.
    """
    browser.get(f"{address}#projector")
    for frame in ("the plugin's frame", "the projector's frame in it"):
        (found, *_) = until(browser, lambda b: inside(b, "iframe"), frame)
        browser.switch_to.frame(found)

    def has_points(b: Any) -> bool:
        counts = [text for text in texts(b, ".numDataPoints") if text.isdecimal() and text != "0"]
        return bool(counts) if num_points is None else str(num_points) in counts

    until(browser, has_points, "points" if num_points is None else f"{num_points} points")
    time.sleep(_DRAWING_SECONDS)


def colour_map(browser: Any, label: str) -> None:
    """Colour the points of the map by one of their labels, as a reader does in *Color by*."""
    menu = "#colorby"

    def choose(b: Any) -> bool:
        chosen: bool = b.execute_script(
            "const [menu, label] = arguments; if (!menu) return false;"
            "const items = [...menu.querySelectorAll('[role=option], paper-item')];"
            "const item = items.find(e => e.textContent.trim().startsWith(label));"
            "if (item) item.click(); return Boolean(item);",
            next(iter(inside(b, menu)), None),
            label,
        )
        return chosen

    until(browser, choose, f"{label} in the menu of colours")
    time.sleep(_DRAWING_SECONDS)
