"""Takes pictures of the site and weighs its pages: `make looks`, after `make docs`.

    python tools/site_looks.py                          # into build/looks
    python tools/site_looks.py --pages results.html     # pictures of one page

Every page is opened as on a phone, where nothing may be wider than the screen, and weighed with all
that it fetches. Pictures of the chosen pages, light, dark and on a phone, and `weights.csv` are
left in the folder. It needs Debian's chromium and chromium-driver.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import tyro

from hpo_env.errors import ConfigurationError
from tools.browser import NoBrowserError, started_browser

ROOT = Path(__file__).parent.parent
PAGES = (
    "index.html",
    "tutorials/first-controlled-run.html",
    "tutorials/your-framework.html",
    "how-it-is-built.html",
    "reference/command-line.html",
    "reference/api/controller.html",
    "results.html",
)
HEAVIEST = 2_000_000
"""Bytes that a page may weigh, with everything that it fetches."""
_SCREEN, _PHONE = (1280, 900), (390, 844)
_FETCHED = {"img": "src", "script": "src", "link": "href"}


@dataclass(frozen=True, kw_only=True)
class Options:
    """Take pictures of pages, and weigh all of them.

    Args:
        site: Where `make docs` put the site.
        out: The folder of the pictures and of the weights.
        pages: Pages to take pictures of.

    Raises:
        ConfigurationError: There is no such page.
    """

    site: Path = ROOT / "build" / "site"
    out: Path = ROOT / "build" / "looks"
    pages: tuple[str, ...] = PAGES

    def __post_init__(self) -> None:
        """Check that the pages are there."""
        missing = [page for page in self.pages if not (self.site / page).is_file()]
        if missing:
            raise ConfigurationError(f"{self.site} has no {missing}; build it: make docs")


class _Fetched(HTMLParser):
    """Collects the addresses that a page fetches."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element fetches; a link to another page is fetched by nobody."""
        given = dict(attrs)
        address = given.get(_FETCHED.get(tag, ""))
        is_link = tag == "link" and given.get("rel") not in ("stylesheet", "icon")
        if address and not is_link and not address.startswith("data:"):
            self.found.add(address)


def weight(page: Path) -> int:
    """Return the bytes of a page and of all that it fetches.

    Args:
        page: A file of the site.

    Raises:
        ConfigurationError: It fetches from elsewhere, or what is not there.
    """
    text = page.read_text(encoding="utf-8")
    reader = _Fetched()
    reader.feed(text)
    total = len(text.encode())
    for address in sorted(reader.found):
        parts = urlsplit(address)
        file = page.parent / unquote(parts.path)
        if parts.scheme or parts.netloc or not file.is_file():
            raise ConfigurationError(f"{page} fetches {address}, which is not a file of the site")
        total += file.stat().st_size
    return total


def main(args: Sequence[str]) -> int:
    """Look at the pages; returns how many are too heavy, or too wide for a phone."""
    options = tyro.cli(Options, args=list(args), prog="tools/site_looks.py")
    options.out.mkdir(parents=True, exist_ok=True)
    pages = {str(p.relative_to(options.site)): p for p in sorted(options.site.rglob("*.html"))}
    pages.pop("404.html", None)  # a server shows it at any address, so its own are absolute
    weights = {name: weight(page) for name, page in pages.items()}
    with (options.out / "weights.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("page", "bytes"), *weights.items()])
    faults = [f"{name} weighs {n:,} bytes" for name, n in weights.items() if n > HEAVIEST]
    for scheme in ("light", "dark"):  # a profile remembers its look
        with tempfile.TemporaryDirectory() as profile, started_browser(Path(profile)) as browser:
            for name in options.pages:
                stem = options.out / name.replace("/", "-").removesuffix(".html")
                _take(browser, pages[name], stem, scheme)
            if scheme == "light":
                faults += [f"{name} is wider than a phone" for name in _too_wide(browser, pages)]
    heaviest = max(weights, key=lambda name: weights[name])
    print(f"{len(pages)} pages, the heaviest {heaviest} with {weights[heaviest]:,} bytes")
    print(options.out, *faults, sep="\n")
    return len(faults)


def _take(browser: Any, page: Path, stem: Path, scheme: str) -> None:
    looks = {scheme: _SCREEN} | ({"phone": _PHONE} if scheme == "light" else {})
    for look, size in looks.items():
        _set(browser, scheme, size)
        browser.get(page.resolve().as_uri())
        browser.save_screenshot(str(stem.with_name(f"{stem.name}-{look}.png")))


def _too_wide(browser: Any, pages: Mapping[str, Path]) -> Iterator[str]:
    _set(browser, "light", _PHONE)
    for name, page in pages.items():
        browser.get(page.resolve().as_uri())
        if browser.execute_script("return document.documentElement.scrollWidth") > _PHONE[0]:
            yield name


def _set(browser: Any, scheme: str, size: tuple[int, int]) -> None:
    """Pretend to be a reader with a light or dark system and a screen of a size, pixels."""
    wish = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", wish)
    screen = {"width": size[0], "height": size[1], "deviceScaleFactor": 1}
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", screen | {"mobile": size == _PHONE}
    )


if __name__ == "__main__":
    try:
        sys.exit(min(main(sys.argv[1:]), 1))
    except (ConfigurationError, NoBrowserError) as error:
        sys.exit(f"error: {error}")
