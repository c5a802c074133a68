"""The record as one HTML page without anything from elsewhere; it prints well too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

_STYLE = """
:root { --ink: #1d2733; --quiet: #5b6875; --line: #cfd6dd; --shade: #f3f5f7; --paper: #fff }
@media (prefers-color-scheme: dark) and (not print) {
  :root { --ink: #e6eaee; --quiet: #9aa7b3; --line: #3a4651; --shade: #222b33; --paper: #161c22 }
}
* { box-sizing: border-box }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 62rem;
  margin: 0 auto; padding: 1.5rem }
h1 { font-size: 2rem; line-height: 1.2; margin: .2em 0 } h2 { margin-top: 2.2em; border-bottom: 1px solid var(--line) }
h3 { margin: 1.6em 0 .4em } .quiet { color: var(--quiet) } code { font-size: .8em; overflow-wrap: anywhere }
table { border-collapse: collapse; width: 100%; margin: .6em 0; font-size: .92em }
th, td { text-align: left; vertical-align: top; padding: .35em .6em; border-bottom: 1px solid var(--line);
  overflow-wrap: anywhere }
th { background: var(--shade) } .scroll { overflow-x: auto } .evidence { font-size: .8em }
.verdict { border-left: 5px solid; padding: .6em 1em; margin: 1.5em 0 } .verdict b { font-size: 1.8em; display: block }
.PASS, .ACCEPTED { color: #1b7a43 } .FAIL { color: #b3261e } .OTHER, .OPEN { color: #8a5a00 }
.badge { color: #fff; border-radius: 3px; padding: .05em .5em; font-weight: 700; font-size: .8em; white-space: nowrap }
.badge.PASS, .badge.ACCEPTED { background: #1b7a43 } .badge.FAIL { background: #b3261e }
.badge.OTHER, .badge.OPEN { background: #8a5a00 } pre { background: var(--shade); padding: .6em; overflow-x: auto }
.signature { border: 1px solid var(--line); border-radius: 4px; padding: .8em 1em; margin: .8em 0 }
.signature i { font-size: 1.3em } @media print { h2 { break-before: page } table, .signature { break-inside: avoid } }
"""


def print_html(document: dict[str, Any]) -> str:
    """A document of `build_document` as a page."""
    d, plan = document, document["plan"]
    parts = [
        f"<p class=quiet>Functional system test · record · printed {escape(d['printed_at'])}</p>",
        f"<h1>{escape(d['title'])}</h1><p class=quiet>{escape(d['customer'])}</p>",
        f"<div class='verdict {d['verdict']}'><b>{d['verdict']}</b>{escape(d['verdict_words'])}<br>"
        f"{_counts(d['counts'])}</div>",
        _table((), d["facts"]),
        "<h2>Test plan</h2><h3>Scope</h3>",
        _items(plan["scope"]),
        *(["<p>Not in scope:</p>", _items(plan["out_of_scope"])] if plan["out_of_scope"] else []),
        "<h3>Locations and servers</h3>",
        _table((), plan["management"]),
        *(_location(one) for one in plan["locations"]),
        "<h3>Roles and responsibilities</h3>",
        _table(("Role", "Name", "Company", "Contact", "Duties"), plan["people"]),
        "<h3>Schedule</h3>",
        _table(("What", "Day", "Hours", "Who"), plan["schedule"]),
        "<h3>Test numbers and waits</h3>",
        _table(("Number", "E.164"), plan["numbers"]),
        f"<p>Waits of the baseline: {escape(plan['waits'])}.</p>",
        "<h2>Procedures</h2>",
        *(_case(one) for one in d["cases"]),
        "<h2>Results</h2>",
        *(_form(one, d) for one in d["forms"]),
        f"<h2>Exceptions, comments and verdict</h2><p>{escape(d['exceptions'])}</p>",
        *(["<h3>Changes of results</h3>", _items(d["notes"])] if d["notes"] else []),
        "<h3>History of tests</h3>",
        _table(("Run", "Ended", "Verdict", "Failed"), d["earlier"])
        if d["earlier"]
        else "<p>This is the first test by this plan.</p>",
        "<h3>Signatures</h3>",
        f"<p>Each signature is over the record with the SHA-256<br><code>{d['digest']}</code></p>",
        *(_signature(*one) for one in d["signatures"]),
        *(f"<p>{escape(role)}: <b>not signed</b></p>" for role in d["unsigned"]),
        "<h2>Evidence</h2>" if d["evidence"] else "",
        *(_evidence(one) for one in d["evidence"]),
    ]
    head = f"<meta charset=utf-8><meta name=viewport content='width=device-width'><title>{escape(d['title'])}</title>"
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>"
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[object]], classes: str = "") -> str:
    columns = "".join(f"<th scope=col>{escape(one)}</th>" for one in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    top = f"<thead><tr>{columns}</tr></thead>" if head else ""
    return f"<div class='scroll {classes}'><table>{top}<tbody>{lines}</tbody></table></div>"


def _items(words: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in words) + "</ul>"


def _badge(word: str) -> str:
    return f"<span class='badge {escape(word)}'>{escape(word)}</span>"


def _counts(counts: Iterable[Sequence[Any]]) -> str:
    return " ".join(f"{_badge(word)} {count}" for word, count in counts)


def _location(one: dict[str, Any]) -> str:
    about = " · ".join(filter(None, (one["address"], one["contact"])))
    words = f"<p><b>{escape(one['site'])}</b> {escape(about)}<br>SBC: {escape(one['sbc'])}</p>"
    return words + _table(("Role", "Name", "Address or interface"), one["machines"])


def _case(one: dict[str, Any]) -> str:
    steps = "<ol>" + "".join(f"<li>{escape(step)}</li>" for step in one["procedure"]) + "</ol>"
    came = f"<b>Not carried out:</b> {escape(one['skipped'])}" if one["skipped"] else _counts(one["results"])
    return (
        f"<h3>{one['id']} {escape(one['title'])}</h3><p>{escape(one['purpose'])}</p>{steps}"
        f"<p><b>Expected:</b> {escape(one['expected'])}<br>{came}</p>"
    )


def _form(form: dict[str, Any], document: dict[str, Any]) -> str:
    site = f" <span class=quiet>site {escape(form['site'])}</span>" if form["site"] and form["kind"] != "Site" else ""
    lines = []
    for row in form["rows"]:
        agreed = f"<br><i>Agreed:</i> {escape(row['agreed'])}" if row["agreed"] else ""
        proof = f" <span class=quiet>({escape(row['evidence'])})</span>" if row["evidence"] else ""
        lines.append(
            f"<tr><td><b>{row['case']}</b> {escape(row['title'])}</td><td>{_badge(row['verdict'])}</td>"
            f"<td>{escape(row['comment'])}{agreed}{proof}</td><td>{escape(row['at'])}<br>{escape(row['by'])}</td></tr>"
        )
    head = "".join(f"<th scope=col>{one}</th>" for one in ("Case", "Result", "Comments", "When (UTC), by"))
    return (
        f"<h3>{form['kind']} {escape(form['name'])}{site}</h3><div class=scroll><table><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        f"<p class=quiet>{escape(' · '.join(f'{role}: {words}' for role, words in document['signers']))}"
        f" · Date: {document['tested_on']}</p>"
    )


def _signature(role: str, name: str, account: str, at: str, digest: str) -> str:
    return (
        f"<div class=signature><span class=quiet>{escape(role)}</span><br><i>{escape(name)}</i><br>"
        f"signed as {escape(account)}, {escape(at)}<br><code>{escape(digest)}</code></div>"
    )


def _evidence(one: dict[str, Any]) -> str:
    table = _table(one["columns"], one["rows"], "evidence") if one["rows"] else ""
    text = f"<pre>{escape(one['text'])}</pre>" if one["text"] else ""
    return f"<p class=evidence><b>{one['number']}</b> {escape(one['title'])}</p>{table}{text}"
