"""How a comparison shows where it stands: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from abc import ABC, abstractmethod
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from .running import ComparisonProgress

_SECONDS_BETWEEN_LINES = 15.0


class Display(ABC):
    """Shows progress on stderr; a context manager for as long as jobs are done."""

    def __enter__(self) -> Self:
        """Start showing."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the screen as it was found."""
        return None

    @abstractmethod
    def update(self, progress: ComparisonProgress) -> None:
        """Show how far the work is."""

    @abstractmethod
    def say(self, text: str) -> None:
        """Show a line to stay."""


class Lines(Display):
    """A line now and then, and one at the end.

    Args:
        seconds_between: Least time between two lines.
    """

    def __init__(self, seconds_between: float = _SECONDS_BETWEEN_LINES) -> None:
        self._seconds_between = seconds_between
        self._last = time.monotonic()

    def update(self, progress: ComparisonProgress) -> None:
        """See `Display.update`."""
        is_due = time.monotonic() - self._last >= self._seconds_between
        if is_due or progress.num_done == progress.num_cells:
            self._last = time.monotonic()
            self.say(
                f"{progress.num_done} / {progress.num_cells} cells, {100 * progress.share:.0f} %, "
                f"about {format_seconds(progress.seconds_left)} left; {progress.last}"
            )

    def say(self, text: str) -> None:
        """See `Display.say`."""
        print(text, file=sys.stderr, flush=True)


class Bar(Display):
    """A live bar."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.fields[cells]} cells"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TimeElapsedColumn(),
            TextColumn("left {task.fields[left]}"),
            TextColumn("{task.fields[last]}"),
            console=Console(stderr=True),
        )
        self._task = self._progress.add_task("", total=1.0, cells="", left="–", last="")

    def __enter__(self) -> Self:
        """See `Display.__enter__`."""
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        """See `Display.__exit__`."""
        self._progress.stop()

    def update(self, progress: ComparisonProgress) -> None:
        """See `Display.update`."""
        self._progress.update(
            self._task,
            completed=progress.share,
            cells=f"{progress.num_done} / {progress.num_cells}",
            left=format_seconds(progress.seconds_left),
            last=progress.last,
        )

    def say(self, text: str) -> None:
        """See `Display.say`."""
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


def make_display() -> Display:
    """Make a bar if stderr is a terminal, and lines otherwise."""
    return Bar() if sys.stderr.isatty() else Lines()


def format_seconds(seconds: float | None) -> str:
    """Write a duration.

    Example:
        >>> format_seconds(75.0), format_seconds(7500.0), format_seconds(None)
        ('1:15', '2:05:00', '–')
    """
    if seconds is None:
        return "–"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
