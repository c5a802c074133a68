"""What the commands that edit the draft share: an edit is sent with the revision seen, its outcome is said in words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any
from urllib.parse import quote

import typer

from ringfence.cli.output import print_json, print_line
from ringfence.errors import InvalidInputError
from ringfence.mediation.client import Client
from ringfence.policy.yaml_reader import read_yaml

_STYLES = {"error": "red", "warning": "yellow"}

RevisionOption = Annotated[
    int | None,
    typer.Option(
        "--revision",
        min=0,
        help="Of the draft you looked at; a later edit of the same object refuses.",
        show_default=False,
    ),
]
BeforeOption = Annotated[str | None, typer.Option(metavar="RULE", help="Stand before this rule.", show_default=False)]
AfterOption = Annotated[str | None, typer.Option(metavar="RULE", help="Stand after this rule.", show_default=False)]
FirstOption = Annotated[bool, typer.Option("--first", help="Stand first.", show_default=False)]


def draft_path(kinds: str, name: str | None = None, then: str = "") -> str:
    """Path of the draft's objects of a kind, or of one."""
    return f"policy/draft/{kinds}" + (f"/{quote(name, safe='')}" if name is not None else "") + then


def seen(client: Client, revision: int | None) -> int:
    """The revision that was named, else the one that is there now."""
    return revision if revision is not None else int(client.get("policy/draft/answers")["revision"])


def send(client: Client, method: str, path: str, body: Mapping[str, Any], revision: int | None) -> dict[str, Any]:
    """One edit of the draft."""
    at = seen(client, revision)
    if method == "DELETE":
        answer = client.request(method, path, params={"revision": at})
    else:
        answer = client.request(method, path, json={**body, "revision": at})
    return dict(answer)


def say_edit(answer: Mapping[str, Any], as_json: bool) -> None:
    """What changed in the draft, and what is to be said of it."""
    if as_json:
        print_json(answer)
        return
    for change in answer["changes"]:
        print_line(f"Draft: {change['words']}")
    if not answer["changes"]:
        print_line("Draft: as it was")
    say_findings(answer["findings"])


def say_findings(findings: Sequence[Mapping[str, Any]]) -> None:
    """One line each: `warning: rule 'x': …`."""
    for finding in findings:
        print_line(f"{finding['severity']}: {finding['words']}", _STYLES.get(finding["severity"]))


def place_of(before: str | None, after: str | None, first: bool) -> dict[str, Any]:
    """The place that the options name; the API refuses two of them."""
    place: dict[str, Any] = {"before": before, "after": after, "first": first}
    return {key: value for key, value in place.items() if value}


def read_value(option: str, text: str) -> Any:
    """A mapping written as YAML on the command line: `{service: sip+E2U}`."""
    value = read_yaml(text.encode())
    if not isinstance(value, dict):
        raise InvalidInputError(f"{option}: expected a mapping such as '{{note: why}}'")
    return value
