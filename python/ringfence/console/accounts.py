"""The Accounts page: people, their roles, sites and second factors; all sessions and tokens. For administrators."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

import psycopg
from nicegui import ui

from ringfence.accounts import credentials, people, second_factor
from ringfence.accounts.credentials import OpenSession, Token
from ringfence.accounts.people import Person
from ringfence.accounts.roles import PERSONAL_ROLES, parse_role
from ringfence.console.address import iso
from ringfence.console.credential_tables import (
    TokenDialog,
    lay_out_sessions,
    lay_out_tokens,
    lines,
    show_once,
    sites_words,
)
from ringfence.console.forms import Fields, FormDialog, area_field, attempt, check, confirm, entry_field
from ringfence.console.frame import Region, View, heading, load, page
from ringfence.console.markup import Choice, Tag, button, ignore, moment
from ringfence.mediation.sites import site_ids, site_names
from ringfence.vocabulary import Role

_ROLES = {role.word: role.word for role in PERSONAL_ROLES}


@dataclass(frozen=True)
class _All:
    people: list[Person]
    sessions: list[OpenSession]
    tokens: list[Token]
    sites: dict[int, str]
    required: frozenset[Role]


@page("/accounts", "Accounts", "group", Role.ADMINISTRATOR, group="/accounts")
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        with Tag("div", classes="page-head"):
            heading("Accounts")
            button("Add person", self._ask_person, icon="person_add", classes="primary")
        self.region = Region()
        ui.timer(0, self._refresh, once=True)

    async def _refresh(self) -> None:
        async def answer() -> None:
            found = await self.view.session.act(Role.ADMINISTRATOR, _read)
            with self.region.content(), Tag("div", classes="stack"):
                self._lay_out(found)

        await load(self.region, answer, self._refresh)

    def _lay_out(self, found: _All) -> None:
        with Tag("section", classes="card", aria_label="People"):
            with Tag("div", classes="card-head"):
                Tag("h2", "People")
                button("Who needs a second factor", partial(self._ask_required, found.required), classes="small")
            with Tag("div", classes="table-wrap"), Tag("table", classes="rows cards"):
                with Tag("thead"), Tag("tr"):
                    for words in ("Person", "Role", "Sites", "Second factor", "State", "Last seen", ""):
                        Tag("th", words, scope="col")
                with Tag("tbody"):
                    for person in found.people:
                        self._lay_out_person(person, found)
        with Tag("section", classes="card", aria_label="Sessions"):
            Tag("h2", "Sessions")
            own = self.view.session.identity.credential_id
            lay_out_sessions(found.sessions, own, self._end, with_user=True)
        with Tag("section", classes="card", aria_label="API tokens"):
            with Tag("div", classes="card-head"):
                Tag("h2", "API tokens")
                button("New token", self._ask_token, icon="add", classes="small")
            if found.tokens:
                lay_out_tokens(found.tokens, found.sites, self._revoke, with_owner=True)
            else:
                Tag("p", "None.", classes="muted")

    def _lay_out_person(self, person: Person, found: _All) -> None:
        with Tag("tr"):
            with Tag("td"):
                Tag("b", person.name)
                if person.origin != "local":
                    Tag("div", f"by {person.origin.upper()}", classes="muted")
            Tag("td", person.role, data_label="Role")
            Tag("td", sites_words(person.sites, found.sites), data_label="Sites")
            with Tag("td", data_label="Second factor"):
                _lay_out_factor(person, found.required)
            with Tag("td", data_label="State"):
                words, colour = _state(person)
                Tag("span", words, classes=f"pill {colour}")
            with Tag("td", data_label="Last seen"):
                moment(iso(person.last_seen_at) if person.last_seen_at else None).props["shown"] = "ago"
            with Tag("td", classes="right"):
                button("Edit", partial(self._edit, person, found), classes="quiet small",
                       aria_label=f"Edit {person.name}")  # fmt: skip

    def _ask_person(self) -> None:
        async def add(fields: Fields) -> None:
            session = self.view.session
            name, role = fields.get("name", "").strip(), parse_role(fields.get("role", ""))
            sites = lines(fields.get("sites", ""))
            password = await session.act(Role.ADMINISTRATOR, _add_person, name, role, sites, session.identity.name)
            await self._refresh()
            show_once(self.view, f"{name} can sign in", "One-time password, shown only now:", [password])

        dialog = FormDialog(self.view, "Add a person", "Add", add)
        with dialog.body:
            entry_field("Name", "", name="name", placeholder="ada", maxlength="64", required=True, autofocus=True)
            Choice("Role", _ROLES, Role.VIEWER.word, ignore, name="role")
            area_field("Sites", "", name="sites", rows=2, hint="One a line; empty: all")

    def _edit(self, person: Person, found: _All) -> None:
        async def save(fields: Fields) -> None:
            session = self.view.session
            role = parse_role(fields.get("role", person.role))
            sites = lines(fields.get("sites", ""))
            await session.act(Role.ADMINISTRATOR, _edit_person, person, role, sites, session.identity.name)
            await self._refresh()

        dialog = FormDialog(self.view, person.name, "Save", save)
        with dialog.body:
            Choice("Role", _ROLES, person.role, ignore, name="role")
            if person.origin != "local":
                Tag("p", "At the next sign-in the role is what the groups there say.", classes="field-hint")
            named = "" if person.sites is None else "\n".join(found.sites.get(site, "") for site in person.sites)
            area_field("Sites", named, name="sites", rows=2, hint="One a line; empty: all")
            with Tag("div", classes="toolbar flat"):
                if person.origin == "local":
                    button("New password", partial(self._reset, person, dialog), classes="quiet")
                if person.has_second_factor:
                    button("Reset second factor", partial(self._reset_factor, person, dialog), classes="quiet")
                verb = "Enable" if person.disabled else "Disable"
                button(verb, partial(self._toggle, person, dialog), classes="quiet")

    def _reset(self, person: Person, dialog: FormDialog) -> None:
        async def reset() -> None:
            session = self.view.session
            password = await session.act(Role.ADMINISTRATOR, people.reset_password, person.name, session.identity.name)
            await self._refresh()
            show_once(self.view, f"New password of {person.name}", "One-time password, shown only now:", [password])

        words = "A one-time password takes the old one's place; all sessions and tokens end."
        self._ask(dialog, f"New password for {person.name}?", words, "Make it", reset)

    def _reset_factor(self, person: Person, dialog: FormDialog) -> None:
        async def reset() -> None:
            session = self.view.session
            await session.act(Role.ADMINISTRATOR, second_factor.reset, person.name, session.identity.name)
            await self._refresh()

        words = "For who has lost the device: the password alone signs in until a new one is set up. Sessions end."
        self._ask(dialog, f"Reset the second factor of {person.name}?", words, "Reset", reset)

    def _toggle(self, person: Person, dialog: FormDialog) -> None:
        async def toggle() -> None:
            session = self.view.session
            await session.act(
                Role.ADMINISTRATOR, people.set_disabled, person.name, not person.disabled, session.identity.name
            )
            await self._refresh()

        verb = "Enable" if person.disabled else "Disable"
        words = "Can sign in again." if person.disabled else "Sessions and tokens end, and no sign-in opens new ones."
        self._ask(dialog, f"{verb} {person.name}?", words, verb, toggle)

    def _ask(
        self, dialog: FormDialog, title: str, words: str, verb: str, on_yes: Callable[[], Awaitable[None]]
    ) -> None:
        dialog.close()
        confirm(self.view, title, words, verb, on_yes)

    def _ask_required(self, required: frozenset[Role]) -> None:
        async def save(fields: Fields) -> None:
            session = self.view.session
            roles = [role for role in PERSONAL_ROLES if fields.get(role.word)]
            await session.act(Role.ADMINISTRATOR, second_factor.require_for, roles, session.identity.name)
            await self._refresh()

        dialog = FormDialog(self.view, "Who needs a second factor", "Save", save)
        with dialog.body:
            Tag("p", "Who has none sets one up at the next click, before anything else.")
            for role in PERSONAL_ROLES:
                check(role.word.capitalize(), name=role.word, is_on=role in required)

    async def _end(self, ended: OpenSession) -> None:
        async def end() -> None:
            session = self.view.session
            await session.act(Role.ADMINISTRATOR, credentials.revoke_session, ended.session_id, session.identity)
            await self._refresh()

        await attempt(self.view, end)

    def _revoke(self, token: Token) -> None:
        async def revoke() -> None:
            session = self.view.session
            await session.act(Role.ADMINISTRATOR, credentials.revoke_token, token.name, session.identity.name)
            await self._refresh()

        confirm(self.view, f"Revoke token {token.name}?", "What uses it is refused from now on.", "Revoke", revoke)

    def _ask_token(self) -> None:
        session = self.view.session

        async def make(name: str, role: Role, ends: datetime | None, sites: list[str] | None) -> str:
            return await session.act(Role.ADMINISTRATOR, _make_token, name, role, session.identity.name, ends, sites)

        TokenDialog(self.view, make, self._refresh, Role.ADMINISTRATOR)


def _state(person: Person) -> tuple[str, str]:
    if person.disabled:
        return "disabled", "red"
    if person.locked_until is not None:
        return "locked for minutes", "amber"
    if person.must_change_password:
        return "password to change", "amber"
    return "active", "green"


def _lay_out_factor(person: Person, required: frozenset[Role]) -> None:
    if person.origin == "oidc":
        Tag("span", "provider's", classes="muted")
    elif person.has_second_factor:
        Tag("span", "set up", classes="pill green")
    elif Role[person.role.upper()] in required:
        Tag("span", "needed", classes="pill amber")
    else:
        Tag("span", "none", classes="muted")


def _read(connection: psycopg.Connection) -> _All:
    return _All(
        people.list_people(connection),
        credentials.list_sessions(connection, None, datetime.now(UTC)),
        credentials.list_tokens(connection),
        site_names(connection),
        second_factor.required_roles(connection),
    )


def _add_person(connection: psycopg.Connection, name: str, role: Role, sites: list[str] | None, actor: str) -> str:
    limits = site_ids(connection, sites)
    password = people.create_person(connection, name, role, actor)
    if limits is not None:
        people.set_sites(connection, name, limits, actor)
    return password


def _edit_person(
    connection: psycopg.Connection, person: Person, role: Role, sites: list[str] | None, actor: str
) -> None:
    limits = site_ids(connection, sites)
    if role.word != person.role:
        people.set_role(connection, person.name, role, actor)
    if limits != person.sites:
        people.set_sites(connection, person.name, limits, actor)


def _make_token(
    connection: psycopg.Connection, name: str, role: Role, actor: str, ends: datetime | None, sites: list[str] | None
) -> str:
    return credentials.create_token(connection, name, role, actor, ends, sites=site_ids(connection, sites))
