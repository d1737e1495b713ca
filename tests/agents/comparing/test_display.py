"""What is shown while a comparison runs."""

from __future__ import annotations

import sys

import pytest

from agents.comparing.display import Bar, Lines, make_display
from agents.comparing.running import ComparisonProgress


def progress(num_done: int) -> ComparisonProgress:
    return ComparisonProgress(
        num_done=num_done, num_cells=4, share=num_done / 4, seconds_left=90.0, last="cosine on wine"
    )


def test_lines_come_now_and_then_and_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    with Lines(seconds_between=1e6) as display:
        for num_done in range(5):
            display.update(progress(num_done))
    assert capsys.readouterr().err.splitlines() == [
        "4 / 4 cells, 100 %, about 1:30 left; cosine on wine"
    ]
    with Lines(seconds_between=0.0) as display:
        display.update(progress(1))
        display.say("failed: asha")
    assert capsys.readouterr().err.splitlines() == [
        "1 / 4 cells, 25 %, about 1:30 left; cosine on wine",
        "failed: asha",
    ]


def test_a_bar_shows_cells_share_and_time_left(capsys: pytest.CaptureFixture[str]) -> None:
    with Bar() as display:
        display.update(progress(2))
        display.say("failed: [asha]")
    text = capsys.readouterr().err
    for words in ("2 / 4 cells", "50 %", "left 1:30", "failed: [asha]"):
        assert words in text


def test_the_bar_is_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: False, raising=False)
    assert isinstance(make_display(), Lines)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert isinstance(make_display(), Bar)
