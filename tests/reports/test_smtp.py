"""Handing a mail to a real SMTP server on loopback: what is certain after it, and how the connection is covered."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
from tests.reports.conftest import ADA, EVE, StartServer, mail_settings
from tests.reports.mail_server import Behaviour

from ringfence.errors import ConfigurationError, RingfenceError, UnavailableError
from ringfence.reports.smtp import UnsureError, hand_over
from ringfence.settings import MailSettings


def mail(text: str = "Hello\n.\n..two\nend\n") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = "A report"
    message.set_content(text)
    return message


class Confirmed:
    """Counts how often the last word before the text was asked for."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> None:
        self.times += 1


def hand(settings: MailSettings, confirm: Callable[[], None] | None = None, is_last: bool = False) -> list[str]:
    return hand_over(settings, mail(), [ADA, EVE], confirm or Confirmed(), is_last=is_last)


def test_a_mail_arrives_as_it_was_written(start_server: StartServer) -> None:
    server, confirmed = start_server(), Confirmed()
    assert hand(mail_settings(server), confirmed) == []
    (taken,) = server.mails
    assert (taken.sender, taken.recipients) == ("rf@example.com", (ADA, EVE))
    assert taken.message["Subject"] == "A report"
    assert taken.message.get_content().splitlines() == ["Hello", ".", "..two", "end"]
    assert confirmed.times == 1


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_the_connection_is_covered_and_signed_in(start_server: StartServer, tmp_path: Path, tls: str) -> None:
    server = start_server(tls=tls, users={"reports": "s3cret"})
    password = tmp_path / "password"
    password.write_text("s3cret\n")
    signed = {"user": "reports", "password_file": password, "ca_file": server.certificate}
    assert hand(mail_settings(server, **signed)) == []
    assert (server.mails[0].is_encrypted, server.mails[0].user) == (True, "reports")
    # A certificate that nobody vouches for ends it before any password is said.
    with pytest.raises(UnavailableError, match="certificate verify failed"):
        hand(mail_settings(server, **signed | {"ca_file": None}))
    password.write_text("guess")
    with pytest.raises(UnavailableError, match=r"535 .*wrong name or password") as refused:
        hand(mail_settings(server, **signed))
    assert "guess" not in refused.value.message
    assert len(server.mails) == 1


def test_no_tls_where_it_is_asked_for_is_a_failure(start_server: StartServer) -> None:
    server = start_server()
    with pytest.raises(UnavailableError, match="STARTTLS"):
        hand(mail_settings(server, tls="starttls"))
    assert server.mails == []


@pytest.mark.parametrize(
    ("behaviour", "error", "words", "times"),
    [
        (Behaviour(data="451 4.3.0 disk\x1b[31m full"), UnavailableError, r"451 4.3.0 disk \[31m full", 1),
        (Behaviour(data="554 5.7.1 spam"), UnavailableError, "554 5.7.1 spam", 1),
        (Behaviour(hangs_up="at_data"), UnavailableError, "closed", 1),
        (Behaviour(hangs_up="after_text"), UnsureError, "went away while it had the mail", 1),
        (Behaviour(refused={ADA: "550 5.1.1 nobody", EVE: "550 5.1.1 nobody"}), UnavailableError, f"550 {ADA}", 0),
        (Behaviour(refused={EVE: "450 4.2.1 later"}), UnavailableError, f"450 {EVE}: 4.2.1 later", 0),
    ],
)
def test_what_goes_wrong_says_what_is_certain(
    start_server: StartServer, behaviour: Behaviour, error: type[RingfenceError], words: str, times: int
) -> None:
    server, confirmed = start_server(), Confirmed()
    server.behaviour = behaviour
    with pytest.raises(error, match=words) as caught:
        hand(mail_settings(server), confirmed)
    assert (type(caught.value), server.mails, confirmed.times) == (error, [], times)


def test_refused_addresses_do_not_keep_it_from_the_others(start_server: StartServer) -> None:
    server = start_server()
    server.behaviour.refused = {EVE: "550 5.1.1 nobody here"}
    assert hand(mail_settings(server)) == [f"550 {EVE}: 5.1.1 nobody here"]
    # Refused for now: tried again whole, and at last sent to those who can be reached.
    server.behaviour.refused = {EVE: "450 4.2.1 later"}
    assert hand(mail_settings(server), is_last=True) == [f"450 {EVE}: 4.2.1 later"]
    assert [one.recipients for one in server.mails] == [(ADA,), (ADA,)]


def test_a_server_that_does_not_say_goodbye_has_the_mail(start_server: StartServer) -> None:
    server = start_server()
    server.behaviour.hangs_up = "at_quit"
    assert hand(mail_settings(server)) == []
    assert len(server.mails) == 1


def test_who_lost_the_claim_says_nothing_more(start_server: StartServer) -> None:
    server = start_server()

    def refuse() -> None:
        raise RingfenceError("taken over")

    with pytest.raises(RingfenceError, match="taken over"):
        hand(mail_settings(server), refuse)
    assert server.mails == []


def test_what_is_not_set_up_is_named(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server()
    with pytest.raises(ConfigurationError, match=r"^mail\.host: is not set"):
        hand(MailSettings())
    missing = {"user": "x", "password_file": tmp_path / "none", "tls": "starttls"}
    with pytest.raises(ConfigurationError, match=r"^mail\.password_file: "):
        hand(mail_settings(server, **missing))
    with pytest.raises(ConfigurationError, match=r"^mail\.ca_file: "):
        hand(mail_settings(server, tls="tls", ca_file=tmp_path / "none"))
    port = server.port
    server.stop()
    with pytest.raises(UnavailableError, match=f"127.0.0.1:{port}: .*refused"):
        hand(mail_settings(server))
