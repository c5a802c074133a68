"""A directory's word on a person: whether the password is right, and which role its groups give.

    search by name ─► exactly one entry ─► bind as it with the password ─► its groups, and theirs ─► the highest role

Nothing that somebody typed reaches a filter unescaped (RFC 4515 section 3). An empty password is never sent: a
directory takes it for an anonymous bind and says yes (RFC 4513 section 5.1.2). Referrals are not followed: they would
send passwords to whoever they name. No database here.
"""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import structlog

from ringfence.errors import ConfigurationError, UnavailableError
from ringfence.settings import LdapSettings
from ringfence.vocabulary import Role

if TYPE_CHECKING:
    from ldap3 import Connection

# Of one person: a directory whose groups go round in circles or have no end must not hold a sign-in up.
MOST_GROUPS = 1000
# Active Directory: LDAP_MATCHING_RULE_IN_CHAIN.
_IN_CHAIN = "1.2.840.113556.1.4.1941"
log = structlog.get_logger()


@dataclass(frozen=True)
class DirectoryPerson:
    """An entry that may sign in: its DN in one spelling, and the role that its groups give; None: none does."""

    dn: str
    role: Role | None


class Directory:
    """The directory of the settings. Each question has its own connection, encrypted before anything is said."""

    def __init__(self, settings: LdapSettings) -> None:
        self._settings = settings
        self._groups = {
            role: _same(dn)
            for role, dn in (
                (Role.ADMINISTRATOR, settings.administrator_group),
                (Role.EDITOR, settings.editor_group),
                (Role.ANALYST, settings.analyst_group),
                (Role.VIEWER, settings.viewer_group),
            )
            if dn
        }

    def authenticate(self, name: str, password: str) -> DirectoryPerson | None:
        """The person of this name, when the password is right; None: it is not, or there is no such person (any more).

        UnavailableError when the directory cannot be asked.
        """
        if not password:
            return None
        with self._searching() as searching:
            dn = self._find(searching, name)
            if dn is None or not self._is_right(dn, password):
                return None
            return DirectoryPerson(_same(dn), self._role(searching, dn))

    def look_up(self, dn: str) -> DirectoryPerson | None:
        """The person of an entry as it is now; None: gone, or disabled. UnavailableError."""
        with self._searching() as searching:
            if not self._exists(searching, dn, "(objectClass=*)") or self._is_disabled(searching, dn):
                return None
            return DirectoryPerson(_same(dn), self._role(searching, dn))

    @contextmanager
    def _searching(self) -> Iterator[Connection]:
        file = self._settings.bind_password_file
        try:
            password = file.read_text(encoding="utf-8").strip() if file else None
        except OSError as error:
            raise ConfigurationError(f"accounts.ldap.bind_password_file: {file}: {error.strerror}") from None
        connection = self._connect(self._settings.bind_dn, password)
        try:
            with _as_unavailable():
                if not connection.bind():
                    why = connection.result.get("description") or "refused"
                    raise UnavailableError(
                        f"directory: does not let accounts.ldap.bind_dn in: {why}", code="unavailable.directory"
                    )
                yield connection
        finally:
            _close(connection)

    def _is_right(self, dn: str, password: str) -> bool:
        connection = self._connect(dn, password)
        try:
            with _as_unavailable():
                return bool(connection.bind())
        finally:
            _close(connection)

    def _connect(self, dn: str | None, password: str | None) -> Connection:
        """A connection that is encrypted, and not bound yet."""
        import ldap3

        settings = self._settings
        place = urlsplit(settings.url or "")
        is_tls = place.scheme == "ldaps"
        tls = ldap3.Tls(
            validate=ssl.CERT_REQUIRED,
            ca_certs_file=str(settings.ca_file) if settings.ca_file else _system_authorities(),
        )
        server = ldap3.Server(
            place.hostname or "", port=place.port or (636 if is_tls else 389), use_ssl=is_tls, tls=tls,
            get_info=ldap3.NONE, connect_timeout=settings.timeout_s,
        )  # fmt: skip
        connection = ldap3.Connection(
            server, user=dn, password=password, auto_referrals=False, read_only=True,
            receive_timeout=math.ceil(settings.timeout_s), raise_exceptions=False,
        )  # fmt: skip
        try:
            with _as_unavailable():
                connection.open()
                if not is_tls and settings.starttls and not connection.start_tls():
                    raise UnavailableError("directory: refuses StartTLS", code="unavailable.directory")
        except BaseException:
            _close(connection)
            raise
        return connection

    def _find(self, searching: Connection, name: str) -> str | None:
        from ldap3.utils.conv import escape_filter_chars

        wanted = self._settings.user_filter.replace("{name}", escape_filter_chars(name))
        found = _search(searching, self._settings.base_dn, wanted, most=2)
        if len(found) > 1:
            log.warning("directory.ambiguous", name=name)
        if len(found) != 1 or self._is_disabled(searching, found[0]):
            return None
        return found[0]

    def _is_disabled(self, searching: Connection, dn: str) -> bool:
        return bool(self._settings.disabled_filter) and self._exists(searching, dn, self._settings.disabled_filter)

    def _exists(self, searching: Connection, dn: str, wanted: str) -> bool:
        return bool(_search(searching, dn, wanted, scope="BASE"))

    def _role(self, searching: Connection, dn: str) -> Role | None:
        """The highest role of the person's groups."""
        groups = self._groups_of(searching, dn)
        return next((role for role, group in self._groups.items() if group in groups), None)

    def _groups_of(self, searching: Connection, dn: str) -> set[str]:
        from ldap3.utils.conv import escape_filter_chars

        settings = self._settings
        base = settings.group_base_dn if settings.group_base_dn is not None else settings.base_dn
        if settings.nested == "in_chain":
            wanted = f"(member:{_IN_CHAIN}:={escape_filter_chars(dn)})"
            return {_same(group) for group in _search(searching, base, wanted)}
        found: set[str] = set()
        waiting = [dn]
        while waiting and len(found) < MOST_GROUPS:
            wanted = settings.group_filter.replace("{dn}", escape_filter_chars(waiting.pop()))
            fresh = [group for group in _search(searching, base, wanted) if _same(group) not in found]
            found |= {_same(group) for group in fresh}
            if settings.nested == "search":
                waiting += fresh
        return found


def _search(
    searching: Connection, base: str, wanted: str, *, scope: str = "SUBTREE", most: int = MOST_GROUPS
) -> list[str]:
    """DNs of the entries that match; what is only a referral is left out."""
    import ldap3
    from ldap3.core.exceptions import LDAPInvalidFilterError

    try:
        searching.search(
            base, wanted, search_scope=getattr(ldap3, scope), attributes=[ldap3.NO_ATTRIBUTES], size_limit=most
        )
    except LDAPInvalidFilterError:
        raise ConfigurationError("accounts.ldap: a filter is not one (RFC 4515)") from None
    entries: list[dict[str, Any]] = searching.response or []
    return [str(entry["dn"]) for entry in entries if entry.get("type") == "searchResEntry"]


@contextmanager
def _as_unavailable() -> Iterator[None]:
    from ldap3.core.exceptions import LDAPException

    try:
        yield
    except (LDAPException, OSError) as error:
        log.warning("directory.away", error=str(error).split("\n")[0][:200])
        raise UnavailableError(
            "directory: cannot be reached now; accounts of this console still sign in", code="unavailable.directory"
        ) from None


def _close(connection: Connection) -> None:
    from contextlib import suppress

    with suppress(Exception):
        connection.unbind()


def _system_authorities() -> str | None:
    return ssl.get_default_verify_paths().cafile


def _same(dn: str) -> str:
    """A DN in one spelling: RFC 4514 escapes, no spaces between its parts, case folded."""
    from ldap3.core.exceptions import LDAPInvalidDnError
    from ldap3.utils.dn import parse_dn

    try:
        parts = parse_dn(dn, escape=True, strip=True)
    except LDAPInvalidDnError:
        raise ConfigurationError(f"accounts.ldap: {dn!r} is not a DN") from None
    return "".join(f"{kind.casefold()}={value.casefold()}{separator}" for kind, value, separator in parts)
