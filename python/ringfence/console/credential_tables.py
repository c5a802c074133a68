"""Sessions and tokens as tables: of oneself on the profile, of all on the accounts page; and asking for a token."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from nicegui import ui

from ringfence.accounts.credentials import OpenSession, Token
from ringfence.accounts.roles import PERSONAL_ROLES, parse_role
from ringfence.console.address import iso
from ringfence.console.forms import Fields, FormDialog, area_field, entry_field
from ringfence.console.frame import View
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.errors import InvalidInputError
from ringfence.vocabulary import Role

MakeToken = Callable[[str, Role, datetime | None, list[str] | None], Awaitable[str]]
_DAYS = {"30": "30 days", "90": "90 days", "365": "a year", "": "no end"}


def lay_out_sessions(
    sessions: Sequence[OpenSession], own: int | None, on_end: Callable[[OpenSession], Any], *, with_user: bool
) -> None:
    """A row for each; `own` is the one of the page itself."""
    with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
        _head([*(("Person",) if with_user else ()), "From", "Browser", "Signed in", "Last used", ""])
        with Tag("tbody"):
            for session in sessions:
                with Tag("tr"):
                    if with_user:
                        Tag("td", session.user)
                    Tag("td", session.address or "this machine", classes="number", data_label="From")
                    Tag("td", browser_words(session.agent), data_label="Browser", title=session.agent or "")
                    with Tag("td", data_label="Signed in"):
                        moment(iso(session.created_at))
                    with Tag("td", data_label="Last used"):
                        moment(iso(session.last_used_at or session.created_at)).props["shown"] = "ago"
                    with Tag("td", classes="right"):
                        if session.session_id == own:
                            Tag("span", "this one", classes="pill green")
                        else:
                            button("End", partial(on_end, session), classes="quiet small",
                                   aria_label=f"End the session of {session.user} from {session.address}")  # fmt: skip


def lay_out_tokens(
    tokens: Sequence[Token], site_names: dict[int, str], on_revoke: Callable[[Token], Any], *, with_owner: bool
) -> None:
    """A row for each."""
    with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
        _head(["Token", *(("Owner",) if with_owner else ()), "Role", "Sites", "Last used", "Ends", ""])
        with Tag("tbody"):
            for token in tokens:
                with Tag("tr"):
                    Tag("td", token.name, classes="mono")
                    if with_owner:
                        Tag("td", token.owner or "a program", data_label="Owner")
                    Tag("td", token.role, data_label="Role")
                    Tag("td", sites_words(token.sites, site_names), data_label="Sites")
                    with Tag("td", data_label="Last used"):
                        if token.last_used_at is None:
                            Tag("span", "never", classes="muted")
                        else:
                            moment(iso(token.last_used_at)).props["shown"] = "ago"
                    with Tag("td", data_label="Ends"):
                        if token.expires_at is None:
                            Tag("span", "does not end", classes="muted")
                        else:
                            moment(iso(token.expires_at))
                    with Tag("td", classes="right"):
                        button("Revoke", partial(on_revoke, token), classes="quiet small",
                               aria_label=f"Revoke token {token.name}")  # fmt: skip


class TokenDialog:
    """Asks for a token's name, role, end and sites; then shows it, once."""

    def __init__(self, view: View, make: MakeToken, done: Callable[[], Awaitable[None]], highest: Role) -> None:
        self.view = view
        self._make = make
        self._done = done
        roles = {role.word: role.word for role in PERSONAL_ROLES if role <= highest}
        self.dialog = FormDialog(view, "New token", "Make it", self._submit)
        with self.dialog.body:
            entry_field("Name", "", name="name", placeholder="grafana", maxlength="64", required=True, autofocus=True)
            Choice("Role", roles, Role.VIEWER.word, ignore, name="role")
            Choice("Good for", _DAYS, "90", ignore, name="days")
            area_field("Sites", "", name="sites", rows=2, hint="One a line; empty: all that the owner sees")

    async def _submit(self, fields: Fields) -> None:
        days = fields.get("days", "")
        if days not in _DAYS:
            raise InvalidInputError(f"good for: {days!r} is not a number of days that is offered")
        ends = datetime.now(UTC) + timedelta(days=int(days)) if days else None
        name = fields.get("name", "").strip()
        secret = await self._make(name, parse_role(fields.get("role", "")), ends, lines(fields.get("sites", "")))
        await self._done()
        show_once(self.view, f"Token {name}", "It is shown only now: put it where it is used.", [secret])


def show_once(view: View, title: str, words: str, secrets: Sequence[str]) -> None:
    """Secrets in a dialog of their own, to be copied."""
    with view.layer:
        dialog = ui.dialog().props("persistent")
    with dialog, Tag("div", classes="dialog stack", role="document"):
        Tag("h1", title)
        Tag("p", words)
        for secret in secrets:
            Tag("code", secret, classes="secret mono", data_testid="secret")
        with Tag("div", classes="row-end"):
            button("Copy", lambda: ui.clipboard.write("\n".join(secrets)), icon="content_copy")
            button("Done", dialog.close, classes="primary")
    dialog.open()


def lines(text: str) -> list[str] | None:
    """What stands on each line; None when nothing does."""
    return [line.strip() for line in text.splitlines() if line.strip()] or None


def sites_words(sites: Collection[int] | None, names: dict[int, str]) -> str:
    """The sites that somebody is limited to."""
    return "all" if sites is None else ", ".join(names.get(site, f"#{site}") for site in sorted(sites)) or "none"


def browser_words(agent: str | None) -> str:
    """The browser as people call it, from what it says of itself; shown as it is when it says something else."""
    text = agent or "–"
    names = (("Edg/", "Edge"), ("Firefox/", "Firefox"), ("Chrome/", "Chrome"), ("Safari/", "Safari"))
    systems = ("Windows", "Android", "iPhone", "Mac OS X", "Linux")
    name = next((words for mark, words in names if mark in text), None)
    system = next((one for one in systems if one in text), None)
    return f"{name} on {system}" if name and system else name or text[:40]


def _head(titles: Sequence[str]) -> None:
    with Tag("thead"), Tag("tr"):
        for words in titles:
            Tag("th", words, scope="col")
