"""A mail server on loopback that keeps what it is given, and refuses, hangs up or waits where a test says so.

It speaks what RFC 5321 asks of a receiver, STARTTLS (RFC 3207), TLS from the start (RFC 8314), AUTH PLAIN (RFC 4954).
"""

from __future__ import annotations

import asyncio
import base64
import ssl
import subprocess
import threading
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeVar

_Made = TypeVar("_Made")
# More than any mail of a test: the reader need not hold back its sender.
_MOST = 16 << 20


@dataclass(frozen=True)
class Mail:
    """One that was taken: the envelope and the text, dots undone."""

    sender: str
    recipients: tuple[str, ...]
    octets: bytes
    is_encrypted: bool
    user: str | None

    @property
    def message(self) -> EmailMessage:
        """As a mail program reads it."""
        read = message_from_bytes(self.octets, policy=default)
        assert isinstance(read, EmailMessage)
        return read


@dataclass
class Behaviour:
    """What it does otherwise than a friendly server; may be changed between conversations."""

    refused: dict[str, str] = field(default_factory=dict)  # recipient → answer
    data: str = "250 2.0.0 taken"
    hangs_up: Literal["at_data", "after_text", "at_quit"] | None = None
    # A conversation waits at RCPT: it says so with `waits`, and goes on with `goes_on`.
    holds: bool = False


@dataclass
class _Conversation:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    is_encrypted: bool
    user: str | None = None
    sender: str = ""
    recipients: list[str] = field(default_factory=list)


class MailServer:
    """Starts on entering, stops on leaving; `port`, `mails`, `conversations`."""

    def __init__(
        self, folder: Path, tls: Literal["none", "starttls", "tls"] = "none", users: dict[str, str] | None = None
    ) -> None:
        self.tls = tls
        self.users = users or {}
        self.behaviour = Behaviour()
        self.mails: list[Mail] = []
        self.conversations = 0
        self.port = 0
        self.waits, self.goes_on = threading.Event(), threading.Event()
        self.certificate = folder / "certificate.pem"
        self._context = _certify(self.certificate, folder / "key.pem") if tls != "none" else None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="mail-server")
        self._tasks: set[asyncio.Task[None]] = set()

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._do(asyncio.start_server(
            self._accept, "127.0.0.1", 0, ssl=self._context if self.tls == "tls" else None, limit=_MOST))  # fmt: skip
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        """Be gone. Idempotent."""
        if self._loop.is_closed():
            return
        self.goes_on.set()
        self._do(self._stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def _do(self, work: Coroutine[Any, Any, _Made]) -> _Made:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    async def _stop(self) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.conversations += 1
        try:
            await self._converse(_Conversation(reader, writer, self.tls == "tls"))
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass  # the caller went away
        finally:
            self._tasks.discard(task)
            writer.close()
            with suppress(ConnectionError, ssl.SSLError):
                await writer.wait_closed()

    async def _converse(self, with_: _Conversation) -> None:
        await _say(with_, "220 mail.example.com ESMTP")
        while line := (await with_.reader.readline()).decode("ascii").rstrip("\r\n"):
            verb, _, rest = line.partition(" ")
            if verb.upper() == "QUIT":
                if self.behaviour.hangs_up != "at_quit":
                    await _say(with_, "221 2.0.0 bye")
                return
            if not await self._answer(with_, verb.upper(), rest):
                return

    async def _answer(self, with_: _Conversation, verb: str, rest: str) -> bool:
        """Whether the conversation goes on."""
        if verb == "EHLO":
            offers = ["STARTTLS"] if self.tls == "starttls" and not with_.is_encrypted else []
            offers += ["AUTH PLAIN"] if self.users and with_.is_encrypted else []
            words = ["mail.example.com", "SIZE 10000000", *offers]
            await _say(with_, "\r\n".join(f"250{' ' if one is words[-1] else '-'}{one}" for one in words))
        elif verb == "STARTTLS" and self._context is not None:
            await _say(with_, "220 2.0.0 go ahead")
            await with_.writer.start_tls(self._context)
            with_.is_encrypted = True
        elif verb == "AUTH":
            _, user, password = base64.b64decode(rest.removeprefix("PLAIN ")).decode().split("\0")
            if self.users.get(user) == password:
                with_.user = user
            await _say(with_, "235 2.7.0 welcome" if with_.user else "535 5.7.8 wrong name or password")
        elif verb == "MAIL":
            with_.sender, with_.recipients = rest.split("<")[1].split(">")[0], []
            is_stranger = bool(self.users) and with_.user is None
            await _say(with_, "530 5.7.0 sign in first" if is_stranger else "250 2.1.0 ok")
        elif verb == "RCPT":
            await self._take_recipient(with_, rest.split("<")[1].split(">")[0])
        elif verb == "DATA":
            return await self._take_text(with_)
        else:
            await _say(with_, "502 5.5.1 not known")
        return True

    async def _take_recipient(self, with_: _Conversation, recipient: str) -> None:
        if self.behaviour.holds:
            self.waits.set()
            await asyncio.to_thread(self.goes_on.wait)
        refusal = self.behaviour.refused.get(recipient)
        if refusal is None:
            with_.recipients.append(recipient)
        await _say(with_, refusal or "250 2.1.5 ok")

    async def _take_text(self, with_: _Conversation) -> bool:
        if self.behaviour.hangs_up == "at_data":
            return False
        await _say(with_, "354 go on")
        lines = []
        while (line := await with_.reader.readline()) != b".\r\n":
            if not line:
                return False
            lines.append(line.removeprefix(b"."))
        if self.behaviour.hangs_up == "after_text":
            return False
        if self.behaviour.data.startswith("250"):
            # Kept before it is said: whoever hears of it finds it.
            mail = Mail(with_.sender, tuple(with_.recipients), b"".join(lines), with_.is_encrypted, with_.user)
            self.mails.append(mail)
        await _say(with_, self.behaviour.data)
        return True


async def _say(with_: _Conversation, words: str) -> None:
    with_.writer.write(words.encode() + b"\r\n")
    await with_.writer.drain()


def _certify(certificate: Path, key: Path) -> ssl.SSLContext:
    """A server's context with a certificate of its own for 127.0.0.1."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context
