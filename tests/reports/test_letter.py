"""What a report says and how it looks: pure but for typesetting. A stranger's text stays text everywhere."""

from __future__ import annotations

from datetime import UTC, datetime
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from xml.etree import ElementTree

import pypdfium2
import pytest
from tests.reports.samples import HOSTILE, HOUR, START, answer, calls_by_hour, top_sources

from ringfence.analytics.views import VIEWS, AnalyticsResult
from ringfence.reports.document import MAX_MAIL_ROWS, Occasion, build_document
from ringfence.reports.drawing import chart_of, draw_svg
from ringfence.reports.letter import write_letter
from ringfence.vocabulary import Dataset

AT = datetime(2026, 11, 28, 14, tzinfo=UTC)
SVG = "{http://www.w3.org/2000/svg}"


def document(
    result: AnalyticsResult, compared: AnalyticsResult | None = None, name: str = "Daily calls"
) -> dict[str, Any]:
    return build_document(Occasion(name, "2026-11-28", AT), result, compared, "previous" if compared else None)


def letter(told: dict[str, Any]) -> EmailMessage:
    """The mail as its reader's program gets it."""
    made = write_letter(told, "ringfence@example.com", ["ada@example.com", "eve@example.org"], "<1@example.com>", AT)
    octets = made.as_bytes()
    octets.decode("ascii")
    assert max(map(len, octets.splitlines())) <= 998  # RFC 5321, 4.5.3.1.6
    read = message_from_bytes(octets, policy=default)
    assert isinstance(read, EmailMessage)
    return read


def part(mail: EmailMessage, kind: str) -> Any:
    (found,) = [one for one in mail.walk() if one.get_content_type() == kind]
    return found.get_content()


def pdf_text(octets: bytes) -> str:
    pdf = pypdfium2.PdfDocument(octets)
    try:
        return "\n".join(page.get_textpage().get_text_range() for page in pdf)
    finally:
        pdf.close()


def texts(svg: str) -> list[str]:
    return ["".join(one.itertext()) for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_report_is_a_mail_with_table_chart_and_printed_pages() -> None:
    told = document(calls_by_hour(), answer("calls", [(START - 24 * HOUR, 14_000, 14_000, 0, 0, 0)]))
    assert told["title"] == "Calls by hour"
    assert told["facts"][0] == ["Time", "2026-11-27 00:00 to 2026-11-28 00:00 America/Chicago"]
    assert ["Calls", "29,148"] in told["facts"]
    assert ["Compared with the time before", "14,000 calls from 2026-11-27 00:00 America/Chicago (+108.2%)"] in [
        told["facts"][-1]
    ]
    assert told["rows"][0] == ["2026-11-27 23:00", "1,226", "1,200", "23", "3", "0"]
    mail = letter(told)
    assert (mail["Subject"], mail["To"]) == ("Daily calls, 2026-11-28", "ada@example.com, eve@example.org")
    assert (mail["From"], mail["Message-ID"]) == ("Ringfence <ringfence@example.com>", "<1@example.com>")
    html, text = part(mail, "text/html"), part(mail, "text/plain")
    assert "2026-11-27 23:00" in html
    assert "1,226" in html
    assert "1,226" in text
    assert "cid:chart@ringfence" in html
    assert part(mail, "image/png").startswith(b"\x89PNG")
    (attached,) = mail.iter_attachments()
    assert attached.get_filename() == "Daily-calls-2026-11-28.pdf"
    printed = pdf_text(attached.get_content())
    for words in ("Daily calls", "Calls by hour", "29,148", "2026-11-27 23:00", "Page 1 of"):
        assert words in printed


def test_what_strangers_send_is_text_in_mail_chart_and_pages() -> None:
    told = document(top_sources(), name="R&D <b> #let x")
    shown = HOSTILE.replace("\x1b", "�")
    assert told["rows"][0] == ["1", shown, "950"]
    mail = letter(told)
    html = part(mail, "text/html")
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;#panic[x] &amp; &#x27;it&#x27;" in html
    assert "\x1b" not in html + part(mail, "text/plain")
    assert "<b>" not in html
    assert texts(told["chart"])[0] == f"{shown[:33]}…"
    printed = pdf_text(part(mail, "application/pdf"))
    assert "#panic[x]" in printed
    assert "R&D <b> #let x" in printed


@pytest.mark.parametrize("buckets", [1, 3])
def test_every_view_is_drawn_or_is_a_table(buckets: int) -> None:
    for view in VIEWS.values():
        for dataset in view.datasets:
            columns = view.columns_of(dataset)
            rows = [
                (START + bucket * HOUR, *(_cell(name, place) for place, name in enumerate(columns[1:])))
                for bucket in range(buckets)
            ]
            chart = chart_of(answer(view.id, rows, dataset=dataset))
            assert (chart is None) == (view.chart == "table")
            if chart is not None:
                picture = ElementTree.fromstring(draw_svg(chart))
                marks = [one for one in picture.iter() if one.tag in (f"{SVG}rect", f"{SVG}path", f"{SVG}circle")]
                assert len(marks) > 1, view.id
                assert not [one for one in texts(draw_svg(chart)) if "None" in one or "nan" in one]


def _cell(name: str, place: int) -> Any:
    words = {"result": "busy", "action": "allow", "direction": "inbound", "call_type": "premium"}
    if name in words:
        return words[name]
    if name in ("source", "destination", "country", "rule", "codec", "attestation", "released_by", "device", "code"):
        return f"{name} {place}"
    return place + 1


def test_the_chart_has_the_figures_of_the_rows() -> None:
    chart = chart_of(calls_by_hour())
    assert chart is not None
    assert [(one.name, one.values[5]) for one in chart.series] == [("Allow", 1200), ("Terminate", 5), ("Redirect", 3)]
    assert chart.labels[0] == "2026-11-27 00:00"
    drawn = texts(draw_svg(chart))
    assert {"0", "250", "1,250", "Allow", "00:00", "21:00"} <= set(drawn)
    # Ten and more parts: the smallest are one.
    many = chart_of(top_sources(2))
    assert many is not None
    assert (len(many.series), many.series[-1].name) == (10, "others")
    assert many.series[-1].values == [1350, 1350]
    assert many.labels == ("2026-11-27 00:00", "2026-11-27 01:00")


def test_gaps_of_a_line_stay_gaps() -> None:
    columns = VIEWS["asr"].columns_of(Dataset.SIP)
    rows = [
        (START + hour * HOUR, *(None if name == "asr" and hour == 2 else 50 + hour for name in columns[1:]))
        for hour in range(5)
    ]
    chart = chart_of(answer("asr", rows, dataset=Dataset.SIP))
    assert chart is not None
    assert chart.series[0].values == [50, 51, None, 53, 54]
    lines = {one.get("stroke"): one.get("d", "") for one in ElementTree.fromstring(draw_svg(chart)).iter(f"{SVG}path")}
    assert [lines[one.colour].count("M") for one in chart.series] == [2, 1]


def test_long_tables_are_cut_and_say_so() -> None:
    rows = [(START + minute * HOUR / 60, 1, 1, 0, 0, 0) for minute in range(MAX_MAIL_ROWS + 20)]
    told = document(answer("calls", rows, "minute"))
    mail = letter(told)
    assert part(mail, "text/html").count("<tr>") == len(told["facts"]) + 1 + MAX_MAIL_ROWS
    assert "20 older rows are in the attached pages." in part(mail, "text/plain")
    assert told["rows"][-1][0] in pdf_text(part(mail, "application/pdf"))


def test_a_time_without_calls_says_so() -> None:
    told = document(answer("top_source", []))
    assert told["chart"] is None
    mail = letter(told)
    assert "No calls in this time." in part(mail, "text/html")
    assert "No calls in this time." in pdf_text(part(mail, "application/pdf"))
