"""A table, and its three forms: an element of a page, Markdown, and a table for a terminal."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

from rich.markup import escape as escape_markup
from rich.table import Table as TerminalTable

_HEAD_WIDTH = 12  # characters of a column's name in a line, so that a terminal of 80 holds a table


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of words under names of columns; the first cell names the row.

    Args:
        head: Names of the columns.
        rows: As many cells each as there are columns.
        title: What it is; empty for none.
        note: How to read it; empty for none.
        words: Columns of words, beside the first; the others are numbers and stand to the right.
        bold: The row of this name stands out.
    """

    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    note: str = ""
    words: tuple[str, ...] = ()
    bold: str | None = None

    @classmethod
    def of(cls, rows: Sequence[Mapping[str, str]], **look: Any) -> Table:
        """Make a table of cells by column, the same columns in each row.

        Args:
            rows: At least one.
            **look: What else a table has.

        Example:
            >>> Table.of([{"of": "seed", "number": "3"}], title="settings").head
            ('of', 'number')
        """
        head = tuple(rows[0])
        return cls(head=head, rows=tuple(tuple(row[name] for name in head) for row in rows), **look)

    def without(self, column: str) -> Table:
        """Return the table without a column."""
        place = self.head.index(column)
        rows = tuple((*row[:place], *row[place + 1 :]) for row in self.rows)
        return replace(self, head=(*self.head[:place], *self.head[place + 1 :]), rows=rows)

    def to_html(self) -> str:
        """Write it as an element that is scrolled sideways where the screen is narrow.

        The note follows as a paragraph; the title is left to the page's headings.
        """
        classes = [' class="words"' if name in self.words else "" for name in self.head]
        columns = "".join(
            f'<th{kind} scope="col">{escape(name)}</th>'
            for name, kind in zip(self.head, classes, strict=True)
        )
        body = "\n".join(self._html_row(row, classes) for row in self.rows)
        note = f'\n<p class="note">{escape(self.note)}</p>' if self.note else ""
        return (
            f'<div class="wide"><table>\n<thead><tr>{columns}</tr></thead>\n'
            f"<tbody>\n{body}\n</tbody></table></div>{note}"
        )

    def _html_row(self, row: Sequence[str], classes: Sequence[str]) -> str:
        opening = '<tr class="reference">' if row[0] == self.bold else "<tr>"
        cells = "".join(
            f"<td{kind}>{escape(cell)}</td>"
            for cell, kind in zip(row[1:], classes[1:], strict=True)
        )
        return f'{opening}<th scope="row">{escape(row[0])}</th>{cells}</tr>'

    def to_markdown(self) -> str:
        """Write it as Markdown, without title and note.

        Example:
            >>> print(Table(head=("of", "number"), rows=(("seed", "3"),)).to_markdown())
            | of | number |
            | --- | ---: |
            | seed | 3 |
        """
        is_text = [i == 0 or name in self.words for i, name in enumerate(self.head)]
        rule = ["---" if text else "---:" for text in is_text]
        lines: list[Sequence[str]] = [self.head, rule]
        for row in self.rows:
            strong = row[0] == self.bold
            lines.append([f"**{cell}**" if cell and strong else cell for cell in row])
        return "\n".join(f"| {' | '.join(map(_markdown_cell, line))} |" for line in lines)

    def to_terminal(self) -> TerminalTable:
        """Make it for a terminal, the note beneath."""
        table = TerminalTable(
            title=escape_markup(self.title) or None,
            caption=escape_markup(self.note) or None,
            caption_justify="left",
        )
        for i, name in enumerate(self.head):
            is_text = i == 0 or name in self.words
            head = escape_markup("\n".join(textwrap.wrap(name, _HEAD_WIDTH)))
            table.add_column(head, justify="left" if is_text else "right", no_wrap=True)
        for row in self.rows:
            style = "bold" if row[0] == self.bold else ""
            table.add_row(*map(escape_markup, row), style=style)
        return table


def _markdown_cell(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def listing(head: tuple[str, ...], rows: Iterable[Sequence[str]]) -> Table:
    """Make a table whose columns are all of words.

    Args:
        head: Names of the columns.
        rows: Cells.
    """
    return Table(head=head, rows=tuple(map(tuple, rows)), words=head)


def facts_table(data: Mapping[str, Any]) -> Table:
    """Make a table of plain data: settings, versions and the like."""
    rows = [(k, v if isinstance(v, str) else json.dumps(v, default=str)) for k, v in data.items()]
    return listing(("what", "value"), rows)
