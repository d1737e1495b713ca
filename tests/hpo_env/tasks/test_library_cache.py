"""A library in the cache is whole, or it is built again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from hpo_env.tasks.library_cache import kept

CONTENT = bytes(range(256)) * 40


class Builder:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> None:
        self.calls += 1
        path.write_bytes(CONTENT)


def cut_off(path: Path) -> None:
    path.write_bytes(CONTENT[:1000])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def grown(path: Path) -> None:
    path.write_bytes(CONTENT + b"x")


def changed_in_one_bit(path: Path) -> None:
    path.write_bytes(bytes([CONTENT[0] ^ 1]) + CONTENT[1:])


def taken_away(path: Path) -> None:
    path.unlink()


@pytest.mark.parametrize("damage", [cut_off, emptied, grown, changed_in_one_bit, taken_away])
def test_what_is_not_whole_is_built_again(damage: Callable[[Path], None], tmp_path: Path) -> None:
    build = Builder()
    path = kept(tmp_path / "cache", "walk-1", build)
    assert kept(tmp_path / "cache", "walk-1", build) == path
    assert build.calls == 1
    damage(path)
    assert kept(tmp_path / "cache", "walk-1", build).read_bytes() == CONTENT
    assert build.calls == 2
    assert [*(tmp_path / "cache").iterdir()] == [path]


def test_it_can_be_read_by_everybody(tmp_path: Path) -> None:
    assert kept(tmp_path, "walk-1", Builder()).stat().st_mode & 0o777 == 0o755


def test_a_build_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(path: Path) -> None:
        path.write_bytes(CONTENT[:10])
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        kept(tmp_path, "walk-1", fail)
    assert [*tmp_path.iterdir()] == []


def test_libraries_of_other_names_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "walk-12-0.so").write_bytes(b"x")
    kept(tmp_path, "walk-1", Builder())
    assert (tmp_path / "walk-12-0.so").exists()
