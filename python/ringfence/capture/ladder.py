"""The messages of a call as a ladder: a column for each address, an arrow for each message. Pure.

Everything in a message comes from strangers. Text reaches the drawing only through `escape`; no message text becomes
markup, an attribute other than through it, or a link.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Any

_COLUMN, _ROW, _TOP, _MARGIN = 190, 44, 46, 120
_MAX_LABEL = 60
_CR = "\r"
# Readable on light and dark; a drawing that is shown as an image does not know the page's colours.
_STYLE = (
    "<style>.request{color:#3f7fd0}.provisional{color:#8995a1}.success{color:#2f9e6a}.redirection{color:#8a6ee0}"
    ".failure{color:#d9534f}</style>"
)
# More arrows say nothing to a reader; the export has them all.
MAX_ROWS = 500
MAX_COLUMNS = 12


@dataclass(frozen=True)
class Mark:
    """What is known of a call without its message: of its record, or of a decision about it."""

    time_us: int
    source: str
    destination: str
    label: str
    note: str = ""
    is_request: bool = True


@dataclass(frozen=True)
class Step:
    """One message, or mark, between two columns; `text` is empty where there is no message to read."""

    time_us: int
    source: int
    destination: int
    label: str
    note: str
    is_request: bool
    text: str

    @property
    def kind(self) -> str:
        """`request`, or of what class the response is."""
        return _colour(self)


@dataclass(frozen=True)
class Ladder:
    """Columns in the order in which they first took part, and the messages between them."""

    columns: tuple[str, ...]
    steps: tuple[Step, ...]
    left_out: int = 0

    def svg(self) -> str:
        """The drawing, complete, with no script, link or outside resource in it."""
        width = _MARGIN + _COLUMN * max(1, len(self.columns) - 1) + _COLUMN
        height = _TOP + _ROW * len(self.steps) + 20
        x = [_MARGIN + 80 + _COLUMN * index for index in range(len(self.columns))]
        parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
            ' role="img" aria-label="SIP ladder" color="#7b8794" font-family="ui-monospace, monospace" font-size="12">',
            _STYLE,
            '<defs><marker id="ladder-head" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">'
            '<path d="M0,0 L8,4 L0,8 z" fill="currentColor"/></marker></defs>',
        ]
        for place, column in zip(x, self.columns, strict=True):
            parts.append(f'<text x="{place}" y="20" text-anchor="middle" fill="currentColor">{_safe(column)}</text>')
            parts.append(
                f'<line x1="{place}" y1="28" x2="{place}" y2="{height - 8}" stroke="currentColor" opacity=".25"/>'
            )
        begin = self.steps[0].time_us if self.steps else 0
        for index, step in enumerate(self.steps):
            parts += _arrow(step, x, _TOP + _ROW * index + 24, begin)
        return "".join([*parts, "</svg>"])


def build_ladder(messages: Sequence[dict[str, Any]], left_out: int = 0, marks: Sequence[Mark] = ()) -> Ladder:
    """The ladder of a call's messages as the probe gives them; at most MAX_ROWS of them and MAX_COLUMNS addresses.

    `marks` stand among them by their times. One whose end is an address without a port stands in the first column of
    that address.
    """
    columns: dict[str, int] = {}
    steps: list[Step] = []
    for mark, text in sorted(_rows(messages, marks), key=lambda row: row[0].time_us):
        ends = [mark.source, mark.destination]
        fresh = [end for end in dict.fromkeys(ends) if end not in columns]
        if len(steps) >= MAX_ROWS or len(columns) + len(fresh) > MAX_COLUMNS:
            left_out += 1
            continue
        for end in fresh:
            columns[end] = len(columns)
        steps.append(
            Step(mark.time_us, columns[ends[0]], columns[ends[1]], mark.label, mark.note, mark.is_request, text)
        )
    return Ladder(tuple(columns), tuple(steps), left_out)


def _rows(messages: Sequence[dict[str, Any]], marks: Sequence[Mark]) -> list[tuple[Mark, str]]:
    """Messages as marks, each with its text."""
    rows = []
    ports: dict[str, str] = {}
    for message in messages:
        text, source, destination = (str(message[name]) for name in ("text", "source", "destination"))
        rows.append((Mark(int(message["time_us"]), source, destination, *_first_line(text)), text))
        for end in (source, destination):
            ports.setdefault(_host(end), end)
    for mark in marks:
        if mark.source not in ports:
            ports.setdefault(_host(mark.source), mark.source)
    return rows + [(replace(mark, source=ports.get(mark.source, mark.source)), "") for mark in marks]


def _host(end: str) -> str:
    return end.rpartition(":")[0].strip("[]")


def merge_messages(of_probes: Iterable[Sequence[dict[str, Any]]]) -> list[dict[str, Any]]:
    """The messages that several probes saw of a call, in the order of their times.

    Of a message that more than one has seen, as many copies stay as the one saw that saw most: retransmissions stay.
    """
    merged: list[dict[str, Any]] = []
    held: Counter[tuple[str, str, str]] = Counter()
    for messages in of_probes:
        seen: Counter[tuple[str, str, str]] = Counter()
        for message in messages:
            what = (message["source"], message["destination"], message["text"])
            seen[what] += 1
            if seen[what] > held[what]:
                merged.append(message)
        held |= seen
    return sorted(merged, key=lambda message: int(message["time_us"]))


def write_text(messages: Sequence[dict[str, Any]]) -> str:
    """The messages as a person reads them in an editor: before each its time, from where, to where and by what."""
    begin_us = int(messages[0]["time_us"]) if messages else 0
    return "\n".join(
        f"# {(int(message['time_us']) - begin_us) / 1e6:+.6f} s  {message['source']} -> {message['destination']}  "
        f"{message.get('transport', 'udp')}\n{str(message['text']).replace(_CR, '')}"
        for message in messages
    )


def _first_line(text: str) -> tuple[str, str, bool]:
    """(method or status, what goes with it, whether it is a request)."""
    lines = text.lstrip("\r\n").splitlines() or [""]
    has_sdp = "application/sdp" in text.casefold()
    words = lines[0].split(" ", 2)
    if words[0].startswith("SIP/") and len(words) > 1:
        method = next(
            (line.split()[-1] for line in lines[1:] if line.casefold().startswith("cseq") and line.split()), ""
        )
        note = f"({method})" if method else ""
        return " ".join(words[1:]), f"{note} SDP".strip() if has_sdp else note, False
    return words[0], "SDP" if has_sdp else "", True


def _arrow(step: Step, x: Sequence[int], y: int, begin_us: int) -> list[str]:
    start, end = x[step.source], x[step.destination]
    dash = "" if step.is_request else ' stroke-dasharray="5 3"'
    colour = _colour(step)
    offset = (step.time_us - begin_us) / 1_000_000
    label = _safe(_cut(f"{step.label} {step.note}".strip()))
    if start == end:
        line = (
            f'<path d="M{start},{y} h36 v12 h-36" fill="none" stroke="currentColor"{dash}'
            ' marker-end="url(#ladder-head)"/>'
        )
        middle = start + 44
        anchor = "start"
    else:
        line = (
            f'<line x1="{start}" y1="{y}" x2="{end}" y2="{y}" stroke="currentColor"{dash}'
            ' marker-end="url(#ladder-head)"/>'
        )
        middle = (start + end) // 2
        anchor = "middle"
    return [
        f'<g class="{colour}"><title>{_safe(step.text[:4000])}</title>',
        f'<text x="6" y="{y + 4}" fill="currentColor" opacity=".6">{offset:+.6f}</text>',
        f'<text x="{middle}" y="{y - 6}" text-anchor="{anchor}" fill="currentColor">{label}</text>',
        f"{line}</g>",
    ]


def _colour(step: Step) -> str:
    if step.is_request:
        return "request"
    return {"1": "provisional", "2": "success", "3": "redirection"}.get(step.label[:1], "failure")


def _cut(text: str) -> str:
    return text if len(text) <= _MAX_LABEL else f"{text[: _MAX_LABEL - 1]}…"


def _safe(text: str) -> str:
    """Text that is text wherever it stands in the drawing: no markup, no control characters."""
    shown = "".join(
        character if character.isprintable() or character in "\n\t" else "�" for character in text.replace("\r", "")
    )
    return escape(shown, quote=True)
