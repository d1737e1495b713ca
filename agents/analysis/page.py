"""The pieces of a report: one HTML document without network or script, tables, figures, folds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

from agents.analysis.report_style import STYLE
from agents.analysis.style import inline_svg, save_figure

_NUMBERS = """\
table.numbers { font-size: .86rem; }
table.numbers th, table.numbers td { padding-right: .65rem; }
table.numbers thead th { vertical-align: bottom; }
h3 { font-size: 1rem; margin-top: 1.6rem; }
table.numbers td, table.numbers thead th:not(:first-child) { text-align: right; }
table.numbers td.words, table.numbers thead th.words { text-align: left; }
table.numbers td { white-space: nowrap; }
tr.reference { font-weight: 600; }
tr.reference th { font-weight: 600; }
tbody tr:hover { background: var(--shade); }
"""


def document(title: str, body: Iterable[str], *, style: str = "") -> str:
    """Write a whole page, light or dark as the reader's screen is.

    Args:
        title: Of the page.
        body: Its parts; empty ones are left out.
        style: Rules that it has beside the common ones.
    """
    content = "\n".join(part for part in body if part)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{escape(title)}</title>\n<style>\n{STYLE}{_NUMBERS}{style}</style>\n</head>\n"
        f"<body>\n<main>\n{content}\n</main>\n</body>\n</html>\n"
    )


def heading(words: str, level: int = 2) -> str:
    """Write a heading."""
    return f"<h{level}>{escape(words)}</h{level}>"


def note(words: str) -> str:
    """Write a paragraph that explains."""
    return f'<p class="note">{escape(words)}</p>'


def facts(pairs: Iterable[tuple[str, str]]) -> str:
    """Write names and values as tiles."""
    items = "".join(f"<div><dt>{escape(k)}</dt><dd>{escape(v)}</dd></div>" for k, v in pairs)
    return f'<dl class="facts">{items}</dl>' if items else ""


def folded(title: str, content: str) -> str:
    """Hide content behind a line that opens it."""
    return f"<details><summary>{escape(title)}</summary>\n{content}\n</details>"


def table(
    head: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    bold: str | None = None,
    words: Sequence[str] = (),
) -> str:
    """Write a table that is scrolled sideways where the screen is narrow.

    Args:
        head: Names of the columns.
        rows: Cells; the first names the row.
        bold: The row of this name stands out.
        words: Columns of words; the others are numbers and stand to the right.
    """
    classes = ['class="words" ' if name in words else "" for name in head]
    columns = "".join(
        f'<th {kind}scope="col">{escape(name)}</th>'
        for name, kind in zip(head, classes, strict=True)
    )
    body = "\n".join(_row(row, classes, is_bold=row[0] == bold) for row in rows)
    return (
        f'<div class="wide"><table class="numbers">\n<thead><tr>{columns}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>"
    )


def _row(row: Sequence[str], classes: Sequence[str], *, is_bold: bool) -> str:
    opening = '<tr class="reference">' if is_bold else "<tr>"
    cells = "".join(
        f"<td {kind}>{escape(cell)}</td>".replace(" >", ">")
        for cell, kind in zip(row[1:], classes[1:], strict=True)
    )
    return f'{opening}<th scope="row">{escape(row[0])}</th>{cells}</tr>'


def figure(draw: Callable[[], Any], folder: Path, name: str, caption: str) -> str:
    """Draw a figure and put it into the page.

    Args:
        draw: Makes the figure; called in our style.
        folder: For the files that are made on the way.
        name: Unique in the page.
        caption: What it shows and how to read it.
    """
    save_figure(draw, folder, name)
    return picture(folder / f"{name}.svg", name, caption)


def picture(svg: Path, prefix: str, caption: str) -> str:
    """Put a figure that was drawn into the page.

    Args:
        svg: The drawing.
        prefix: Unique in the page.
        caption: What it shows and how to read it.
    """
    title = escape(caption, quote=True)
    drawing = inline_svg(svg.read_text(), prefix=prefix, title=title)
    return (
        f'<figure>\n<div class="wide">{drawing}</div>\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )
