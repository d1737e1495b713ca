"""What mkdocs is told beside mkdocs.yml: pages outside of docs/, and links that lead there.

README, CHANGELOG, CONTRIBUTING and SECURITY stand at the root, where people and tools look for
them, and are pages of the site as well. The site holds no source files: where a page links to one,
the site shows its path.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import Any

ROOT = Path(__file__).parent.parent
DOCS = "docs"
ROOT_PAGES = {
    "README.md": "index.md",
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Page at the root, and what it is called in docs/."""

_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]+)(#[^)\s]*)?\)")


def on_files(files: Any, *, config: Any, **_: Any) -> Any:
    """Add the pages of the root to the site; called by mkdocs."""
    from mkdocs.structure.files import File

    for name, page in ROOT_PAGES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=relinked(text, PurePosixPath(name))))
    return files


def on_page_markdown(markdown: str, *, page: Any, **_: Any) -> str:
    """Turn the links of a page of docs/; called by mkdocs."""
    place = page.file.src_uri
    if place in ROOT_PAGES.values():
        return markdown  # `on_files` has
    return relinked(markdown, PurePosixPath(DOCS, place))


def relinked(text: str, place: PurePosixPath) -> str:
    """Turn the links of a page, which are right in the repository, into links of the site.

    Args:
        text: Markdown.
        place: Of the page, relative to the root.

    Example:
        >>> relinked("[new](../CHANGELOG.md), [a](../hpo_env/env.py)", PurePosixPath("docs/x.md"))
        '[new](changelog.md), a (`hpo_env/env.py`)'
        >>> relinked("![a](docs/images/a.png)", PurePosixPath("README.md"))
        '![a](images/a.png)'
    """
    own = ROOT_PAGES.get(str(place), str(place).removeprefix(f"{DOCS}/"))

    def turn(link: re.Match[str]) -> str:
        mark, label, target, anchor = link.groups(default="")
        if "://" in target or target.startswith("mailto:"):
            return link.group()
        reached = _normal(place.parent / target)
        if str(reached) in ROOT_PAGES:
            page = ROOT_PAGES[str(reached)]
        elif reached.parts[0] == DOCS:
            page = str(reached.relative_to(DOCS))
        else:
            is_path = label.strip("`/") == str(reached)
            return label if is_path else f"{label} (`{reached}`)"
        return f"{mark}[{label}]({_from(PurePosixPath(own), page)}{anchor})"

    return _outside_code(text, turn)


def _outside_code(text: str, turn: Any) -> str:
    """Apply `turn` to links, not to blocks of code."""
    parts = re.split(r"(^```.*?^```$)", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(p if p.startswith("```") else _LINK.sub(turn, p) for p in parts)


def _normal(path: PurePosixPath) -> PurePosixPath:
    parts: list[str] = []
    for part in path.parts:
        if part == "..":
            parts.pop()
        else:
            parts.append(part)
    return PurePosixPath(*parts)


def _from(own: PurePosixPath, target: str) -> str:
    return "../" * (len(own.parts) - 1) + target
