"""The results of a run, a table for each server and site, on the Functional test page."""

from __future__ import annotations

from collections.abc import Callable

from ringfence.acceptance.cases import ALL
from ringfence.acceptance.printed.document import VERDICT_WORDS
from ringfence.acceptance.record import Result, Subject
from ringfence.acceptance.store import KeptRun
from ringfence.console.markup import Tag, button, moment

PILLS = {"PASS": "green", "ACCEPTED": "green", "FAIL": "red", "OTHER": "amber", "OPEN": "amber"}
_ROWS_SHOWN = 12
Changing = Callable[[str, str, str, str, str], None]


def lay_out_results(kept: KeptRun, on_change: Changing | None) -> None:
    """Verdict, signatures, then a table for each subject; those with a FAIL or OTHER are open."""
    record = kept.record
    verdict = record.verdict()
    with Tag("div", classes="page-head"):
        Tag("h2", f"Run {record.run}")
        Tag("span", verdict, classes=f"pill {PILLS[verdict]}")
    Tag("p", VERDICT_WORDS[verdict])
    scale = "" if record.wait_scale == 1 else f", waits scaled by {record.wait_scale:g}"
    Tag("p", f"{record.sbc}{scale}", classes="muted")
    for one in kept.signatures:
        with Tag("p"):
            Tag("span", f"Signed as {one.role}: {one.name} ({one.account}), ")
            moment(one.at)
    if record.exceptions:
        Tag("p", f"Exceptions: {record.exceptions}")
    for subject in dict.fromkeys(one.subject for one in record.results):
        _lay_out_subject(subject, [one for one in record.results if one.subject == subject], on_change)


def _lay_out_subject(subject: Subject, results: list[Result], on_change: Changing | None) -> None:
    titles = {case.id: case.title for case in ALL}
    worst = next((word for word in ("FAIL", "OTHER") if any(one.verdict == word for one in results)), "PASS")
    with Tag("details", open=worst != "PASS"):
        with Tag("summary"):
            Tag("b", f"{subject.name} ")
            Tag("span", f"{worst} · {len(results)} cases", classes=f"pill {PILLS[worst]}")
        with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"), Tag("tbody"):
            for one in results:
                with Tag("tr"):
                    Tag("td", f"{one.case} {titles.get(one.case, '')}")
                    with Tag("td", data_label="Result"):
                        Tag("span", one.verdict, classes=f"pill {PILLS[one.verdict]}")
                    with Tag("td", data_label="Comment"), Tag("div"):
                        Tag("div", one.comment)
                        if one.agreed:
                            Tag("div", f"Agreed: {one.agreed}", classes="muted")
                        _lay_out_evidence(one)
                    with Tag("td", classes="row-tools"):
                        if on_change is not None:
                            button("Change…", lambda one=one: on_change(  # type: ignore[misc]
                                one.case, one.subject.name, one.verdict, one.comment, one.agreed),
                                classes="quiet small")  # fmt: skip


def _lay_out_evidence(result: Result) -> None:
    shown = [one for one in result.evidence if one.rows or one.text]
    if not shown:
        return
    with Tag("details"):
        Tag("summary", "Evidence", classes="muted")
        for one in shown:
            Tag("div", one.title, classes="muted")
            with Tag("div", classes="table-wrap"), Tag("table", classes="rows"):
                with Tag("thead"), Tag("tr"):
                    for column in one.columns:
                        Tag("th", column, scope="col")
                with Tag("tbody"):
                    for row in one.rows[:_ROWS_SHOWN]:
                        with Tag("tr"):
                            for cell in row:
                                Tag("td", "–" if cell is None else str(cell))
            if one.text:
                Tag("pre", one.text[:2000])
