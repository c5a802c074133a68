"""TLS on the TCP listener of a mediation, beside a Unix socket that is plain: uvicorn itself knows all or nothing."""

from __future__ import annotations

import asyncio
import socket

import uvicorn

from ringfence.trust.listener import ListenerTls

# A client that does not get its handshake done has the connection taken away.
HANDSHAKE_S = 10.0
LOOK_S = 2.0


class Listening:
    """Puts TLS in front of a server's TCP sockets."""

    def __init__(self, server: uvicorn.Server, tls: ListenerTls | None) -> None:
        self._server = server
        self._tls = tls

    def divide(self, sockets: list[socket.socket]) -> tuple[list[socket.socket], list[socket.socket]]:
        """Those that are served plainly, and those behind TLS."""
        if self._tls is None:
            return sockets, []
        plain = [one for one in sockets if one.family == socket.AF_UNIX]
        return plain, [one for one in sockets if one not in plain]

    async def add(self, sockets: list[socket.socket]) -> None:
        """Accept on these, with TLS; once the server has started."""
        if self._tls is None:
            return
        loop = asyncio.get_running_loop()
        for one in sockets:
            server = await loop.create_server(
                self._protocol,
                sock=one,
                ssl=self._tls.context,
                ssl_handshake_timeout=HANDSHAKE_S,
                backlog=self._server.config.backlog,
            )
            self._server.servers.append(server)

    def _protocol(self) -> asyncio.Protocol:
        server = self._server
        make = server.config.http_protocol_class
        return make(config=server.config, server_state=server.server_state, app_state=server.lifespan.state)  # type: ignore[call-arg]


async def watch_certificate(tls: ListenerTls) -> None:
    """Take a changed certificate while serving, until cancelled."""
    while True:
        await asyncio.sleep(LOOK_S)
        await asyncio.to_thread(tls.refresh)
