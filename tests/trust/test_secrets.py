"""No secret in a log, an export, an answer that shows things, or a list of processes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from tests.mediation_server import RunningMediation
from typer.core import TyperGroup

from ringfence.accounts.people import create_person
from ringfence.cli.main import build
from ringfence.edge.enrolment import enrol
from ringfence.trust.enrolment_token import EnrolmentToken
from ringfence.vocabulary import Role

SECRET_WORDS = ("token", "password", "secret", "credential", "key")


def commands(group: Any, path: str = "ringfence") -> Iterator[tuple[str, Any]]:
    if isinstance(group, TyperGroup):
        for name, command in group.commands.items():
            yield from commands(command, f"{path} {name}")
    yield path, group


def test_no_command_takes_a_secret_as_a_word_but_the_one_that_counts_once() -> None:
    """A list of processes shows all words of a command; secrets come from files, standard input or the environment."""
    found = {
        (path, parameter.name)
        for path, command in commands(typer.main.get_command(build()))
        for parameter in command.params
        if any(word in str(parameter.name) for word in SECRET_WORDS)
        if not str(parameter.name).endswith("_file") and not getattr(parameter, "is_flag", False)
    }
    assert {one for one in found if "enrol" in one[0]} == {
        ("ringfence enum enrol", "token"),
        ("ringfence probe enrol", "token"),
    }
    # Names of tokens and of what is locked with, no secrets.
    assert {one for one in found if "enrol" not in one[0]} <= {
        ("ringfence token add", "token"),
        ("ringfence token revoke", "token"),
        ("ringfence list search", "key"),
        ("ringfence alert channel add", "secrets"),  # which variable of the environment has it
    }


def test_what_was_told_in_confidence_is_in_no_log_and_no_export(
    covered: RunningMediation, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    administrator = covered.client()
    with covered.database.connection() as connection:
        password = create_person(connection, "sam", Role.ADMINISTRATOR, "test")
    anonymous = covered.client(None)
    signed_in = anonymous.post("session", json={"name": "sam", "password": password})
    assert signed_in.status_code == 200
    wrong = "wrong horse battery staple"
    assert anonymous.post("session", json={"name": "sam", "password": wrong}).status_code == 401
    # A body that cannot be read is not repeated either.
    refused = anonymous.post("session", json={"name": "sam", "password": [password]})
    token = administrator.post("tokens", json={"name": "exporter", "role": "viewer"}).json()
    invitation = EnrolmentToken.parse(
        administrator.post("device-invitations", json={"name": "enum-secret"}).json()["token"]
    )
    enrol(invitation, "enum", tmp_path / "enum", "0.1.0", "host")
    device = administrator.post("devices", json={"name": "enum-shown"}).json()["credential"]
    secret = next(value for value in token.values() if str(value).startswith("rft_"))
    with covered.database.connection() as connection:
        keys = [row[0].splitlines()[1] for row in connection.execute("SELECT key FROM trust_key")]
    own_key = (tmp_path / "enum" / "identity" / "device.pem").read_text().splitlines()[1]
    told = [password, wrong, next(iter(signed_in.cookies.values())), secret, invitation.secret, device, own_key, *keys]

    shown = [refused.text]
    places = ("audit/export", "audit", "devices", "device-invitations", "tokens", "users", "status", "jobs")
    shown += [administrator.get(place).text for place in places]
    shown.append(administrator.get(f"{covered.url}/metrics").text)
    output = capfd.readouterr()
    shown += [output.out, output.err]
    for number, text in enumerate(told):
        assert len(text) >= 8
        assert not [one for one in shown if text in one], f"secret {number}"
