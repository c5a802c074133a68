"""A small mediation that misbehaves as told, and a real ENUM server that makes real events: what `conftest` starts."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import dns.message
import dns.query
import pyarrow as pa
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse

from ringfence._native import EnumServer

CREDENTIAL = "rfd_test"
DOCUMENT = {
    "format": 1,
    "version": 1,
    "site": {
        "country": "US",
        "country_code": "1",
        "national_prefix": "1",
        "international_prefixes": ["011"],
        "national_lengths": [10],
        "local_prefix": "",
        "local_lengths": [],
        "extension_lengths": [],
        "own_ranges": [],
    },
    "protected": [],
    "answers": {
        "allow": "!^(.*)$!sip:\\1@allow.{host}!",
        "terminate": "!^(.*)$!sip:\\1@terminate.{host}!",
        "redirect": "!^.*$!sip:{target}@redirect.{host}!",
        "service": "E2U+sip",
        "host": None,
    },
    "lists": {},
    "schedules": {},
    "rules": [],
}


def document(version: int) -> bytes:
    return json.dumps({**DOCUMENT, "version": version}, sort_keys=True, separators=(",", ":")).encode()


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def wait_until(condition: Callable[[], bool], what: str, deadline_s: float = 20.0) -> None:
    end = time.monotonic() + deadline_s
    while not condition():
        assert time.monotonic() < end, f"not in {deadline_s} s: {what}"
        time.sleep(0.005)


@dataclass
class FakeMediation:
    """Holds events per stream, refuses gaps, trims what it knows. The flags say how it misbehaves."""

    rows: dict[int, list[int]] = field(default_factory=dict)
    uploads: int = 0
    hellos: int = 0
    heartbeats: list[dict[str, object]] = field(default_factory=list)
    polls: list[tuple[int, str]] = field(default_factory=list)
    policy: tuple[int, bytes] | None = None
    # Contents of lists by hash, and those that were asked for.
    contents: dict[str, bytes] = field(default_factory=dict)
    fetched: list[str] = field(default_factory=list)
    is_down: bool = False
    # Every n-th upload is stored, but its answer is lost.
    forget_answer_every: int = 0
    # Most events taken at once, and seconds each upload takes.
    upload_limit: int = 1_000_000
    delay_s: float = 0.0
    address: str = ""

    def received(self) -> dict[str, int]:
        return {str(stream): rows[-1] for stream, rows in self.rows.items() if rows}

    def events(self) -> int:
        return sum(len(rows) for rows in self.rows.values())

    def build(self) -> FastAPI:
        app = FastAPI()

        @app.middleware("http")
        async def _guard(request: Request, call_next):  # type: ignore[no-untyped-def]
            if self.is_down:
                return JSONResponse({"code": "unavailable", "message": "down"}, 503)
            if request.headers.get("Authorization") != f"Bearer {CREDENTIAL}":
                return JSONResponse({"code": "not_signed_in", "message": "who?"}, 401)
            return await call_next(request)

        app.post("/api/v1/edge/hello")(self._hello)
        app.post("/api/v1/edge/events")(self._events)
        app.get("/api/v1/edge/policy")(self._policy)
        app.get("/api/v1/edge/lists/{content}")(self._list_content)
        app.post("/api/v1/edge/heartbeat")(self._heartbeat)
        return app

    async def _hello(self) -> dict[str, object]:
        self.hellos += 1
        return {"device": "enum-1", "device_id": 1, "epoch": 1, "now_us": 0, "received": self.received()}

    async def _events(self, request: Request, stream: int, first_kept: int | None = None) -> Response:
        body = await request.body()
        await asyncio.sleep(self.delay_s)
        table = pa.ipc.open_stream(io.BytesIO(body)).read_all()
        sequences = [one for one in table["sequence"].to_pylist() if one is not None]
        if len(sequences) > self.upload_limit:
            return JSONResponse({"code": "too_large", "message": "send fewer"}, 413)
        rows = self.rows.setdefault(stream, [])
        last = rows[-1] if rows else 0
        if sequences[0] > last + 1 and first_kept != sequences[0]:
            return JSONResponse({"code": "gap", "message": "gap", "detail": {"received": last}}, 409)
        self.uploads += 1
        rows.extend(one for one in sequences if one > last)
        if self.forget_answer_every and self.uploads % self.forget_answer_every == 0:
            return JSONResponse({"code": "unavailable", "message": "the answer is lost"}, 502)
        return JSONResponse({"received": rows[-1]})

    async def _policy(self, request: Request, version: int, wait_s: float) -> Response:
        known = (version, request.query_params["hash"])
        self.polls.append(known)
        end = time.monotonic() + wait_s
        while time.monotonic() < end:
            if self.policy is not None:
                wanted, content = self.policy
                if (wanted, sha256(content) if wanted else "") != known:
                    head = {"X-Policy-Version": str(wanted), "X-Policy-Hash": sha256(content) if wanted else ""}
                    return Response(content, headers=head, media_type="application/json")
            await asyncio.sleep(0.01)
        return Response(status_code=204)

    async def _list_content(self, content: str) -> Response:
        self.fetched.append(content)
        if content not in self.contents:
            return JSONResponse({"code": "not_found", "message": "nobody has it"}, 404)
        return Response(self.contents[content], media_type="text/plain")

    async def _heartbeat(self, request: Request) -> dict[str, int]:
        self.heartbeats.append(await request.json())
        return {"now_us": time.time_ns() // 1000}


def open_server(
    folder: Path, policy: bytes | None = None, entries: bytes | None = None, **journal: int | float
) -> EnumServer:
    stage = folder / "stage"
    settings = {"folder": str(folder / "journal"), "segment_bytes": 65536, "max_bytes": 1 << 24, "keep_hours": 72.0}
    settings |= {"sync_ms": 5, "stage": str(stage), "stage_bytes": 1 << 20, **journal}
    configuration = {
        "listen": ["127.0.0.1:0"],
        "apex": ["e164.internal"],
        "workers": 1,
        "source_option_codes": [4, 65001],
        "fail_mode": "allow",
        "journal": settings,
    }
    return EnumServer(json.dumps(configuration), policy, entries)


def ask(server: EnumServer, count: int) -> None:
    """Place `count` queries and wait for each answer."""
    host, port = server.addresses[0].rsplit(":", 1)
    query = dns.message.make_query("0.0.1.0.5.5.5.0.1.2.1.e164.internal", "NAPTR")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        for _ in range(count):
            answer = dns.query.udp(query, host, port=int(port), timeout=5, sock=line)
            assert answer.answer


def durable(server: EnumServer) -> int:
    return sum(stream[2] for stream in server.journal().streams())
