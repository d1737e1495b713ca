"""How a meta-training shows where it stands: a live bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Protocol, Self

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class ProgressDisplay(Protocol):
    """Shows steps, return and validation score; a context manager for as long as training runs."""

    def __enter__(self) -> Self:
        """Start showing."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Leave the screen as it was found."""
        ...

    def rollout(self, steps: int, mean_return: float | None) -> None:
        """Take in a finished rollout; None when no episode ended in it."""
        ...

    def segment(self, steps: int, score: float, is_best: bool) -> None:
        """Take in a finished segment and its meta-validation score."""
        ...

    def say(self, text: str) -> None:
        """Show a line to stay."""
        ...


class _Quiet:
    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        pass

    def rollout(self, steps: int, mean_return: float | None) -> None:
        pass

    def segment(self, steps: int, score: float, is_best: bool) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class _Lines(_Quiet):
    def __init__(self, total_steps: int) -> None:
        self._total = total_steps
        self._return = "–"

    def rollout(self, steps: int, mean_return: float | None) -> None:
        if mean_return is not None:
            self._return = f"{mean_return:+.3f}"

    def segment(self, steps: int, score: float, is_best: bool) -> None:
        self.say(
            f"{steps:>9,} / {self._total:,} steps   return {self._return}   "
            f"validation {score:+.3f}{' (best)' if is_best else ''}"
        )

    def say(self, text: str) -> None:
        print(text, flush=True)


class _Bar(_Quiet):
    def __init__(self, total_steps: int, start: int) -> None:
        self._progress = Progress(
            TextColumn("meta-training"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("return {task.fields[returns]}"),
            TextColumn("validation {task.fields[score]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
        )
        self._task = self._progress.add_task(
            "", total=total_steps, completed=start, returns="–", score="–"
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._progress.stop()

    def rollout(self, steps: int, mean_return: float | None) -> None:
        self._progress.update(self._task, completed=steps)
        if mean_return is not None:
            self._progress.update(self._task, returns=f"{mean_return:+.3f}")

    def segment(self, steps: int, score: float, is_best: bool) -> None:
        shown = f"{score:+.3f}{' (best)' if is_best else ''}"
        self._progress.update(self._task, completed=steps, score=shown)

    def say(self, text: str) -> None:
        self._progress.console.print(text, highlight=False, markup=False, soft_wrap=True)


def make_display(kind: str, *, total_steps: int, start: int = 0) -> ProgressDisplay:
    """Build the display of a kind.

    Args:
        kind: "bar", "lines", "quiet", or "auto": a bar on a terminal and lines elsewhere.
        total_steps: Environment steps of the whole run.
        start: Environment steps already done.
    """
    if kind == "quiet":
        return _Quiet()
    if kind == "bar" or (kind == "auto" and sys.stdout.isatty()):
        return _Bar(total_steps, start)
    return _Lines(total_steps)
