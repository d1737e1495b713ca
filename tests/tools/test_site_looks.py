"""A page of the site is weighed with all that it fetches, and fetches from nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpo_env.errors import ConfigurationError
from tools.site_looks import Options, weight


def page(folder: Path, body: str) -> Path:
    path = folder / "page.html"
    path.write_text(f"<html>{body}</html>", encoding="utf-8")
    return path


def test_what_a_page_fetches_is_weighed_once_and_what_it_links_to_is_not(tmp_path: Path) -> None:
    (tmp_path / "a picture.png").write_bytes(b"x" * 100)
    (tmp_path / "other.html").write_bytes(b"x" * 1000)
    picture = '<img src="a%20picture.png">'
    body = f'{picture}{picture}<a href="other.html">o</a><link rel="next" href="other.html">'
    path = page(tmp_path, body)
    assert weight(path) == len(path.read_bytes()) + 100


@pytest.mark.parametrize("address", ["https://example.org/a.js", "//example.org/a.js", "gone.js"])
def test_a_page_that_fetches_from_elsewhere_is_refused(address: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"fetches .*, which is not a file of the site"):
        weight(page(tmp_path, f'<script src="{address}"></script>'))


def test_a_page_that_is_not_built_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"has no .*index\.html.*make docs"):
        Options(site=tmp_path)
