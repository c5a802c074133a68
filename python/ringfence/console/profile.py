"""The Profile page: one's own password, second factor, sessions and tokens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime

import psycopg
from nicegui import ui

from ringfence.accounts import credentials, people, second_factor
from ringfence.accounts.credentials import Identity, OpenSession, Token
from ringfence.accounts.people import Person
from ringfence.console.credential_tables import (
    TokenDialog,
    lay_out_sessions,
    lay_out_tokens,
    show_once,
    sites_words,
)
from ringfence.console.forms import Fields, FormDialog, attempt, confirm, entry_field
from ringfence.console.frame import Region, View, heading, load, page
from ringfence.console.markup import Tag, button
from ringfence.mediation.sites import site_ids, site_names
from ringfence.vocabulary import Role

FormSubmit = Callable[[Fields], Awaitable[None]]
_SET_UP = "/second-factor?next=%2Fprofile"
_ORIGINS = {"local": "this console", "ldap": "the directory", "oidc": "the provider"}


@dataclass(frozen=True)
class _Own:
    person: Person
    codes: int
    is_required: bool
    sessions: list[OpenSession]
    tokens: list[Token]
    sites: dict[int, str]


@page("/profile", "Profile", "manage_accounts", for_sites=True)
def build(view: View) -> None:
    """Lay out the page."""
    _Page(view)


class _Page:
    def __init__(self, view: View) -> None:
        self.view = view
        with Tag("div", classes="page-head"):
            heading("Profile")
        self.region = Region()
        ui.timer(0, self._refresh, once=True)

    async def _refresh(self) -> None:
        async def answer() -> None:
            own = await self.view.session.ask(_read, self.view.session.identity)
            with self.region.content(), Tag("div", classes="stack"):
                self._lay_out(own)

        await load(self.region, answer, self._refresh)

    def _lay_out(self, own: _Own) -> None:
        identity = self.view.session.identity
        with Tag("section", classes="card"):
            with Tag("div", classes="card-head"):
                Tag("h2", identity.name)
                if own.person.origin == "local":
                    Tag("a", "Change password", href="/password?next=%2Fprofile")
            sees = "all sites" if identity.sites is None else sites_words(identity.sites, own.sites)
            Tag("p", f"Role {identity.role.word}; sees {sees}. The password is checked by "
                f"{_ORIGINS[own.person.origin]}.", classes="muted")  # fmt: skip
        with Tag("section", classes="card", aria_label="Second factor"):
            self._second_factor(own)
        with Tag("section", classes="card", aria_label="Sessions"):
            Tag("h2", "Sessions")
            lay_out_sessions(own.sessions, identity.credential_id, self._end, with_user=False)
        with Tag("section", classes="card", aria_label="API tokens"):
            with Tag("div", classes="card-head"):
                Tag("h2", "API tokens")
                button("New token", self._ask_token, icon="add", classes="small")
            if own.tokens:
                lay_out_tokens(own.tokens, own.sites, self._revoke, with_owner=False)
            else:
                Tag("p", "None. A token lets a program act as you, with your role or a lower one.", classes="muted")

    def _second_factor(self, own: _Own) -> None:
        with Tag("div", classes="card-head"):
            Tag("h2", "Second factor")
            is_set = own.person.has_second_factor
            Tag("span", "set up" if is_set else "none", classes=f"pill {'green' if is_set else 'plain'}")
        if own.person.origin == "oidc":
            Tag("p", "Is your provider's matter.", classes="muted")
        elif not is_set:
            with Tag("div", classes="stack"):
                Tag("p", "A code of an authenticator application beside the password.", classes="muted")
                with Tag("div"), Tag("a", classes="button primary", href=_SET_UP):
                    Tag("span", "Set it up")
        else:
            Tag("p", f"{own.codes} recovery codes are left.", classes="muted")
            with Tag("div", classes="toolbar flat"):
                button("New recovery codes", self._ask_codes)
                if not own.is_required:
                    button("Remove", self._ask_remove, classes="quiet")

    def _ask_codes(self) -> None:
        async def renew(fields: Fields) -> None:
            session = self.view.session
            codes = await session.ask(
                second_factor.renew_recovery_codes, session.identity, fields.get("code", ""), datetime.now(UTC)
            )
            await self._refresh()
            show_once(self.view, "Recovery codes", "They are shown only now; the earlier ones are void.", codes)

        self._with_code("New recovery codes", "Make them", renew)

    def _ask_remove(self) -> None:
        async def remove(fields: Fields) -> None:
            session = self.view.session
            await session.ask(second_factor.remove, session.identity, fields.get("code", ""), datetime.now(UTC))
            await self._refresh()

        self._with_code("Remove the second factor", "Remove", remove)

    def _with_code(self, title: str, verb: str, work: FormSubmit) -> None:
        dialog = FormDialog(self.view, title, verb, work)
        with dialog.body:
            entry_field("Code", "", name="code", inputmode="numeric", required=True, autofocus=True,
                        hint="Of your authenticator application, or a recovery code")  # fmt: skip

    async def _end(self, ended: OpenSession) -> None:
        async def end() -> None:
            session = self.view.session
            await session.ask(credentials.revoke_session, ended.session_id, session.identity)
            await self._refresh()

        await attempt(self.view, end)

    def _revoke(self, token: Token) -> None:
        async def revoke() -> None:
            session = self.view.session
            await session.ask(
                credentials.revoke_token, token.name, session.identity.name, owner=session.identity.account_id
            )
            await self._refresh()

        confirm(self.view, f"Revoke token {token.name}?", "What uses it is refused from now on.", "Revoke", revoke)

    def _ask_token(self) -> None:
        session = self.view.session

        async def make(name: str, role: Role, ends: datetime | None, sites: list[str] | None) -> str:
            return await session.ask(_make_token, session.identity, name, role, ends, sites)

        TokenDialog(self.view, make, self._refresh, session.identity.role)


def _read(connection: psycopg.Connection, identity: Identity) -> _Own:
    account_id = identity.account_id or 0
    return _Own(
        next(person for person in people.list_people(connection) if person.name == identity.name),
        second_factor.count_recovery_codes(connection, account_id),
        identity.role in second_factor.required_roles(connection),
        credentials.list_sessions(connection, account_id),
        credentials.list_tokens(connection, owner=account_id),
        site_names(connection),
    )


def _make_token(
    connection: psycopg.Connection,
    identity: Identity,
    name: str,
    role: Role,
    ends: datetime | None,
    sites: list[str] | None,
) -> str:
    return credentials.create_token(
        connection, name, role, identity.name, ends, owner=identity, sites=site_ids(connection, sites)
    )
