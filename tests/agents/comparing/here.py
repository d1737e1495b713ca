"""Workers that do their jobs in this process, and remember them."""

from __future__ import annotations

from agents.comparing.jobs import Job
from agents.comparing.workers import InProcess


class Here(InProcess):
    """Does jobs here."""

    def __init__(self) -> None:
        super().__init__()
        self.jobs: list[Job] = []

    def submit(self, job: Job) -> None:
        super().submit(job)
        self.jobs.append(job)
