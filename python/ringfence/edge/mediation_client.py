"""The edge's side of docs/contracts.md 2, over TCP or a Unix socket, with a list of mediations in order.

After a failure the next mediation of the list is used (`home`). `generation` counts these changes: who keeps what a
mediation said (the uplink: which events it holds) asks again when it has changed. Every request shows the highest
term that this edge has seen; an answer with a lower one is refused.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from ringfence.availability.term import HEADER, Term
from ringfence.edge.enrolment import Identity
from ringfence.edge.home import Home
from ringfence.errors import (
    ForbiddenError,
    InvalidInputError,
    NotSignedInError,
    RingfenceError,
    UnavailableError,
)
from ringfence.trust.address import check_address

_PREFIX = "/api/v1/edge"
_ARROW = "application/vnd.apache.arrow.stream"
_CONNECT_TIMEOUT_S = 3.0
_TIMEOUT_S = 30.0
_UNIX = "unix:"


class GapError(RingfenceError):
    """The upload does not continue what the mediation holds; `received` is what it holds."""

    code = "gap"

    def __init__(self, received: int) -> None:
        super().__init__(f"the mediation holds events up to {received} only", detail={"received": received})
        self.received = received


@dataclass(frozen=True)
class Hello:
    """What the mediation at `address` knows of this device and journal."""

    address: str
    device: str
    device_id: int
    epoch: int
    now_us: int
    received: Mapping[int, int]


@dataclass(frozen=True)
class WantedPolicy:
    """A policy version to enforce; version 0 with an empty document: none."""

    version: int
    hash: str
    document: bytes


class TooLargeError(RingfenceError):
    """The upload has more than the mediation takes at once."""

    code = "too_large"


class MediationClient:
    """Speaks for one device. Every call raises UnavailableError when another try may help."""

    def __init__(
        self,
        addresses: tuple[str, ...],
        identity: Identity | str,
        *,
        timeout_s: float = _TIMEOUT_S,
        home: Home | None = None,
    ) -> None:
        """`identity`: who this is, or its bare credential. It and `home` are shared by the clients of one edge."""
        if not addresses:
            raise InvalidInputError("edge.mediation: names no mediation")
        self.addresses = addresses
        self.home = home or Home(addresses)
        self._timeout_s = timeout_s
        self._identity = Identity(credential=identity) if isinstance(identity, str) else identity
        self._clients = [_open(address, self._identity) for address in addresses]
        self._before: list[httpx.AsyncClient] = []  # that show the certificate before
        self._generation = self._identity.generation

    @property
    def address(self) -> str:
        """The mediation in use."""
        return self.home.address

    @property
    def generation(self) -> int:
        """Counts changes of the mediation in use."""
        return self.home.generation

    async def close(self) -> None:
        """Close all connections."""
        for client in (*self._clients, *self._before):
            await client.aclose()

    async def hello(self, kind: str, software: str, journal_id: int, now_us: int) -> Hello:
        """Introduce this edge; learn which events of the journal the mediation holds."""
        body = {"kind": kind, "software": software, "journal_id": journal_id, "now_us": now_us}
        asked = self.address  # another may be in use when this one answers
        answer = _json(await self._call("POST", "/hello", json=body))
        try:
            return Hello(
                asked,
                str(answer["device"]),
                int(answer["device_id"]),
                int(answer["epoch"]),
                int(answer["now_us"]),
                {int(stream): int(last) for stream, last in answer["received"].items()},
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnavailableError(f"mediation {asked}: hello is not answered as agreed: {error!r}") from None

    async def post_events(
        self, journal_id: int, stream: int, arrow: bytes, *, dataset: str = "enum", first_kept: int | None = None
    ) -> int:
        """Upload a batch; the last sequence that the mediation holds afterwards. GapError when it does not continue.

        `first_kept` says that the journal has nothing before this sequence any more.
        """
        query: dict[str, str | int] = {"dataset": dataset, "journal_id": journal_id, "stream": stream}
        if first_kept is not None:
            query["first_kept"] = first_kept
        response = await self._call("POST", "/events", params=query, content=arrow, headers={"Content-Type": _ARROW})
        try:
            return int(_json(response)["received"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnavailableError(f"mediation {self.address}: upload is not answered as agreed: {error!r}") from None

    async def policy(self, version: int, content_hash: str, wait_s: float) -> WantedPolicy | None:
        """Wait until a policy other than (`version`, `content_hash`) is wanted; None when there is none yet."""
        query: dict[str, str | int | float] = {"version": version, "hash": content_hash, "wait_s": wait_s}
        response = await self._call("GET", "/policy", params=query, timeout_s=self._timeout_s + wait_s)
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        try:
            wanted = int(response.headers["X-Policy-Version"])
        except (KeyError, ValueError):
            raise UnavailableError(f"mediation {self.address}: policy comes without its version") from None
        if wanted == 0:
            return WantedPolicy(0, "", b"")
        document = response.content
        told = response.headers.get("X-Policy-Hash", "")
        if hashlib.sha256(document).hexdigest() != told:
            raise UnavailableError(f"mediation {self.address}: policy {wanted} does not have the hash it comes with")
        return WantedPolicy(wanted, told, document)

    async def list_content(self, content: str) -> bytes:
        """The content of a list that a policy document names."""
        octets = (await self._call("GET", f"/lists/{content}")).content
        if hashlib.sha256(octets).hexdigest() != content:
            raise UnavailableError(f"mediation {self.address}: list content {content} comes with another hash")
        return octets

    async def entries(self, have: int, wait_s: float) -> dict[str, Any] | None:
        """Wait for changes of dynamic entries after change `have`; None when there are none yet."""
        query: dict[str, int | float] = {"have": have, "wait_s": wait_s}
        response = await self._call("GET", "/entries", params=query, timeout_s=self._timeout_s + wait_s)
        return None if response.status_code == httpx.codes.NO_CONTENT else _json(response)

    async def questions(self, wait_s: float) -> list[dict[str, Any]]:
        """Wait for questions for messages that this probe keeps; none came: an empty list."""
        query: dict[str, float] = {"wait_s": wait_s}
        response = await self._call("GET", "/evidence", params=query, timeout_s=self._timeout_s + wait_s)
        if response.status_code == httpx.codes.NO_CONTENT:
            return []
        asked = _json(response).get("questions")
        return [one for one in asked if isinstance(one, dict)] if isinstance(asked, list) else []

    async def answer(self, request: int, outcome: str, body: bytes = b"") -> None:
        """Answer one of them; `body` has the messages. InvalidInputError: it is not open any more."""
        headers = {"Content-Type": "application/zlib"}
        await self._call("POST", f"/evidence/{request}", params={"outcome": outcome}, content=body, headers=headers)

    async def heartbeat(self, report: Mapping[str, Any]) -> int:
        """Report; the mediation's clock, microseconds since 1970."""
        answer = _json(await self._call("POST", "/heartbeat", json=dict(report)))
        if answer.get("renew_certificate") is True and not self._identity.is_renewal_wanted:
            self._identity.is_renewal_wanted = True
        try:
            return int(answer["now_us"])
        except (KeyError, TypeError, ValueError) as error:
            raise UnavailableError(
                f"mediation {self.address}: heartbeat is not answered as agreed: {error!r}"
            ) from None

    async def next_certificate(self, request: str) -> str:
        """Have the mediation sign the next key; the certificate, PEM."""
        answer = _json(await self._call("POST", "/certificate", json={"request": request}))
        try:
            return str(answer["certificate"])
        except KeyError:
            raise UnavailableError(f"mediation {self.address}: a certificate is not answered as agreed") from None

    async def ask_term(self, index: int, timeout_s: float) -> None:
        """Whether a mediation of the list takes work; its term is learnt. RingfenceError: it does not."""
        await self._request(index, "GET", "/term", timeout_s)

    async def _show_newest_certificate(self) -> None:
        """Leave connections that were made with the certificate before, once there is another."""
        if self._generation == self._identity.generation:
            return
        self._generation = self._identity.generation
        # What is under way on them goes on; idle ones the mediation closes after seconds.
        before, self._before = self._before, self._clients
        self._clients = [_open(address, self._identity) for address in self.addresses]
        for client in before:
            await client.aclose()

    async def _call(self, method: str, path: str, *, timeout_s: float | None = None, **request: Any) -> httpx.Response:
        used = self.home.current
        asking = asyncio.create_task(self._request(used, method, path, timeout_s or self._timeout_s, **request))
        leaving = asyncio.create_task(self.home.left(used))
        try:
            await asyncio.wait((asking, leaving), return_when=asyncio.FIRST_COMPLETED)
            if asking.done():
                return asking.result()
            raise UnavailableError(f"mediation {self.addresses[used]}: left for {self.address}")
        finally:
            for task in (asking, leaving):
                task.cancel()
            await asyncio.gather(asking, leaving, return_exceptions=True)

    async def _request(self, used: int, method: str, path: str, timeout_s: float, **request: Any) -> httpx.Response:
        timeout = httpx.Timeout(timeout_s, connect=min(timeout_s, _CONNECT_TIMEOUT_S))
        headers = dict(request.pop("headers", {}))
        if (highest := self.home.highest.term) is not None:
            headers[HEADER] = str(highest)
        await self._show_newest_certificate()
        try:
            response = await self._clients[used].request(
                method, _PREFIX + path, timeout=timeout, headers=headers, **request
            )
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise self._unavailable(used, str(error) or type(error).__name__) from None
        if response.status_code >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise self._unavailable(used, f"answers {_reason(response)}")
        _raise_refusal(self.addresses[used], response)
        self.home.answered(used, Term.parse(response.headers.get(HEADER)))
        return response

    def _unavailable(self, used: int, what: str) -> UnavailableError:
        error = UnavailableError(f"mediation {self.addresses[used]}: {what}")
        self.home.failed(used, error.message)
        return error


def _open(address: str, identity: Identity) -> httpx.AsyncClient:
    check_address(address, "edge.mediation")
    headers = {"Authorization": f"Bearer {identity.credential}"} if identity.credential else {}
    if address.startswith(_UNIX):
        transport = httpx.AsyncHTTPTransport(uds=address.removeprefix(_UNIX))
        return httpx.AsyncClient(base_url="http://mediation", headers=headers, transport=transport, trust_env=False)
    verify = identity.context if address.startswith("https://") else False
    return httpx.AsyncClient(base_url=address, headers=headers, trust_env=False, verify=verify)


def _raise_refusal(address: str, response: httpx.Response) -> None:
    status = response.status_code
    if status < httpx.codes.BAD_REQUEST:
        return
    message = f"mediation {address}: {_reason(response)}"
    if status == httpx.codes.UNAUTHORIZED:
        raise NotSignedInError(message)
    if status == httpx.codes.FORBIDDEN:
        raise ForbiddenError(message)
    if status == httpx.codes.CONFLICT:
        detail = _json(response).get("detail")
        if isinstance(detail, dict) and isinstance(detail.get("received"), int):
            raise GapError(detail["received"])
    if status == httpx.codes.REQUEST_ENTITY_TOO_LARGE:
        raise TooLargeError(message)
    if status in (httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS):
        raise UnavailableError(message)
    raise InvalidInputError(message)


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        answer = response.json()
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def _reason(response: httpx.Response) -> str:
    said = _json(response).get("message")
    return f"{response.status_code} {said}" if said else f"{response.status_code} {response.reason_phrase}"
