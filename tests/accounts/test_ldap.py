"""Signing in with a directory: against a real slapd."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.accounts.slapd import (
    BASE,
    PASSWORD,
    SEARCHER,
    SEARCHER_PASSWORD,
    Slapd,
    group_dn,
    person_dn,
    running_slapd,
)

from ringfence.accounts import people
from ringfence.accounts.credentials import Origin, authenticate, create_token
from ringfence.accounts.entrance import Entrance
from ringfence.accounts.ldap import Directory
from ringfence.accounts.people import SignIn
from ringfence.database.connection import Database
from ringfence.errors import NotSignedInError, UnavailableError
from ringfence.settings import AccountsSettings, LdapSettings
from ringfence.vocabulary import Role

NOW = datetime.now(UTC)


@pytest.fixture(scope="module")
def slapd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Slapd]:
    with running_slapd(tmp_path_factory.mktemp("slapd")) as running:
        (running.folder / "password").write_text(SEARCHER_PASSWORD)
        yield running


def settings(slapd: Slapd, **more: Any) -> LdapSettings:
    fields = {
        "url": f"ldap://127.0.0.1:{slapd.port}", "ca_file": slapd.authorities, "bind_dn": SEARCHER,
        "bind_password_file": slapd.folder / "password", "base_dn": BASE, "disabled_filter": "(employeeType=disabled)",
        "administrator_group": group_dn("voice-admins").upper(), "viewer_group": group_dn("watchers"), "timeout_s": 30,
    }  # fmt: skip
    return LdapSettings.model_validate(fields | more)


def test_a_person_has_the_highest_role_of_groups_and_groups_in_groups(slapd: Slapd) -> None:
    directory = Directory(settings(slapd))
    ada, bob, cleo = (directory.authenticate(name, PASSWORD) for name in ("ada", "bob", "cleo"))
    assert ada is not None
    assert (ada.dn, ada.role) == (person_dn("ada"), Role.ADMINISTRATOR)
    assert bob is not None
    assert bob.role is Role.VIEWER
    assert cleo is not None
    assert cleo.role is None
    direct = Directory(settings(slapd, nested="none")).authenticate("ada", PASSWORD)
    assert direct is not None
    assert direct.role is Role.VIEWER


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("ada", "wrong"),
        ("ada", ""),  # a directory takes it for an anonymous bind, and says yes
        ("nobody", PASSWORD),
        ("eve", PASSWORD),  # disabled
        ("*", PASSWORD),
        ("ad*", PASSWORD),
        ("ada)(uid=*", PASSWORD),
        ("*)(objectClass=*", PASSWORD),
        ("ada\\", PASSWORD),
        ("ada\0", PASSWORD),
        (person_dn("ada"), PASSWORD),
    ],
)
def test_nobody_else_gets_in_whatever_they_type(slapd: Slapd, name: str, password: str) -> None:
    assert Directory(settings(slapd)).authenticate(name, password) is None


def test_ldaps_and_starttls_check_the_certificate(slapd: Slapd) -> None:
    over_tls = settings(slapd, url=f"ldaps://127.0.0.1:{slapd.tls_port}")
    assert Directory(over_tls).authenticate("bob", PASSWORD) is not None
    for changed in (
        {"ca_file": None},  # not an authority of the system
        {"url": f"ldaps://localhost:{slapd.tls_port}"},  # not the name in the certificate
        {"url": f"ldap://localhost:{slapd.port}", "ca_file": slapd.authorities},
    ):
        with pytest.raises(UnavailableError, match="directory: cannot be reached"):
            Directory(over_tls.model_copy(update=changed)).authenticate("bob", PASSWORD)


def sign_in(database: Database, entrance: Entrance, name: str, password: str = PASSWORD) -> SignIn:
    with database.connection() as connection:
        return entrance.sign_in(connection, name, password, Origin("127.0.0.1"), NOW)


def test_an_account_comes_with_the_first_sign_in_and_follows_the_directory(database: Database, slapd: Slapd) -> None:
    entrance = Entrance(AccountsSettings(ldap=settings(slapd)))
    signed_in = sign_in(database, entrance, "Ada")
    assert (signed_in.identity.name, signed_in.identity.role) == ("ada", Role.ADMINISTRATOR)
    with database.connection() as connection:
        token = create_token(connection, "mine", Role.EDITOR, "ada", owner=signed_in.identity)
        assert [(person.name, person.origin) for person in people.list_people(connection)] == [("ada", "ldap")]
    with pytest.raises(NotSignedInError, match="no group"):
        sign_in(database, entrance, "cleo")
    with pytest.raises(NotSignedInError, match="name or password"):
        sign_in(database, entrance, "ada", "wrong")

    slapd.modify(f"dn: {group_dn('night-shift')}\nchangetype: modify\ndelete: member\nmember: {person_dn('ada')}\n")
    entrance.recheck(database)
    with database.connection() as connection:  # the session goes on with the lower role, and so does the token
        assert authenticate(connection, signed_in.secret, NOW).role is Role.VIEWER
        assert authenticate(connection, token, NOW).role is Role.VIEWER
    slapd.modify(f"dn: {person_dn('ada')}\nchangetype: modify\nreplace: employeeType\nemployeeType: disabled\n")
    entrance.recheck(database)
    for secret in (signed_in.secret, token):
        with database.connection() as connection, pytest.raises(NotSignedInError):
            authenticate(connection, secret, NOW)
    with pytest.raises(NotSignedInError):
        sign_in(database, entrance, "ada")


def test_without_the_directory_local_accounts_sign_in_and_others_are_told(database: Database, tmp_path: Path) -> None:
    away = LdapSettings(url="ldap://127.0.0.1:1", base_dn=BASE, timeout_s=5)
    entrance = Entrance(AccountsSettings(ldap=away))
    with database.connection() as connection:
        password = people.create_person(connection, "root", Role.ADMINISTRATOR, "test")
    signed_in = sign_in(database, entrance, "root", password)
    with pytest.raises(UnavailableError, match="accounts of this console still sign in"):
        sign_in(database, entrance, "bob")
    entrance.recheck(database)  # signs nobody out because the directory is away
    with database.connection() as connection:
        assert authenticate(connection, signed_in.secret, NOW).name == "root"


def test_a_directory_does_not_take_over_an_account_of_ours(database: Database, slapd: Slapd) -> None:
    entrance = Entrance(AccountsSettings(ldap=settings(slapd)))
    with database.connection() as connection:
        people.create_person(connection, "bob", Role.ADMINISTRATOR, "test")
    with pytest.raises(NotSignedInError, match="name or password"):
        sign_in(database, entrance, "bob")  # right in the directory, but bob is not its
