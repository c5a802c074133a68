"""How many API requests one may make: each credential its own share, and each address that of a few.

Devices are not counted: their number is known, and a lost upload is a lost record. Nor is the Unix socket, which has no
address.
"""

from __future__ import annotations

import hashlib
import time
from http.cookies import CookieError, SimpleCookie

from starlette.datastructures import Headers
from starlette.types import Scope

from ringfence.api.rate_limit import RateLimit

_DEVICES = "/api/v1/edge/"
# Over TLS a browser may have it under the name that only this host can set (RFC 6265bis 4.1.3.2).
_SESSIONS = ("__Host-ringfence_session", "ringfence_session")
# Behind one address (a proxy, an office) several people and programs work.
_OF_AN_ADDRESS = 8


class RequestRates:
    """The buckets of one application."""

    def __init__(self, burst: int, per_second: float) -> None:
        self._credentials = RateLimit(burst, per_second)
        self._addresses = RateLimit(burst * _OF_AN_ADDRESS, per_second * _OF_AN_ADDRESS)

    def take(self, scope: Scope, headers: Headers) -> bool:
        """Count a request; False: it is one too many."""
        if scope["path"].startswith(_DEVICES):
            return True
        now = time.monotonic()
        client = scope.get("client")
        if client and client[0] and not self._addresses.take(client[0], now):
            return False
        secret = headers.get("authorization") or _session_in(headers.get("cookie"))
        return secret is None or self._credentials.take(hashlib.sha256(secret.encode()).hexdigest(), now)


def _session_in(cookies: str | None) -> str | None:
    if cookies is None:
        return None
    try:
        sent = SimpleCookie(cookies)
    except CookieError:
        return None
    return next((sent[name].value for name in _SESSIONS if name in sent), None)
