"""The report in a real browser, light and dark, on a desk and on a phone.

Screenshots go to the folder that HPO_CONTROL_ARTEFACTS names, or to a temporary one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agents.browsing import console_errors, started_browser


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with started_browser(tmp_path_factory.mktemp("profile")) as driver:
        yield driver


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width"), [("desk", 1280), ("phone", 390)])
def test_the_report_fits_the_screen(
    browser: Any, text: str, tmp_path: Path, device: str, width: int, scheme: str
) -> None:
    out = tmp_path / "report.html"
    out.write_text(text)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 2400, "deviceScaleFactor": 1, "mobile": device == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(out.as_uri())
    assert browser.execute_script("return document.querySelectorAll('figure svg').length") == 8
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 24, 26)"}[scheme]
    assert browser.execute_script("return performance.getEntriesByType('resource').length") == 0
    folder = Path(os.environ.get("HPO_CONTROL_ARTEFACTS", tmp_path))
    browser.save_screenshot(str(folder / f"comparison-{device}-{scheme}.png"))
    assert console_errors(browser) == []
