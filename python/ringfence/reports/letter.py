"""A report as a mail: plain text and HTML with the chart inside, the printed pages attached. Pure but for printing.

Mail programs run no script, load nothing from elsewhere and drop styles that are not the element's own, so the chart is
a picture in the mail itself and each element carries its style.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, formataddr
from html import escape
from pathlib import Path
from typing import Any

from ringfence.reports.document import MAX_MAIL_ROWS
from ringfence.typesetting import typeset_pdf, typeset_png

_FOLDER = Path(__file__).parent
# Without 8BITMIME and SMTPUTF8, so that any server can pass it on.
_POLICY = SMTP.clone(cte_type="7bit")
_CHART = "chart@ringfence"
_QUIET = "color:#5b6875"
_CELL = "padding:4px 9px;border-bottom:1px solid #dfe4e9;vertical-align:top"


def write_letter(
    document: dict[str, Any], sender: str, recipients: Sequence[str], message_id: str, at: datetime
) -> EmailMessage:
    """The whole mail; about a second, for its pages are set."""
    message = EmailMessage(policy=_POLICY)
    message["Subject"] = f"{document['name']}, {document['period']}"
    message["From"] = formataddr(("Ringfence", sender))
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(at)
    message["Message-ID"] = message_id
    # No answer of an absent person is wanted (RFC 3834).
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(_text(document))
    message.add_alternative(_html(document), subtype="html")
    if document["chart"] is not None:
        picture = typeset_png(_FOLDER / "chart.typ", {"chart": document["chart"]})
        html = message.get_payload()[1]  # type: ignore[index]
        html.add_related(picture, "image", "png", cid=f"<{_CHART}>")  # type: ignore[union-attr]
    message.add_attachment(
        typeset_pdf(_FOLDER / "report.typ", document),
        maintype="application",
        subtype="pdf",
        filename=f"{file_name(document['name'])}-{file_name(document['period'])}.pdf",
    )
    return message


def file_name(text: str) -> str:
    """A text as part of a file's name, on any system."""
    return re.sub(r"[^A-Za-z0-9.-]+", "-", text).strip("-.") or "report"


def _text(document: dict[str, Any]) -> str:
    lines = [document["name"], document["title"], "", *(f"{name}: {value}" for name, value in document["facts"]), ""]
    lines += ["  ".join(row) for row in (document["head"], *document["rows"][:MAX_MAIL_ROWS])]
    return "\n".join([*lines, "", _end(document), ""])


def _html(document: dict[str, Any]) -> str:
    facts = "".join(
        f"<tr><td style='padding:2px 14px 2px 0;{_QUIET}'>{escape(name)}</td><td>{escape(value)}</td></tr>"
        for name, value in document["facts"]
    )
    chart = ""
    if document["chart"] is not None:
        chart = f"<img src='cid:{_CHART}' width='720' style='max-width:100%;height:auto;margin:14px 0' alt='Chart'>"
    return (
        "<!doctype html><html lang='en'><head><meta charset='utf-8'></head>"
        "<body style='font:15px/1.45 sans-serif;color:#1d2733;background:#ffffff;margin:16px'>"
        f"<h1 style='font-size:22px;margin:0'>{escape(document['name'])}</h1>"
        f"<p style='margin:2px 0 12px;{_QUIET}'>{escape(document['title'])} · {escape(document['period'])}</p>"
        f"<table style='border-collapse:collapse'>{facts}</table>{chart}{_table(document)}"
        f"<p style='font-size:13px;{_QUIET}'>{escape(_end(document))}</p></body></html>"
    )


def _table(document: dict[str, Any]) -> str:
    if not document["rows"]:
        return "<p>No calls in this time.</p>"
    sides = ["right" if is_numeric else "left" for is_numeric in document["numeric"]]

    def line(tag: str, cells: Sequence[str], more: str) -> str:
        inner = "".join(
            f"<{tag} style='{_CELL};text-align:{side}{more}'>{escape(cell)}</{tag}>"
            for cell, side in zip(cells, sides, strict=True)
        )
        return f"<tr>{inner}</tr>"

    rows = "".join(line("td", row, "") for row in document["rows"][:MAX_MAIL_ROWS])
    head = line("th", document["head"], ";background:#f3f5f7")
    return f"<table style='border-collapse:collapse;font-size:14px'>{head}{rows}</table>"


def _end(document: dict[str, Any]) -> str:
    more = document["all_rows"] - min(len(document["rows"]), MAX_MAIL_ROWS)
    told = f"{more:,} older rows are in the attached pages. " if more else ""
    return f"{told}Made by Ringfence, {document['made_at']}."
