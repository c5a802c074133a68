"""What commands print: tables for people, JSON for programs. Colour and lines only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text


def print_json(value: Any) -> None:
    """One JSON document, indented on a terminal, one line otherwise."""
    indent = 2 if sys.stdout.isatty() else None
    sys.stdout.write(json.dumps(value, indent=indent, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Columns under a heading; None and empty text are shown as `-`. Numbers stand to the right."""
    listed = [list(row) for row in rows]
    if not sys.stdout.isatty():
        _print_plain(columns, listed)
        return
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for index, column in enumerate(columns):
        is_number = bool(listed) and all(isinstance(row[index], int | float | None) for row in listed)
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    for row in listed:
        table.add_row(*(Text(_shown(value)) for value in row))
    Console().print(table)


def print_line(text: str, style: str | None = None) -> None:
    """One line; `style` (`green`, `red`, `bold`) shows on a terminal only."""
    if style and sys.stdout.isatty():
        Console().print(Text(text, style=style), soft_wrap=True)
    else:
        sys.stdout.write(text + "\n")
        sys.stdout.flush()


def _print_plain(columns: Sequence[str], rows: list[list[object]]) -> None:
    """Aligned by spaces, nothing cut: for pipes and logs."""
    lines = [[column.upper() for column in columns], *([_shown(value) for value in row] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(columns))]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        sys.stdout.write("  ".join(padded).rstrip() + "\n")
    sys.stdout.flush()


def _shown(value: object) -> str:
    if value is None or value == "":
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    # What came from the network must not steer the terminal.
    return "".join(character if character.isprintable() else "�" for character in str(value))
