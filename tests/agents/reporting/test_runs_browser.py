"""TensorBoard's pages and the report, in a real browser: they render, and the console stays silent.

Screenshots go to the folder that HPO_CONTROL_ARTEFACTS names, or to a temporary one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from agents.cli import main
from tests.agents.browsing import console_errors, started_browser
from tools.browser import inside, until
from tools.tensorboard_pages import colour_map, open_map, open_scalars, open_story, open_table


@pytest.fixture(scope="module")
def artefacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    given = os.environ.get("HPO_CONTROL_ARTEFACTS")
    folder = tmp_path_factory.mktemp("artefacts") if given is None else Path(given)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    with started_browser(tmp_path / "profile") as driver:
        yield driver


def test_scalars_page_draws_curves(browser: Any, dashboard: str, artefacts: Path) -> None:
    open_scalars(browser, dashboard)
    browser.save_screenshot(str(artefacts / "tensorboard-scalars.png"))
    assert console_errors(browser) == []


def test_first_screen_tells_the_story(browser: Any, dashboard: str, artefacts: Path) -> None:
    open_story(browser, dashboard)
    browser.save_screenshot(str(artefacts / "tensorboard-story.png"))
    assert console_errors(browser) == []


def test_table_of_runs_renders(browser: Any, dashboard: str, artefacts: Path) -> None:
    open_table(browser, dashboard, {"ppo", "a2c"})
    browser.save_screenshot(str(artefacts / "tensorboard-hparams.png"))
    assert console_errors(browser) == []


def test_projector_draws_points(browser: Any, dashboard: str, artefacts: Path) -> None:
    open_map(browser, dashboard, num_points=12)
    colour_map(browser, "gain")
    browser.save_screenshot(str(artefacts / "tensorboard-projector.png"))
    assert console_errors(browser) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize(("device", "width"), [("desk", 1200), ("phone", 390)])
def test_report_fits_the_screen(
    browser: Any, run: Path, tmp_path: Path, artefacts: Path, device: str, width: int, scheme: str
) -> None:
    out = tmp_path / "report.html"
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(run), "--out", str(out)])
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": device == "phone"}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    browser.get(out.as_uri())
    drawn = out.read_text().count("<svg")
    assert drawn >= 10
    # The page is a megabyte: on a busy machine it has been seen when only half of it was read.
    until(browser, lambda b: len(inside(b, "figure svg")) == drawn, f"all {drawn} figures")
    assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    paper = browser.execute_script("return getComputedStyle(document.body).backgroundColor")
    assert paper == {"light": "rgb(255, 255, 255)", "dark": "rgb(23, 24, 26)"}[scheme]
    loaded = browser.execute_script("return performance.getEntriesByType('resource').length")
    assert loaded == 0
    browser.save_screenshot(str(artefacts / f"report-{device}-{scheme}.png"))
    assert console_errors(browser) == []


def test_report_prints(browser: Any, run: Path, tmp_path: Path, artefacts: Path) -> None:
    import base64

    out = tmp_path / "report.html"
    with pytest.raises(SystemExit, match="0"):
        main(["report", str(run), "--out", str(out)])
    browser.get(out.as_uri())
    page = browser.execute_cdp_cmd("Page.printToPDF", {"printBackground": False})
    content = base64.b64decode(page["data"])
    assert content.startswith(b"%PDF")
    (artefacts / "report.pdf").write_bytes(content)
