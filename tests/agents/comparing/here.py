"""Workers that do their jobs in this process, and remember them."""

from __future__ import annotations

from agents.comparing.jobs import Job, Result
from agents.comparing.workers import InProcess


class Here(InProcess):
    """Does jobs here.

    Args:
        interrupted_after: Jobs after which Ctrl-C is pressed; never by default.
    """

    def __init__(self, interrupted_after: int | None = None) -> None:
        super().__init__()
        self.jobs: list[Job] = []
        self._interrupted_after = interrupted_after

    def submit(self, job: Job) -> None:
        super().submit(job)
        self.jobs.append(job)

    def wait(self) -> tuple[Job, Result]:
        if self._interrupted_after is not None and len(self.jobs) > self._interrupted_after:
            raise KeyboardInterrupt
        return super().wait()
