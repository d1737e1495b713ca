"""What the site is made from: links, the drawing, the list of pages."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath

import pytest

from tools.house_drawing import DRAWING, ROOMS, arrows, drawn
from tools.site_pages import ROOT, ROOT_PAGES, relinked

PAGES = sorted((ROOT / "docs").rglob("*.md"))


def test_the_drawing_is_what_the_code_imports() -> None:
    found = arrows()
    assert set(found) == set(ROOMS)
    assert DRAWING.read_text(encoding="utf-8") == drawn(found), "run: python tools/house_drawing.py"


def test_every_room_is_there() -> None:
    for room, places in ROOMS.items():
        for place in places:
            path = ROOT.joinpath(*place.split("."))
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{room}: no {place}"


def test_every_page_is_in_the_navigation_once() -> None:
    listed = re.findall(r"^\s+- (?:\w+: )?(\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.M)
    pages = [str(page.relative_to(ROOT / "docs")) for page in PAGES]
    expected = sorted([*pages, *ROOT_PAGES.values()])
    assert sorted(listed) == expected, "pages are listed under `nav` in mkdocs.yml"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_piece_of_an_example_is_named_as_the_site_reads_it(page: Path) -> None:
    lines = re.findall(r"^.*--\s*8\s*<.*$", page.read_text(encoding="utf-8"), re.MULTILINE)
    named = [re.fullmatch(r' *--8<-- "([\w/]+\.py):\d+"', line) for line in lines]
    assert all(named), f'not as in `--8<-- "examples/torch_loop.py:9"`: {lines}'
    assert all(name is not None and (ROOT / name[1]).is_file() for name in named)


@pytest.mark.parametrize(
    ("link", "place", "expected"),
    [
        ("[a](docs/results.md#x)", "README.md", "[a](results.md#x)"),
        ("[a](CONTRIBUTING.md)", "README.md", "[a](contributing.md)"),
        ("[`examples/`](examples)", "README.md", "`examples/`"),
        ("[a](../how-to/index.md)", "docs/tutorials/x.md", "[a](../how-to/index.md)"),
        ("[a](../../README.md)", "docs/tutorials/x.md", "[a](../index.md)"),
        ("[a](https://semver.org)", "README.md", "[a](https://semver.org)"),
        ("```\n[a](README.md)\n```", "docs/x.md", "```\n[a](README.md)\n```"),
    ],
)
def test_links_are_turned(link: str, place: str, expected: str) -> None:
    assert relinked(link, PurePosixPath(place)) == expected
