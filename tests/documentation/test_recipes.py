"""Every recipe and every tutorial can be followed to the letter, in an empty folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.documentation.following import FOLLOWED, ROOT, follow


@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page: Path, tmp_path: Path) -> None:
    follow(page, tmp_path)


def test_there_is_a_recipe_for_each_kind_of_plug_in() -> None:
    kinds = ("family", "network", "optimiser", "data-set", "opponent", "learner", "integration")
    index = (ROOT / "docs" / "how-to" / "index.md").read_text(encoding="utf-8")
    for kind in kinds:
        (page,) = (ROOT / "docs" / "how-to").glob(f"add-a*-{kind}.md")
        assert page.name in index
