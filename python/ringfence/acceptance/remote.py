"""The deployment's API over HTTP, for a run inside a mediation or a lab. The command has a client of its own."""

from __future__ import annotations

from typing import Any

import httpx

from ringfence.errors import (
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    NotFoundError,
    NotSignedInError,
    RingfenceError,
    UnavailableError,
)

_TIMEOUT_S = 30.0
_KINDS: dict[int, type[RingfenceError]] = {
    400: InvalidInputError,
    401: NotSignedInError,
    403: ForbiddenError,
    404: NotFoundError,
    409: ConflictError,
    422: InvalidInputError,
    503: UnavailableError,
}


class Remote:
    """`run.Api` by HTTP, with a token."""

    def __init__(self, url: str, token: str) -> None:
        self._http = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v1/",
            headers={"Authorization": f"Bearer {token}"},
            timeout=_TIMEOUT_S,
            trust_env=False,
        )

    def close(self) -> None:
        """Close the connection."""
        self._http.close()

    def get(self, path: str, **parameters: Any) -> Any:
        """GET; parameters that are None are left out."""
        return self._send("GET", path, params=_present(parameters))

    def post(self, path: str, body: Any = None, **parameters: Any) -> Any:
        """POST a JSON body."""
        return self._send("POST", path, json=body, params=_present(parameters))

    def patch(self, path: str, body: Any) -> Any:
        """PATCH a JSON body."""
        return self._send("PATCH", path, json=body)

    def delete(self, path: str) -> None:
        """DELETE."""
        self._send("DELETE", path)

    def _send(self, method: str, path: str, **arguments: Any) -> Any:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TransportError as error:
            raise UnavailableError(f"the mediation cannot be reached: {error}") from None
        if response.is_success:
            return response.json() if response.content else None
        kind = _KINDS.get(response.status_code, RingfenceError)
        try:
            body = response.json()
            raise kind(str(body["message"]), code=str(body["code"]))
        except (ValueError, KeyError, TypeError):
            raise UnavailableError(f"{path}: answered {response.status_code}, not as a mediation does") from None


def _present(parameters: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parameters.items() if value is not None}
