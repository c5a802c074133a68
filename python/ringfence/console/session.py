"""A signed-in person at an open page: the one way from a page to the domain packages.

Each question runs in a worker thread, in one transaction, after the credential has been checked *again*, and with
the person's sight (`database.sight`): a
page that was left open stops showing data the moment its session is revoked or its role no longer suffices.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

import psycopg

from ringfence.accounts.audit import acting_from
from ringfence.accounts.credentials import Identity, authenticate
from ringfence.accounts.roles import allows, sight_of
from ringfence.database.connection import Database
from ringfence.database.sight import Sight, seeing
from ringfence.errors import ForbiddenError, UnavailableError
from ringfence.mediation.jobs import Jobs
from ringfence.settings import Settings
from ringfence.vocabulary import Role

if TYPE_CHECKING:
    from ringfence.mediation.process import MediationProcess

P = ParamSpec("P")
R = TypeVar("R")

# Longest a page waits for one answer. Longer questions belong to the API and the CLI.
QUESTION_TIMEOUT_MS = 15_000


class Session:
    """The person's credential, the database that the page asks, and the process's jobs for what takes longer."""

    def __init__(
        self,
        database: Database,
        secret: str,
        identity: Identity,
        jobs: Jobs,
        settings: Settings,
        address: str | None = None,
        process: MediationProcess | None = None,
    ) -> None:
        self.database = database
        self.jobs = jobs
        self.settings = settings
        self._secret = secret
        self._address = address
        self._process = process
        self.identity = identity

    @property
    def process(self) -> MediationProcess:
        """The process that serves the page: what is known of it beside its database."""
        if self._process is None:
            raise UnavailableError("this page is served by no mediation")
        return self._process

    def may(self, role: Role) -> bool:
        """Whether to offer what needs `role`; `act` is what refuses."""
        return allows(self.identity.role, role) and not (self.identity.is_limited and role > Role.VIEWER)

    @property
    def sight(self) -> Sight:
        """What the person sees."""
        return sight_of(self.identity, self.settings.accounts)

    async def ask(
        self,
        question: Callable[Concatenate[psycopg.Connection, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Answer of a domain function that any signed-in person may ask."""
        return await self.act(Role.VIEWER, question, *args, **kwargs)

    async def act(
        self,
        role: Role,
        question: Callable[Concatenate[psycopg.Connection, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        """Answer of a domain function that needs `role`.

        Raises NotSignedInError, ForbiddenError, UnavailableError (database away, or no answer in time) and what
        the function itself raises.
        """
        return await asyncio.to_thread(lambda: self._answer(role, question, *args, **kwargs))

    def _answer(
        self,
        role: Role,
        question: Callable[Concatenate[psycopg.Connection, P], R],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> R:
        try:
            with acting_from(self._address), self.database.connection() as connection:
                sight = sight_of(self._check(connection, role), self.settings.accounts)
                if not sight.is_limited:
                    return _ask(connection, question, *args, **kwargs)
            with acting_from(self._address), seeing(sight), self.database.connection() as connection:
                return _ask(connection, question, *args, **kwargs)
        except psycopg.errors.QueryCanceled:
            raise UnavailableError(
                f"no answer within {QUESTION_TIMEOUT_MS // 1000} seconds; choose a shorter time range or more filters",
                code="unavailable.timeout",
            ) from None

    def _check(self, connection: psycopg.Connection, role: Role) -> Identity:
        """Who it is now. NotSignedInError, ForbiddenError."""
        identity = authenticate(connection, self._secret)
        if not allows(identity.role, role):
            raise ForbiddenError(f"your role is {identity.role.word}; this needs {role.word}")
        if identity.is_limited and role > Role.VIEWER:
            raise ForbiddenError("this concerns all sites; you are limited to some", code="forbidden.sites")
        return identity


def _ask(
    connection: psycopg.Connection,
    question: Callable[Concatenate[psycopg.Connection, P], R],
    *args: P.args,
    **kwargs: P.kwargs,
) -> R:
    connection.execute("SELECT set_config('statement_timeout', %s, true)", [str(QUESTION_TIMEOUT_MS)])
    return question(connection, *args, **kwargs)
