"""Every picture of the documentation is made by one command, and shown somewhere."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from PIL import Image

from hpo_env.errors import ConfigurationError
from tools.pictures import FROM_PAGES, IMAGES, PICTURES, Options, make
from tools.reference_tables import PAGES


def test_the_command_makes_every_picture_and_no_other() -> None:
    assert sorted(path.name for path in IMAGES.iterdir()) == sorted(PICTURES)


def test_every_picture_is_on_a_page() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"!\[[^]]*\]\([^)]*images/([^)]+)\)", text)) == set(PICTURES)


def test_a_picture_of_results_is_as_large_as_the_one_that_is_shown(tmp_path: Path) -> None:
    assert make(["throughput.png", "house.svg"], tmp_path, tmp_path) == 0
    with Image.open(tmp_path / "throughput.png") as made:
        with Image.open(IMAGES / "throughput.png") as shown:
            assert made.size == shown.size
        assert len(made.getcolors(256) or ()) > 8, "it is empty"
    assert (tmp_path / "house.svg").read_bytes() == (IMAGES / "house.svg").read_bytes()


def test_without_a_browser_pictures_of_pages_stay_and_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    (tmp_path / "report.png").write_bytes(b"as it was")
    assert make(["report.png"], tmp_path, tmp_path) == 1
    assert (tmp_path / "report.png").read_bytes() == b"as it was"
    message = capsys.readouterr().err
    assert "report.png: left as it is" in message
    assert "apt-get install chromium chromium-driver" in message


def test_an_unknown_picture_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"portrait\.png"):
        Options(only=("portrait.png",))


def test_pages_are_taken_by_a_browser_alone() -> None:
    assert set(FROM_PAGES) == {name for name in PICTURES if "tensorboard" in name} | {"report.png"}
