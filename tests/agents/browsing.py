"""A real browser for tests: Debian's Chromium, headless, with its console recorded."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tools import browser
from tools.browser import NoBrowserError


@contextmanager
def started_browser(profile: Path) -> Iterator[Any]:
    """Start Chromium with a new profile; skips the test where there is none."""
    try:
        browser.check_browser()
    except NoBrowserError as error:
        pytest.skip(str(error))
    with browser.started_browser(profile) as driver:
        yield driver


def console_errors(driver: Any) -> list[str]:
    """Return what the page's console called severe since it was last asked."""
    return [e["message"] for e in driver.get_log("browser") if e["level"] == "SEVERE"]
