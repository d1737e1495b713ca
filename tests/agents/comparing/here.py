"""Workers that do their jobs here and at once, and remember them."""

from __future__ import annotations

from agents.comparing.jobs import Job, Result, attempt
from agents.comparing.workers import Workers


class Here(Workers):
    """Does jobs in this process.

    Args:
        interrupted_after: Jobs after which Ctrl-C is pressed; never by default.
    """

    def __init__(self, interrupted_after: int | None = None) -> None:
        self.capacity = 1
        self.jobs: list[Job] = []
        self.is_closed = False
        self._interrupted_after = interrupted_after

    def submit(self, job: Job) -> None:
        self.jobs.append(job)

    def wait(self) -> tuple[Job, Result]:
        if self._interrupted_after is not None and len(self.jobs) > self._interrupted_after:
            raise KeyboardInterrupt
        return self.jobs[-1], attempt(self.jobs[-1])

    def close(self) -> None:
        self.is_closed = True
