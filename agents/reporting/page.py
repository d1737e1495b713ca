"""The pieces of a report: one HTML document without network or script, figures, facts, folds.

Its look is light and dark, wide and narrow, for a screen and on paper.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from html import escape
from pathlib import Path
from typing import Any

from .style import inline_svg, save_figure

_STYLE = """\
:root { --paper: #ffffff; --ink: #1f1f1f; --quiet: #5c5c5c; --line: #d5d5d5; --shade: #f4f4f2;
  --blue: #0072B2; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181a; --ink: #e8e6e3; --quiet: #a9a7a3; --line: #3a3c40; --shade: #212327;
    --blue: #4FA3DB; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, "DejaVu Sans", sans-serif; }
main { max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.4rem; overflow-wrap: anywhere; }
h2 { font-size: 1.15rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
h3 { font-size: 1rem; margin-top: 1.6rem; }
.facts { display: grid; gap: .6rem; margin: 0;
  grid-template-columns: repeat(auto-fit, minmax(min(15rem, 100%), 1fr)); }
.facts div { background: var(--shade); padding: .5rem .7rem; border-radius: .3rem; }
dt { color: var(--quiet); font-size: .85rem; }
dd { margin: 0; }
figure { margin: 1.4rem 0; break-inside: avoid; }
figcaption, .note { color: var(--quiet); font-size: .9rem; max-width: 46rem; }
.panels { display: grid; gap: .6rem; justify-items: start;
  grid-template-columns: repeat(auto-fill, minmax(min(18rem, 100%), 1fr)); }
.panels figure { margin: 0; width: 100%; }
.panels figcaption { display: none; }
.panels svg { min-width: 0 !important; }
.wide { overflow-x: auto; }
figure svg { display: block; width: 100%; height: auto; color: var(--ink); }
table { border-collapse: collapse; font-size: .86rem; }
th, td { padding: .25rem .65rem .25rem 0; text-align: left; border-bottom: 1px solid var(--line);
  vertical-align: top; font-variant-numeric: tabular-nums; }
thead th { vertical-align: bottom; }
tbody th { font-weight: normal; white-space: nowrap; }
td, thead th:not(:first-child) { text-align: right; }
td { white-space: nowrap; }
td.words, thead th.words { text-align: left; }
tr.reference, tr.reference th { font-weight: 600; }
tbody tr:hover { background: var(--shade); }
details { margin: .6rem 0; }
summary { cursor: pointer; font-weight: 600; }
pre { overflow-x: auto; background: var(--shade); padding: .6rem; }
@media print {
  :root { --paper: #ffffff; --ink: #000000; --quiet: #333333; --line: #999999; --shade: #ffffff;
    --blue: #0072B2; }
  main { max-width: none; padding: 0; }
  body { font-size: 10.5pt; }
  figure svg { min-width: 0 !important; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
}
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
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE}{style}</style>\n</head>\n"
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
