"""Debian's Chromium without a window: what takes pictures of pages, and looks at them in tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

SECONDS = 60
"""How long a page may take."""
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
    "--enable-unsafe-swiftshader",  # TensorBoard's projector draws by WebGL; the page is our own
)
SIZE = (1500, 1100)
"""Of the window, pixels."""

_INSIDE = """
const found = [];
(function walk(root) {
  for (const e of root.querySelectorAll("*")) {
    if (e.matches(arguments_selector)) found.push(e);
    if (e.shadowRoot) walk(e.shadowRoot);
  }
})(document);
return found;
"""


class NoBrowserError(RuntimeError):
    """There is no browser here, or nothing that drives it; says what to install."""


def check_browser() -> None:
    """Check that a browser can be started.

    Raises:
        NoBrowserError: It cannot.
    """
    missing = [name for name in ("chromium", "chromedriver") if shutil.which(name) is None]
    if missing:
        raise NoBrowserError(
            f"needs Debian's {' and '.join(missing)}: apt-get install chromium chromium-driver"
        )
    if find_spec("selenium") is None:
        raise NoBrowserError("needs selenium: pip install '.[dev]'")


@contextmanager
def started_browser(profile: Path, size: tuple[int, int] = SIZE) -> Iterator[Any]:
    """Start Chromium, and end it.

    Args:
        profile: A new folder.
        size: Of the window, pixels.

    Raises:
        NoBrowserError: There is none.
    """
    check_browser()
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium"))
    for flag in (*FLAGS, f"--window-size={size[0]},{size[1]}", f"--user-data-dir={profile}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    driver.set_page_load_timeout(SECONDS)
    try:
        yield driver
    finally:
        driver.quit()


def until(browser: Any, condition: Callable[[Any], Any], what: str) -> Any:
    """Wait until a condition is true; returns what it says then.

    Raises:
        AssertionError: It is not after `SECONDS`.
    """
    from selenium.common.exceptions import TimeoutException
    from selenium.webdriver.support.ui import WebDriverWait

    try:
        return WebDriverWait(browser, SECONDS, poll_frequency=0.3).until(condition)
    except TimeoutException:
        raise AssertionError(f"not there after {SECONDS} s: {what}") from None


def inside(browser: Any, selector: str) -> list[Any]:
    """Find elements by CSS selector, also those inside web components."""
    found: list[Any] = browser.execute_script(_INSIDE.replace("arguments_selector", repr(selector)))
    return found


def texts(browser: Any, selector: str) -> list[str]:
    """Return what the elements of a selector say."""
    script = "return arguments[0].map(e => e.textContent.trim())"
    found: list[str] = browser.execute_script(script, inside(browser, selector))
    return found
