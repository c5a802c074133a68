"""HTTP/1.1 as uvicorn speaks it, with bounds on what it leaves open: how long a request's head may take and be.

It also says who was at the other end of TLS: a request's `state` holds `peer_certificate` (DER) of a device that showed
one which the listener's authority signed. What is made of it is the API's matter (api/security.py). How long a body may
take and be is the matter of api/guards.py.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

# A head comes within this, or its connection goes: who sends a letter a second holds nothing of ours for long.
HEAD_S = 15.0
# As much as a browser with many cookies needs; most servers allow 8 to 64 KiB.
HEAD_BYTES = 64 << 10
HEADERS = 100
# What is taken of a refused body before its connection goes.
UNWANTED_BYTES = 1 << 20
PEER_CERTIFICATE = "peer_certificate"


class GuardedProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_head = True
        self._unwanted_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Keep who it is, and wait for the first request."""
        covered = transport.get_extra_info("ssl_object")
        der = covered.getpeercert(binary_form=True) if covered is not None else None
        self.app_state = {**self.app_state, PEER_CERTIFICATE: der}
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more."""
        self._head_done()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """A request's first octet."""
        super().on_message_begin()
        self._head_bytes = self._unwanted_bytes = 0
        self._await_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header; too many are refused, as is what the parser itself does not take."""
        super().on_header(name, value)
        self._head_bytes += len(name) + len(value)
        if len(self.headers) > HEADERS or self._head_bytes > HEAD_BYTES:
            self._refuse(431)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._head_done()
        if not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body; what is still sent once the answer is out is read for a while, so that it is heard."""
        if self.cycle.response_complete:
            self._unwanted_bytes += len(body)
            if self._unwanted_bytes > UNWANTED_BYTES:
                self.transport.close()
            return
        super().on_body(body)

    def data_received(self, data: bytes) -> None:
        """A part of a request; a head that does not end is cut off."""
        if self.transport.is_closing():
            return
        super().data_received(data)
        if self._is_in_head:
            # Of a part that begins in the request before, more is counted than is the head's: it is still bounded.
            self._head_bytes += len(data)
            if self._head_bytes > 2 * HEAD_BYTES:
                self._refuse(431)

    def _await_head(self) -> None:
        self._is_in_head = True
        if self._head_timer is not None:
            self._head_timer.cancel()
        self._head_timer = self.loop.call_later(HEAD_S, self._refuse, 408)

    def _head_done(self) -> None:
        self._is_in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: int) -> None:
        self._head_done()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(STATUS_LINE[status] + b"content-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()
