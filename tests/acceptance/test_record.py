"""The record: verdict by R24, changes, signatures over its SHA-256, and what is printed of it (R24, R25)."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pypdfium2
import pytest
from tests.acceptance.samples import AT, sample_record

from ringfence.acceptance.printed.document import build_document
from ringfence.acceptance.printed.html import print_html
from ringfence.acceptance.printed.pdf import print_pdf
from ringfence.acceptance.record import Change, Signature, change_result, compare, read_record, sign
from ringfence.errors import ConflictError, InvalidInputError, NotFoundError

NOW = datetime(2026, 11, 22, 13, tzinfo=UTC)
OTHER = ("C1", "west-probe-1")


def test_verdict_by_the_criteria() -> None:
    assert sample_record().verdict() == "PASS"
    assert sample_record({("B3", "east-enum-2"): "FAIL", OTHER: "OTHER"}).verdict() == "FAIL"
    assert sample_record({OTHER: "OTHER"}).verdict() == "OPEN"
    assert replace(sample_record(), ended_at="").verdict() == "OPEN"
    assert replace(sample_record(), is_whole=False).verdict() == "OPEN"
    assert replace(sample_record(), results=sample_record().results[:5]).verdict() == "OPEN"


def test_an_other_counts_once_it_is_agreed_in_writing() -> None:
    agreed = change_result(
        sample_record({OTHER: "OTHER"}), Change(*OTHER, agreed="C. Ustomer, mail of 22 Nov"), "ada", AT
    )
    assert agreed.verdict() == "ACCEPTED"


def test_a_changed_verdict_says_who_changed_it_and_why() -> None:
    record = sample_record({("B3", "east-enum-2"): "FAIL"})
    changed = change_result(record, Change("B3", "east-enum-2", "OTHER", "wrong cable, mended"), "ada", AT)
    result = next(one for one in changed.results if (one.case, one.subject.name) == ("B3", "east-enum-2"))
    assert (result.verdict, result.by) == ("OTHER", "ada")
    assert "ada changed B3 east-enum-2 from FAIL to OTHER" in changed.notes[-1]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (Change("B3", "nobody", "PASS"), NotFoundError),
        (Change("B3", "east-enum-2", "FAIL", ""), InvalidInputError),
        (Change("B3", "east-enum-2", agreed="somebody"), InvalidInputError),
    ],
)
def test_a_change_that_makes_no_sense_is_refused(change: Change, error: type[Exception]) -> None:
    with pytest.raises(error):
        change_result(sample_record(), change, "ada", AT)


def test_a_signature_is_over_the_whole_record() -> None:
    record = sample_record()
    signature = Signature("tester", "Tess Ter", "ada", AT, record.digest())
    signed = sign(record, (), signature)
    assert signed == (signature,)
    with pytest.raises(ConflictError, match="has signed already"):
        sign(record, signed, signature)
    changed = replace(record, exceptions="one more word")
    with pytest.raises(ConflictError, match="not the one that was shown"):
        sign(changed, (), signature)
    with pytest.raises(ConflictError, match="not ended"):
        sign(replace(record, ended_at=""), (), signature)


def test_a_record_is_read_as_it_was_written() -> None:
    record = sample_record({OTHER: "OTHER"})
    again = read_record(record.as_json())
    assert again == record
    assert again.digest() == record.digest()
    with pytest.raises(InvalidInputError, match="format"):
        read_record({"format": 99})
    with pytest.raises(InvalidInputError):
        read_record({"format": 1, "run": "x"})


def test_runs_are_compared_result_by_result() -> None:
    before, after = sample_record({("B3", "east-enum-2"): "FAIL"}), sample_record({OTHER: "OTHER"})
    found = {(one.case, one.subject): (one.before, one.after) for one in compare(before, after)}
    assert found == {("B3", "east-enum-2"): ("FAIL", "PASS"), OTHER: ("PASS", "OTHER")}


def test_the_pdf_has_every_part_and_a_date_on_every_page() -> None:
    record = sample_record({("B3", "east-enum-2"): "FAIL", OTHER: "OTHER"})
    signature = Signature("tester", "Tess Ter", "ada", AT, record.digest())
    pages = pypdfium2.PdfDocument(print_pdf(build_document(record, (signature,), NOW)))
    texts = [page.get_textpage().get_text_range() for page in pages]
    assert all("Printed 2026-11-22 13:00 UTC" in text for text in texts)
    assert all(f"Page {number} of {len(texts)}" in text for number, text in enumerate(texts, 1))
    whole = "\n".join(texts)
    words = ("Example Telephone Company", "FAIL", "ENUM server east-enum-2", "Probe west-probe-2", "Site west",
             "Tess Ter", "WITNESS: Signature", "Evidence", "came out otherwise", "R-0")  # fmt: skip
    for word in words:
        assert word in whole, word
    assert record.digest()[:16] in texts[-1]


def test_what_was_typed_is_never_markup() -> None:
    evil = "<script>#panic()*_$`\\"
    record = replace(sample_record({OTHER: "OTHER"}), exceptions=evil, tester=evil)
    record = replace(record, plan=record.plan.model_copy(update={"title": evil, "customer": evil}))
    document = build_document(record, (), NOW)
    text = pypdfium2.PdfDocument(print_pdf(document))[0].get_textpage().get_text_range()
    assert evil in text
    page = print_html(document)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_the_html_names_nothing_from_elsewhere() -> None:
    page = print_html(build_document(sample_record(), (), NOW))
    assert not re.findall(r"(?:src|href)=|https?://|@import|url\(", page)
    assert "2026-11-22 13:00 UTC" in page
